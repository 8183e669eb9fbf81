"""Asking the hub about tokens, and reserving EVSEs for its drivers."""

from alembic import op

revision = "0003"
down_revision = "0002"

UPGRADE = """
CREATE TABLE authorizations (
    authorization_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('authorize-start', 'authorize-stop')),
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    id_tag text NOT NULL CHECK (length(id_tag) <= 20 AND id_tag = upper(id_tag)),
    -- start: a transaction that began before anybody was asked; stop: the one to be ended
    session_id integer REFERENCES sessions,
    state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'answered', 'expired')),
    -- the hub's word; NULL: it could not be asked
    accepted boolean,
    detail text NOT NULL DEFAULT '',
    -- ours: an ask that is repeated is the same session to the hub
    cpo_partner_session_id text NOT NULL DEFAULT gen_random_uuid()::text,
    hub_session_id text,
    asked_at timestamptz NOT NULL DEFAULT now(),
    deadline timestamptz NOT NULL,
    claimed_at timestamptz,
    answered_at timestamptz
);
CREATE INDEX authorizations_asked ON authorizations (kind, authorization_id)
    WHERE state = 'asked';

CREATE TABLE reservations (
    -- OCPP 1.6's reservationId is an int32
    reservation_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hub_session_id text NOT NULL UNIQUE,
    provider_id text NOT NULL,
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    evse_number integer NOT NULL,
    identification jsonb NOT NULL,
    -- of this reservation, or the card that it is made for
    id_tag text NOT NULL CHECK (length(id_tag) <= 20 AND id_tag = upper(id_tag)),
    cpo_partner_session_id text NOT NULL,
    emp_partner_session_id text,
    expires_at timestamptz NOT NULL,
    -- asked → reserved → used, cancelled or expired; or refused
    state text NOT NULL DEFAULT 'asked'
        CHECK (state IN ('asked', 'reserved', 'used', 'cancelled', 'expired', 'refused')),
    start_command_id bigint REFERENCES commands,
    start_answer jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX reservations_open ON reservations (charging_point_id, evse_number)
    WHERE state IN ('asked', 'reserved');
"""


def upgrade() -> None:
    """Add them."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE reservations, authorizations")
