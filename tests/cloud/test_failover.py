"""A database that is away costs no connection: what the load balancer asks stays true."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial

import pytest

from charging.database.address import state_directory
from charging.database.embedded import EmbeddedServer
from charging.database.migrate import upgrade
from scripts.programs import free_port
from scripts.world import Node
from templates.parts.service import health_command
from templates.stacks import services
from tests.station import Station
from tests.waiting import eventually

# A failover takes half a minute to ten minutes; OUTAGE_SECONDS=90 tries one as long as that.
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "3"))


@pytest.fixture
def server():
    """A PostgreSQL of the test's own; its user is not ours, so it cannot be in pytest's room."""
    directory = state_directory() / f"postgres-failover-{os.getpid()}"
    yield EmbeddedServer(directory)
    shutil.rmtree(directory, ignore_errors=True)


def answers(port, path):
    """Whether a path answers with 200, as a target group asks."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, TimeoutError):
        return False


def health_path(title):
    group = services.build().to_dict()["Resources"][f"{title}Targets"]["Properties"]
    return group["HealthCheckPath"]


def is_healthy(port):
    """Whether a container's own check passes, run as ECS runs it."""
    return not subprocess.run([sys.executable, "-c", health_command(port)], check=False).returncode


def is_taken(station):
    answer = station.boot()
    return isinstance(answer, dict) and answer["status"] == "Accepted"


def test_an_outage_of_the_database_costs_no_connection(server, tmp_path):
    path = health_path("ChargingPoint")
    with server as url:
        upgrade(url)
        node = Node(url, tmp_path / "node.log", (), {"admit_unknown": "true"})
        with node.program:
            node.wait_until_ready()
            assert is_healthy(node.port)
            stations = [Station(node.port, f"CP{number}") for number in range(20)]
            for station in stations:
                assert station.boot()["status"] == "Accepted"
            server.__exit__(None, None, None)
            eventually(lambda: not answers(node.port, "/health/ready"), 20)
            until = time.monotonic() + OUTAGE_SECONDS
            asked = 0
            while time.monotonic() < until:
                # One failure would be one of the three that cost a task; there is none.
                assert answers(node.port, path)
                assert is_healthy(node.port)
                asked += 1
                for station in stations:
                    assert station.call("Heartbeat", {})["currentTime"]
            assert asked > 3
            server.__enter__()
            eventually(lambda: answers(node.port, "/health/ready"), 30)
            # The same sockets, and the database takes what they report; the first to report may
            # get an InternalError for a connection that died in the outage, and tries again.
            for station in stations:
                eventually(partial(is_taken, station))
                station.socket.close()


def test_a_task_that_never_reached_the_database_is_not_healthy(tmp_path):
    """Its image or its secret may be wrong: it must not replace a task that serves."""
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    node = Node(nowhere, tmp_path / "node.log", (), {"admit_unknown": "true"})
    with node.program:
        eventually(lambda: answers(node.port, "/health/live"), 20)
        assert not is_healthy(node.port)
