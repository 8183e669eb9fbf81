"""A database connection that falls silent is given up, and a new one is opened."""

from __future__ import annotations

import json
import threading
import time

import psycopg
import pytest

from charging.database.connection import parameters
from scripts.world import Web
from tests.hub import HubCaller
from tests.silent_peer import silent_peer
from tests.waiting import eventually
from third_party_backend.deadlines import DeadlineConnection
from third_party_backend.relay.database import keep_connected
from third_party_backend.telemetry import relay_metrics


class Impatient(DeadlineConnection):
    answer_seconds = 0.3


@pytest.fixture
def peer(database_url):
    with silent_peer(database_url) as peer:
        yield peer


def test_a_statement_without_an_answer_ends(peer):
    connection = Impatient.connect(peer.url, autocommit=True, **parameters("test"))
    assert connection.execute("SELECT 1").fetchone() == (1,)
    peer.fall_silent()
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match=r"has not answered for 0\.3 seconds"):
        connection.execute("SELECT 1")
    assert time.monotonic() - began < 5
    assert connection.closed
    # Nothing may be sent on it any more: the late answer would be taken for another's.
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")


def test_a_transaction_is_given_up_too(peer):
    connection = Impatient.connect(peer.url, autocommit=True, **parameters("test"))

    def silence_within():
        with connection.transaction():
            connection.execute("SELECT 1")
            peer.fall_silent()
            connection.execute("SELECT 1")

    with pytest.raises(psycopg.OperationalError):
        silence_within()
    assert connection.closed


def test_waiting_for_notifications_is_no_silence(peer):
    connection = Impatient.connect(peer.url, autocommit=True, **parameters("test"))
    connection.execute("LISTEN nothing")
    assert list(connection.notifies(timeout=1)) == []
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_thread_of_the_relay_goes_on_with_a_new_connection(peer):
    stopped, metrics, rounds = threading.Event(), relay_metrics(), []

    def work(connection):
        rounds.append(connection.info.backend_pid)
        while not stopped.is_set():
            connection.execute("SELECT 1")
            stopped.wait(0.05)

    thread = threading.Thread(
        target=keep_connected, args=(peer.url, "test", stopped, metrics, work, Impatient)
    )
    thread.start()
    try:
        eventually(lambda: len(rounds) == 1)
        peer.fall_silent()
        eventually(lambda: len(rounds) == 2)
    finally:
        stopped.set()
        thread.join(10)
    assert not thread.is_alive()
    assert metrics.counts["DatabaseFailures"] == 1


@pytest.fixture
def web(peer, tmp_path):
    web = Web(peer.url, tmp_path / "web.log", {})
    web.wait_until_ready()
    yield web
    web.program.stop()


def test_a_worker_serves_again_and_stops(peer, web):
    hub = HubCaller(web)
    assert hub.start()["StatusCode"]["Code"] == "603"
    peer.fall_silent()
    began = time.monotonic()
    eventually(lambda: hub.start()["StatusCode"]["Code"] == "603", 30)
    assert time.monotonic() - began < 20
    assert web.program.stop() == 0
    # Its threads were ended, not cut: the last metrics are written.
    lines = [json.loads(line) for line in web.program.log.read_text().splitlines()]
    assert sum(line.get("RemoteStarts", 0) for line in lines) >= 2


def test_a_thread_of_the_relay_that_meets_a_defect_goes_on(database_url):
    stopped, metrics, rounds = threading.Event(), relay_metrics(), []

    def work(connection):
        rounds.append(connection.execute("SELECT 1").fetchone())
        if len(rounds) == 1:
            raise RuntimeError("a defect")
        stopped.wait(10)

    thread = threading.Thread(
        target=keep_connected, args=(database_url, "test", stopped, metrics, work)
    )
    thread.start()
    try:
        eventually(lambda: len(rounds) == 2)
    finally:
        stopped.set()
        thread.join(10)
    assert metrics.counts["Defects:test"] == 1
