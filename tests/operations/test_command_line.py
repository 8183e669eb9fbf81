"""What an operator types, against a real database."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta

import pytest

from operations.command_line.main import main
from scripts.programs import Program
from tests.rows import (
    add_charging_point,
    add_connection,
    add_evse,
    add_node,
    add_reading,
    add_session,
    add_token,
    insert,
)
from tests.waiting import eventually


@pytest.fixture
def operate(database_url, monkeypatch, capsys):
    """Run `python -m operations …`; return exit code, output, errors."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def as_json(operate):
    def run(*words):
        code, out, err = operate(*words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return run


@pytest.fixture
def session(database):
    """An ended session of 1500 Wh with two readings."""
    add_charging_point(database)
    began = datetime(2026, 1, 1, 10, tzinfo=UTC)
    number = add_session(
        database, id_tag="SECRETTOKEN", started_at=began, ended_at=began + timedelta(hours=1)
    )
    for minute, energy in ((15, 1500), (30, 2000)):
        add_reading(database, number, energy, sampled_at=began + timedelta(minutes=minute))
    return number


def test_a_charging_point_is_registered_and_its_password_shown_once(as_json, operate, database):
    password = as_json("charging-points", "register", "CP1")["password"]
    assert len(password) == 24
    stored = database.execute("SELECT * FROM charging_points").fetchone()
    assert password not in str(stored)
    assert password.encode() not in b"".join(v for v in stored if isinstance(v, bytes))
    code, out, err = operate("charging-points", "register", "CP1")
    assert (code, out) == (1, "")
    assert "CP1 is registered already" in err


def test_a_new_password_replaces_the_old(as_json, operate):
    old = as_json("charging-points", "register", "CP1")["password"]
    assert as_json("charging-points", "new-password", "CP1")["password"] != old
    code, _, err = operate("charging-points", "new-password", "CP2")
    assert (code, err.count("\n")) == (1, 1)
    assert "no charging point 'CP2'" in err


def test_what_is_no_identity_is_refused(operate, database):
    code, _, err = operate("charging-points", "register", "::")
    assert code == 1
    assert "is no charging point id" in err
    assert database.execute("SELECT count(*) FROM charging_points").fetchone() == (0,)


def test_the_list_shows_presence_and_status(as_json, operate, database):
    assert "no charging points yet" in operate("charging-points", "list")[1]
    as_json("charging-points", "register", "CP1", "--registration", "Pending")
    as_json("charging-points", "register", "CP2", "--no-password")
    add_evse(database, charging_point="CP2", status="Charging")
    add_connection(database, add_node(database), "CP2")
    first, second = as_json("charging-points", "list")
    assert (first["presence"], first["registration"]) == ("offline", "Pending")
    assert (second["presence"], second["status"]) == ("online", "1: Charging")
    # A node that went silent takes its presence with it.
    database.execute("UPDATE nodes SET heartbeat_at = now() - interval '1 minute'")
    assert as_json("charging-points", "list")[1]["presence"] == "offline"
    assert as_json("charging-points", "set-registration", "CP1", "Accepted")
    assert as_json("charging-points", "list")[0]["registration"] == "Accepted"
    table = operate("charging-points", "list")[1]
    assert "2 charging points" in table
    assert "CP1" in table


def test_deviations_are_listed_and_a_charging_point_taken_strictly(as_json, operate, database):
    as_json("charging-points", "register", "CP1")
    assert "nothing has deviated" in operate("deviations", "list")[1]
    database.execute(
        "INSERT INTO deviations (charging_point_id, firmware_version, action, path, repair,"
        " vendor, model, count, sample) VALUES ('CP1', '1.0', 'StopTransaction', 'meterStop',"
        " 'type', 'V', 'M', 3, '26008.4')"
    )
    (row,) = as_json("deviations", "list", "--charging-point", "CP1")
    assert (row["model"], row["path"], row["count"]) == ("M", "meterStop", 3)
    words = ("--strict", "--free-charging", "--time-zone", "Europe/Berlin")
    as_json("deviations", "set", "CP1", *words)
    as_json("deviations", "set", "CP1", "--no-free-charging")
    found = database.execute(
        "SELECT strict, free_charging, time_zone FROM charging_points"
    ).fetchone()
    assert found == (True, False, "Europe/Berlin")
    for wrong in (("CP1",), ("CP1", "--time-zone", "Mars/Base"), ("CP2", "--strict")):
        code, _, err = operate("deviations", "set", *wrong)
        assert (code, err.count("\n")) == (1, 1)


def test_tokens(as_json, operate):
    as_json("tokens", "add", "secrettoken", "--note", "Ada", "--expires-at", "2030-01-01")
    assert "SECRETTOKEN" not in operate("tokens", "list")[1]
    (token,) = as_json("tokens", "list", "--reveal")
    assert token["token"] == "SECRETTOKEN"
    assert token["expires_at"] == "2030-01-01T00:00:00.000Z"
    as_json("tokens", "block", "SecretToken")
    assert as_json("tokens", "list")[0]["blocked"] is True
    as_json("tokens", "unblock", "SecretToken")
    assert as_json("tokens", "list")[0]["blocked"] is False
    assert operate("tokens", "add", "SECRETTOKEN")[0] == 1
    assert operate("tokens", "block", "other")[0] == 1


def test_evses(as_json, operate):
    as_json("charging-points", "register", "CP1")
    as_json("charging-points", "register", "CP2")
    as_json("evses", "set", "CP1", 1, "de*vni*e1")
    (evse,) = as_json("evses", "list")
    assert (evse["evse_id"], evse["roaming"]) == ("DE*VNI*E1", True)
    for words, expected in [
        (("CP2", 1, "DEVNIE1"), "another connector's"),
        (("CP3", 1, "DE*VNI*E3"), "no charging point 'CP3'"),
        (("CP1", 0, "DE*VNI*E3"), "counted from 1"),
        (("CP1", 1, "nonsense"), "is no EVSE id"),
    ]:
        code, _, err = operate("evses", "set", *words)
        assert code == 1
        assert expected in err


def test_sessions_with_their_energy(as_json, operate, session, database):
    (row,) = as_json("sessions", "list")
    assert (row["session"], row["energy_wh"], row["token"]) == (session, 1500, "…KEN")
    assert "1 sessions, 1.500 kWh" in operate("sessions", "list")[1]
    assert as_json("sessions", "list", "--state", "charging") == []
    assert as_json("sessions", "list", "--charging-point", "CP2") == []
    shown = as_json("sessions", "show", session)
    assert [reading["energy_wh"] for reading in shown["meter_values"]] == [1500, 2000]
    text = operate("sessions", "show", session)[1]
    assert "energy register 2000 Wh" in text
    assert operate("sessions", "show", 999)[0] == 1


def test_a_session_that_still_charges_shows_its_last_reading(as_json, session, database):
    database.execute(
        "UPDATE sessions SET state = 'charging', ended_at = null, meter_stop_wh = null"
    )
    assert as_json("sessions", "list")[0]["energy_wh"] == 1000


def test_facts_that_nobody_can_assign_are_shown(as_json, operate, database):
    assert "none: good" in operate("sessions", "unassigned")[1]
    insert(
        database,
        "unassigned_facts",
        charging_point_id="CP1",
        action="StopTransaction",
        payload={"meterStop": 5},
        digest=1,
    )
    assert as_json("sessions", "unassigned")[0]["payload"] == {"meterStop": 5}


def test_a_database_without_schema_is_one_clear_sentence(operate, server_url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", server_url)
    code, _, err = operate("sessions", "list")
    assert code == 1
    assert "make migrate-database" in err


def test_a_database_that_is_away_is_one_clear_sentence(operate, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    code, _, err = operate("sessions", "list")
    assert code == 1
    assert "the database cannot be reached" in err


def test_nodes_show_their_figures(as_json, operate, database):
    assert "no nodes" in operate("nodes")[1]
    figures = {"Connections": 12, "rates": {"MessagesReceived": 3.5}}
    add_node(database, process_id=7, draining=True, figures=figures)
    (node,) = as_json("nodes")
    assert (node["state"], node["process"], node["figures"]["Connections"]) == ("draining", 7, 12)
    code, out, err = operate("nodes")
    assert (code, err) == (0, "")
    assert "1 nodes, 12 connections" in out
    assert "3.5" in out
    database.execute("UPDATE nodes SET heartbeat_at = now() - interval '1 minute'")
    assert as_json("nodes")[0]["state"] == "silent"


def test_a_command_to_nobody_is_one_clear_sentence(operate, session, database):
    for words, expected in (
        (("remote-start", "CP9", "T1"), "no charging point 'CP9'"),
        (("remote-start", "CP1", "T1", "--timeout", 0), "must be positive (--timeout)"),
        (("remote-start", "CP1", "T1", "--timeout", 0.3), "offline (no node has its connection)"),
        (("remote-stop", 999), "no session 999"),
        (("remote-stop", session), f"session {session} has ended"),
    ):
        code, out, err = operate("commands", *words)
        assert (code, out) == (1, ""), err
        assert expected in err
    # Nobody will carry out what nobody waits for any more.
    states = database.execute("SELECT state, requested_by FROM commands").fetchall()
    assert states == [("expired", "operator")]


def test_arguments_that_no_database_takes_are_one_clear_sentence(operate, monkeypatch):
    for limit in (-1, 0, 10**9):
        code, out, err = operate("sessions", "list", "--limit", limit)
        assert (code, out) == (1, "")
        assert "a limit is 1 to" in err
    monkeypatch.setenv("DATABASE_URL", "foo")
    code, _, err = operate("sessions", "list")
    assert (code, err.count("\n")) == (1, 1)
    assert "DATABASE_URL is no address" in err


def test_what_comes_from_outside_is_neither_markup_nor_terminal_control(as_json, operate, database):
    """A charging point fills in vendor and model, and anybody may have given it its words."""
    vendor, model = "[/b]", "\x1b]0;pwned\x07\x1b[2J\x9b5m\u202eabc"
    as_json("charging-points", "register", "CP1")
    database.execute(
        "UPDATE charging_points SET vendor = %s, model = %s, firmware_version = %s",
        [vendor, model, "[link=http://evil.example]1.0"],
    )
    code, out, err = operate("charging-points", "list")
    assert (code, err) == (0, "")
    assert "[/b]" in out
    assert "[link=http://evil.example]1.0" in out
    assert r"\x1b]0;pwned\x07\x1b[2J\x9b5m\u202eabc" in out
    assert not any(mark in out for mark in "\x1b\x07\x9b\u202e")
    assert as_json("charging-points", "list")[0]["model"] == model
    as_json("tokens", "add", "T1", "--note", "[/red] VIP")
    assert "[/red] VIP" in operate("tokens", "list")[1]


def test_errors_cannot_control_the_terminal_either(operate):
    code, _, err = operate("charging-points", "new-password", "a\u202e\x9b2Jb")
    assert code == 1
    assert not any(mark in err for mark in "\x9b\u202e")


def test_a_reader_that_ends_early_is_no_failure_worth_a_traceback(database_url):
    script = f"{sys.executable} -m operations nodes --watch --json | head -n 1"
    run = subprocess.run(
        ["sh", "-c", script],
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stdout == "[]\n"
    assert run.stderr == ""


def test_a_terminal_without_our_letters_is_no_failure(database_url, database):
    add_token(database, "T1", note="Jürgen")
    run = subprocess.run(
        [sys.executable, "-m", "operations", "tokens", "list"],
        env={**os.environ, "DATABASE_URL": database_url, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert r"J\xfcrgen" in run.stdout


@pytest.mark.parametrize(("columns", "folded"), [(80, True), (240, False)])
def test_a_table_that_does_not_fit_a_terminal_is_shown_row_by_row(
    database_url, database, columns, folded
):
    for name in ("CP-HARBOUR-000001", "CP-HARBOUR-000002"):
        add_charging_point(database, name, vendor="Maker of charging points", model="Model 22")
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {**os.environ, "DATABASE_URL": database_url, "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(
        [sys.executable, "-m", "operations", "charging-points", "list"],
        env=environment,
        stdin=inside,
        stdout=inside,
    ) as listing:
        assert listing.wait(60) == 0
    os.close(inside)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    # Nothing is cut, and nothing is broken in the middle.
    for whole in ("CP-HARBOUR-000001", "CP-HARBOUR-000002", "Maker of charging points"):
        assert whole in shown
    assert ("charging point  CP-HARBOUR-000001\r\n" in shown) is folded


def test_nodes_are_shown_anew_until_ctrl_c(database_url, database, tmp_path):
    watching = Program(
        ["operations", "nodes", "--watch"], tmp_path / "watch.log", {"DATABASE_URL": database_url}
    )
    with watching:
        eventually(lambda: "no nodes" in watching.log_end(), 30)
        add_node(database)
        eventually(lambda: "1 nodes" in watching.log_end(100), 30)
        assert watching.stop(signal.SIGINT) == 0


def test_an_end_is_typed_and_shown_with_what_it_was(as_json, operate, database):
    add_charging_point(database)
    number = add_session(
        database, state="charging", started_at=datetime.now(UTC) - timedelta(hours=1)
    )
    fact = insert(
        database,
        "unassigned_facts",
        charging_point_id="CP1",
        action="StopTransaction",
        payload={"meterStop": 5},
        digest=1,
    )["fact_id"]
    code, out, _ = operate("sessions", "end", number, "--reason", "gone", "--register-wh", 1400)
    assert (code, out) == (0, f"session {number} ended with 400 Wh\n")
    changed = as_json("sessions", "correct", number, "--reason", "misread", "--meter-stop-wh", 1500)
    assert (changed["energy_wh"], changed["presumed"]) == (500, "operator")
    words = ("--reason", "found", "--register-wh", 1600)
    at = datetime.now(UTC).isoformat()
    assert as_json("sessions", "assign", fact, number, *words, "--at", at)["energy_wh"] == 600
    assert operate("sessions", "settle", fact, "--reason", "twice")[0] == 1
    shown = as_json("sessions", "show", number)
    assert [one["reason"] for one in shown["corrections"]] == ["misread", "found"]
    assert "2 corrections" in operate("sessions", "show", number)[1]


def test_people_are_let_in_and_out(as_json, operate):
    assert len(as_json("people", "add", "Anna", "operator")["password"]) > 20
    code, _, err = operate("people", "add", "anna", "observer")
    assert code == 1
    assert "has an account already" in err
    assert operate("people", "disable", "anna")[0] == 1, "no administrator would be left"
    as_json("people", "add", "boss", "administrator")
    assert operate("people", "disable", "anna")[0] == 0
    people = as_json("people", "list")
    assert [(p["person"], p["disabled"]) for p in people] == [("anna", True), ("boss", False)]
