"""Deviations of charging points, their reports, and times and registers that cannot be right."""

from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = """
-- What charging points send in other forms than the standard's, counted. Lossy: a node that is
-- killed loses the counts of its last seconds.
CREATE TABLE deviations (
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    -- of the charging point when it deviated; '' where it has told none
    firmware_version text NOT NULL,
    action text NOT NULL,
    -- where in the payload, indices as *; '' for the frame as a whole
    path text NOT NULL,
    -- cp_backend.ocpp.repair.RepairKind
    repair text NOT NULL,
    vendor text NOT NULL,
    model text NOT NULL,
    count bigint NOT NULL,
    -- one of what came, at most 100 characters, tokens hashed
    sample text NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charging_point_id, firmware_version, action, path, repair)
);
CREATE INDEX deviations_model ON deviations (vendor, model, firmware_version);

-- What charging points report and nothing of ours follows from.
CREATE TABLE notices (
    notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    -- cp_backend.vocabulary.NoticeKind
    kind text NOT NULL,
    -- the charging point's own word
    status text NOT NULL,
    -- the command that it belongs to, where it says so
    request_id integer,
    detail jsonb NOT NULL DEFAULT '{}',
    -- by its own clock
    occurred_at timestamptz,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notices_charging_point ON notices (charging_point_id, received_at);

ALTER TABLE charging_points
    -- refuse what deviates from the standard, for tests of conformance
    ADD COLUMN strict boolean NOT NULL DEFAULT false,
    -- of times that it sends without one, as the IANA database names it
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC',
    -- sessions without a token are accepted
    ADD COLUMN free_charging boolean NOT NULL DEFAULT false;

-- What a charging point reported where that cannot be: its receipt's time stands in its place.
ALTER TABLE sessions
    ADD COLUMN reported_started_at timestamptz,
    ADD COLUMN reported_ended_at timestamptz,
    -- why a person should look at it: clock, start_register, stop_register, backwards
    ADD COLUMN doubts text[] NOT NULL DEFAULT '{}';

-- A clock without a battery begins each session at the same time: what repeats a session is only
-- what comes while it charges.
ALTER TABLE sessions
    DROP CONSTRAINT sessions_charging_point_id_evse_number_id_tag_started_at_me_key;
CREATE UNIQUE INDEX sessions_facts ON sessions (
    charging_point_id, evse_number, id_tag, (coalesce(reported_started_at, started_at)),
    meter_start_wh)
WHERE state = 'charging';
"""

DOWNGRADE = """
DROP INDEX sessions_facts;
-- The version before takes two sessions with the same facts for one: they are told apart.
UPDATE sessions AS s SET started_at = s.started_at + same.place * interval '1 microsecond'
FROM (SELECT session_id, row_number() OVER (
          PARTITION BY charging_point_id, evse_number, id_tag, started_at, meter_start_wh
          ORDER BY session_id) - 1 AS place
      FROM sessions) AS same
WHERE same.session_id = s.session_id AND same.place > 0;
ALTER TABLE sessions
    ADD UNIQUE (charging_point_id, evse_number, id_tag, started_at, meter_start_wh),
    DROP COLUMN doubts, DROP COLUMN reported_ended_at, DROP COLUMN reported_started_at;
ALTER TABLE charging_points
    DROP COLUMN free_charging, DROP COLUMN time_zone, DROP COLUMN strict;
DROP TABLE notices;
DROP TABLE deviations;
"""


def upgrade() -> None:
    """Add tables and columns; the key of a repeated start holds while its session charges."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Take them away."""
    op.execute(DOWNGRADE)
