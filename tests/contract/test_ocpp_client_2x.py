"""PyPI `ocpp`, somebody else's charging point, against a real node in OCPP 2.0.1 and 2.1."""

import asyncio
import importlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import websockets
from ocpp.routing import on

from charging.database import commands
from charging.database.connection import connect
from charging.intents import Start, Stop

NAMES = {"2.0.1": "v201", "2.1": "v21"}


@pytest.fixture(params=NAMES)
def version(request):
    return request.param


async def test_an_independent_client_charges(node, database, version):
    call = importlib.import_module(f"ocpp.{NAMES[version]}.call")
    async with _peer(node, version) as peer:
        boot = await peer.call(
            call.BootNotification(
                charging_station={"model": "Peer", "vendor_name": "Other"}, reason="PowerUp"
            )
        )
        assert boot.status == "Accepted"
        assert (await peer.call(call.Heartbeat())).current_time
        await peer.call(
            call.StatusNotification(
                timestamp=_now(), connector_status="Available", evse_id=1, connector_id=1
            )
        )
        token = {"id_token": "04A1B2C3", "type": "ISO14443"}
        answer = await peer.call(call.Authorize(id_token=token))
        assert answer.id_token_info["status"] == "Accepted"
        started = await peer.call(_event(call, "Started", 0, 100, id_token=token, evse={"id": 1}))
        assert started.id_token_info["status"] == "Accepted"
        await peer.call(_event(call, "Updated", 1, 150))
        await peer.call(_event(call, "Ended", 2, 5100, trigger_reason="EVDeparted"))
    sessions = database.execute("SELECT state, id_tag, energy_wh FROM sessions").fetchall()
    assert sessions == [("ended", "04A1B2C3", 5000)]


async def test_an_independent_client_is_started_and_stopped(node, database, database_url, version):
    name = NAMES[version]
    call = importlib.import_module(f"ocpp.{name}.call")
    results = importlib.import_module(f"ocpp.{name}.call_result")
    asked = {}
    async with _peer(node, version) as peer:

        @on("RequestStartTransaction")
        def on_start(**payload):
            asked["start"] = payload
            return results.RequestStartTransaction(status="Accepted")

        @on("RequestStopTransaction")
        def on_stop(**payload):
            asked["stop"] = payload
            return results.RequestStopTransaction(status="Accepted")

        peer.route_map["RequestStartTransaction"] = {"_on_action": on_start}
        peer.route_map["RequestStopTransaction"] = {"_on_action": on_stop}
        await peer.call(
            call.BootNotification(
                charging_station={"model": "Peer", "vendor_name": "Other"}, reason="PowerUp"
            )
        )
        assert await asyncio.to_thread(_ask, database_url, Start("04A1B2C3", 1)) == "accepted"
        remote_start_id = asked["start"]["remote_start_id"]
        assert asked["start"]["id_token"] == {"id_token": "04A1B2C3", "type": "ISO14443"}
        await peer.call(
            _event(call, "Started", 0, 100, evse={"id": 1}, remote_start_id=remote_start_id)
        )
        row = database.execute("SELECT session_id, id_tag FROM sessions").fetchone()
        assert row[1] == "04A1B2C3"
        assert await asyncio.to_thread(_ask, database_url, Stop(row[0])) == "accepted"
        assert asked["stop"] == {"transaction_id": "tx-1"}


def _ask(database_url, intent):
    with connect(database_url, "test") as connection:
        command = commands.queue(
            connection, "PEER", intent.kind, intent.arguments(), requested_by="test", seconds=10
        )
        connection.commit()
        return commands.wait(connection, command, 10).outcome.value


def _event(call, kind, number, register, remote_start_id=None, **more):
    info = {"transaction_id": "tx-1"}
    if remote_start_id is not None:
        info["remote_start_id"] = remote_start_id
    return call.TransactionEvent(
        event_type=kind,
        timestamp=_now(),
        trigger_reason=more.pop("trigger_reason", "Trigger"),
        seq_no=number,
        transaction_info=info,
        meter_value=[{"timestamp": _now(), "sampled_value": [{"value": register}]}],
        **more,
    )


@asynccontextmanager
async def _peer(node, version):
    """A charging point that listens while the block runs."""
    charge_point = importlib.import_module(f"ocpp.{NAMES[version]}").ChargePoint
    url = f"ws://127.0.0.1:{node.port}/PEER"
    async with websockets.connect(url, subprotocols=[f"ocpp{version}"]) as socket:
        peer = charge_point("PEER", socket)
        listening = asyncio.create_task(peer.start())
        yield peer
        listening.cancel()


def _now():
    return datetime.now(UTC).isoformat()
