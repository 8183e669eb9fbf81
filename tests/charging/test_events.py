"""Events: written in the transaction of what they record, and the relay is woken."""

from datetime import UTC, datetime

import psycopg
import pytest

from charging.database.connection import rows
from charging.database.events import WAKE, WRITTEN, Event, wake, write, write_async
from charging.event import EVENTS_CHANNEL, EventKind

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TWO = [
    Event(EventKind.SESSION_ENDED, "CP2", {"session_id": 7}, THEN),
    Event(EventKind.PRICES_CHANGED),
]


@pytest.fixture
def woken(database_url):
    """Return how many notifications came since the last look."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"LISTEN {EVENTS_CHANNEL}")
        yield lambda: len(list(connection.notifies(timeout=0.2)))


def written(database):
    return [
        tuple(row.values())
        for row in rows(
            database,
            "SELECT kind, charging_point_id, payload, occurred_at FROM events ORDER BY event_id",
        )
    ]


def test_events_are_written_in_order_and_wake_the_relay_once(database, woken):
    write(database, TWO)
    first, second = written(database)
    assert first == ("session_ended", "CP2", {"session_id": 7}, THEN)
    assert second[:3] == ("prices_changed", "", {})
    assert woken() == 1


async def test_so_does_an_asyncio_program(database_url, database, woken):
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await write_async(connection.cursor(), TWO)
    assert [row[0] for row in written(database)] == ["session_ended", "prices_changed"]
    assert woken() == 1


def test_nothing_is_written_or_woken_for_nothing(database, woken):
    write(database, [])
    assert written(database) == []
    assert woken() == 0


def test_an_event_goes_with_its_transaction(database, woken):
    with database.transaction(force_rollback=True):
        write(database, TWO)
    assert written(database) == []
    assert woken() == 0


@pytest.mark.parametrize("numbers", [[3, 1, 2], []])
def test_a_statement_writes_what_it_finds_out_itself(database, woken, numbers):
    database.execute(
        f"""
        WITH happened AS (
            SELECT 'session_started' AS kind, 'CP' || number AS charging_point_id,
                   jsonb_build_object('session_id', number) AS payload, now() AS occurred_at
            FROM unnest(%s::int[]) WITH ORDINALITY AS t (number, place) ORDER BY place
        ), {WRITTEN} {WAKE}
        """,
        [numbers],
    )
    assert [row[1] for row in written(database)] == [f"CP{number}" for number in numbers]
    assert woken() == bool(numbers)


def test_the_relay_can_be_woken_alone(database, woken):
    wake(database)
    assert woken() == 1
