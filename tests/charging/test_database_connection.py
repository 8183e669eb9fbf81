"""Connections as services open them: limits on all waits, and listening that survives."""

import threading

import psycopg
import pytest

from charging.database.connection import Limits, connect, connect_async, listen, rows
from tests.waiting import eventually


def shown(connection, setting):
    return connection.execute(f"SHOW {setting}").fetchone()[0]


def test_a_connection_has_a_name_limits_and_utc(database_url):
    limits = Limits(statement=1.5, lock=0.25, idle_in_transaction=None)
    with connect(database_url, "somebody", limits) as connection:
        assert connection.autocommit
        assert shown(connection, "application_name") == "somebody"
        assert shown(connection, "statement_timeout") == "1500ms"
        assert shown(connection, "lock_timeout") == "250ms"
        assert shown(connection, "idle_in_transaction_session_timeout") == "0"
        assert shown(connection, "timezone") == "UTC"


async def test_an_asyncio_connection_has_them_too(database_url):
    async with await connect_async(database_url, "somebody") as connection:
        row = await (
            await connection.execute("SHOW idle_in_transaction_session_timeout")
        ).fetchone()
        assert row == ("1min",)
        assert connection.autocommit


def test_a_lock_is_waited_for_no_longer_than_allowed(database_url, database):
    database.execute("INSERT INTO tokens (id_tag) VALUES ('T1')")
    with (
        connect(database_url, "first") as first,
        connect(database_url, "second", Limits(lock=0.05)) as second,
        first.transaction(),
    ):
        first.execute("UPDATE tokens SET blocked = true")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute("UPDATE tokens SET blocked = false")


def test_a_writer_that_was_demoted_is_not_connected_to(database_url, database):
    name = database.info.dbname
    database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        with pytest.raises(psycopg.OperationalError, match="read-only"):
            connect(database_url, "somebody")
    finally:
        database.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


def test_rows_are_dictionaries(database):
    assert rows(database, "SELECT %s::int AS a, 'x' AS b", [1]) == [{"a": 1, "b": "x"}]
    assert rows(database, "SELECT 1 WHERE false") == []


@pytest.fixture
def listener(database_url):
    """A thread that listens on `news`: what it was told, and how often it began."""
    heard: list[tuple[str, str]] = []
    begun = threading.Semaphore(0)
    stopped = threading.Event()
    thread = threading.Thread(
        target=listen,
        args=(database_url, "listener", ["news"], lambda *n: heard.append(n), stopped),
        kwargs={"on_listening": begun.release},
    )
    thread.start()
    yield heard, begun
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()


def test_listening_survives_the_loss_of_its_connection(listener, database):
    heard, begun = listener
    assert begun.acquire(timeout=10)
    database.execute("NOTIFY news, 'one'")
    eventually(lambda: heard == [("news", "one")])
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'listener'"
    )
    assert begun.acquire(timeout=10)
    database.execute("NOTIFY news, 'two'")
    eventually(lambda: heard == [("news", "one"), ("news", "two")])
