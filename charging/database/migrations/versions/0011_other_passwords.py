"""Passwords that count beside a charging point's own while one takes another's place."""

from alembic import op

revision = "0011"
down_revision = "0010"

SCHEMA = """
CREATE TABLE other_passwords (
    other_password_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    -- that offers it; none for the one before
    command_id bigint REFERENCES commands ON DELETE CASCADE,
    password_salt bytea NOT NULL,
    password_hash bytea NOT NULL,
    -- of the one before; none while it is offered
    valid_until timestamptz,
    CHECK ((command_id IS NULL) = (valid_until IS NOT NULL))
);
CREATE INDEX other_passwords_charging_point ON other_passwords (charging_point_id);
CREATE INDEX other_passwords_command ON other_passwords (command_id);
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE other_passwords")
