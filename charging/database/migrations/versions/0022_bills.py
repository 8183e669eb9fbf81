"""Bills of closed months, and which corrections of a session its bill knows."""

from alembic import op

revision = "0022"
down_revision = "0021"

SCHEMA = """
-- The newest row of session_corrections that the entry knows of; NULL: none.
ALTER TABLE bill_entries ADD COLUMN correction_id bigint;

-- Months whose bills are out: what comes later for one stands on the next that is open.
CREATE TABLE bill_months (
    month date PRIMARY KEY,
    closed_at timestamptz NOT NULL DEFAULT now(),
    person text NOT NULL
);

-- A bill: what the entries of a closed month add up to. Its number has no gap before it.
CREATE TABLE bills (
    bill_number bigint PRIMARY KEY,
    month date NOT NULL REFERENCES bill_months,
    -- the group of cards, or the card where it has none
    holder text NOT NULL,
    currency text NOT NULL,
    sessions integer NOT NULL,
    energy_wh bigint NOT NULL,
    -- in the currency's smallest unit
    net bigint NOT NULL,
    tax bigint NOT NULL,
    UNIQUE (month, holder, currency)
);
"""


def upgrade() -> None:
    """Add them."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Drop them: what is on bills stays in bill_entries."""
    op.execute("DROP TABLE bills; DROP TABLE bill_months")
    op.execute("ALTER TABLE bill_entries DROP COLUMN correction_id")
