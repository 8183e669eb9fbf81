"""What need not be kept any longer: archived, read back, dropped; and what is kept stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import duckdb
import psycopg
import pytest

from charging.database.connection import connect
from charging.database.grant import grant
from charging.database.migrate import upgrade
from charging.service.file_store import FolderStore
from operations.__main__ import main
from operations.archive import ArchiveError
from operations.errors import ConflictError, InvalidError
from operations.retention import due, maintain
from tests.databases import new_database
from tests.rows import (
    add_charging_point,
    add_hub_session,
    add_reading,
    add_session,
    insert,
)

MONTH = datetime(2024, 1, 1, tzinfo=UTC)
READINGS = 25


@pytest.fixture
def old_database_url(server_url, worker_id, monkeypatch):
    """The address of a database that has been in use since 2024."""
    with new_database(server_url, f"old_{worker_id}") as url:
        upgrade(url)
        with psycopg.connect(url, autocommit=True) as database:
            for table, column in (("meter_values", "sampled_at"), ("events", "recorded_at")):
                database.execute(f"ALTER TABLE {table} DETACH PARTITION {table}_before")
                database.execute(f"DROP TABLE {table}_before")
                database.execute("SELECT make_month(%s, %s, %s)", [table, column, MONTH])
            add_charging_point(database)
            for number in range(READINGS):
                at = MONTH + timedelta(hours=number, microseconds=number)
                values = [{"value": f'{number}"\n', "unit": None}, {"ü": "," * number}]
                add_reading(
                    database,
                    None,
                    number,
                    sampled_at=at,
                    digest=number - 9,
                    sampled_values=values,
                    reported_at=at if number % 2 else None,
                )
            add_reading(database, None, 77, sampled_at=datetime.now(UTC), digest=77)
            insert(
                database,
                "events",
                kind="evse_changed",
                charging_point_id="CP1",
                payload={},
                occurred_at=MONTH,
                recorded_at=MONTH,
            )
        monkeypatch.setenv("DATABASE_URL", url)
        yield url


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path)


def energies(database):
    return [
        row[0] for row in database.execute("SELECT energy_wh FROM meter_values ORDER BY energy_wh")
    ]


def in_archive(tmp_path, query):
    files = tmp_path / "archive/meter_values/*/*.parquet"
    source = f"read_parquet('{files}', hive_partitioning = true)"
    return duckdb.sql(query.format(source)).fetchall()


def test_a_month_is_archived_read_back_and_dropped(old_database_url, store, tmp_path):
    """By the user of the services, who owns no table; read by who reads archives."""
    grant(old_database_url, "keeper", "secret")
    with connect(old_database_url, "look") as owner:
        before = owner.execute(
            "SELECT energy_wh, digest, sampled_values::text, extract(epoch FROM sampled_at),"
            " reported_at IS NULL FROM meter_values_202401 ORDER BY energy_wh"
        ).fetchall()
        as_keeper = psycopg.conninfo.make_conninfo(
            old_database_url, user="keeper", password="secret"
        )
        with connect(as_keeper, "maintain") as connection:
            left = maintain(connection, store, file_rows=10)
        told = {(each.table, each.partition, each.rows, each.files) for each in left}
        assert told == {
            ("meter_values", "meter_values_202401", READINGS, 3),
            ("events", "events_202401", 1, 0),
        }
        assert energies(owner) == [77]
        assert owner.execute("SELECT count(*) FROM events").fetchone() == (0,)
        gone = owner.execute(
            "SELECT to_regclass('meter_values_202401'), to_regclass('events_202401')"
        )
        assert gone.fetchone() == (None, None)
        noted = owner.execute(
            "SELECT rows, jsonb_array_length(files), verified_at IS NOT NULL,"
            " dropped_at IS NOT NULL FROM archives WHERE table_name = 'meter_values'"
        ).fetchone()
        assert noted == (READINGS, 3, True, True)
        # A fact of that month that comes as late as this still has a place.
        add_reading(owner, None, 78, sampled_at=MONTH, digest=78)
        assert maintain(connection=owner, store=store) == []
    found = in_archive(
        tmp_path,
        "SELECT energy_wh, digest, sampled_values, epoch_us(sampled_at) / 1e6,"
        " reported_at IS NULL FROM {} WHERE date = '2024-01-01' ORDER BY energy_wh",
    )
    assert [tuple(map(str, row[:3])) for row in found] == [
        tuple(map(str, row[:3])) for row in before
    ]
    assert [row[3:] for row in found] == [(float(row[3]), row[4]) for row in before]


class BrokenStore(FolderStore):
    """A store that fails from its second file on."""

    def write(self, key, parts):
        if key.endswith("0002.parquet"):
            raise OSError("no space left")
        super().write(key, parts)


class LyingStore(FolderStore):
    """A store that gives something else than it got."""

    def read(self, key, start=0):
        yield b"".join(super().read(key, start))[:-1] + b"x"


@pytest.mark.parametrize(
    ("failing", "says"),
    [(BrokenStore, "no space left"), (LyingStore, "is not what was written")],
)
def test_nothing_is_dropped_before_it_was_read_back(
    old_database_url, store, tmp_path, failing, says
):
    with connect(old_database_url, "maintain") as connection:
        with pytest.raises(ArchiveError, match=says):
            maintain(connection, failing(tmp_path), file_rows=10)
        left = connection.execute("SELECT count(*) FROM meter_values_202401").fetchone()
        assert left == (READINGS,)
        with pytest.raises(psycopg.errors.RaiseException, match="has not been read back"):
            connection.execute("SELECT drop_partition('meter_values_202401')")
        (done,) = maintain(connection, store, file_rows=10)  # the events had gone before
        assert (done.partition, done.rows, done.files) == ("meter_values_202401", READINGS, 3)
    assert in_archive(tmp_path, "SELECT count(*), sum(energy_wh) FROM {}") == [
        (READINGS, sum(range(READINGS)))
    ]


def test_two_do_not_maintain_at_once(old_database_url, store):
    with connect(old_database_url, "one") as one, connect(old_database_url, "other") as other:
        maintain(one, store)
        with pytest.raises(ConflictError, match="under way already"):
            maintain(other, store)


def test_a_month_that_is_not_over_cannot_leave(old_database_url):
    with connect(old_database_url, "look") as connection:
        for table, part in (
            ("meter_values", f"meter_values_{datetime.now(UTC):%Y%m}"),
            ("meter_values", "events_202401"),
            ("sessions", "sessions"),
            ("meter_values", "meter_values_default"),
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="no partition of"):
                connection.execute("SELECT let_partition_leave(%s, %s, false)", [table, part])
        assert due(connection, days={"meter_values": 4000}) == [
            each for each in due(connection) if each.table == "events"
        ]
        for days, says in (({"sessions": 90}, "no rule"), ({"events": 3}, "31 days or more")):
            with pytest.raises(InvalidError, match=says):
                due(connection, days=days)


def test_the_command_says_what_is_due_and_what_left(
    old_database_url, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("ARCHIVE_STORE", str(tmp_path))
    assert main(["maintain", "--dry-run", "--keep", "events=2000"]) == 0
    assert "meter_values_202401" in (found := capsys.readouterr().out)
    assert "events_202401" not in found
    assert main(["maintain"]) == 0
    told = capsys.readouterr()
    assert f"meter_values_202401: {READINGS} rows left, 1 files" in told.out
    assert "read back from the archive" in told.err
    assert main(["maintain"]) == 0
    assert "nothing was due" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["maintain", "--keep", "events"])


def test_old_rows_go_and_books_stay(database, store):
    """A command goes, and what it started stays; records for the hub stay, notifications go."""
    old = datetime.now(UTC) - timedelta(days=401)
    add_charging_point(database)
    command = insert(
        database,
        "commands",
        charging_point_id="CP1",
        kind="start",
        arguments={},
        state="expired",
        requested_by="test",
        queued_at=old,
        deadline=old,
    )["command_id"]
    waiting = insert(
        database,
        "commands",
        charging_point_id="CP1",
        kind="start",
        arguments={},
        requested_by="test",
        queued_at=old,
        deadline=old,
    )["command_id"]
    session = add_session(database, started_at=old, ended_at=old)
    add_hub_session(
        database, str(uuid4()), id_tag="TAG", start_command_id=command, session_id=session
    )
    for queue, key, state in (
        ("notification", "a/end", "delivered"),
        ("notification", "b/end", "parked"),
        ("charge-detail-record", "a", "delivered"),
    ):
        insert(database, "deliveries", queue=queue, key=key, state=state, settled_at=old)
    insert(
        database, "refused_handshakes", cause="path", path="/x", address="1", detail="",
        count=1, first_at=old, last_at=old,
    )  # fmt: skip
    left = {each.table: each.rows for each in maintain(database, store)}
    assert left == {"commands": 1, "deliveries": 1, "refused_handshakes": 1}
    assert database.execute("SELECT command_id FROM commands").fetchall() == [(waiting,)]
    assert database.execute("SELECT start_command_id, session_id FROM hub_sessions").fetchone() == (
        None,
        session,
    )
    kept = database.execute("SELECT key FROM deliveries ORDER BY key").fetchall()
    assert kept == [("a",), ("b/end",)]
    assert database.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
