"""Commands from the question to the end of what they asked: who asked, answers, done, progress."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from charging.command import CommandKind, CommandResult, Done, Outcome
from charging.database import audit, commands
from charging.database.audit import Asker
from charging.database.commands import SUPERSEDED, Finished, IdempotencyError, Progress
from charging.database.connection import rows
from charging.intents import ReadSettings, Reset, SetPassword, Start, Stop, UpdateFirmware

NODE = UUID(int=1)
ANNA = Asker("anna", "test")
ACCEPTED = CommandResult(Outcome.ACCEPTED)
EVERY_KIND = list(CommandKind)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def station(database):
    """CP1 and CP2, whose sockets NODE holds."""
    database.execute("INSERT INTO charging_points (charging_point_id) VALUES ('CP1'), ('CP2')")
    database.execute("INSERT INTO nodes (node_id, address, process_id) VALUES (%s, '', 1)", [NODE])
    database.execute(
        "INSERT INTO connections (charging_point_id, node_id, connection_id, ocpp_version,"
        " remote_address, connected_at) SELECT charging_point_id, %s, 1, 'ocpp1.6', '', now()"
        " FROM charging_points",
        [NODE],
    )


@pytest.fixture
async def node(database_url, station):
    """Run what a node does, each in a transaction of its own."""
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)

    async def run(work, *arguments):
        async with connection.transaction(), connection.cursor() as cursor:
            return await work(cursor, *arguments)

    yield run
    await connection.close()


def ask(database, intent, name="CP1", **more):
    return commands.ask(database, name, intent, by=ANNA, seconds=30, **more)


def row(database, number):
    (found,) = rows(database, "SELECT * FROM commands WHERE command_id = %s", [number])
    return found


async def answered(node, number, result=ACCEPTED):
    await node(commands.claim, NODE, EVERY_KIND)
    await node(commands.answer, [(number, result)])


def test_who_asked_stands_in_the_row_and_in_the_audit(database, station):
    number = ask(database, Reset(hard=True))
    found = row(database, number)
    assert (found["person"], found["program"], found["kind"]) == ("anna", "test", "reset")
    (entry,) = audit.read(database, subject="CP1", limit=10)
    assert (entry.by, entry.action) == (ANNA, "reset")
    assert entry.detail == {"command": number, "arguments": {"hard": True}}


def test_the_audit_is_read_in_pages_the_newest_first(database, station):
    numbers = [ask(database, Stop(number)) for number in range(1, 6)]
    first = audit.read(database, limit=2)
    then = audit.read(database, before=first[-1].audit_id, limit=9)
    assert [entry.detail["command"] for entry in [*first, *then]] == numbers[::-1]
    assert audit.read(database, subject="CP2", limit=9) == []


@pytest.mark.parametrize("end", ["answered", "given up", "expired"])
async def test_a_password_stands_nowhere_once_its_command_has_ended(database, node, end):
    number = ask(database, SetPassword("correct horse"))
    if end == "answered":
        await answered(node, number)
    elif end == "given up":
        commands.give_up(database, number)
    else:
        database.execute("UPDATE commands SET deadline = now() - interval '1 second'")
        await node(commands.expire)
    assert row(database, number)["arguments"] == {}
    (entry,) = audit.read(database, limit=1)
    assert "horse" not in str(entry)


def test_the_same_key_twice_is_one_command(database, station):
    first = ask(database, Reset(), idempotency_key="k1")
    assert ask(database, Reset(), idempotency_key="k1") == first
    assert ask(database, Reset(), idempotency_key="k2") != first
    assert len(audit.read(database, limit=9)) == 2


def test_a_key_used_for_another_command_is_an_error(database, station):
    ask(database, Reset(), idempotency_key="k1")
    for intent, name in ((Reset(hard=True), "CP1"), (Reset(), "CP2")):
        with pytest.raises(IdempotencyError, match="k1"):
            ask(database, intent, name, idempotency_key="k1")


async def test_a_newer_command_takes_the_place_of_one_that_waits(database, node):
    taken = ask(database, Stop(1), supersedes="limit 1")
    await node(commands.claim, NODE, EVERY_KIND)
    older = ask(database, Stop(2), supersedes="limit 1")
    elsewhere = ask(database, Stop(3), "CP2", supersedes="limit 1")
    other = ask(database, Stop(4), supersedes="limit 2")
    newer = ask(database, Stop(5), supersedes="limit 1")
    assert commands.result_of(database, older) == SUPERSEDED
    claimed = await node(commands.claim, NODE, EVERY_KIND)
    assert {c.command_id for c in claimed} == {elsewhere, other, newer}
    assert row(database, taken)["state"] == "sent"


async def test_the_more_urgent_goes_first(database, node):
    late, first, second = (ask(database, Stop(n), priority=p) for n, p in ((1, 0), (2, 5), (3, 5)))
    claimed = await node(commands.claim, NODE, EVERY_KIND)
    assert [c.command_id for c in claimed] == [first, second, late]


async def test_the_answer_is_kept_whole(database, node):
    number = ask(database, ReadSettings())
    answer = ({"configurationKey": [{"key": "A", "readonly": False}]}, {"unknownKey": None})
    result = CommandResult(Outcome.ACCEPTED, "two settings", answer)
    await answered(node, number, result)
    assert commands.result_of(database, number) == result


@pytest.mark.parametrize(
    ("intent", "outcome", "done"),
    [
        (ReadSettings(), Outcome.ACCEPTED, "done"),
        (ReadSettings(), Outcome.REJECTED, "failed"),
        (Reset(), Outcome.ACCEPTED, None),
        (Reset(), Outcome.SCHEDULED, None),
        (Reset(), Outcome.TIMEOUT, "failed"),
    ],
)
async def test_accepted_is_not_done_where_the_work_goes_on(database, node, intent, outcome, done):
    number = ask(database, intent)
    await answered(node, number, CommandResult(outcome))
    assert row(database, number)["done_outcome"] == done


async def test_what_a_charging_point_does_shows_that_a_command_is_done(database, node):
    reset, elsewhere = ask(database, Reset()), ask(database, Reset(), "CP2")
    start, other = ask(database, Start("04A1B2C3", 1)), ask(database, Start("99", 1))
    await node(commands.claim, NODE, EVERY_KIND)
    await node(commands.answer, [(reset, ACCEPTED), (elsewhere, ACCEPTED), (other, ACCEPTED)])
    await node(
        commands.finish,
        [
            Finished("CP1", CommandKind.RESET, {}),
            # … before it has answered
            Finished("CP1", CommandKind.REMOTE_START, {"id_tag": "04A1B2C3"}),
        ],
    )
    done = {number: row(database, number)["done_outcome"] for number in (reset, start)}
    assert done == {reset: "done", start: "done"}
    assert row(database, elsewhere)["done_at"] is None
    assert row(database, other)["done_at"] is None
    # An answer that comes after all does not undo it.
    await node(commands.answer, [(start, CommandResult(Outcome.REJECTED))])
    assert row(database, start)["done_outcome"] == "done"


async def test_progress_is_kept_until_the_work_ends(database, node):
    number = ask(database, UpdateFirmware("https://files.example/f.bin", NOON))
    await answered(node, number)
    reports = [
        Progress("CP1", number, NOON, "downloading"),
        Progress("CP1", number, NOON, "downloading"),
        Progress("CP2", number, NOON, "installed", "says another", Done.DONE),
    ]
    await node(commands.progress, reports)
    assert row(database, number)["done_at"] is None
    later = NOON + timedelta(minutes=5)
    await node(commands.progress, [Progress("CP1", number, later, "installed", "", Done.DONE)])
    assert row(database, number)["done_outcome"] == "done"
    stages = rows(database, "SELECT stage FROM command_progress ORDER BY at")
    assert [stage["stage"] for stage in stages] == ["downloading", "installed"]


async def test_what_is_never_reported_done_becomes_unknown_after_a_day(database, node):
    old, young = ask(database, Reset()), ask(database, Reset(), "CP2")
    await node(commands.claim, NODE, EVERY_KIND)
    await node(commands.answer, [(old, ACCEPTED), (young, ACCEPTED)])
    database.execute(
        "UPDATE commands SET deadline = now() - interval '25 hours' WHERE command_id = %s", [old]
    )
    await node(commands.expire)
    assert row(database, old)["done_outcome"] == "unknown"
    assert row(database, young)["done_outcome"] is None


@pytest.mark.parametrize("statement", ["_FORGET", "_FINISH", "_PROGRESS"])
def test_following_commands_reads_those_under_way_only(database, station, statement):
    database.execute(
        "INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline, state,"
        " outcome, done_at, done_outcome)"
        " SELECT 'CP1', 'reset', '{}', '', now(), 'answered', 'accepted', now(), 'done'"
        " FROM generate_series(1, 5000)"
    )
    database.execute("ANALYZE commands")
    values = {
        "_FORGET": [60],
        "_FINISH": [["CP1"], ["reset"], ["{}"], ["done"]],
        "_PROGRESS": [["CP1"], [1], [NOON], ["installed"], [""], ["done"]],
    }[statement]
    plan = database.execute(b"EXPLAIN " + getattr(commands, statement), values).fetchall()
    assert not any("Seq Scan on commands" in line for (line,) in plan), plan
