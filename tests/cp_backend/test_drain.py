"""A node that stops: who is closed when, and what is answered first."""

import signal
import threading
import time
from collections import Counter

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed

from tests.station import Station
from tests.waiting import eventually

STATIONS, SECONDS = 120, 3


def test_connections_end_in_random_order_at_a_pace(run_node):
    node = run_node(admit_unknown="true", drain_time=str(SECONDS))
    stations = [Station(node.port, f"CP{n:03d}") for n in range(STATIONS)]
    ends = {}

    def wait_for_the_end(number):
        with pytest.raises(ConnectionClosed) as closed:
            stations[number].socket.recv(60)
        assert closed.value.rcvd.code == 1012
        ends[number] = time.monotonic()

    threads = [threading.Thread(target=wait_for_the_end, args=(n,)) for n in range(STATIONS)]
    for thread in threads:
        thread.start()
    node.program.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert node.program.stop() == 0
    order = sorted(ends, key=ends.get)
    assert len(order) == STATIONS
    assert order != sorted(order)
    first = ends[order[0]]
    assert ends[order[-1]] - first > SECONDS * 0.7
    # What the clock of a busy machine says is of seconds, not of less.
    a_second = Counter(int(end - first) for end in ends.values())
    assert max(a_second.values()) <= 2 * STATIONS / SECONDS


def test_what_is_in_flight_is_answered_before_the_end(run_node, database, database_url):
    node = run_node(admit_unknown="true", admit_unknown_tokens="true", drain_time="2")
    with Station(node.port) as station:
        station.boot()
        with psycopg.connect(database_url) as stubborn:
            # The session cannot be written until this transaction ends.
            stubborn.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
            station.send(
                [
                    *(2, "in flight", "StartTransaction"),
                    {
                        "connectorId": 1,
                        "idTag": "TAG",
                        "meterStart": 0,
                        "timestamp": "2026-01-01T00:00:00Z",
                    },
                ]
            )
            eventually(
                lambda: database.execute(
                    "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'sessions'::regclass"
                ).fetchone()
            )
            node.program.process.send_signal(signal.SIGTERM)
            eventually(lambda: node.logged("draining"))
        assert station.receive()[:2] == [3, "in flight"]
        with pytest.raises(ConnectionClosed) as closed:
            station.socket.recv(20)
        assert closed.value.rcvd.code == 1012
    assert database.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
