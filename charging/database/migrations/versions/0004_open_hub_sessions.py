"""Find a charging point's open sessions of the hub quickly."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Replace an index by one that serves the look-up of tokens too."""
    op.execute(
        "DROP INDEX hub_sessions_charging;"
        "CREATE INDEX hub_sessions_open ON hub_sessions (charging_point_id)"
        " WHERE state IN ('asked', 'accepted')"
    )


def downgrade() -> None:
    """Put the index before back."""
    op.execute(
        "DROP INDEX hub_sessions_open;"
        "CREATE INDEX hub_sessions_charging ON hub_sessions (session_id) WHERE state = 'accepted'"
    )
