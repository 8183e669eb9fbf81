"""What roaming has to remember so that no record is wrong, lost or in the wrong order."""

from alembic import op

revision = "0009"
down_revision = "0008"

UPGRADE = """
-- While the hub was away everything waited too long: then the order counts.
ALTER TABLE hub_queues ADD COLUMN put_off_at timestamptz;

-- That it arrived was concluded from an answer that has other meanings too: to be looked at.
ALTER TABLE deliveries ADD COLUMN doubtful boolean NOT NULL DEFAULT false;
CREATE INDEX deliveries_doubtful ON deliveries (delivery_id) WHERE doubtful;

ALTER TABLE hub_sessions
    -- hub_session_id is in small letters, so that two spellings are one; NULL: the hub wrote it so
    ADD COLUMN hub_spelling text,
    -- the provider's name of the tariff; it comes back in the record
    ADD COLUMN partner_product_id text,
    -- an operator found its record right although it is not plausible
    ADD COLUMN found_right boolean NOT NULL DEFAULT false;
ALTER TABLE reservations ADD COLUMN hub_spelling text;

-- Of an EVSE id by DIN SPEC 91286 the plus may be left out: its key has it.
UPDATE evses SET evse_id_key = '+' || evse_id_key WHERE evse_id_key ~ '^[0-9]';
UPDATE deliveries SET key = '+' || key
WHERE queue IN ('evse-data', 'evse-status', 'evse-pricing') AND key ~ '^[0-9]';
"""

DOWNGRADE = """
ALTER TABLE reservations DROP COLUMN hub_spelling;
ALTER TABLE hub_sessions
    DROP COLUMN found_right, DROP COLUMN partner_product_id, DROP COLUMN hub_spelling;
DROP INDEX deliveries_doubtful;
ALTER TABLE deliveries DROP COLUMN doubtful;
ALTER TABLE hub_queues DROP COLUMN put_off_at;
"""


def upgrade() -> None:
    """Add them; old rows hold what they held."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Take them away. EVSEs by DIN that were named without a plus are to be imported again."""
    op.execute(DOWNGRADE)
