"""The message log: what charging points and we exchanged, for a while, a partition a day."""

from alembic import op

revision = "0007"
down_revision = "0006"

# Users of the services may write rows and nothing else; the two functions do for them what only the
# table's owner may, and no more.
SCHEMA = """
CREATE TABLE messages (
    at timestamptz NOT NULL,
    charging_point_id text NOT NULL,
    -- 'in': from the charging point, 'out': to it, 'node': what a node did with its connection
    direction text NOT NULL CHECK (direction IN ('in', 'out', 'node')),
    -- 'call', 'result' or 'error'; 'unreadable'; of a node: 'connected' or 'disconnected'
    kind text NOT NULL,
    action text NOT NULL,
    message_id text NOT NULL,
    -- an error's code, what was repaired, a refusal's rule, the cause of an end
    outcome text NOT NULL,
    -- between a call and its answer
    latency_ms real,
    -- JSON where it was readable; secrets cut out, tokens hashed
    payload text NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX messages_charging_point ON messages (charging_point_id, at);

-- Until then a charging point's heartbeats and readings are kept too.
ALTER TABLE charging_points ADD COLUMN lens_until timestamptz;
CREATE INDEX charging_points_lens ON charging_points (lens_until) WHERE lens_until IS NOT NULL;

-- Keys of hashes by which what belongs together can be found, and nothing can be guessed back.
CREATE TABLE hash_keys (
    name text PRIMARY KEY,
    key bytea NOT NULL
);

CREATE FUNCTION keep_message_partitions(ahead integer, keep integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    day date;
    part text;
BEGIN
    -- One at a time: nodes start together.
    PERFORM pg_advisory_xact_lock(hashtext('keep_message_partitions'));
    FOR day IN SELECT generate_series(today, today + ahead, interval '1 day') LOOP
        part := 'messages_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(part) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF messages FOR VALUES FROM (%L) TO (%L)',
                part, day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
        END IF;
    END LOOP;
    FOR part IN
        SELECT c.relname FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
        WHERE inhparent = 'messages'::regclass
          AND c.relname < 'messages_' || to_char(today - keep, 'YYYYMMDD')
    LOOP
        EXECUTE format('DROP TABLE %I', part);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    """Make the log, its keys and what keeps its partitions."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Take it away, messages included."""
    op.execute(
        """
        DROP FUNCTION keep_message_partitions(integer, integer);
        DROP TABLE hash_keys;
        ALTER TABLE charging_points DROP COLUMN lens_until;
        DROP TABLE messages;
        """
    )
