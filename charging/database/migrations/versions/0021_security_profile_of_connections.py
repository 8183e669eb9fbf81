"""How safely each charging point has come in."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add it; NULL where a node of before wrote the connection."""
    op.execute("ALTER TABLE connections ADD COLUMN security_profile smallint")


def downgrade() -> None:
    """Take it away."""
    op.execute("ALTER TABLE connections DROP COLUMN security_profile")
