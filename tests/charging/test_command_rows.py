"""Commands in the database: queued, claimed, answered, given up, expired."""

from contextlib import contextmanager
from threading import Thread
from uuid import UUID

import psycopg
import pytest

from charging.command import COMMANDS_CHANNEL, CommandKind, CommandResult, Outcome
from charging.database import commands
from charging.database.commands import NO_ANSWER, NO_NODE, QUEUED, WAKE, Answers
from charging.database.connection import rows
from tests.waiting import eventually

NODE = UUID(int=1)
ACCEPTED = CommandResult(Outcome.ACCEPTED)
STOP = (CommandKind.REMOTE_STOP, {"session_id": 7})


@pytest.fixture
def station(database):
    """CP1, whose socket NODE holds, and CP2, whose socket nobody holds."""
    database.execute("INSERT INTO charging_points (charging_point_id) VALUES ('CP1'), ('CP2')")
    database.execute("INSERT INTO nodes (node_id, address, process_id) VALUES (%s, '', 1)", [NODE])
    database.execute(
        "INSERT INTO connections (charging_point_id, node_id, connection_id, ocpp_version,"
        " remote_address, connected_at) VALUES ('CP1', %s, 1, 'ocpp1.6', '', now())",
        [NODE],
    )


def queue(database, name="CP1", seconds=30.0):
    return commands.queue(database, name, *STOP, requested_by="test", seconds=seconds)


@pytest.fixture
async def node(database_url, station):
    """Run what a node does, each in a transaction of its own."""
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)

    async def run(work, *arguments):
        async with connection.transaction(), connection.cursor() as cursor:
            return await work(cursor, *arguments)

    yield run
    await connection.close()


def states(database):
    return [
        row["state"] for row in rows(database, "SELECT state FROM commands ORDER BY command_id")
    ]


async def test_a_command_reaches_the_node_and_its_answer_comes_back(database_url, database, node):
    with psycopg.connect(database_url, autocommit=True) as ear:
        ear.execute(f"LISTEN {COMMANDS_CHANNEL}")
        number = queue(database)
        assert [n.payload for n in ear.notifies(timeout=5, stop_after=1)] == ["CP1"]
    queue(database, "CP2")
    assert commands.result_of(database, number) is None
    (claimed,) = await node(commands.claim, NODE, list(CommandKind))
    assert (claimed.command_id, claimed.charging_point_id) == (number, "CP1")
    assert (claimed.kind, claimed.arguments) == STOP
    assert 25 < claimed.seconds_left <= 30
    assert await node(commands.claim, NODE, list(CommandKind)) == []
    rejected = CommandResult(Outcome.REJECTED, "no such session")
    assert await node(commands.answer, [(number, rejected)]) == {number}
    assert commands.result_of(database, number) == rejected


async def test_a_node_takes_only_what_it_can_carry_out(database, node):
    queue(database)
    assert await node(commands.claim, NODE, [CommandKind.RESERVE]) == []
    assert states(database) == ["queued"]


async def test_an_answer_after_the_asker_gave_up_changes_nothing(database, node):
    number = queue(database)
    await node(commands.claim, NODE, list(CommandKind))
    assert commands.give_up(database, number) == NO_ANSWER
    assert await node(commands.answer, [(number, ACCEPTED)]) == set()
    assert commands.result_of(database, number) == NO_ANSWER


async def test_an_answer_just_before_the_asker_gives_up_is_the_result(database, node):
    number = queue(database)
    await node(commands.claim, NODE, list(CommandKind))
    await node(commands.answer, [(number, ACCEPTED)])
    assert commands.give_up(database, number) == ACCEPTED


async def test_what_nobody_waits_for_expires_at_its_deadline(database, node):
    late, sent, kept = queue(database, seconds=-1), queue(database), queue(database, "CP2")
    await node(commands.claim, NODE, list(CommandKind))
    database.execute(
        "UPDATE commands SET deadline = now() - interval '1 second' WHERE command_id = %s", [sent]
    )
    await node(commands.expire)
    assert states(database) == ["expired", "expired", "queued"]
    assert commands.result_of(database, late) == NO_NODE
    assert commands.result_of(database, sent) == NO_ANSWER
    assert commands.result_of(database, kept) is None
    assert commands.result_of(database, 4711) == NO_ANSWER


def test_expiring_reads_the_open_commands_only(database, station):
    """The table keeps every command there ever was; a node does this every few seconds."""
    database.execute(
        "INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline, state)"
        " SELECT 'CP1', 'remote_stop', '{}', '', now(), 'expired' FROM generate_series(1, 5000)"
    )
    database.execute("ANALYZE commands")
    plan = database.execute(b"EXPLAIN " + commands._EXPIRE, [commands._SECRETS]).fetchall()
    assert not any("Seq Scan" in line for (line,) in plan), plan


def test_a_statement_queues_what_it_finds_out_itself(database, station):
    database.execute(
        f"""
        WITH wanted AS (
            SELECT charging_point_id, 'remote_stop' AS kind,
                   '{{"session_id": 7}}'::jsonb AS arguments,
                   'test' AS requested_by, 30 AS seconds
            FROM charging_points
        ), {QUEUED} {WAKE}
        """
    )
    assert states(database) == ["queued", "queued"]


@contextmanager
def answering(database_url, result):
    """Answer whatever is queued for CP1, as a node would, from another thread."""

    def run():
        with psycopg.connect(database_url, autocommit=True) as connection:
            eventually(lambda: rows(connection, "SELECT 1 FROM commands"))
            connection.execute("UPDATE commands SET state = 'sent', sent_at = now()")
            connection.execute(
                "UPDATE commands SET state = 'answered', outcome = %s, detail = %s"
                " RETURNING pg_notify('command_answers', command_id::text)",
                [result.outcome.value, result.detail],
            )

    thread = Thread(target=run)
    thread.start()
    yield
    thread.join()


@pytest.fixture(params=["one connection", "many threads"])
def wait(request, database_url, database):
    """Both ways to wait for a result."""
    if request.param == "one connection":
        yield lambda number, seconds: commands.wait(database, number, seconds)
        return
    answers = Answers(
        database_url, "test answers", lambda: psycopg.connect(database_url, autocommit=True)
    )
    yield answers.wait
    answers.stop()
    assert not answers._thread.is_alive()


def test_whoever_waits_hears_the_answer(database_url, database, station, wait):
    result = CommandResult(Outcome.OCCUPIED, "a vehicle stands there")
    with answering(database_url, result):
        assert wait(queue(database), 30) == result


def test_whoever_waits_in_vain_is_told_why(database, station, wait):
    assert wait(queue(database, "CP2"), 0.1) == NO_NODE
    assert states(database) == ["expired"]


def test_a_notification_that_names_no_command_harms_nobody(database_url, database, station, wait):
    number = queue(database)
    database.execute("NOTIFY command_answers, 'x'")
    with answering(database_url, ACCEPTED):
        assert wait(number, 30) == ACCEPTED
