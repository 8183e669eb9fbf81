"""OCPP 2.x: a transaction, which the charging point names itself and reports event by event.

Source: OCPP 2.0.1 part 2, use cases E01 to E15 and TransactionEventRequest.
"""

from __future__ import annotations

from charging.session import SessionReference, StopCause
from cp_backend.ocpp.actions import AnyIncoming, Incoming
from cp_backend.ocpp.times import read_payload_time
from cp_backend.ocpp.v2.samples import read_readings
from cp_backend.ocpp.v2.tokens import read_token, write_token_info
from cp_backend.vocabulary import (
    JsonObject,
    Raw,
    SessionPhase,
    SessionReported,
    SessionReportedAnswer,
)

_MAX_INT32 = 2**31 - 1

# Source: TransactionEventEnumType. One that is not known tells that the session goes on.
_PHASES = {
    "Started": SessionPhase.STARTED,
    "Updated": SessionPhase.UPDATED,
    "Ended": SessionPhase.ENDED,
}
# Source: ReasonEnumType.
_CAUSES = {
    "DeAuthorized": StopCause.NOT_AUTHORIZED,
    "EmergencyStop": StopCause.EMERGENCY_STOP,
    "EnergyLimitReached": StopCause.LIMIT,
    "EVDisconnected": StopCause.UNPLUGGED,
    "GroundFault": StopCause.FAULT,
    "ImmediateReset": StopCause.HARD_RESTART,
    "Local": StopCause.LOCAL,
    "LocalOutOfCredit": StopCause.LIMIT,
    "MasterPass": StopCause.LOCAL,
    "Other": StopCause.OTHER,
    "OvercurrentFault": StopCause.FAULT,
    "PowerLoss": StopCause.POWER_LOSS,
    "PowerQuality": StopCause.FAULT,
    "Reboot": StopCause.RESTART,
    "Remote": StopCause.REMOTE,
    "ReqEnergyTransferRejected": StopCause.VEHICLE,
    "SOCLimitReached": StopCause.LIMIT,
    "StoppedByEV": StopCause.VEHICLE,
    "TimeLimitReached": StopCause.LIMIT,
    "Timeout": StopCause.NO_VEHICLE,
}
# A token that comes with this was shown to end the session. Source: TriggerReasonEnumType.
_STOP_AUTHORIZED = "StopAuthorized"


def _read_transaction_event(payload: JsonObject) -> SessionReported:
    info = payload["transactionInfo"]
    phase = _PHASES.get(payload["eventType"], SessionPhase.UPDATED)
    evse = payload.get("evse")
    token = payload.get("idToken")
    presented = None if token is None else read_token(token)
    ending = phase is SessionPhase.ENDED or payload["triggerReason"] == _STOP_AUTHORIZED
    reason = info.get("stoppedReason", "Local")  # the standard's own default
    meter_values = payload.get("meterValue")
    return SessionReported(
        SessionReference(station_session=info["transactionId"] or None),
        phase,
        _number(payload["seqNo"]),
        read_payload_time(payload["timestamp"]),
        None if evse is None else _number(evse["id"]),
        None if evse is None else _number(evse.get("connectorId")),
        None if ending else presented,
        presented if ending else None,
        _number(info.get("remoteStartId")),
        _CAUSES.get(reason, StopCause.OTHER),
        reason,
        read_readings(meter_values) if meter_values else [],
        Raw("TransactionEvent", payload),
    )


def _number(number: int | None) -> int | None:
    """Return a number that the database's integer holds, None for another."""
    return number if number is not None and 0 <= number < _MAX_INT32 else None


def _write_transaction_event(answer: SessionReportedAnswer) -> JsonObject:
    if answer.authorization is None:
        return {}
    return {"idTokenInfo": write_token_info(answer.authorization)}


INCOMING: dict[str, AnyIncoming] = {
    "TransactionEvent": Incoming(_read_transaction_event, _write_transaction_event),
}
"""Of transactions."""
