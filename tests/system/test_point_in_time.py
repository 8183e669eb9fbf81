"""The database goes back to a time while charging points stay connected, and the books balance.

With PostgreSQL's own tools: a base backup, the archive of its log, a recovery to a time. Aurora
does the same in the cloud; what is tried here is that our services and our books bear it.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from charging.database.connection import connect
from charging.database.embedded import EmbeddedServer, _binaries, _server_user
from charging.database.migrate import upgrade
from operations import energy_audits
from scripts.world import Node
from tests.station import Station, ago, iso
from tests.waiting import eventually


def as_the_server(directory, program, *words):
    """Run one of PostgreSQL's programs as whom the server runs as."""
    user = _server_user(directory)
    subprocess.run(
        [str(_binaries() / program), *words],
        cwd=directory,
        check=True,
        capture_output=True,
        **({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}),
    )


def give_to_the_server(path):
    user = _server_user(path)
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


def value(url, query, *values):
    with psycopg.connect(url, autocommit=True) as database:
        row = database.execute(query, values).fetchone()
        return row and row[0]


@pytest.fixture
def folder(tmp_path):
    """A folder with the server's archive of its log."""
    folder = tmp_path / "here"
    for each in (folder, folder / "archive"):
        each.mkdir()
        give_to_the_server(each)
    return folder


def keep_the_log(folder):
    """Make the server, and let it archive its log from the start; it is stopped afterwards."""
    with EmbeddedServer(folder / "data") as url, psycopg.connect(url, autocommit=True) as database:
        database.execute("ALTER SYSTEM SET archive_mode = 'on'")
        database.execute(f"ALTER SYSTEM SET archive_command = 'cp %p {folder}/archive/%f'")


def recover(folder, moment):
    """Let the backup stand where the spoilt data stood; the log says how it goes on until then."""
    (folder / "data").rename(folder / "spoilt")
    (folder / "backup").rename(folder / "data")
    for socket in (folder / "data").glob(".s.PGSQL.*"):
        socket.unlink()  # of the server that was
    with (folder / "data/postgresql.auto.conf").open("a") as settings:
        settings.write(
            f"restore_command = 'cp {folder}/archive/%f %p'\n"
            f"recovery_target_time = '{moment.isoformat()}'\nrecovery_target_action = 'promote'\n"
        )
    signal = folder / "data/recovery.signal"
    signal.touch()
    give_to_the_server(signal)


def charge(station, began, register):
    """A whole session of 1,500 Wh in half an hour."""
    started = station.start("CARD", register, began)
    ended = iso(began + timedelta(minutes=30))
    station.stop(started["transactionId"], register + 1_500, timestamp=ended)


def test_services_go_on_with_a_database_that_went_back(folder, tmp_path):
    keep_the_log(folder)
    settings = {"admit_unknown": "true", "admit_unknown_tokens": "true", "settle_time": "0"}
    with ExitStack() as stack:
        with EmbeddedServer(folder / "data") as url:
            upgrade(url)
            node = Node(url, tmp_path / "node.log", (), settings)
            stack.callback(node.program.stop)
            node.wait_until_ready()
            station = stack.enter_context(Station(node.port))
            station.boot()
            charge(station, ago(hours=5), 1_000)
            as_the_server(
                folder,
                "pg_basebackup",
                "--checkpoint=fast",
                "-d",
                url,
                "-D",
                str(folder / "backup"),
            )
            charge(station, ago(hours=4), 2_500)
            running = station.start("CARD", 4_000, ago(hours=3))["transactionId"]
            moment = value(url, "SELECT clock_timestamp()")
            # Somebody's accident, committed and archived.
            value(url, "DELETE FROM sessions RETURNING 1")
            spoilt = value(url, "SELECT pg_walfile_name(pg_switch_wal())")
            eventually(lambda: (folder / "archive" / spoilt).exists())
        recover(folder, moment)
        with EmbeddedServer(folder / "data"):
            eventually(lambda: value(url, "SELECT NOT pg_is_in_recovery()"))
            # On the socket that it had all the while; a refusal says that it shall be repeated.
            ended = iso(ago(hours=2))
            eventually(lambda: isinstance(station.stop(running, 5_500, timestamp=ended), dict))
            charge(station, ago(hours=1), 5_500)
            with connect(url, "look") as database:
                found = database.execute("SELECT energy_wh FROM sessions ORDER BY started_at")
                assert found.fetchall() == [(1_500,)] * 4
                today = datetime.now(UTC).date()
                made = energy_audits.make(
                    database, today - timedelta(days=1), until=today + timedelta(days=1)
                )
        assert made.audit.balances
        assert made.audit.metered_wh == 6_000
