"""What is asked of a charging point is accepted, and later done: node, simulator and database."""

import json
import os
import subprocess
import sys

import pytest

from tests.waiting import eventually


@pytest.fixture
def operations(database_url):
    """Run the command line as an operator does; return its code and what it printed."""

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "operations", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "DATABASE_URL": database_url},
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def asked(operations):
    """Ask the charging point and wait until it is done; return the command as it is shown."""

    def ask(*words, until_done=True):
        more = ["--until-done"] if until_done else []
        code, text = operations("commands", *words, *more, "--json")
        assert code == 0, text
        code, shown = operations("commands", "show", json.loads(text)["command"], "--json")
        assert code == 0, shown
        return json.loads(shown)

    return ask


@pytest.fixture
def name(node, database, simulate):
    """One charging point, which charges when it is started remotely."""
    simulate(
        *("--plain", "--port", node.port, "--duration", 3600, "--time-compression", 10),
        *("--sessions", 3, "--wait-for-remote", 120, "--boot-time", 0.2, "--step-time", 0.05),
    )
    eventually(lambda: database.execute("SELECT 1 FROM evses WHERE evse_number = 1").fetchone(), 30)
    (name,) = database.execute("SELECT charging_point_id FROM charging_points").fetchone()
    return name


def stages(command):
    return [each["stage"] for each in command["progress"]]


def test_everything_that_goes_on_is_followed_until_it_is_done(name, database, asked):
    start = asked("remote-start", name, "CARD")
    (session,) = database.execute("SELECT session_id FROM sessions").fetchone()
    assert (start["outcome"], stages(start)) == ("accepted", ["session_started"])
    assert start["progress"][0]["detail"] == f"session {session} at EVSE 1"
    off = asked("set-availability", name, "inoperative", "--evse-number", 1, until_done=False)
    assert (off["outcome"], off["done"]) == ("scheduled", None)
    stop = asked("remote-stop", session)
    assert (stages(stop), stop["done"]) == (["session_ended"], "done")
    eventually(
        lambda: database.execute(
            "SELECT done_outcome = 'done' FROM commands WHERE command_id = %s", [off["command"]]
        ).fetchone()[0]
    )
    on = asked("set-availability", name, "operative")
    assert (on["outcome"], on["done"]) == ("accepted", "done")
    # As it is already: nothing is reported, and it is done all the same.
    assert asked("set-availability", name, "operative")["done"] == "done"
    unlocked = asked("unlock", name, 1)
    assert (unlocked["outcome"], unlocked["done"]) == ("accepted", "done")
    reset = asked("reset", name)
    assert (stages(reset), reset["done"]) == (["booted"], "done")


def test_what_is_triggered_is_done_when_it_comes(name, asked):
    for words in (
        ("boot",),
        ("heartbeat",),
        ("status",),
        ("meter_values", "--evse-number", 1),
        ("firmware_status",),
        ("log_status",),
        ("sign_certificate",),
    ):
        assert asked("trigger", name, *words)["done"] == "done", words


def test_firmware_and_logs_are_done_by_their_status_messages(name, asked):
    log = asked("upload-log", name, "ftp://files.example/", "--log", "security")
    assert (stages(log), log["done"]) == (["Uploading", "Uploaded"], "done")
    assert asked("upload-log", name, "ftp://files.example/")["done"] == "done"
    update = asked("update-firmware", name, "ftp://files.example/f-1.1.bin", "2026-01-01T00:00:00Z")
    assert (stages(update)[0], stages(update)[-1]) == ("Downloading", "Installed")


def test_what_is_accepted_and_never_begins_is_no_success(node, database, simulate, operations):
    simulate("--plain", "--port", node.port, "--wait-for-remote", 60, "--remote-start", "no-car")
    eventually(lambda: database.execute("SELECT 1 FROM evses WHERE evse_number = 1").fetchone(), 30)
    (name,) = database.execute("SELECT charging_point_id FROM charging_points").fetchone()
    code, text = operations("commands", "remote-start", name, "CARD", "--json")
    assert (code, json.loads(text)["outcome"]) == (0, "accepted")
    database.execute("UPDATE commands SET done_by = now()")
    eventually(lambda: database.execute("SELECT done_at FROM commands").fetchone()[0], 20)
    code, text = operations("commands", "show", 1)
    assert "unknown" in text
    assert "no progress reported" in text
