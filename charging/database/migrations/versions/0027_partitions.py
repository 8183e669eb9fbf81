"""Readings, events and reports in partitions of a month, which leave as a whole.

The tables that exist become the first partition, as they are: no row is copied, and services run
meanwhile. Each step is done once, so a migration that was interrupted goes on where it ended.
"""

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from alembic import op

revision = "0027"
down_revision = "0026"

# How long the short locks of a step are waited for, and how often they are asked for again:
# whatever waits behind them is a charging point's fact.
LOCK_SECONDS = 2
TRIES = 60

# Of what is newest in a table that is in use: months until its first partition ends.
MONTHS_AHEAD = 3


@dataclass(frozen=True)
class Turned:
    """A table: by which time it is parted, and its key. numbered: the identity column."""

    table: str
    time: str
    key: str
    numbered: str = ""


TABLES = (
    Turned("meter_values", "sampled_at", "charging_point_id, sampled_at, evse_number, digest"),
    Turned("events", "recorded_at", "event_id, recorded_at", "event_id"),
    Turned("notices", "received_at", "notice_id, received_at", "notice_id"),
)

FUNCTIONS = r"""
-- Which partitions have left their table, and where their rows went.
CREATE TABLE archives (
    partition text PRIMARY KEY,
    table_name text NOT NULL,
    -- the times of its rows: from (NULL: the beginning) until before
    from_time timestamptz,
    until_time timestamptz NOT NULL,
    -- false: its rows are dropped and kept nowhere
    kept boolean NOT NULL,
    left_at timestamptz NOT NULL DEFAULT now(),
    -- [{"key", "rows", "bytes", "sha256"}] in the store of archives
    files jsonb,
    rows bigint,
    -- the sum of hashes of all rows, as they were in the database and in the files
    checksum numeric,
    verified_at timestamptz,
    dropped_at timestamptz
);

-- Users of the services may call these; they do what only the tables' owner may, and no more.

CREATE FUNCTION partitions_of(parent text)
RETURNS TABLE (partition text, from_time timestamptz, until_time timestamptz)
STABLE LANGUAGE sql SET timezone = 'UTC' AS $$
    -- The default partition has neither time, the first one no beginning.
    SELECT c.relname::text,
           substring(b.bound FROM 'FROM \(''([^'']+)''\)')::timestamptz,
           substring(b.bound FROM 'TO \(''([^'']+)''\)')::timestamptz
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid)) AS b (bound)
    WHERE i.inhparent = to_regclass(parent)
    ORDER BY 3
$$;

CREATE FUNCTION make_month(parent text, column_name text, month timestamptz) RETURNS void
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    part text := parent || '_' || to_char(month, 'YYYYMM');
    until_time timestamptz := month + interval '1 month';
BEGIN
    -- Attached, not made in place: that would wait for everybody who reads the table.
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                   part, parent);
    -- Rows that came before their partition.
    EXECUTE format(
        'WITH moved AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *)'
        ' INSERT INTO %I SELECT * FROM moved',
        parent || '_default', column_name, month, column_name, until_time, part);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, part, month, until_time);
END $$;

CREATE FUNCTION make_partitions(months_ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC'
SET lock_timeout = '2s' AS $$
DECLARE
    this timestamptz := date_trunc('month', now());
    parent text;
    column_name text;
    month timestamptz;
BEGIN
    -- One at a time: nodes start together.
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    FOR parent, column_name IN VALUES
        ('meter_values', 'sampled_at'), ('events', 'recorded_at'),
        ('notices', 'received_at'), ('state_history', 'received_at')
    LOOP
        month := greatest(coalesce((SELECT max(until_time) FROM partitions_of(parent)), this),
                          this - interval '1 year');
        WHILE month <= this + make_interval(months => months_ahead) LOOP
            PERFORM make_month(parent, column_name, month);
            month := month + interval '1 month';
        END LOOP;
    END LOOP;
END $$;

CREATE FUNCTION let_partition_leave(parent text, part text, kept boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
    -- Its rows are a month old at least, and of a table that is meant.
    INSERT INTO archives (partition, table_name, from_time, until_time, kept)
    SELECT part, parent, p.from_time, p.until_time, let_partition_leave.kept
    FROM partitions_of(parent) AS p
    WHERE p.partition = part AND p.until_time < now() - interval '30 days'
      AND parent IN ('meter_values', 'events', 'notices', 'state_history');
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is no partition of % that may leave', part, parent;
    END IF;
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, part);
    EXECUTE format('GRANT SELECT ON %I TO %I', part, session_user);
END $$;

CREATE FUNCTION drop_partition(part text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
    UPDATE archives SET dropped_at = now()
    WHERE partition = part AND dropped_at IS NULL AND (verified_at IS NOT NULL OR NOT kept);
    IF NOT FOUND THEN
        RAISE EXCEPTION '% has not been read back from its archive', part;
    END IF;
    EXECUTE format('DROP TABLE %I', part);
END $$;
"""

TURN = """;
ALTER TABLE {table} RENAME TO {table}_before;
CREATE TABLE {table} (LIKE {table}_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE ({time});
ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_until;
{own}
ALTER TABLE {table} ATTACH PARTITION {table}_before
    FOR VALUES FROM (MINVALUE) TO ('{until} 00:00+00');
ALTER TABLE {table}_before DROP CONSTRAINT {table}_until;
ALTER TABLE {table} ATTACH PARTITION {table}_default DEFAULT;
"""

OWN = {
    "meter_values": """
ALTER TABLE meter_values_before RENAME CONSTRAINT meter_values_pkey TO meter_values_before_pkey;
ALTER INDEX meter_values_session RENAME TO meter_values_before_session;
ALTER INDEX meter_values_reported RENAME TO meter_values_before_reported;
ALTER TABLE meter_values ADD PRIMARY KEY (charging_point_id, sampled_at, evse_number, digest);
CREATE INDEX meter_values_session ON meter_values (session_id, sampled_at)
    WHERE session_id IS NOT NULL;
CREATE INDEX meter_values_reported ON meter_values (charging_point_id, reported_at)
    WHERE reported_at IS NOT NULL;
""",
    "events": """
ALTER TABLE events_before ALTER event_id DROP IDENTITY;
ALTER TABLE events_before DROP CONSTRAINT events_pkey;
ALTER TABLE events_before ADD CONSTRAINT events_before_pkey PRIMARY KEY USING INDEX events_key;
ALTER INDEX events_unrelayed RENAME TO events_before_unrelayed;
DROP INDEX events_relayed_at;
ALTER TABLE events ALTER event_id ADD GENERATED ALWAYS AS IDENTITY (START {next});
ALTER TABLE events ADD PRIMARY KEY (event_id, recorded_at);
CREATE INDEX events_unrelayed ON events (event_id) WHERE relayed_at IS NULL;
""",
    "notices": """
ALTER TABLE notices_before ALTER notice_id DROP IDENTITY;
ALTER TABLE notices_before DROP CONSTRAINT notices_pkey;
ALTER TABLE notices_before ADD CONSTRAINT notices_before_pkey PRIMARY KEY USING INDEX notices_key;
ALTER INDEX notices_charging_point RENAME TO notices_before_charging_point;
ALTER TABLE notices_before RENAME CONSTRAINT notices_charging_point_id_fkey
    TO notices_before_charging_point_id_fkey;
ALTER TABLE notices ALTER notice_id ADD GENERATED ALWAYS AS IDENTITY (START {next});
ALTER TABLE notices ADD PRIMARY KEY (notice_id, received_at);
ALTER TABLE notices ADD CONSTRAINT notices_charging_point_id_fkey
    FOREIGN KEY (charging_point_id) REFERENCES charging_points ON DELETE CASCADE;
CREATE INDEX notices_charging_point ON notices (charging_point_id, received_at);
""",
}

BACK = """
CREATE TABLE {table}_plain (LIKE {table} INCLUDING DEFAULTS);
INSERT INTO {table}_plain SELECT * FROM {table};
DROP TABLE {table};
ALTER TABLE {table}_plain RENAME TO {table};
"""

OWN_BACK = {
    "meter_values": """
ALTER TABLE meter_values ADD PRIMARY KEY (charging_point_id, sampled_at, evse_number, digest);
CREATE INDEX meter_values_session ON meter_values (session_id, sampled_at)
    WHERE session_id IS NOT NULL;
CREATE INDEX meter_values_reported ON meter_values (charging_point_id, reported_at)
    WHERE reported_at IS NOT NULL;
""",
    "events": """
ALTER TABLE events ADD PRIMARY KEY (event_id);
CREATE INDEX events_unrelayed ON events (event_id) WHERE relayed_at IS NULL;
CREATE INDEX events_relayed_at ON events (relayed_at) WHERE relayed_at IS NOT NULL;
""",
    "notices": """
ALTER TABLE notices ADD PRIMARY KEY (notice_id), ADD CONSTRAINT notices_charging_point_id_fkey
    FOREIGN KEY (charging_point_id) REFERENCES charging_points ON DELETE CASCADE;
CREATE INDEX notices_charging_point ON notices (charging_point_id, received_at);
""",
}


def upgrade() -> None:
    """Turn the tables, one after the other; then make the months to come."""
    if not _one("SELECT to_regclass('archives') IS NOT NULL"):
        op.execute(FUNCTIONS)
    with op.get_context().autocommit_block():
        for turned in TABLES:
            if _one(
                f"SELECT relkind = 'r' FROM pg_class WHERE oid = to_regclass('{turned.table}')"
            ):
                _turn(turned)
        op.execute("SELECT make_partitions(2)")
        for table in ("hub_sessions", "reservations"):
            _let_commands_go(table)


def _let_commands_go(table: str) -> None:
    """Let what a command started outlive it: `start_command_id` becomes NULL."""
    old, new = f"{table}_start_command_id_fkey", f"{table}_start_command"
    op.execute(
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {table}_start_command_id"
        f" ON {table} (start_command_id) WHERE start_command_id IS NOT NULL"
    )
    if not _one(f"SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = '{new}')"):
        _patiently(
            f"ALTER TABLE {table} DROP CONSTRAINT {old}, ADD CONSTRAINT {new}"
            " FOREIGN KEY (start_command_id) REFERENCES commands ON DELETE SET NULL NOT VALID"
        )
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {new}")


def _turn(turned: Turned) -> None:
    table, moment = turned.table, turned.time
    op.execute(f"CREATE TABLE IF NOT EXISTS {table}_default (LIKE {table})")
    used = _one(f"SELECT EXISTS (SELECT FROM {table})")
    until = _bound(table) or _one(
        "SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC')"
        f" + make_interval(months => {MONTHS_AHEAD if used else 0}), 'YYYY-MM-DD')"
    )
    bound = (
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_until CHECK ({moment} < '{until} 00:00+00')"
    )
    if used:
        if not _bound(table):
            _patiently(f"{bound} NOT VALID")
        # Times that a wrong clock put beyond; the constraint keeps new ones out.
        op.execute(
            f"WITH moved AS (DELETE FROM {table} WHERE {moment} >= '{until} 00:00+00' RETURNING *)"
            f" INSERT INTO {table}_default SELECT * FROM moved"
        )
        # Reads every row and locks out nobody; attaching then takes its word.
        bound = f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_until"
        op.execute(bound)
    if turned.numbered and not _one(f"SELECT to_regclass('{table}_key') IS NOT NULL"):
        op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {table}_key ON {table} ({turned.key})")
    own = OWN[table]
    if turned.numbered:
        sequence = f"pg_get_serial_sequence('{table}', '{turned.numbered}')"
        # Far enough for what is written until the locks are held.
        following = _one(f"SELECT nextval({sequence}) + {1_000_000 if used else 0}")
        own = own.format(next=following)
    _patiently(bound + TURN.format(table=table, time=moment, until=until, own=own))


def _bound(table: str) -> str | None:
    """Return the day with which the table's own rows end, where an earlier try has set it."""
    found = _one(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        f" WHERE conname = '{table}_until' AND conrelid = '{table}'::regclass"
    )
    return str(found).split("'")[1][:10] if found else None


def _one(query: str) -> Any:
    return op.get_bind().execute(sqlalchemy.text(query)).scalar()


def _patiently(statements: str) -> None:
    """Carry out statements as one transaction, again where a lock was not to be had in time."""
    limit = f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"
    for tried in range(1, TRIES + 1):
        try:
            op.execute(f"DO $do$ BEGIN {limit}; {statements.strip().rstrip(';')}; END $do$")
        except sqlalchemy.exc.OperationalError as error:
            if "lock timeout" not in str(error) or tried == TRIES:
                raise
            time.sleep(1)
        else:
            return


def downgrade() -> None:
    """Put the rows into plain tables again; what has left stays where it is."""
    op.execute(
        "DROP FUNCTION drop_partition; DROP FUNCTION let_partition_leave;"
        "DROP FUNCTION make_partitions; DROP FUNCTION make_month; DROP FUNCTION partitions_of;"
        "DROP TABLE archives"
    )
    for table in ("hub_sessions", "reservations"):
        op.execute(
            f"DROP INDEX {table}_start_command_id;"
            f"ALTER TABLE {table} DROP CONSTRAINT {table}_start_command,"
            f" ADD CONSTRAINT {table}_start_command_id_fkey"
            " FOREIGN KEY (start_command_id) REFERENCES commands"
        )
    for turned in TABLES:
        table = turned.table
        op.execute(BACK.format(table=table) + OWN_BACK[table])
        if turned.numbered:
            following = _one(f"SELECT coalesce(max({turned.numbered}), 0) + 1 FROM {table}")
            op.execute(
                f"ALTER TABLE {table} ALTER {turned.numbered}"
                f" ADD GENERATED ALWAYS AS IDENTITY (START {following})"
            )
