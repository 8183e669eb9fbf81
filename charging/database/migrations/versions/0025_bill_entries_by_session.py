"""Entries of bills by their session: booking and audits ask for them session by session."""

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Make the index."""
    op.execute("CREATE INDEX bill_entries_session ON bill_entries (session_id)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX bill_entries_session")
