"""Commands from the question to the end of what they asked: who asked, answers, done, progress."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from charging.command import CommandKind, CommandResult, Done, Outcome
from charging.database import audit, commands, following
from charging.database.audit import Asker
from charging.database.commands import SUPERSEDED, IdempotencyError
from charging.database.connection import rows
from charging.database.following import Finished, Progress
from charging.intents import (
    Availability,
    LogKind,
    ReadSettings,
    Reset,
    SetAvailability,
    SetPassword,
    Start,
    Stop,
    UpdateFirmware,
    UploadLog,
)

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
    assert row(database, number)["arguments"] == {"spelling": "hex"}
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
        (Reset(), Outcome.REJECTED, "failed"),
        # Sent, and perhaps carried out: an answer can be lost.
        (Reset(), Outcome.TIMEOUT, None),
        (Reset(), Outcome.OFFLINE, None),
        (ReadSettings(), Outcome.TIMEOUT, "failed"),
    ],
)
async def test_accepted_is_not_done_where_the_work_goes_on(database, node, intent, outcome, done):
    number = ask(database, intent)
    await answered(node, number, CommandResult(outcome))
    assert row(database, number)["done_outcome"] == done


async def test_what_was_never_sent_is_not_waited_for(database, node):
    number = ask(database, Reset())
    await answered(node, number, CommandResult(Outcome.OFFLINE, "not connected", sent=False))
    assert row(database, number)["done_outcome"] == "failed"


async def test_the_same_question_again_takes_nobodys_place(database, station):
    first = ask(database, Stop(1), idempotency_key="k1", supersedes="limit 1")
    assert ask(database, Stop(1), idempotency_key="k1", supersedes="limit 1") == first
    assert row(database, first)["state"] == "queued"
    newer = ask(database, Stop(2), idempotency_key="k2", supersedes="limit 1")
    assert row(database, first)["state"] == "superseded"
    assert row(database, newer)["state"] == "queued"


async def test_what_a_charging_point_does_shows_that_a_command_is_done(database, node):
    reset, elsewhere = ask(database, Reset()), ask(database, Reset(), "CP2")
    start, other = ask(database, Start("04A1B2C3", 1)), ask(database, Start("99", 1))
    await node(commands.claim, NODE, EVERY_KIND)
    await node(commands.answer, [(reset, ACCEPTED), (elsewhere, ACCEPTED), (other, ACCEPTED)])
    await node(
        following.finish,
        [
            Finished("CP1", CommandKind.RESET),
            # … before it has answered
            Finished("CP1", CommandKind.REMOTE_START, {"id_tag": "04A1B2C3"}, stage="began"),
        ],
    )
    done = {number: row(database, number)["done_outcome"] for number in (reset, start)}
    assert done == {reset: "done", start: "done"}
    assert row(database, elsewhere)["done_at"] is None
    assert row(database, other)["done_at"] is None
    stages = rows(database, "SELECT command_id, stage FROM command_progress")
    assert [tuple(stage.values()) for stage in stages] == [(start, "began")]
    # An answer that comes after all does not undo it.
    await node(commands.answer, [(start, CommandResult(Outcome.REJECTED))])
    assert row(database, start)["done_outcome"] == "done"


async def test_a_session_is_that_of_the_start_at_its_evse_or_else_of_the_oldest(database, node):
    first, second, third = (ask(database, Start("CARD", evse)) for evse in (1, 2, 1))
    await node(commands.claim, NODE, EVERY_KIND)
    for evse, expected in ((2, second), (3, first), (1, third)):
        fact = Finished("CP1", CommandKind.REMOTE_START, {"id_tag": "CARD"}, {"evse_number": evse})
        await node(following.finish, [fact])
        assert row(database, expected)["done_outcome"] == "done"


async def test_an_answer_that_was_lost_does_not_hide_what_was_done(database, node):
    number = ask(database, Reset())
    await node(commands.claim, NODE, EVERY_KIND)
    assert commands.give_up(database, number).outcome == Outcome.TIMEOUT
    assert row(database, number)["done_outcome"] is None
    await node(following.finish, [Finished("CP1", CommandKind.RESET)])
    assert row(database, number)["done_outcome"] == "done"


async def test_what_no_node_took_has_failed(database, node):
    number = ask(database, Reset())
    commands.give_up(database, number)
    assert row(database, number)["done_outcome"] == "failed"


def states(database, **by_number):
    for number, state in by_number.items():
        database.execute(
            "INSERT INTO evses (charging_point_id, evse_number, state, status) VALUES"
            " ('CP1', %s, %s, 'x') ON CONFLICT (charging_point_id, evse_number)"
            " DO UPDATE SET state = excluded.state",
            [int(number[1:]), state],
        )


@pytest.mark.parametrize(
    ("availability", "evse", "before", "after"),
    [
        ("inoperative", 1, {"n1": "available", "n2": "unavailable"}, {"n1": "unavailable"}),
        ("operative", 1, {"n1": "unavailable"}, {"n1": "available"}),
        ("operative", 0, {"n1": "unavailable", "n2": "unavailable"}, {"n1": "charging"}),
        ("inoperative", 0, {"n1": "available", "n2": "faulted"}, {"n1": "unavailable"}),
        ("inoperative", 0, {"n0": "available", "n1": "charging"}, {"n0": "unavailable"}),
    ],
)
async def test_availability_is_done_when_the_states_say_so(
    database, node, availability, evse, before, after
):
    states(database, **before)
    number = ask(database, SetAvailability(Availability(availability), evse))
    await answered(node, number)
    await node(following.finish_availability, ["CP1"])
    assert row(database, number)["done_outcome"] is None
    states(database, **after)
    if (availability, evse) == ("operative", 0):
        await node(following.finish_availability, ["CP1"])
        assert row(database, number)["done_outcome"] is None
        states(database, n2="available")
    await node(following.finish_availability, ["CP2"])
    assert row(database, number)["done_outcome"] is None
    await node(following.finish_availability, ["CP1"])
    assert row(database, number)["done_outcome"] == "done"


def firmware(number, at, stage, outcome=None, name="CP1"):
    return Progress(name, CommandKind.UPDATE_FIRMWARE, number, at, stage, "", outcome)


async def test_progress_is_kept_until_the_work_ends(database, node):
    number = ask(database, UpdateFirmware("https://files.example/f.bin", NOON))
    await answered(node, number)
    reports = [
        firmware(number, NOON, "Downloading"),
        firmware(number, NOON, "Downloading"),
        firmware(number, NOON, "Installed", Done.DONE, "CP2"),
    ]
    await node(following.progress, reports)
    assert row(database, number)["done_at"] is None
    later = NOON + timedelta(minutes=5)
    await node(following.progress, [firmware(number, later, "Installed", Done.DONE)])
    assert row(database, number)["done_outcome"] == "done"
    stages = rows(database, "SELECT stage FROM command_progress ORDER BY at")
    assert [stage["stage"] for stage in stages] == ["Downloading", "Installed"]


async def test_a_report_that_names_no_command_is_of_the_newest_that_is_not_done(database, node):
    old, new = (ask(database, UpdateFirmware("https://files.example/f", NOON)) for _ in range(2))
    log = ask(database, UploadLog("https://files.example/", LogKind.SECURITY))
    await node(commands.claim, NODE, EVERY_KIND)
    await node(commands.answer, [(number, ACCEPTED) for number in (old, new, log)])
    # A failure may be followed by another try.
    await node(following.progress, [firmware(None, NOON, "DownloadFailed", Done.FAILED)])
    assert row(database, new)["done_outcome"] == "failed"
    await node(following.progress, [firmware(None, NOON, "Downloading")])
    assert row(database, new)["done_outcome"] is None
    both = [firmware(None, NOON, "Downloaded"), firmware(None, NOON, "Installed", Done.DONE)]
    await node(following.progress, both)
    assert row(database, new)["done_outcome"] == "done"
    assert row(database, old)["done_outcome"] is None
    diagnostics = Progress(
        "CP1", CommandKind.UPLOAD_LOG, None, NOON, "Uploaded", "", Done.DONE, {"log": "diagnostics"}
    )
    await node(following.progress, [diagnostics])
    assert row(database, log)["done_outcome"] is None


async def test_what_is_never_reported_done_becomes_unknown_after_its_time(database, node):
    old, young = ask(database, Reset()), ask(database, Reset(), "CP2")
    await node(commands.claim, NODE, EVERY_KIND)
    await node(commands.answer, [(old, ACCEPTED), (young, ACCEPTED)])
    database.execute(
        "UPDATE commands SET done_by = done_by - interval '31 minutes' WHERE command_id = %s", [old]
    )
    await node(following.forget)
    assert row(database, old)["done_outcome"] == "unknown"
    assert row(database, young)["done_outcome"] is None


@pytest.mark.parametrize(
    ("intent", "outcome", "hours"),
    [
        (SetAvailability(Availability.INOPERATIVE), Outcome.ACCEPTED, 5 / 60),
        (SetAvailability(Availability.INOPERATIVE), Outcome.SCHEDULED, 24),
        (UpdateFirmware("https://x", datetime(2026, 1, 1, tzinfo=UTC)), Outcome.ACCEPTED, 16),
    ],
)
async def test_how_long_is_waited_depends_on_what_was_asked(database, node, intent, outcome, hours):
    if isinstance(intent, UpdateFirmware):
        intent = replace(intent, fetch_at=datetime.now(UTC) + timedelta(hours=10))
    number = ask(database, intent)
    await answered(node, number, CommandResult(outcome))
    left = row(database, number)["done_by"] - datetime.now(UTC)
    assert abs(left.total_seconds() / 3600 - hours) < 0.01


@pytest.mark.parametrize(
    "statement", ["_FORGET", "_FINISH", "_FINISH_ONE", "_FINISH_AVAILABILITY", "_PROGRESS"]
)
def test_following_commands_reads_those_under_way_only(database, station, statement):
    database.execute(
        "INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline, state,"
        " outcome, done_at, done_outcome)"
        " SELECT 'CP1', 'reset', '{}', '', now(), 'answered', 'accepted', now(), 'done'"
        " FROM generate_series(1, 5000)"
    )
    database.execute("ANALYZE commands")
    values = {
        "_FORGET": [],
        "_FINISH": [["CP1"], ["reset"], ["{}"], ["{}"], [1], ["done"], [""], [""]],
        "_FINISH_ONE": [[1]],
        "_FINISH_AVAILABILITY": [["CP1"]],
        "_PROGRESS": [["CP1"], ["upload_log"], [1], ["{}"], [NOON], ["installed"], [""], ["done"]],
    }[statement]
    plan = database.execute(b"EXPLAIN " + getattr(following, statement), values).fetchall()
    assert not any("Seq Scan on commands" in line for (line,) in plan), plan
