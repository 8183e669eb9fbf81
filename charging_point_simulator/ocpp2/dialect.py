"""A charging point's messages in OCPP 2.0.1 and 2.1, and the way to its commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from charging_point_simulator.commanding import Commanding, nothing_instead
from charging_point_simulator.faulty_answers import Faults
from charging_point_simulator.ocpp2 import commands
from charging_point_simulator.ocpp2.context import (
    Context,
    Payload,
    constant,
    known_of,
    new_transaction_id,
)
from charging_point_simulator.ocpp2.monitors import Monitors
from charging_point_simulator.ocpp2.samples import meter_value
from charging_point_simulator.ocpp2.tokens import write_token
from charging_point_simulator.ocpp2.variables import Variables
from charging_point_simulator.schemas import SCHEMAS
from charging_point_simulator.station import sessions
from charging_point_simulator.station.authorization import Known
from charging_point_simulator.station.calls import Call
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.connector import Connector, Reservation, Session, Status
from charging_point_simulator.station.firmware import Firmware
from charging_point_simulator.station.logs import Logs
from charging_point_simulator.station.meter import REGISTER
from charging_point_simulator.station.timers import write_time

VENDOR = "Venerable Inertia"
MODEL = "Simulator"
# Source: ConnectorStatusEnumType.
_STATUSES = {
    Status.FAULTED: "Faulted",
    Status.RESERVED: "Reserved",
    Status.UNAVAILABLE: "Unavailable",
}
# Source: ChargingStateEnumType.
_CHARGING_STATES = {
    Status.CHARGING: "Charging",
    Status.SUSPENDED_EV: "SuspendedEV",
    Status.SUSPENDED_EVSE: "SuspendedEVSE",
}
_READ_BECAUSE = {
    "Sample.Periodic": "MeterValuePeriodic",
    "Sample.Clock": "MeterValueClock",
    "Trigger": "Trigger",
}
# Why a session ended → stoppedReason and triggerReason. Source: ReasonEnumType,
# TriggerReasonEnumType.
_ENDS = {
    "DeAuthorized": ("DeAuthorized", "Deauthorized"),
    "EVDisconnected": ("EVDisconnected", "EVDeparted"),
    "HardReset": ("ImmediateReset", "ResetCommand"),
    "Local": ("Local", "StopAuthorized"),
    "MasterPass": ("MasterPass", "StopAuthorized"),
    "Other": ("Other", "AbnormalCondition"),
    "PowerLoss": ("PowerLoss", "AbnormalCondition"),
    "Remote": ("Remote", "RemoteStop"),
    "SoftReset": ("Reboot", "ResetCommand"),
    "UnlockCommand": ("Other", "UnlockCommand"),
}
_SECURITY_EVENTS = {"InvalidChargePointCertificate": "InvalidChargingStationCertificate"}
"""Those that 1.6 calls otherwise."""


class Ocpp2:
    """The dialect of one charging point. version, faults, instead: as in `Commanding`."""

    def __init__(
        self,
        point: ChargingPoint,
        version: str = "2.0.1",
        faults: Faults | None = None,
        instead: Callable[[str, Payload], Payload | None] = nothing_instead,
    ) -> None:
        self._point = point
        self._schemas = SCHEMAS[version]
        self._reported: dict[tuple[int, int], str] = {}
        variables = Variables(point)
        self.context = context = Context(
            point,
            version,
            variables,
            Monitors(point, variables, version),
            Firmware(point),
            Logs(point),
        )
        carry_out = partial(commands.carry_out, context)
        faults = faults or Faults({}, version)
        self._commanding = Commanding(point, self._schemas, carry_out, faults, instead)

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol."""
        return f"ocpp{self.context.version}"

    def answer(self, message_id: Any, action: str, payload: Any) -> None:
        """Take a call of the central system."""
        self._commanding.answer(message_id, action, payload)

    def check_answer(self, action: str, payload: dict[str, Any]) -> None:
        """Hold an answer to a call of ours against the standard; raises ValueError."""
        self._schemas.check_answer(action, payload)

    # Messages.

    def boot(self) -> Call:
        """Report a start or restart."""
        point = self._point

        def failed(reason: str) -> None:
            point.refusal = reason
            point.calls.broken = True

        def payload() -> Payload:
            station = {
                "model": MODEL,
                "vendorName": VENDOR,
                "serialNumber": point.identity[:25],
                "firmwareVersion": point.firmware_version,
            }
            return {"chargingStation": station, "reason": point.boot_reason}

        return Call(
            "BootNotification",
            payload,
            lambda answer: point.on_boot_answer(answer["status"], float(answer["interval"])),
            failed,
            before_boot=True,
        )

    def heartbeat(self) -> Call:
        """Report that it is alive."""
        return Call("Heartbeat", dict)

    def statuses(self, connector: Connector) -> list[Call]:
        """Report the state of each of an EVSE's connectors; the whole has none."""
        return [self._status(connector, plug) for plug in self._plugs(connector)]

    def changes(self, connector: Connector) -> list[Call]:
        """Report what has changed: connectors' states, and how a session goes on."""
        changed = [
            self._status(connector, plug)
            for plug in self._plugs(connector)
            if self._reported.get((connector.number, plug)) != self._word(connector, plug)
        ]
        session = connector.session
        state = _CHARGING_STATES.get(connector.status, "Idle")
        if session is not None and session.reported_state not in ("", state):
            session.reported_state = state
            changed.append(self._event(session, "Updated", "ChargingStateChanged"))
        self.context.monitors.look_soon()
        return changed

    def _plugs(self, connector: Connector) -> range:
        return range(1, connector.plugs + 1 if connector.number else 1)

    def _word(self, connector: Connector, plug: int) -> str:
        word = _STATUSES.get(connector.status)
        if word is not None:
            return word
        if connector.free:
            return "Available"
        # An EVSE serves one car at a time: its other connectors cannot be used meanwhile.
        return "Occupied" if plug == connector.plug else "Unavailable"

    def _status(self, connector: Connector, plug: int) -> Call:
        word = self._reported[connector.number, plug] = self._word(connector, plug)
        return constant(
            "StatusNotification",
            {
                "timestamp": write_time(self._point.timers.clock.utc()),
                "connectorStatus": word,
                "evseId": connector.number,
                "connectorId": plug,
            },
        )

    def authorize(self, token: str, on_known: Callable[[Known | None], None]) -> Call:
        """Ask about a token; None when there was no answer."""
        return Call(
            "Authorize",
            lambda: {"idToken": write_token(token)},
            lambda answer: on_known(known_of(answer.get("idTokenInfo", {}))),
            lambda reason: on_known(None),
        )

    # Transactions.

    def session_started(self, session: Session) -> Call:
        """Report the start of a session, which gets its name here."""
        point, record, token = self._point, session.record, session.token
        name = record.transaction_id = new_transaction_id()
        connector = point.connectors[record.connector]
        session.reported_state = _CHARGING_STATES.get(connector.status, "Idle")
        more: Payload = {
            "evse": {"id": record.connector, "connectorId": connector.plug},
            "idToken": write_token(token.id, token.kind),
        }
        if session.reservation is not None:
            more["reservationId"] = session.reservation
        info = {} if token.request is None else {"remoteStartId": token.request}

        def answered(answer: Payload) -> None:
            record.meter_values_acknowledged += 1
            known = known_of(answer.get("idTokenInfo", {"status": "Accepted"}))
            sessions.on_started(point, session, name, known)

        return self._event(
            session,
            "Started",
            "RemoteStart" if token.remote else "Authorized",
            timestamp=record.started_at,
            meter=self._meter(connector, (REGISTER,), "Transaction.Begin", record.started_at),
            info=info,
            answered=answered,
            more=more,
        )

    def reading(self, connector: Connector, context: str) -> Call:
        """Report what an EVSE's meter shows now, in a context of OCPP."""
        point, session = self._point, connector.session
        aligned = context == "Sample.Clock"
        measurands = point.settings.aligned if aligned else point.settings.sampled
        now = write_time(point.timers.timestamp())
        meter = self._meter(connector, measurands, context, now)
        self.context.monitors.look_soon()
        if session is None:
            return constant("MeterValues", {"evseId": connector.number, "meterValue": [meter]})

        def answered(answer: Payload) -> None:
            session.record.meter_values_acknowledged += 1

        because = _READ_BECAUSE[context]
        return self._event(
            session, "Updated", because, timestamp=now, meter=meter, answered=answered
        )

    def session_ended(self, session: Session) -> Call:
        """Report the end of a session."""
        record = session.record
        connector = self._point.connectors[record.connector]
        wanted = (REGISTER, *self._point.settings.sampled_at_stop)
        ended_at = str(record.stopped_at)
        reason, because = _ENDS[session.reason or "Other"]
        more: Payload = {}
        if session.token_stopped is not None:
            more["idToken"] = write_token(session.token_stopped)

        def answered(answer: Payload) -> None:
            record.meter_values_acknowledged += 1
            record.stop_acknowledged = True
            if "totalCost" in answer:
                self.context.costs[str(record.transaction_id)] = answer["totalCost"]

        return self._event(
            session,
            "Ended",
            because,
            timestamp=ended_at,
            meter=self._meter(connector, tuple(dict.fromkeys(wanted)), "Transaction.End", ended_at),
            info={"stoppedReason": reason},
            answered=answered,
            more=more,
        )

    def _meter(
        self, connector: Connector, measurands: tuple[str, ...], context: str, timestamp: str
    ) -> Payload:
        most = self._point.settings.max_power_w
        return meter_value(connector, measurands, context, most, timestamp)

    def _event(
        self,
        session: Session,
        kind: str,
        because: str,
        *,
        timestamp: str = "",
        meter: Payload | None = None,
        info: Payload | None = None,
        answered: Callable[[Payload], None] = lambda answer: None,
        more: Payload | None = None,
    ) -> Call:
        point, record = self._point, session.record
        payload: Payload = {
            "eventType": kind,
            "timestamp": timestamp or write_time(point.timers.timestamp()),
            "triggerReason": because,
            "seqNo": session.sequence,
            "transactionInfo": {"transactionId": record.transaction_id, **(info or {})},
            **(more or {}),
        }
        if kind != "Ended":
            payload["transactionInfo"]["chargingState"] = session.reported_state
        if meter is not None:
            payload["meterValue"] = [meter]
        if not point.online:
            payload["offline"] = True
        session.sequence += 1

        def lost(reason: str) -> None:
            point.report.failures[point.identity] = reason

        return Call("TransactionEvent", lambda: payload, answered, lost, durable=True)

    # What is reported of jobs.

    def reservation_ended(self, reservation: Reservation, how: str) -> list[Call]:
        """Report that a reservation has ended without being used: Expired or Removed."""
        ended = {"reservationId": reservation.number, "reservationUpdateStatus": how}
        return [constant("ReservationStatusUpdate", ended)]

    def firmware_status(self, status: str, request: int | None) -> Call:
        """Report how far a firmware update is."""
        payload: Payload = {"status": status}
        if request is not None and status != "Idle":
            payload["requestId"] = request
        return constant("FirmwareStatusNotification", payload)

    def log_status(self, status: str, request: int | None) -> Call:
        """Report how far an upload is."""
        payload: Payload = {"status": status}
        if request is not None and status != "Idle":
            payload["requestId"] = request
        return constant("LogStatusNotification", payload)

    def security_event(self, kind: str, detail: str) -> Call:
        """Report a security event."""
        payload = {
            "type": _SECURITY_EVENTS.get(kind, kind),
            "timestamp": write_time(self._point.timers.clock.utc()),
        }
        if detail:
            payload["techInfo"] = detail
        return constant("SecurityEventNotification", payload)

    def sign_certificate(self) -> Call:
        """Ask for a certificate of the charging point's own."""
        point = self._point
        csr = point.certificates.request(point.identity, point.settings.organisation)
        return constant(
            "SignCertificate", {"csr": csr, "certificateType": "ChargingStationCertificate"}
        )
