"""Group commit against a real database."""

import asyncio

import psycopg
import pytest

from cp_backend.committer import Committer, DatabaseAwayError
from cp_backend.telemetry import Metrics
from tests.waiting import eventually_async


async def one(cursor, items):
    """Answer each item with the number of items of its transaction; 'bad' breaks it."""
    for item in items:
        if item == "bad":
            await cursor.execute("SELECT 1 / 0")
    await cursor.execute("SELECT pg_sleep(0.01)")
    return [len(items)] * len(items)


async def another(cursor, items):
    await cursor.execute("SELECT 1")
    return list(items)


@pytest.fixture
async def committer(database_url):
    committer = Committer("test", database_url, batch_limit=50, max_depth=100, metrics=Metrics())
    committer.run_in_order(another, one)
    running = asyncio.create_task(committer.run())
    yield committer
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_comes_while_a_batch_is_committed_makes_the_next_one(committer):
    first = asyncio.create_task(committer.ask(one, "first"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    sizes = await asyncio.gather(*(committer.ask(one, str(n)) for n in range(60)), first)
    assert max(sizes) == 50
    assert committer.depth == 0
    await committer.flushed()


async def test_results_keep_their_order_across_statements(committer):
    asked = [committer.ask(another, n) if n % 2 else committer.ask(one, n) for n in range(20)]
    results = await asyncio.gather(*asked)
    assert results[1::2] == list(range(1, 20, 2))


async def test_one_bad_item_does_not_hurt_the_others(committer):
    asked = [committer.ask(one, item) for item in ("a", "bad", "b")]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(results[1], psycopg.errors.DivisionByZero)
    assert [results[0], results[2]] == [1, 1]


async def test_beyond_its_depth_it_refuses_at_once(committer):
    asked = [asyncio.ensure_future(committer.ask(one, n)) for n in range(150)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    refused = [r for r in results if isinstance(r, DatabaseAwayError)]
    assert len(refused) == 50


async def test_it_survives_a_lost_connection(committer, database):
    assert await committer.ask(one, "x") == 1
    asked = asyncio.create_task(committer.ask(sleepy, "x"))
    await eventually_async(
        lambda: database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query = 'SELECT pg_sleep(20)' AND pid <> pg_backend_pid()"
        ).fetchone()
    )
    with pytest.raises(DatabaseAwayError):
        await asked
    assert not committer.healthy
    assert await committer.ask(one, "x") == 1
    assert committer.healthy


async def test_what_another_transaction_stood_in_the_way_of_is_done_again(committer):
    tries = []

    async def in_conflict_at_first(cursor, items):
        tries.append(len(items))
        if len(tries) < 3:
            # What the server says when two transactions wait for each other.
            await cursor.execute("DO $$ BEGIN RAISE deadlock_detected; END $$")
        return list(items)

    assert await asyncio.gather(*(committer.ask(in_conflict_at_first, n) for n in range(3))) == [
        0,
        1,
        2,
    ]
    assert tries == [3, 3, 3]
    assert committer.healthy


async def sleepy(cursor, items):
    await cursor.execute("SELECT pg_sleep(20)")
    return list(items)


async def test_a_listener_that_fails_harms_nobody(committer):
    def fail(result):
        raise RuntimeError(result)

    committer.submit(one, "x", fail)
    assert await committer.ask(one, "y") == 2


async def touch(cursor, items):
    """Update the row of each item's charging point."""
    await cursor.execute(
        "UPDATE charging_points SET vendor = 'V' WHERE charging_point_id = ANY(%s)"
        " RETURNING charging_point_id",
        [sorted(items)],
    )
    found = {row[0] async for row in cursor}
    return [item in found for item in items]


def submit(committer, name):
    future = asyncio.get_running_loop().create_future()
    committer.submit(touch, name, future.set_result, key=name)
    return future


async def test_a_locked_row_stops_only_who_needs_it(committer, database, database_url):
    names = [f"CP{n}" for n in range(50)]
    with database.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO charging_points (charging_point_id) VALUES (%s)", [[n] for n in names]
        )
    loop = asyncio.get_running_loop()
    with psycopg.connect(database_url) as other:
        other.execute("SELECT 1 FROM charging_points WHERE charging_point_id = 'CP7' FOR UPDATE")
        results = await asyncio.gather(*(submit(committer, name) for name in names))
        assert isinstance(results.pop(7), psycopg.errors.LockNotAvailable)
        assert results == [True] * 49
        assert committer.healthy
        # By now it is known whose row is locked: the others do not wait for it at all.
        began = loop.time()
        locked, *free = [submit(committer, name) for name in ("CP7", *names[:7], *names[8:])]
        assert await asyncio.gather(*free) == [True] * 49
        assert not locked.done()
        assert isinstance(await locked, psycopg.errors.LockNotAvailable)
        assert loop.time() - began < 2
    assert await submit(committer, "CP7") is True


async def test_a_locked_table_neither_counts_as_away_nor_takes_for_ever(committer, database_url):
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE charging_points")
        async with asyncio.timeout(15):
            results = await asyncio.gather(*(submit(committer, f"CP{n}") for n in range(50)))
        assert {type(result) for result in results} == {psycopg.errors.LockNotAvailable}
        assert await committer.ask(another, 1) == 1
        assert committer.healthy


async def write(cursor, items):
    await cursor.execute("INSERT INTO tokens (id_tag) VALUES ('T') ON CONFLICT DO NOTHING")
    return [True] * len(items)


async def test_a_server_that_is_read_only_is_left_for_one_that_is_not(
    committer, database, database_url
):
    assert await committer.ask(write, 1) is True
    name = database.info.dbname
    try:
        database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        # As a demoted writer does to connections that it kept:
        await committer.ask(demote, 1)
        for _ in range(2):
            with pytest.raises(DatabaseAwayError):
                await committer.ask(write, 1)
            assert not committer.healthy
    finally:
        with psycopg.connect(
            database_url, autocommit=True, options="-c default_transaction_read_only=off"
        ) as other:
            other.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert await committer.ask(write, 1) is True
    assert committer.healthy


async def demote(cursor, items):
    await cursor.execute("SET default_transaction_read_only = on")
    return list(items)


async def test_a_database_that_does_not_answer_in_good_time_is_not_healthy(committer, database):
    assert await committer.ask(one, "x") == 1
    asked = asyncio.create_task(committer.ask(sleepy, "x"))
    await eventually_async(lambda: not committer.healthy)
    assert not asked.done()
    asked.cancel()
