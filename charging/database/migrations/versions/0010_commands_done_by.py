"""Each command has a time until which what it asked is waited for."""

from alembic import op

revision = "0010"
down_revision = "0009"

SCHEMA = """
-- until when a fact may show it done; then it is unknown. Set anew with the answer, by kind.
ALTER TABLE commands ADD COLUMN done_by timestamptz NOT NULL DEFAULT now() + interval '1 day';
UPDATE commands SET done_by = deadline + interval '1 day'
WHERE done_at IS NULL AND state IN ('sent', 'answered');
-- Of what ended without an answer nothing is to be waited for any more.
UPDATE commands SET done_at = deadline, done_outcome = 'unknown'
WHERE done_at IS NULL AND state IN ('expired', 'superseded');

-- What still has to be carried out at a charging point: an answer that was lost counts too.
DROP INDEX commands_under_way;
CREATE INDEX commands_under_way ON commands (charging_point_id, kind)
    WHERE done_at IS NULL AND state IN ('sent', 'answered', 'expired');
CREATE INDEX commands_done_by ON commands (done_by)
    WHERE done_at IS NULL AND state IN ('sent', 'answered', 'expired');
-- of which charging points report how far they are
CREATE INDEX commands_reported ON commands (charging_point_id, command_id)
    WHERE kind IN ('update_firmware', 'upload_log');
"""

DOWNGRADE = """
DROP INDEX commands_reported, commands_done_by, commands_under_way;
CREATE INDEX commands_under_way ON commands (charging_point_id, kind)
    WHERE state IN ('sent', 'answered') AND done_at IS NULL;
ALTER TABLE commands DROP COLUMN done_by;
"""


def upgrade() -> None:
    """Add the time."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Take it away."""
    op.execute(DOWNGRADE)
