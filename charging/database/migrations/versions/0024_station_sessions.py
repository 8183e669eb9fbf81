"""Sessions that charging points name themselves, and the connectors of an EVSE."""

from alembic import op

revision = "0024"
down_revision = "0023"

SCHEMA = """
ALTER TABLE sessions
    -- the charging point's own name of it (OCPP 2.x), NULL where it has only our number
    ADD COLUMN station_session text,
    ADD COLUMN connector_number integer,
    -- the places of its reports that have come; a gap is a report that has not
    ADD COLUMN sequences int4multirange NOT NULL DEFAULT '{}';
CREATE UNIQUE INDEX sessions_station_session ON sessions (charging_point_id, station_session)
WHERE station_session IS NOT NULL;
COMMENT ON COLUMN sessions.doubts IS
    'why a person should look at it: clock, start, start_register, stop_register, backwards';

-- What repeats a start is told by its facts only where it has no name.
DROP INDEX sessions_facts;
CREATE UNIQUE INDEX sessions_facts ON sessions (
    charging_point_id, evse_number, id_tag, (coalesce(reported_started_at, started_at)),
    meter_start_wh)
WHERE state = 'charging' AND station_session IS NULL;

CREATE TABLE connectors (
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    evse_number integer NOT NULL,
    connector_number integer NOT NULL,
    -- charging.evse.EvseState
    state text NOT NULL,
    -- the charging point's own word
    status text NOT NULL,
    status_at timestamptz NOT NULL,
    PRIMARY KEY (charging_point_id, evse_number, connector_number)
);
"""

DOWNGRADE = """
DROP TABLE connectors;
DROP INDEX sessions_facts;
-- The version before takes two sessions with the same facts for one: they are told apart.
UPDATE sessions AS s SET started_at = s.started_at + same.place * interval '1 microsecond'
FROM (SELECT session_id, row_number() OVER (
          PARTITION BY charging_point_id, evse_number, id_tag,
                       coalesce(reported_started_at, started_at), meter_start_wh
          ORDER BY session_id) - 1 AS place
      FROM sessions WHERE state = 'charging') AS same
WHERE same.session_id = s.session_id AND same.place > 0;
CREATE UNIQUE INDEX sessions_facts ON sessions (
    charging_point_id, evse_number, id_tag, (coalesce(reported_started_at, started_at)),
    meter_start_wh)
WHERE state = 'charging';
DROP INDEX sessions_station_session;
COMMENT ON COLUMN sessions.doubts IS NULL;
ALTER TABLE sessions
    DROP COLUMN sequences, DROP COLUMN connector_number, DROP COLUMN station_session;
"""


def upgrade() -> None:
    """Add them; sessions of before have no name of their own."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Take them away: a charging point that speaks 2.x cannot go on with its sessions."""
    op.execute(DOWNGRADE)
