"""Tables turn into partitions while services write, and lose nothing."""

import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from charging.database.migrate import downgrade, upgrade
from tests.databases import new_database
from tests.rows import add_charging_point, add_reading, insert

TABLES = ("meter_values", "events", "notices")
FAR = datetime(2037, 5, 1, tzinfo=UTC)


@pytest.fixture
def before(server_url, worker_id):
    """A database whose tables are plain ones still, with rows in them; its address."""
    with new_database(server_url, f"plain_{worker_id}") as url:
        upgrade(url, "0026")
        with psycopg.connect(url, autocommit=True) as database:
            add_charging_point(database)
            for day in range(60):
                at = datetime.now(UTC) - timedelta(days=day)
                write(database, day, at)
            # of a clock that was wrong
            add_reading(database, None, 5, sampled_at=FAR, digest=5)
        yield url


def write(database, number, at):
    add_reading(database, None, number, sampled_at=at, digest=number)
    event = {"kind": "evse_changed", "charging_point_id": "CP1", "payload": {"number": number}}
    insert(database, "events", **event, occurred_at=at, recorded_at=at)
    insert(
        database,
        "notices",
        charging_point_id="CP1",
        kind="firmware",
        status=str(number),
        received_at=at,
    )


@contextmanager
def a_service_that_writes(url):
    """Writes rows all the while; gives the list of the numbers that were committed."""
    written, stopped = [], threading.Event()

    def work():
        with psycopg.connect(url, autocommit=True) as database:
            # `insert` returns every column, and those of a prepared statement must stay the same;
            # services name theirs.
            database.prepare_threshold = None
            while not stopped.is_set():
                number = 1_000 + len(written)
                write(database, number, datetime.now(UTC))
                written.append(number)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield written
    finally:
        stopped.set()
        thread.join()


def numbers(database, table):
    column = {
        "meter_values": "energy_wh",
        "events": "(payload ->> 'number')::int",
        "notices": "status::int",
    }[table]
    return Counter(row[0] for row in database.execute(f"SELECT {column} FROM {table}"))


def is_parted(database, table):
    return database.execute(
        "SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", [table]
    ).fetchone()[0]


def test_tables_turn_while_a_service_writes_and_back_again(before):
    with psycopg.connect(before, autocommit=True) as database:
        with a_service_that_writes(before) as written:
            upgrade(before)
        assert len(written) > 5
        for table in TABLES:
            assert is_parted(database, table)
            strays = [5] if table == "meter_values" else []
            assert numbers(database, table) == Counter([*range(60), *strays, *written]), table
        # No two events have the same number, whichever side of the turn they were written on.
        found = database.execute("SELECT count(*), count(DISTINCT event_id) FROM events")
        assert found.fetchone() == (60 + len(written), 60 + len(written))
        # A repeat is still told by its key, in old partitions and in the last.
        for at, number in ((FAR, 5),):
            with pytest.raises(psycopg.errors.UniqueViolation):
                add_reading(database, None, number, sampled_at=at, digest=number)
        kept = {table: numbers(database, table) for table in TABLES}
        downgrade(before, "0026")
        assert {table: numbers(database, table) for table in TABLES} == kept
        assert not is_parted(database, "events")
        write(database, 9_999, datetime.now(UTC))


def test_a_turn_that_was_interrupted_goes_on_and_waits_for_readers(before):
    with psycopg.connect(before, autocommit=True) as database, psycopg.connect(before) as reader:
        # Where an earlier try had come to: the bound, the index, the partition of strays.
        database.execute("CREATE TABLE events_default (LIKE events)")
        database.execute("ALTER TABLE events ADD CONSTRAINT events_until"
                         " CHECK (recorded_at < '2099-01-01 00:00+00') NOT VALID")  # fmt: skip
        database.execute("CREATE UNIQUE INDEX events_key ON events (event_id, recorded_at)")
        # Somebody reads for longer than the migration waits for at once.
        reader.execute("SELECT count(*) FROM meter_values")
        turning = threading.Thread(target=upgrade, args=[before])
        turning.start()
        while not database.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'meter_values'::regclass"
        ).fetchone():
            assert turning.is_alive()
        while database.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'meter_values'::regclass"
        ).fetchone():
            assert turning.is_alive()
        # The migration stood back, so that nobody waits behind it.
        write(database, 100, datetime.now(UTC))
        reader.rollback()
        turning.join()
        for table in TABLES:
            assert is_parted(database, table)
            assert sum(numbers(database, table).values()) >= 61
        bounds = database.execute("SELECT max(until_time) FROM partitions_of('events')")
        assert bounds.fetchone()[0] == datetime(2099, 1, 1, tzinfo=UTC)


def test_rows_that_came_before_their_month_move_into_it(database):
    add_charging_point(database)
    (until,) = database.execute(
        "SELECT max(until_time) FROM partitions_of('meter_values')"
    ).fetchone()
    add_reading(database, None, 7, sampled_at=until + timedelta(days=1))
    database.execute("SELECT make_month('meter_values', 'sampled_at', %s)", [until])
    try:
        found = database.execute("SELECT tableoid::regclass::text FROM meter_values").fetchone()
        assert found == (f"meter_values_{until:%Y%m}",)
    finally:
        database.execute(f"DROP TABLE meter_values_{until:%Y%m}")
