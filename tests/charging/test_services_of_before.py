"""The services of the version before run on the schema after: migrations come first."""

import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from scripts.world import Node, Web
from tests.hub import HubCaller
from tests.rows import EVSE, add_charging_point, add_evse, insert
from tests.station import Station, ago
from tests.waiting import eventually

BEFORE = "d458d76b0a2b9ff4589e2d9c716ac6e770244163"
"""The last commit whose services know nothing of migration 0005."""
PACKAGES = ("charging", "cp_backend", "third_party_backend")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The packages of the version before."""
    archive = subprocess.run(
        ["git", "archive", BEFORE, *PACKAGES], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"commit {BEFORE} is not in this clone, as in a shallow one")
    directory = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(directory, filter="data")
    return directory


@pytest.fixture
def before(tree, monkeypatch):
    """Let programs that are started now be those of the version before."""
    monkeypatch.setenv("PYTHONPATH", str(tree))
    # `python -m` must not look into the working directory first.
    monkeypatch.setenv("PYTHONSAFEPATH", "1")


@pytest.fixture
def node(before, database_url, tmp_path, tree):
    node = Node(database_url, tmp_path / "node.log", (), {"admit_unknown": "true"})
    with node.program:
        node.wait_until_ready()
        environment = Path(f"/proc/{node.program.process.pid}/environ").read_bytes()
        assert os.fsencode(tree) in environment
        yield node


@pytest.fixture
def hub(before, database_url, tmp_path):
    web = Web(database_url, tmp_path / "web.log", {"answer_timeout": "5"})
    with web.program:
        web.wait_until_ready()
        yield HubCaller(web)


@pytest.fixture
def station(node, database):
    add_charging_point(database)
    add_evse(database, 1, EVSE, roaming=True)
    with Station(node.port) as station:
        station.boot()
        eventually(lambda: database.execute("SELECT 1 FROM connections").fetchone())
        yield station


def report(station, status):
    station.call("StatusNotification", {"connectorId": 1, "status": status, "errorCode": "NoError"})


def test_a_charging_session_over_ocpp(station, database):
    insert(database, "tokens", id_tag="CARD")
    for reported, state in [("Charging", "charging"), ("Finishing", "finishing")]:
        report(station, reported)
        row = database.execute("SELECT status, state FROM evses").fetchone()
        assert row == (reported, state)
    began = ago(minutes=10)
    started = station.start("CARD", at=began)
    assert started["idTagInfo"]["status"] == "Accepted"
    assert station.start("CARD", at=began) == started
    station.stop(started["transactionId"], 5000, reason="EmergencyStop", idTag="CARD")
    stranger = station.start("STRANGER")
    assert stranger["idTagInfo"]["status"] == "Invalid"
    assert database.execute(
        "SELECT start_decision, stop_cause, stop_decision, energy_wh"
        " FROM sessions ORDER BY session_id"
    ).fetchall() == [
        ("accepted", "emergency_stop", "accepted", 4000),
        ("unknown", None, None, None),
    ]


def test_a_session_that_a_service_of_after_began(station, database):
    """Its start is repeated to a node of before, which reads the answer in its own word."""
    began = ago(minutes=10)
    insert(
        database,
        "sessions",
        charging_point_id="CP1",
        evse_number=1,
        id_tag="LATE",
        state="charging",
        started_at=began.replace(microsecond=began.microsecond // 1000 * 1000),
        meter_start_wh=1000,
        start_decision="expired",
    )
    again = station.start("LATE", at=began)
    assert again == {"transactionId": 1, "idTagInfo": {"status": "Expired"}}


@pytest.mark.parametrize(("status", "refusal"), [("Accepted", None), ("Rejected", "offline")])
def test_a_remote_start(station, hub, database, status, refusal):
    report(station, "Available")
    with ThreadPoolExecutor(1) as background:
        answer = background.submit(hub.start)
        _, message_id, action, payload = station.receive()
        assert action == "RemoteStartTransaction"
        station.send([3, message_id, {"status": status}])
        assert answer.result()["Result"] is (refusal is None)
    assert database.execute("SELECT start_refusal FROM hub_sessions").fetchone() == (refusal,)
    if refusal is None:
        started = station.start(payload["idTag"])
        assert started["idTagInfo"]["status"] == "Accepted"
        assert database.execute("SELECT session_id FROM hub_sessions").fetchone() == (
            started["transactionId"],
        )


@pytest.mark.parametrize(("state", "code"), [("Faulted", "700"), ("Charging", "602")])
def test_a_start_where_the_evse_cannot_be_used(station, hub, database, state, code):
    report(station, state)
    assert hub.start()["StatusCode"]["Code"] == code
