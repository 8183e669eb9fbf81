"""Whatever can be asked of a charging point is typed, sent, answered and shown."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from charging.command import CommandKind
from operations.command_line import intents
from operations.command_line.main import main
from operations.errors import InvalidError
from tests.rows import add_charging_point
from tests.station import Station

PROFILE = {
    "profile_id": 1,
    "purpose": "default",
    "unit": "A",
    "periods": [{"start_seconds": 0, "limit": 10.0}],
    "stack_level": 0,
}


def typed(kind, *words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    intents.add_members(parser, kind)
    return intents.intent_of(kind, parser.parse_args(words)).arguments()


@pytest.mark.parametrize(
    ("kind", "words", "arguments"),
    [
        (CommandKind.UNLOCK, ["1"], {"evse_number": 1}),
        (CommandKind.RESET, [], {"hard": False}),
        (CommandKind.RESET, ["--hard"], {"hard": True}),
        (
            CommandKind.SET_AVAILABILITY,
            ["inoperative", "--evse-number", "2"],
            {"availability": "inoperative", "evse_number": 2},
        ),
        (CommandKind.READ_SETTINGS, [], {"names": []}),
        (CommandKind.READ_SETTINGS, ["A", "B"], {"names": ["A", "B"]}),
        (CommandKind.WRITE_SETTINGS, ["A=1", "B=x=y"], {"values": {"A": "1", "B": "x=y"}}),
        (
            CommandKind.RESERVE,
            ["1", "04A1", "7", "2026-03-01T12:00:00+01:00"],
            {
                "evse_number": 1,
                "id_tag": "04A1",
                "reservation_id": 7,
                "expires_at": "2026-03-01T12:00:00+01:00",
            },
        ),
        (
            CommandKind.SET_PROFILE,
            [json.dumps(PROFILE), "--evse-number", "1"],
            {"profile": PROFILE, "evse_number": 1},
        ),
        (
            CommandKind.SET_PASSWORD,
            ["correct horse"],
            {"password": "correct horse", "spelling": "hex"},
        ),
        (
            CommandKind.CALL,
            ["ClearCache", '{"customData": 1}'],
            {"action": "ClearCache", "payload": {"customData": 1}},
        ),
    ],
)
def test_what_is_typed_is_what_is_asked(kind, words, arguments):
    assert typed(kind, *words) == arguments


@pytest.mark.parametrize(
    ("kind", "words", "complaint"),
    [
        (CommandKind.UNLOCK, ["one"], "evse_number: 'one' is not a whole number"),
        (CommandKind.UNLOCK, ["0"], "evse_number: must be 1 or more"),
        (CommandKind.WRITE_SETTINGS, ["A"], "values: 'A' is not of the form NAME=VALUE"),
        (CommandKind.SET_PROFILE, ["{"], "profile: not JSON"),
        (CommandKind.SET_PROFILE, ["{}"], "profile.profile_id: is missing"),
        (CommandKind.RESERVE, ["1", "04A1", "7", "noon"], "expires_at: must be a time"),
    ],
)
def test_the_word_at_fault_is_named(kind, words, complaint):
    with pytest.raises(InvalidError, match=complaint):
        typed(kind, *words)


@pytest.mark.parametrize("kind", intents.KINDS)
def test_every_intent_has_a_command_with_a_help(kind, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["commands", intents.word(kind), "--help"])
    assert ended.value.code == 0
    assert "charging_point" in capsys.readouterr().out


def test_settings_are_read_and_the_answer_is_shown_and_kept(
    node, database, database_url, monkeypatch, capsys
):
    monkeypatch.setenv("DATABASE_URL", database_url)
    add_charging_point(database, "CP1")
    answer = {"configurationKey": [{"key": "A\x1b[2J", "readonly": True, "value": "1"}]}
    with Station(node.port) as station, ThreadPoolExecutor() as threads:
        station.boot()
        asked = threads.submit(main, ["commands", "read-settings", "CP1", "A"])
        _, message_id, action, payload = station.receive()
        assert (action, payload) == ("GetConfiguration", {"key": ["A"]})
        station.send([3, message_id, answer])
        assert asked.result(30) == 0
    shown = capsys.readouterr().out
    assert "CP1 has accepted" in shown
    assert "\x1b" not in shown
    assert main(["commands", "list", "CP1", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["kind"], listed["outcome"], listed["done"]) == (
        "read_settings",
        "accepted",
        "done",
    )
    assert main(["commands", "show", "--json", str(listed["command"])]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == [answer]
    assert main(["commands", "show", "4711"]) == 1
    assert main(["commands", "list", "--limit", "0"]) == 1


def test_what_a_charging_point_that_is_away_is_asked_is_an_error(
    database, database_url, monkeypatch, capsys
):
    monkeypatch.setenv("DATABASE_URL", database_url)
    add_charging_point(database, "CP1")
    assert main(["commands", "reset", "CP1", "--timeout", "0.1"]) == 1
    assert "no node has its connection" in capsys.readouterr().err
    assert main(["commands", "reset", "CP2"]) == 1
    assert "no charging point 'CP2'" in capsys.readouterr().err
