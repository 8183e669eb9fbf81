"""Vendors whose own messages are taken."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE data_vendors (
            vendor_id text NOT NULL,
            -- empty: any
            message_id text NOT NULL DEFAULT '',
            note text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (vendor_id, message_id)
        )
        """
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE data_vendors")
