"""The message log: written aside, bounded, a partition a day."""

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from charging.command import CommandKind
from charging.database import commands, messages
from charging.database.connection import connect_async
from charging.database.grant import grant
from charging.database.messages import Direction
from cp_backend import message_log
from cp_backend.message_log import MessageLog
from cp_backend.telemetry import Metrics
from tests.station import Station
from tests.waiting import eventually

DAY = timedelta(days=1)


@asynccontextmanager
async def running(log):
    task = asyncio.create_task(log.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def read(database, name="CP1", limit=100):
    now = datetime.now(UTC)
    return messages.read(database, name, after=now - DAY, until=now + DAY, limit=limit)


async def noted(log, **more):
    """Note a message as soon as the log takes any."""
    await asyncio.to_thread(eventually, lambda: log._key is not None)
    log.note("CP1", Direction.IN, "call", action="Authorize", message_id="1", **more)


@pytest.fixture
def metrics():
    return Metrics()


async def test_a_message_is_written_and_read(database_url, database, metrics):
    log = MessageLog(database_url, metrics)
    async with running(log):
        await noted(log, payload={"idTag": "04A1B2C3"}, latency_milliseconds=1.5, outcome="x")
        await asyncio.to_thread(eventually, lambda: read(database))
    (found,) = read(database)
    assert (found.direction, found.kind, found.action) == (Direction.IN, "call", "Authorize")
    assert (found.outcome, found.latency_milliseconds) == ("x", 1.5)
    assert '"idTag":"token:' in found.payload
    assert read(database, "CP2") == []


async def test_what_waits_is_written_when_the_node_stops(database_url, database, metrics):
    log = MessageLog(database_url, metrics)
    async with running(log):
        await noted(log)
    assert len(read(database)) == 1


async def test_the_oldest_is_dropped_and_counted_when_too_much_waits(
    database_url, database, metrics
):
    log = MessageLog(database_url, metrics, most_waiting=3)
    async with running(log):
        await noted(log)
        for number in range(2, 6):
            log.note("CP1", Direction.OUT, "call", message_id=str(number))
        assert log.depth == 3
    assert [m.message_id for m in read(database)] == ["3", "4", "5"]
    assert metrics.counts["MessagesNotLogged"] == 2


async def test_text_from_outside_is_cut_and_cleaned(database_url, database, metrics):
    log = MessageLog(database_url, metrics)
    async with running(log):
        await noted(log, payload='\0\ud800{"idTag":"04A1B2C3"' + "x" * 100_000)
    (found,) = read(database)
    assert len(found.payload) <= message_log.MAX_PAYLOAD_CHARACTERS + 50
    assert "04A1B2C3" not in found.payload


async def test_without_a_database_nothing_waits_and_nothing_breaks(metrics):
    log = MessageLog("postgresql://nobody@127.0.0.1:1/nothing", metrics)
    async with running(log):
        log.note("CP1", Direction.IN, "call")
        assert log.depth == 0


async def test_a_user_that_may_only_write_rows_keeps_the_partitions(database_url, database):
    user = f"messages_{os.getpid()}"
    grant(database_url, user, "secret")
    database.execute(
        "CREATE TABLE messages_20200101 PARTITION OF messages"
        " FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')"
    )
    try:
        connection = await connect_async(database_url, "test")
        async with connection:
            await connection.execute(f"SET ROLE {user}")
            for _ in range(2):
                await messages.keep_partitions(connection, keep_days=14)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute("DROP TABLE messages")
    finally:
        database.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")
    found = {
        row[0]
        for row in database.execute(
            "SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
            " WHERE inhparent = 'messages'::regclass"
        )
    }
    today = datetime.now(UTC).date()
    wanted = {
        f"messages_{today + n * DAY:%Y%m%d}" for n in range(messages.PARTITIONS_AHEAD_DAYS + 1)
    }
    assert wanted <= found
    assert "messages_20200101" not in found


def exchanged(database, name="CP1"):
    return [(m.direction.value, m.kind, m.action, m.outcome) for m in read(database, name)]


def test_what_a_charging_point_and_a_node_exchange_is_kept(node, database):
    with Station(node.port) as station:
        station.boot()
        station.call("Heartbeat", {})
        station.call("Authorize", {"idTag": "04A1B2C3"})
        station.call("NoSuchThing", {})
        station.send("[2")
        commands.queue(
            *(database, "CP1", CommandKind.REMOTE_STOP, {"session_id": 7}),
            requested_by="test",
            seconds=30,
        )
        _, message_id, action, _ = station.receive()
        station.send([3, message_id, {"status": "Rejected"}])
        eventually(lambda: ("in", "result", action, "") in exchanged(database))
    found = eventually(
        lambda: next(
            (rows for rows in [exchanged(database)] if rows[-1][1] == "disconnected"), None
        )
    )
    assert [row[:3] for row in found] == [
        ("node", "connected", ""),
        ("in", "call", "BootNotification"),
        ("out", "result", "BootNotification"),
        ("in", "call", "Authorize"),
        ("node", "decision", "asking"),
        ("out", "result", "Authorize"),
        ("in", "call", "NoSuchThing"),
        ("out", "error", "NoSuchThing"),
        ("in", "unreadable", ""),
        ("out", "call", "RemoteStopTransaction"),
        ("in", "result", "RemoteStopTransaction"),
        ("node", "disconnected", ""),
    ]
    assert ("out", "error", "NoSuchThing", "NotImplemented") in found
    assert not any("04A1B2C3" in message.payload for message in read(database))


def test_heartbeats_and_readings_are_kept_under_a_lens(node, database):
    with Station(node.port) as station:
        station.boot()
        assert messages.set_lens(database, "CP1", timedelta(minutes=5))

        def seen():
            station.call("Heartbeat", {})
            return ("in", "call", "Heartbeat", "") in exchanged(database)

        eventually(seen)
        assert not messages.set_lens(database, "CP2", timedelta(minutes=5))
        assert messages.set_lens(database, "CP1", None)
