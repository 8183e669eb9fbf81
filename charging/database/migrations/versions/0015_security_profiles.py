"""How safely each charging point must come in, and which handshakes were refused."""

from alembic import op

revision = "0015"
down_revision = "0014"

UPGRADE = """
ALTER TABLE charging_points
    -- of OCPP: 0 nothing, 1 a password, 2 a password over TLS, 3 a client's certificate
    ADD COLUMN lowest_security_profile smallint NOT NULL DEFAULT 0
        CHECK (lowest_security_profile BETWEEN 0 AND 3),
    -- the CN or serialNumber of its certificate; NULL: its identity
    ADD COLUMN certificate_name text;
-- Who was registered without a password was let in so by an operator.
UPDATE charging_points SET lowest_security_profile = 1 WHERE password_hash IS NOT NULL;

CREATE TABLE refused_handshakes (
    -- charging.handshake.RefusedHandshake
    cause text NOT NULL,
    -- of the request, without its query; empty where none was read
    path text NOT NULL,
    address text NOT NULL,
    -- what the client says it is, or offers
    detail text NOT NULL,
    count bigint NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cause, path, address)
);
CREATE INDEX refused_handshakes_last_at ON refused_handshakes (last_at);
"""

DOWNGRADE = """
DROP TABLE refused_handshakes;
ALTER TABLE charging_points
    DROP COLUMN certificate_name, DROP COLUMN lowest_security_profile;
"""


def upgrade() -> None:
    """Add the columns and the list."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Take them away."""
    op.execute(DOWNGRADE)
