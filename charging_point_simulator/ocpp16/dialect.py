"""A charging point's messages in OCPP 1.6, and the way to its commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from charging_point_simulator.commanding import Commanding, nothing_instead
from charging_point_simulator.faulty_answers import Faults
from charging_point_simulator.ocpp16 import commands, samples
from charging_point_simulator.ocpp16.configuration import Configuration
from charging_point_simulator.ocpp16.context import Context, Payload, known_of
from charging_point_simulator.schemas import V16
from charging_point_simulator.station import sessions
from charging_point_simulator.station.authorization import Known
from charging_point_simulator.station.calls import Call
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.connector import Connector, Reservation, Session
from charging_point_simulator.station.firmware import Firmware
from charging_point_simulator.station.logs import Logs
from charging_point_simulator.station.timers import write_time

VENDOR = "Venerable Inertia"
MODEL = "Simulator"


class Ocpp16:
    """The dialect of one charging point.

    faults: which commands are answered wrongly. instead: returns the answer to a command that is
    not carried out, None for one that is.
    """

    subprotocol = "ocpp1.6"

    def __init__(
        self,
        point: ChargingPoint,
        faults: Faults | None = None,
        instead: Callable[[str, Payload], Payload | None] = nothing_instead,
    ) -> None:
        self._point = point
        context = Context(point, Configuration(point), Firmware(point), Logs(point))
        self._commanding = Commanding(
            point, V16, partial(commands.carry_out, context), faults or Faults({}), instead
        )

    def answer(self, message_id: Any, action: str, payload: Any) -> None:
        """Take a call of the central system."""
        self._commanding.answer(message_id, action, payload)

    def check_answer(self, action: str, payload: dict[str, Any]) -> None:
        """Hold an answer to a call of ours against the standard; raises ValueError."""
        V16.check_answer(action, payload)

    # Messages.

    def boot(self) -> Call:
        """Report a start or restart."""
        point = self._point

        def failed(reason: str) -> None:
            point.refusal = reason
            point.calls.broken = True

        return Call(
            "BootNotification",
            lambda: {
                "chargePointVendor": VENDOR,
                "chargePointModel": MODEL,
                "chargePointSerialNumber": point.identity[:25],
                "firmwareVersion": point.firmware_version,
            },
            lambda answer: point.on_boot_answer(answer["status"], float(answer["interval"])),
            failed,
            before_boot=True,
        )

    def heartbeat(self) -> Call:
        """Report that it is alive."""
        return Call("Heartbeat", dict)

    def statuses(self, connector: Connector) -> list[Call]:
        """Report the state of a connector; 0 is the whole charging point."""
        payload = {
            "connectorId": connector.number,
            "errorCode": connector.error_code,
            "status": str(connector.status),
            "timestamp": write_time(self._point.timers.clock.utc()),
        }
        return [Call("StatusNotification", lambda: payload)]

    def changes(self, connector: Connector) -> list[Call]:
        """Report what has changed about a connector: its state."""
        if connector.status is connector.reported:
            return []
        connector.reported = connector.status
        return self.statuses(connector)

    def authorize(self, token: str, on_known: Callable[[Known | None], None]) -> Call:
        """Ask about a token; None when there was no answer."""
        return Call(
            "Authorize",
            lambda: {"idTag": token},
            lambda answer: on_known(known_of(answer.get("idTagInfo", {}))),
            lambda reason: on_known(None),
        )

    def session_started(self, session: Session) -> Call:
        """Report the start of a session."""
        record = session.record
        payload = {
            "connectorId": record.connector,
            "idTag": record.id_tag,
            "meterStart": record.meter_start_wh,
            "timestamp": record.started_at,
        }
        if session.reservation is not None:
            payload["reservationId"] = session.reservation

        def answered(answer: dict[str, Any]) -> None:
            known = known_of(answer.get("idTagInfo", {"status": "Accepted"}))
            sessions.on_started(self._point, session, int(answer["transactionId"]), known)

        return Call(
            "StartTransaction", lambda: payload, answered, self._lost(session), durable=True
        )

    def reading(self, connector: Connector, context: str) -> Call:
        """Report what a connector's meter shows now, in a context of OCPP."""
        point, session = self._point, connector.session
        aligned = context == "Sample.Clock"
        measurands = point.settings.aligned if aligned else point.settings.sampled
        values = samples.sampled_values(
            connector, measurands, context, point.settings.max_power_w
        ) or samples.sampled_values(connector, ("Energy.Active.Import.Register",), context, 0)
        reading = samples.meter_value(write_time(point.timers.timestamp()), values)

        def payload() -> dict[str, Any]:
            made: dict[str, Any] = {"connectorId": connector.number, "meterValue": [reading]}
            if session is not None:
                made["transactionId"] = _number(session)
            return made

        def answered(answer: dict[str, Any]) -> None:
            if session is not None:
                session.record.meter_values_acknowledged += 1

        return Call("MeterValues", payload, answered, durable=session is not None)

    def session_ended(self, session: Session) -> Call:
        """Report the end of a session."""
        point, record = self._point, session.record
        connector = point.connectors[record.connector]
        wanted = point.settings.sampled_at_stop
        values = samples.sampled_values(connector, wanted, "Transaction.End", 0)

        def payload() -> dict[str, Any]:
            made: dict[str, Any] = {
                "transactionId": _number(session),
                "meterStop": record.meter_stop_wh,
                "timestamp": record.stopped_at,
                "reason": session.reason,
            }
            if session.token_stopped is not None:
                made["idTag"] = session.token_stopped
            if values:
                made["transactionData"] = [samples.meter_value(str(record.stopped_at), values)]
            return made

        def answered(answer: dict[str, Any]) -> None:
            record.stop_acknowledged = True

        return Call("StopTransaction", payload, answered, self._lost(session), durable=True)

    def _lost(self, session: Session) -> Callable[[str], None]:
        def lost(reason: str) -> None:
            self._point.report.failures[self._point.identity] = reason

        return lost

    def reservation_ended(self, reservation: Reservation, how: str) -> list[Call]:
        """Say nothing of a reservation that has expired: its connector's state does."""
        return []

    def firmware_status(self, status: str, request: int | None) -> Call:
        """Report how far a firmware update is. request: of a signed update."""
        if request is None:
            return Call("FirmwareStatusNotification", lambda: {"status": status})
        return Call(
            "SignedFirmwareStatusNotification", lambda: {"status": status, "requestId": request}
        )

    def log_status(self, status: str, request: int | None) -> Call:
        """Report how far an upload is. request: of GetLog, None for diagnostics."""
        if request is None:
            return Call("DiagnosticsStatusNotification", lambda: {"status": status})
        return Call("LogStatusNotification", lambda: {"status": status, "requestId": request})

    def security_event(self, kind: str, detail: str) -> Call:
        """Report a security event."""
        payload = {"type": kind, "timestamp": write_time(self._point.timers.clock.utc())}
        if detail:
            payload["techInfo"] = detail
        return Call("SecurityEventNotification", lambda: payload)

    def sign_certificate(self) -> Call:
        """Ask for a certificate of the charging point's own."""
        point = self._point
        csr = point.certificates.request(point.identity, point.settings.organisation)
        return Call("SignCertificate", lambda: {"csr": csr})


def _number(session: Session) -> int:
    """Return a session's number, -1 when its start was never answered."""
    number = session.record.transaction_id
    return number if isinstance(number, int) else -1
