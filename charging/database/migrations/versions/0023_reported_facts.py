"""What charging points reported where another time, or another register, is billed and shown."""

from alembic import op

revision = "0023"
down_revision = "0022"

UPGRADE = """
ALTER TABLE sessions
    -- a register that is no whole number of Wh, or that cannot be; NULL: what is billed came so
    ADD COLUMN reported_meter_start numeric,
    ADD COLUMN reported_meter_stop numeric;
ALTER TABLE meter_values
    -- by its own clock, where that is wrong and sampled_at is the time of receipt
    ADD COLUMN reported_at timestamptz;
CREATE INDEX meter_values_reported ON meter_values (charging_point_id, reported_at)
    WHERE reported_at IS NOT NULL;
"""

DOWNGRADE = """
DROP INDEX meter_values_reported;
ALTER TABLE meter_values DROP COLUMN reported_at;
ALTER TABLE sessions DROP COLUMN reported_meter_stop, DROP COLUMN reported_meter_start;
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Take them away."""
    op.execute(DOWNGRADE)
