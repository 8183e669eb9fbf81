"""Charging points, tokens, sessions, commands, and the thread to the hub."""

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = """
CREATE TABLE charging_points (
    charging_point_id text PRIMARY KEY,
    -- what the operator decided; a BootNotification is answered with it
    registration text NOT NULL DEFAULT 'Accepted'
        CHECK (registration IN ('Accepted', 'Pending', 'Rejected')),
    -- what its last BootNotification was answered; outlives connections and nodes
    boot_status text CHECK (boot_status IN ('Accepted', 'Pending', 'Rejected')),
    booted_at timestamptz,
    -- NULL: admitted without a password (local use only)
    password_salt bytea,
    password_hash bytea,
    vendor text,
    model text,
    serial_number text,
    firmware_version text,
    last_seen_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((password_salt IS NULL) = (password_hash IS NULL))
);

CREATE TABLE evses (
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    -- the connector of OCPP 1.6, the EVSE of 2.x; 0 is the charging point as a whole
    evse_number integer NOT NULL CHECK (evse_number >= 0),
    -- the name in roaming, and the form in which two spellings compare equal
    evse_id text,
    evse_id_key text UNIQUE,
    roaming boolean NOT NULL DEFAULT false,
    status text,
    error_code text,
    status_at timestamptz,
    PRIMARY KEY (charging_point_id, evse_number),
    CHECK ((evse_id IS NULL) = (evse_id_key IS NULL))
);

CREATE TABLE tokens (
    id_tag text PRIMARY KEY CHECK (id_tag = upper(id_tag)),
    blocked boolean NOT NULL DEFAULT false,
    expires_at timestamptz,
    parent_id_tag text,
    note text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE nodes (
    node_id uuid PRIMARY KEY,
    address text NOT NULL,
    process_id integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    draining boolean NOT NULL DEFAULT false,
    figures jsonb NOT NULL DEFAULT '{}'
);

-- who owns a charging point's socket: the newest wins, a removal compares connection_id
CREATE TABLE connections (
    charging_point_id text PRIMARY KEY REFERENCES charging_points ON DELETE CASCADE,
    node_id uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    connection_id bigint NOT NULL,
    ocpp_version text NOT NULL,
    remote_address text NOT NULL,
    connected_at timestamptz NOT NULL
);
CREATE INDEX connections_node_id ON connections (node_id);

CREATE TABLE sessions (
    -- positive and unique for ever: OCPP 1.6's transactionId is this number, so it fits an int32
    session_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charging_point_id text NOT NULL REFERENCES charging_points,
    evse_number integer NOT NULL,
    id_tag text NOT NULL,
    state text NOT NULL CHECK (state IN ('charging', 'ended')),
    started_at timestamptz NOT NULL,
    meter_start_wh bigint NOT NULL,
    -- what the charging point was answered, so that a retry gets the same
    start_status text NOT NULL,
    ended_at timestamptz,
    meter_stop_wh bigint,
    stop_reason text,
    stop_id_tag text,
    stop_status text,
    -- of an ended session only: greatest() alone would make 0 of an unknown
    energy_wh bigint GENERATED ALWAYS AS (
        CASE WHEN meter_stop_wh IS NOT NULL THEN greatest(0, meter_stop_wh - meter_start_wh) END
    ) STORED,
    start_received_at timestamptz NOT NULL DEFAULT now(),
    stop_received_at timestamptz,
    CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (meter_stop_wh IS NULL)),
    -- StartTransaction has no idempotency key in OCPP 1.6: these five are it
    UNIQUE (charging_point_id, evse_number, id_tag, started_at, meter_start_wh)
);
CREATE INDEX sessions_charging ON sessions (charging_point_id, evse_number)
    WHERE state = 'charging';
CREATE INDEX sessions_started_at ON sessions (started_at);

-- one row a reading (OCPP's MeterValue), all its sampled values together
CREATE TABLE meter_values (
    charging_point_id text NOT NULL,
    evse_number integer NOT NULL,
    -- NULL: not within a session, or within one that is not known
    session_id integer,
    sampled_at timestamptz NOT NULL,
    -- the energy register, where the reading holds it
    energy_wh bigint,
    sampled_values jsonb NOT NULL,
    -- of the sampled values: a retried message must not count twice
    digest bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charging_point_id, sampled_at, evse_number, digest)
);
CREATE INDEX meter_values_session ON meter_values (session_id, sampled_at)
    WHERE session_id IS NOT NULL;

-- billing facts that name a session we do not know (the charging point lost our answer and says
-- transaction -1 or 0): kept whole, for the operator to assign
CREATE TABLE unassigned_facts (
    fact_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charging_point_id text NOT NULL,
    action text NOT NULL,
    payload jsonb NOT NULL,
    digest bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (charging_point_id, action, digest)
);

CREATE TABLE commands (
    command_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    kind text NOT NULL,
    arguments jsonb NOT NULL,
    state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'sent', 'answered', 'expired')),
    requested_by text NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    deadline timestamptz NOT NULL,
    node_id uuid,
    sent_at timestamptz,
    answered_at timestamptz,
    outcome text,
    detail text NOT NULL DEFAULT '',
    CHECK ((state = 'answered') = (outcome IS NOT NULL))
);
CREATE INDEX commands_queued ON commands (charging_point_id) WHERE state = 'queued';
CREATE INDEX commands_sent ON commands (node_id) WHERE state = 'sent';

-- the outbox: written with the state change it tells of
CREATE TABLE events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    charging_point_id text NOT NULL,
    payload jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);

-- a session as the hub knows it; written before the charging point is called
CREATE TABLE hub_sessions (
    hub_session_id text PRIMARY KEY,
    provider_id text NOT NULL,
    evse_id text NOT NULL,
    charging_point_id text NOT NULL,
    evse_number integer NOT NULL,
    identification jsonb NOT NULL,
    -- ours, of this session alone, short enough for OCPP 1.6
    id_tag text NOT NULL UNIQUE CHECK (length(id_tag) <= 20 AND id_tag = upper(id_tag)),
    cpo_partner_session_id text NOT NULL,
    emp_partner_session_id text,
    -- asked → accepted → ended; or refused: no charging point may start with its id_tag
    state text NOT NULL DEFAULT 'asked'
        CHECK (state IN ('asked', 'accepted', 'refused', 'ended')),
    start_command_id bigint REFERENCES commands,
    -- the Acknowledgment that was given, for a repeated request
    start_answer jsonb,
    session_id integer UNIQUE REFERENCES sessions,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX hub_sessions_evse ON hub_sessions (charging_point_id, evse_number);
"""

TABLES = (
    "hub_sessions",
    "events",
    "commands",
    "unassigned_facts",
    "meter_values",
    "sessions",
    "connections",
    "nodes",
    "tokens",
    "evses",
    "charging_points",
)


def upgrade() -> None:
    """Create the first tables."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Drop them, children first."""
    op.execute(f"DROP TABLE {', '.join(TABLES)}")
