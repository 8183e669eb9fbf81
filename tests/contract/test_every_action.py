"""PyPI `ocpp`, somebody else's charging point, calls and is called with every action of 1.6."""

import asyncio
from contextlib import asynccontextmanager

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result

from charging.command import CommandKind
from charging.database.audit import Asker
from charging.database.commands import wait
from charging.database.connection import connect
from operations import commands
from scripts.ocpp_pages.directions import BY_CHARGING_POINTS, EITHER_SIDE
from scripts.ocpp_pages.examples import EXAMPLES
from tests.rows import add_charging_point

NOW = "2027-01-01T12:00:00Z"
CSR = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"

# In the order in which a charging point would: a session begins before it ends.
CALLS = (
    call.BootNotification(charge_point_model="Peer", charge_point_vendor="Other"),
    call.Heartbeat(),
    call.StatusNotification(connector_id=1, error_code="NoError", status="Available"),
    call.Authorize(id_tag="TAG"),
    call.DataTransfer(vendor_id="Other", message_id="ping", data="x"),
    call.StartTransaction(connector_id=1, id_tag="TAG", meter_start=0, timestamp=NOW),
    call.MeterValues(
        connector_id=1,
        meter_value=[{"timestamp": NOW, "sampledValue": [{"value": "150", "unit": "Wh"}]}],
    ),
    call.StopTransaction(meter_stop=500, timestamp=NOW, transaction_id=1),
    call.FirmwareStatusNotification(status="Installed"),
    call.DiagnosticsStatusNotification(status="Uploaded"),
    call.LogStatusNotification(status="Uploaded", request_id=1),
    call.SignedFirmwareStatusNotification(status="Installed", request_id=1),
    call.SecurityEventNotification(type="FirmwareUpdated", timestamp=NOW, tech_info="1.0"),
    call.SignCertificate(csr=CSR),
)
ACCEPTED = {"status": "Accepted"}
OTHER_ANSWERS = {
    "GetConfiguration": {"configuration_key": [], "unknown_key": []},
    "GetDiagnostics": {"file_name": "diagnostics.zip"},
    "GetLocalListVersion": {"list_version": 1},
    "UnlockConnector": {"status": "Unlocked"},
    "UpdateFirmware": {},
}
OURS = sorted(
    {type_.__name__ for type_ in vars(call).values() if isinstance(type_, type)}
    - {"Optional", "Any", "Dict", "List"}
    - BY_CHARGING_POINTS["1.6"]
    | EITHER_SIDE
)


class Peer(ChargePoint):
    """Accepts whatever it is called with, and keeps it."""

    def __init__(self, socket):
        super().__init__("PEER", socket)
        self.called = []


def _accepting(action):
    def accept(self, **payload):
        self.called.append(action)
        return getattr(call_result, action)(**OTHER_ANSWERS.get(action, ACCEPTED))

    accept.__name__ = f"on_{action}"  # by which the package finds it
    return on(action)(accept)


for _action in OURS:
    setattr(Peer, f"on_{_action}", _accepting(_action))


@asynccontextmanager
async def connected(node):
    url = f"ws://127.0.0.1:{node.port}/PEER"
    async with websockets.connect(url, subprotocols=["ocpp1.6"]) as socket:
        peer = Peer(socket)
        listening = asyncio.create_task(peer.start())
        yield peer
        listening.cancel()


def test_nothing_that_a_charging_point_calls_is_left_out():
    called = [type(each).__name__ for each in CALLS]
    assert sorted(called) == sorted(BY_CHARGING_POINTS["1.6"])


def test_nothing_that_can_be_asked_is_left_out():
    assert {intent.kind for intent in EXAMPLES} == set(CommandKind)


async def test_every_action_of_a_charging_point_is_answered(node, database):
    add_charging_point(database, "PEER", strict=True)
    async with connected(node) as peer:
        answers = {}
        for each in CALLS:
            # An answer that is no message of its action, or an error, raises.
            answers[type(each).__name__] = await peer.call(each, suppress=False)
    assert answers["BootNotification"].status == "Accepted"
    assert answers["StartTransaction"].transaction_id == 1
    kinds = database.execute("SELECT kind, count(*) FROM notices GROUP BY kind").fetchall()
    assert dict(kinds)["firmware"] == 2
    assert dict(kinds)["log"] == 2
    ended = database.execute("SELECT state, energy_wh FROM sessions").fetchall()
    assert ended == [("ended", 500)]


async def test_every_action_of_ours_is_understood_and_its_answer_read(node, database, database_url):
    add_charging_point(database, "PEER", strict=True)
    results = {}
    async with connected(node) as peer:
        await peer.call(CALLS[0], suppress=False)
        for intent in EXAMPLES:
            results[repr(intent)] = await asyncio.to_thread(ask, database_url, intent)
    assert {name: result for name, result in results.items() if not result.outcome.accepted} == {}
    assert set(peer.called) == set(OURS)


def ask(url, intent):
    with connect(url, "tests") as connection:
        asked = commands.ask(connection, "PEER", intent, by=Asker("operator", "tests"), seconds=20)
        return wait(connection, asked.command, 20)
