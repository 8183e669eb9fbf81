"""What happened at a charging point, read back: trace and explain."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from operations import timeline
from operations.command_line.main import main
from scripts.programs import Program
from tests.rows import add_charging_point, add_token
from tests.station import Station, ago, iso
from tests.waiting import eventually

CARD = "04A1B2C3"


@pytest.fixture
def charged(node, database):
    """CP1 after a session of 500 Wh, with the log written."""
    add_charging_point(database, "CP1", vendor="[/b]\x1b[2J")
    add_token(database, CARD)
    with Station(node.port) as station:
        station.call(
            "BootNotification", {"chargePointVendor": "[/b]\x1b[2J", "chargePointModel": "M"}
        )
        start = {
            "connectorId": 1,
            "idTag": CARD,
            "meterStart": 1000,
            "timestamp": iso(ago(minutes=1)),
        }
        number = station.call("StartTransaction", start)["transactionId"]
        stop = {"transactionId": number, "meterStop": 1500, "timestamp": iso(ago(seconds=1))}
        station.call("StopTransaction", stop)
    eventually(lambda: "disconnected" in kinds(database))
    return number


def kinds(database):
    return [row[0] for row in database.execute("SELECT kind FROM messages").fetchall()]


@pytest.fixture
def operate(database_url, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*words):
        capsys.readouterr()
        code = main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_trace_of_several_pages_loses_no_message_of_one_instant(run_node, database):
    add_charging_point(database)
    run_node()  # makes the log's partitions
    now = datetime.now(UTC)
    database.execute(
        "INSERT INTO messages (at, charging_point_id, direction, kind, action, message_id, outcome,"
        " payload) SELECT %s - (number / 3) * interval '1 second', 'CP1', 'in', 'call', 'X',"
        " number::text, '', '' FROM generate_series(1, 1700) AS number",
        [now],
    )
    found = timeline.trace(database, "CP1", after=now - timedelta(hours=1), until=now)
    numbers = [int(message.message_id) for message in found]
    assert len(numbers) == 1700
    assert set(numbers) == set(range(1, 1701))


def test_trace_shows_the_frames_in_order_and_no_card(charged, operate):
    code, out, err = operate("trace", "CP1")
    assert (code, err) == (0, "")
    words = [line.split(" ")[2:5] for line in out.splitlines()]
    assert [w[:2] for w in words][:3] == [
        ["·", "connected"],
        ["→", "BootNotification"],
        ["←", "BootNotification"],
    ]
    assert "StopTransaction" in out
    assert CARD not in out
    assert "\x1b" not in out
    lines = operate("trace", "CP1", "--json")[1].splitlines()
    assert json.loads(lines[1])["action"] == "BootNotification"
    assert len(lines) == len(out.splitlines())


def test_explain_puts_sessions_beside_the_frames(charged, operate):
    code, out, err = operate("explain", "CP1")
    assert (code, err) == (0, "")
    at = [out.index(text) for text in ("→ StartTransaction", "began at EVSE 1", "500 Wh")]
    assert at == sorted(at)
    moments = json.loads(operate("explain", "CP1", "--json")[1])
    assert {"connection", "frame", "session"} <= {moment["what"] for moment in moments}
    assert any(moment.get("number") == charged for moment in moments)
    hours_ago = (datetime.now(UTC) - timedelta(hours=5)).isoformat()
    assert "nothing is known" in operate("explain", "CP1", "--at", hours_ago)[1]


def test_a_command_that_was_asked_is_in_the_explanation(charged, operate):
    assert operate("commands", "reset", "CP1", "--timeout", "0.1")[0] == 1
    out = operate("explain", "CP1")[1]
    assert "operator asked for reset" in out


def test_a_lens_is_set_and_taken_away(charged, operate, database):
    def lens():
        return database.execute("SELECT lens_until > now() FROM charging_points").fetchone()[0]

    assert operate("trace", "CP1", "--lens", "5")[0] == 0
    assert lens() is True
    operate("trace", "CP1", "--lens", "0")
    assert lens() is None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["trace", "CP2"], "no charging point 'CP2'"),
        (["explain", "CP2"], "no charging point 'CP2'"),
        (["trace", "CP2", "--lens", "5"], "no charging point 'CP2'"),
        (["trace", "CP1", "--lens", "-1"], "--lens takes"),
        (["explain", "CP1", "--minutes", "0"], "--minutes must"),
    ],
)
def test_wrong_words_get_a_sentence(database, operate, words, complaint):
    add_charging_point(database, "CP1")
    code, _, err = operate(*words)
    assert code == 1
    assert complaint in err
    assert err.count("\n") == 1


def test_following_shows_what_comes_and_ends_cleanly(node, database, database_url, tmp_path):
    add_charging_point(database, "CP1")
    log = tmp_path / "trace.log"
    words = ["operations", "trace", "CP1", "--follow"]
    with Program(words, log, {"DATABASE_URL": database_url}) as program:
        with Station(node.port) as station:
            station.boot()
            eventually(lambda: "BootNotification" in log.read_text(), 20)
            station.call("Authorize", {"idTag": CARD})
            eventually(lambda: "Authorize" in log.read_text(), 20)
        assert program.stop() == 0
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines))
