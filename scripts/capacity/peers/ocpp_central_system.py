"""The central system of the package `ocpp`, after the example in its documentation."""

import asyncio
import logging
import sys
from datetime import UTC, datetime

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus

logging.disable(logging.INFO)


class CentralSystem(ChargePoint):
    """Answers what the crowd says."""

    @on(Action.boot_notification)
    def on_boot(self, **payload):
        return call_result.BootNotification(
            current_time=datetime.now(UTC).isoformat(),
            interval=300,
            status=RegistrationStatus.accepted,
        )

    @on(Action.heartbeat)
    def on_heartbeat(self):
        return call_result.Heartbeat(current_time=datetime.now(UTC).isoformat())

    @on(Action.meter_values)
    def on_meter_values(self, **payload):
        return call_result.MeterValues()

    @on(Action.start_transaction)
    def on_start(self, **payload):
        return call_result.StartTransaction(
            transaction_id=1, id_tag_info={"status": AuthorizationStatus.accepted}
        )

    @on(Action.stop_transaction)
    def on_stop(self, **payload):
        return call_result.StopTransaction()


async def on_connect(connection):
    """Serve one charging point."""
    identity = connection.request.path.strip("/")
    try:
        await CentralSystem(identity, connection).start()
    except websockets.exceptions.ConnectionClosed:
        pass


async def main():
    """Serve until ended."""
    async with websockets.serve(
        on_connect, "127.0.0.1", int(sys.argv[1]), subprotocols=["ocpp1.6"], backlog=4096
    ) as server:
        await server.serve_forever()


asyncio.run(main())
