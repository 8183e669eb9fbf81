"""What the simulated charging point does when it is reserved, broken, or waits in vain."""

from __future__ import annotations

import json
import queue
import threading
from datetime import UTC, datetime, timedelta

import pytest
from websockets.sync.server import serve

from scripts.programs import Program

ANSWERS = {
    "BootNotification": {
        "status": "Accepted",
        "interval": 300,
        "currentTime": "2026-01-01T00:00:00Z",
    },
    "Authorize": {"idTagInfo": {"status": "Accepted"}},
    "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
    "StopTransaction": {},
    "MeterValues": {},
    "StatusNotification": {},
    "Heartbeat": {"currentTime": "2026-01-01T00:00:00Z"},
}


class CentralSystem:
    """Answers everything; keeps what it heard; asks what a test wants asked."""

    def __init__(self):
        self.heard = queue.Queue()
        self.answers = queue.Queue()
        self.connected = queue.Queue()
        self.server = serve(self.talk, "127.0.0.1", 0, subprotocols=["ocpp1.6"])
        self.port = self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def talk(self, socket):
        self.connected.put(socket)
        for text in socket:
            frame = json.loads(text)
            if frame[0] == 2:
                self.heard.put((frame[2], frame[3]))
                socket.send(json.dumps([3, frame[1], ANSWERS[frame[2]]]))
            else:
                self.answers.put(frame[2])

    def call(self, action, **payload):
        self.socket.send(json.dumps([2, "1", action, payload]))
        return self.answers.get(timeout=10)["status"]

    def hear(self, action, **wanted):
        """The next such message; those before it are passed over."""
        while True:
            heard, payload = self.heard.get(timeout=15)
            if heard == action and wanted.items() <= payload.items():
                return payload

    def reserve(self, number=1, token="MINE", **parts):
        expiry = datetime.now(UTC) + timedelta(**(parts or {"minutes": 5}))
        return self.call(
            "ReserveNow",
            connectorId=1,
            reservationId=number,
            idTag=token,
            expiryDate=expiry.isoformat(),
        )


@pytest.fixture
def run(tmp_path):
    """Run a charging point that connects to a central system of its own."""
    central = CentralSystem()
    programs = []

    def run(*words):
        programs.append(
            Program(
                [
                    *("charging_point_simulator", "charge", "--plain", "--port", str(central.port)),
                    *("--time-compression", "600", *words),
                ],
                tmp_path / "simulator.log",
            )
        )
        central.socket = central.connected.get(timeout=20)
        central.hear("StatusNotification", connectorId=1)
        return central

    yield run
    for program in programs:
        program.stop()
    central.server.shutdown()


def test_a_reserved_connector_is_kept_for_its_token(run):
    central = run("--wait-for-remote", "30")
    assert central.reserve() == "Accepted"
    assert central.hear("StatusNotification")["status"] == "Reserved"
    assert central.reserve(2) == "Occupied"
    assert central.call("RemoteStartTransaction", connectorId=1, idTag="OTHER") == "Rejected"
    assert central.call("RemoteStartTransaction", connectorId=1, idTag="MINE") == "Accepted"
    started = central.hear("StartTransaction")
    assert (started["idTag"], started["reservationId"]) == ("MINE", 1)
    central.hear("StopTransaction")


def test_a_cancelled_or_expired_reservation_frees_the_connector(run):
    central = run("--wait-for-remote", "30")
    assert central.reserve() == "Accepted"
    central.hear("StatusNotification", status="Reserved")
    assert central.call("CancelReservation", reservationId=9) == "Rejected"
    assert central.call("CancelReservation", reservationId=1) == "Accepted"
    central.hear("StatusNotification", status="Available")
    assert central.reserve(2, seconds=0.5) == "Accepted"
    central.hear("StatusNotification", status="Reserved")
    central.hear("StatusNotification", status="Available")


def test_reservations_can_be_rejected(run):
    central = run("--wait-for-remote", "30", "--reservations", "reject")
    assert central.reserve() == "Rejected"


@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
def test_a_broken_connector_says_so_and_stays(run, status):
    central = run("--sessions", "0", "--stay", "--status", status, "--wait-for-remote")
    assert central.call("TriggerMessage", requestedMessage="StatusNotification") == "Accepted"
    heard = central.hear("StatusNotification", connectorId=1)
    assert heard["status"] == status
    assert (heard["errorCode"] == "NoError") == (status == "Unavailable")
    assert central.reserve() == status
    assert central.call("RemoteStartTransaction", connectorId=1, idTag="ANY") == "Rejected"


def test_a_car_that_does_not_come_leaves_the_connector_free_again(run):
    central = run("--wait-for-remote", "30", "--remote-start", "no-car", "--stay")
    assert central.call("RemoteStartTransaction", connectorId=1, idTag="ANY") == "Accepted"
    central.hear("StatusNotification", status="Preparing")
    central.hear("StatusNotification", status="Available")
