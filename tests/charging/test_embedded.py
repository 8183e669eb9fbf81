"""The embedded PostgreSQL server: shared, kept, stopped by the last who leaves."""

import os
import pwd
import signal
import subprocess
import sys

import psycopg
import pytest

from charging.database.embedded import EmbeddedServer, EmbeddedServerError
from charging.database.migrate import upgrade
from tests.databases import new_database

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


def hold(directory, **options):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD_IT, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def answers(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


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
    assert answers(url)
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


def leave_behind(directory, pid):
    """Leave the file of a server that ended without a word; its number is another's by now."""
    with EmbeddedServer(directory):
        lines = (directory / "postmaster.pid").read_text().splitlines()
    (directory / "postmaster.pid").write_text("\n".join([str(pid), *lines[1:]]) + "\n")


def test_a_stale_pid_file_of_another_program_does_not_fool_it(directory):
    leave_behind(directory, os.getpid())
    with EmbeddedServer(directory) as url:
        assert answers(url)
    assert not running(directory)


def test_a_stale_pid_file_of_another_postgresql_neither_fools_it_nor_stops_that_one(
    directory, tmp_path
):
    with EmbeddedServer(tmp_path / "other") as other:
        pid = int((tmp_path / "other/postmaster.pid").read_text().split()[0])
        leave_behind(directory, pid)
        with EmbeddedServer(directory) as url:
            assert url != other
            assert answers(url)
        assert answers(other)


def test_a_stale_pid_file_is_not_stopped_by_who_leaves_after_a_crash(directory, tmp_path):
    with EmbeddedServer(tmp_path / "other") as other:
        stranger = (tmp_path / "other/postmaster.pid").read_text()
        with EmbeddedServer(directory):
            own = int((directory / "postmaster.pid").read_text().split()[0])
            os.kill(own, signal.SIGKILL)
            (directory / "postmaster.pid").write_text(stranger)
        assert answers(other)


@pytest.mark.parametrize(
    "name",
    ["my projects", "Ünïcödé", 'it\'s "$HOME", 50% & more', "long" * 30],
    ids=["space", "unicode", "quotes", "long"],
)
def test_it_lives_in_any_folder(tmp_path, name):
    (tmp_path / name).mkdir()
    directory = tmp_path / name / "postgres"
    with EmbeddedServer(directory) as url:
        assert answers(url)
        upgrade(url)
        with new_database(url, "any_folder") as another:
            assert answers(another)
    assert not running(directory)


def test_it_shares_nothing_with_other_clones_and_users(tmp_path):
    """A lock file in the temporary folder, made by one user, would keep the next one out."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    program = hold(tmp_path / "postgres", env={**os.environ, "TMPDIR": str(shared)})
    program.stdout.readline()
    assert list(shared.iterdir()) == []
    leave(program)


def test_variables_of_other_clients_do_not_lead_it_astray(tmp_path):
    program = hold(
        tmp_path / "postgres", env={**os.environ, "PGPORT": "6000", "PGHOST": "/nowhere"}
    )
    assert answers(program.stdout.readline().strip())
    leave(program)


def test_a_folder_that_was_left_half_made_is_made_anew(tmp_path):
    (tmp_path / "postgres.part").mkdir()
    (tmp_path / "postgres.part/PG_VERSION").write_text("18\n")
    with EmbeddedServer(tmp_path / "postgres") as url:
        assert answers(url)
    assert not (tmp_path / "postgres.part").exists()


def test_what_does_not_start_is_one_sentence_with_its_reason(tmp_path):
    directory = tmp_path / "postgres"
    with EmbeddedServer(directory):
        pass
    with (directory / "postgresql.conf").open("a") as configuration:
        configuration.write("max_connections = many\n")
    with pytest.raises(EmbeddedServerError) as error, EmbeddedServer(directory):
        pass
    text = str(error.value)
    assert "does not start" in text
    assert str(directory / "log") in text
    assert "\n" not in text


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")


@pytest.fixture
def somebody(tmp_path):
    """A user who is not root, and may pass through to the test's folder."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    return pwd.getpwnam("nobody")


def enter_as(user, directory):
    """Enter and leave the server as a user; return whether it answered, or the error's text.

    A fork, since the user may not be allowed to run our Python.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            with EmbeddedServer(directory) as url:
                text = f"answered: {answers(url)}"
        except EmbeddedServerError as error:
            text = str(error)
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@as_root
def test_root_in_a_users_clone_leaves_it_to_the_user(tmp_path, somebody):
    clone = tmp_path / "clone"
    clone.mkdir()
    os.chown(clone, somebody.pw_uid, somebody.pw_gid)
    with EmbeddedServer(clone / "var/postgres") as url:
        assert answers(url)
    owners = {path.stat().st_uid for path in (clone / "var").rglob("*")}
    assert owners == {somebody.pw_uid}
    assert enter_as(somebody, clone / "var/postgres") == "answered: True"


@as_root
def test_a_database_that_root_made_is_one_sentence_to_a_user(tmp_path, somebody):
    directory = tmp_path / "var/postgres"
    with EmbeddedServer(directory):
        pass
    assert enter_as(somebody, directory) == (
        f"{directory} belongs to the user pgserver: take it over (sudo chown -R nobody"
        f" {directory.parent}), remove it, or set VNI_STATE_DIRECTORY or DATABASE_URL"
    )


@as_root
def test_a_folder_that_is_not_the_users_is_one_sentence(tmp_path, somebody):
    text = enter_as(somebody, tmp_path / "var/postgres")
    assert text.startswith(f"{tmp_path / 'var'} is not yours to use: take it over")


def test_data_survives_a_restart(directory):
    with EmbeddedServer(directory) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedServer(directory) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
