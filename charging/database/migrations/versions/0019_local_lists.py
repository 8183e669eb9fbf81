"""Charging points' own lists of tokens, as they have taken them last."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE local_lists (
            charging_point_id text PRIMARY KEY REFERENCES charging_points ON DELETE CASCADE,
            version integer NOT NULL,
            -- as the intent has them
            entries jsonb NOT NULL,
            taken_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE local_lists")
