"""PyPI `ocpp`, somebody else's charging point, against a real node."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import websockets
from ocpp.v16 import ChargePoint, call
from ocpp.v16.enums import ChargePointErrorCode, ChargePointStatus, Reason, RegistrationStatus


async def test_an_independent_client_charges(node, database):
    url = f"ws://127.0.0.1:{node.port}/PEER"
    async with websockets.connect(url, subprotocols=["ocpp1.6"]) as socket:
        peer = ChargePoint("PEER", socket)
        async with _running(peer):
            boot = await peer.call(
                call.BootNotification(charge_point_model="Peer", charge_point_vendor="Other")
            )
            assert boot.status == RegistrationStatus.accepted
            assert (await peer.call(call.Heartbeat())).current_time
            await peer.call(
                call.StatusNotification(
                    connector_id=1,
                    error_code=ChargePointErrorCode.no_error,
                    status=ChargePointStatus.available,
                )
            )
            token = await peer.call(call.Authorize(id_tag="TAG"))
            assert token.id_tag_info["status"] == "Accepted"
            started = await peer.call(
                call.StartTransaction(
                    connector_id=1, id_tag="TAG", meter_start=100, timestamp=_now()
                )
            )
            await peer.call(
                call.MeterValues(
                    connector_id=1,
                    transaction_id=started.transaction_id,
                    meter_value=[
                        {
                            "timestamp": _now(),
                            "sampledValue": [
                                {"value": "150", "unit": "Wh"},
                                {"value": "31.5", "measurand": "SoC", "unit": "Percent"},
                            ],
                        }
                    ],
                )
            )
            stopped = await peer.call(
                call.StopTransaction(
                    meter_stop=5100,
                    timestamp=_now(),
                    transaction_id=started.transaction_id,
                    reason=Reason.local,
                    id_tag="TAG",
                )
            )
            assert stopped.id_tag_info["status"] == "Accepted"
    sessions = database.execute("SELECT session_id, state, energy_wh FROM sessions").fetchall()
    assert sessions == [(started.transaction_id, "ended", 5000)]


@asynccontextmanager
async def _running(peer):
    """Let the peer listen while the block runs."""
    listening = asyncio.create_task(peer.start())
    yield
    listening.cancel()


def _now():
    return datetime.now(UTC).isoformat()
