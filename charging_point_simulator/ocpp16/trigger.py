"""Messages that the central system asks for. Source: OCPP 1.6 section 5.17."""

from __future__ import annotations

from collections.abc import Callable

from charging_point_simulator.ocpp16.context import Command, Context, Payload
from charging_point_simulator.station import sessions


def trigger_message(context: Context, payload: Payload) -> Payload:
    """Send a message once the answer is sent."""
    point, requested = context.point, payload["requestedMessage"]
    number = payload.get("connectorId")
    if number is not None and number not in {c.number for c in point.all_connectors()}:
        return {"status": "Rejected"}
    wanted = [c for c in point.all_connectors() if number in (None, c.number)]

    def statuses() -> None:
        for connector in wanted:
            point.calls.send(*point.dialect.statuses(connector))

    def readings() -> None:
        for connector in wanted:
            if connector.number:
                sessions.read(point, connector, "Trigger")

    effects: dict[str, Callable[[], None]] = {
        "BootNotification": point.send_boot,
        "DiagnosticsStatusNotification": lambda: point.calls.send(
            point.dialect.log_status(context.logs.status, None)
        ),
        "FirmwareStatusNotification": lambda: point.calls.send(
            point.dialect.firmware_status(context.firmware.status, context.firmware.request)
        ),
        "Heartbeat": lambda: point.calls.send(point.dialect.heartbeat()),
        "LogStatusNotification": lambda: point.calls.send(
            point.dialect.log_status(context.logs.status, context.logs.request or 0)
        ),
        "MeterValues": readings,
        "SignChargePointCertificate": lambda: point.calls.send(point.dialect.sign_certificate()),
        "StatusNotification": statuses,
    }
    point.afterwards.append(effects[requested])
    return {"status": "Accepted"}


COMMANDS: dict[str, Command] = {
    "ExtendedTriggerMessage": trigger_message,
    "TriggerMessage": trigger_message,
}
