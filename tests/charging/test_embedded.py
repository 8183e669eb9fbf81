"""The embedded PostgreSQL server: shared, kept, stopped by the last who leaves."""

import os
import signal
import subprocess
import sys

import psycopg
import pytest

from charging.database.embedded import EmbeddedServer

HOLD_IT = """
import sys
from pathlib import Path
from charging.database.embedded import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("embedded") / "postgres"


def hold(directory):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD_IT, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def running(directory):
    return (directory / "postmaster.pid").exists()


def leave(program):
    program.stdin.close()
    program.stdout.close()
    assert program.wait(30) == 0


def test_two_programs_started_at_once_share_one_server_and_the_last_stops_it(directory):
    first, second = hold(directory), hold(directory)
    url = first.stdout.readline().strip()
    assert second.stdout.readline().strip() == url
    leave(first)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    leave(second)
    assert not running(directory)


def test_a_killed_program_does_not_keep_the_server_for_ever(directory):
    killed = hold(directory)
    killed.stdout.readline()
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdin.close()
    killed.stdout.close()
    assert running(directory)
    with EmbeddedServer(directory):
        pass
    assert not running(directory)


def test_a_stale_pid_file_of_another_program_does_not_fool_it(directory):
    with EmbeddedServer(directory):
        left_behind = (directory / "postmaster.pid").read_text()
    lines = left_behind.splitlines()
    lines[0] = str(os.getpid())  # alive, and no PostgreSQL
    (directory / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with EmbeddedServer(directory) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not running(directory)


def test_data_survives_a_restart(directory):
    with EmbeddedServer(directory) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedServer(directory) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
