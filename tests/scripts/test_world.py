"""Databases, directories and programs that the demonstration, measurements and tests start."""

import os
import subprocess
from types import SimpleNamespace

import psycopg
import pytest

from charging.database.address import VNI_STATE_DIRECTORY
from operations.charging_points import Credential
from scripts import world
from scripts.world import World, new_database, new_directory, write_credentials
from tests.waiting import eventually


@pytest.fixture
def dead_process():
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def state(monkeypatch, tmp_path):
    monkeypatch.setenv(VNI_STATE_DIRECTORY, str(tmp_path))
    return tmp_path


def test_a_database_goes_with_the_run_and_so_does_what_a_killed_run_left(state, dead_process):
    with world.EmbeddedServer(state / "postgres") as server_url:

        def names():
            with psycopg.connect(server_url, autocommit=True) as server:
                found = server.execute("SELECT datname FROM pg_database WHERE datname ~ '_[0-9]+$'")
                return {name for (name,) in found}

        with psycopg.connect(server_url, autocommit=True) as server:
            for name in (f"demo_{dead_process}", f"other_{dead_process}", "demo_1"):
                server.execute(f"CREATE DATABASE {name}")
        with new_database("demo") as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM charging_points").fetchone() == (0,)
            assert names() == {f"demo_{os.getpid()}", f"other_{dead_process}", "demo_1"}
        assert names() == {f"other_{dead_process}", "demo_1"}


def test_two_runs_have_a_directory_each(state, dead_process):
    old, other = state / "demo" / str(dead_process), state / "demo" / "1"
    for directory in (old, other):
        (directory / "registers").mkdir(parents=True)
        (directory / "registers" / "one.json").touch()
    directory = new_directory("demo")
    assert directory == state / "demo" / str(os.getpid())
    assert not old.exists()
    assert other.exists()
    (directory / "log").touch()
    assert list(new_directory("demo").iterdir()) == []


def test_passwords_are_nobody_else_s_to_read(tmp_path):
    file = tmp_path / "credentials.csv"
    write_credentials(file, [Credential("CP1", "secret"), Credential("CP2", None)])
    assert file.read_text().splitlines() == ["CP1,secret", "CP2,"]
    assert file.stat().st_mode & 0o077 == 0


def test_a_world_stops_what_it_started(database_url, tmp_path):
    with World(database_url, tmp_path) as running:
        running.run_hub("--no-limits")
        node, web = running.run_node(admit_unknown="true"), running.run_web()
        relay = running.run_relay()
        node.wait_until_ready()
        web.wait_until_ready()
        programs = [running.hub.program, node.program, web.program, relay.program]
        # Before that it is a Python that knows no signal yet.
        eventually(lambda: world.logged(relay.program, "relaying"))
        assert all(program.process.poll() is None for program in programs)
    assert [program.process.returncode for program in programs] == [0, 0, 0, 0]
    assert running.failed() == {}
    assert node.logged("stopped") or node.logged("listening")


def test_a_line_that_is_being_written_is_no_line_yet(tmp_path):
    log = tmp_path / "log"
    log.write_bytes('{"event": "a", "n": 1}\n{"event": "b"}\n{"event": "a", "n": "ü'.encode()[:-1])
    assert world.logged(SimpleNamespace(log=log), "a") == [{"event": "a", "n": 1}]
