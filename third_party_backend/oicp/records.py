"""What the hub receives of a session: notifications while it goes on, one record at its end.

Strict: what would be wrong to send raises RecordError, whose text an operator reads. Energy
comes as integer Wh and goes as kWh in Decimal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from charging.plausibility import CLOCK_TOLERANCE
from charging.session import StopCause

Json = dict[str, Any]

MAX_ENERGY_WH = 1_000_000
MAX_READINGS = 100
"""How many readings between start and end a record shows; the hub sets no bound."""
MAX_SIGNED_VALUES = 10
MAX_SIGNED_LENGTH = 3000
MAX_ERROR_INFO = 250
PROGRESS_AT = "EventOccurred"
"""The member of a Progress notification that says of what moment it is."""


class RecordError(ValueError):
    """A record that must not be sent; the message says why."""


@dataclass(frozen=True, slots=True)
class HubSession:
    """A session as the hub knows it.

    evse_id: None when no EVSE of ours has a name there. hub_spelling: of its id, where the hub
    writes it in another way. product_id: the provider's tariff. zone: of the charging point's
    place.
    """

    hub_session_id: str
    evse_id: str | None
    identification: Json
    cpo_partner_session_id: str
    emp_partner_session_id: str | None
    hub_spelling: str | None = None
    product_id: str | None = None
    zone: tzinfo = UTC

    def time(self, moment: datetime) -> str:
        """Write an aware time: ISO 8601 with the offset of the place, milliseconds.

        Source: OICP 2.3, section "Time zones": providers bill by day and night of the place.
        """
        local = moment.astimezone(self.zone)
        return local.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Charged:
    """What was charged, as the charging point reported it. readings_wh: between, in order of time.

    signed: `signed_values`. verification: `catalogue.verification`, for whoever verifies them.
    """

    started_at: datetime
    meter_start_wh: int
    ended_at: datetime
    meter_stop_wh: int
    stop_cause: StopCause = StopCause.LOCAL
    readings_wh: list[int] = field(default_factory=list)
    signed: list[tuple[str, str]] = field(default_factory=list)
    verification: Json = field(default_factory=dict)


def kwh(wh: int) -> Decimal:
    """Return Wh as kWh with three decimals."""
    return Decimal(wh).scaleb(-3)


def charge_detail_record(session: HubSession, charged: Charged) -> Json:
    """Write the record of a session that charged. Raises RecordError."""
    energy_wh = charged.meter_stop_wh - charged.meter_start_wh
    if charged.meter_start_wh < 0:
        raise RecordError(f"the meter began below zero: {charged.meter_start_wh} Wh")
    if energy_wh < 0:
        raise RecordError(
            f"the meter ran backwards: {charged.meter_start_wh} Wh at the start, "
            f"{charged.meter_stop_wh} Wh at the end"
        )
    if energy_wh > MAX_ENERGY_WH:
        raise RecordError(f"{kwh(energy_wh)} kWh are more than the {MAX_ENERGY_WH // 1000} allowed")
    if charged.ended_at < charged.started_at:
        raise RecordError(
            f"it ended ({session.time(charged.ended_at)}) before it began"
            f" ({session.time(charged.started_at)})"
        )
    record: Json = {
        **_of(session),
        "Identification": session.identification,
        **_product(session),
        "SessionStart": session.time(charged.started_at),
        "ChargingStart": session.time(charged.started_at),
        "ChargingEnd": session.time(charged.ended_at),
        "SessionEnd": session.time(charged.ended_at),
        "MeterValueStart": kwh(charged.meter_start_wh),
        "MeterValueEnd": kwh(charged.meter_stop_wh),
        "ConsumedEnergy": kwh(charged.meter_stop_wh) - kwh(charged.meter_start_wh),
    }
    if between := _between(charged):
        record["MeterValueInBetween"] = {"meterValues": between}
    if charged.signed:
        record["SignedMeteringValues"] = [
            {"SignedMeteringValue": text, "MeteringStatus": status}
            for status, text in charged.signed[:MAX_SIGNED_VALUES]
        ]
        if charged.verification:
            record["CalibrationLawVerificationInfo"] = charged.verification
    return record


def signed_values(
    samples: list[tuple[str, str]], *, demanded: bool = False
) -> list[tuple[str, str]]:
    """Choose the signed readings a record shows: the first, the last, and what fits between.

    samples: (begin, between or end; text) in order of time. Returns (MeteringStatus, text), at most
    MAX_SIGNED_VALUES, in the order Start, Progress, End. A signed text cannot be shortened: between
    start and end one that is too long for the hub is left out; a start or an end that is too long
    proves nothing without its other half, so none is sent, or, where the EVSE's calibration law
    demanded them, RecordError is raised.
    """
    starts = [("Start", text) for moment, text in samples if moment == "begin" and text][:1]
    ends = [("End", text) for moment, text in samples if moment == "end" and text][-1:]
    between = [
        ("Progress", text)
        for moment, text in samples
        if moment == "between" and 0 < len(text) <= MAX_SIGNED_LENGTH
    ]
    for status, text in (*starts, *ends):
        if len(text) > MAX_SIGNED_LENGTH:
            if demanded:
                raise RecordError(
                    f"the signed value of its {status} has {len(text)} characters, the hub takes"
                    f" {MAX_SIGNED_LENGTH}; proposal: hand the signed values to the provider by"
                    " another way"
                )
            return []
    room = MAX_SIGNED_VALUES - len(starts) - len(ends)
    return [*starts, *between[:room], *ends]


def empty_record(session: HubSession, began_at: datetime, ended_at: datetime) -> Json:
    """Write the record of a session in which nothing was charged; it closes it at the provider."""
    moment = max(began_at, ended_at)
    return {
        **_of(session),
        "Identification": session.identification,
        **_product(session),
        "SessionStart": session.time(began_at),
        "ChargingStart": session.time(moment),
        "ChargingEnd": session.time(moment),
        "SessionEnd": session.time(moment),
        "MeterValueStart": kwh(0),
        "MeterValueEnd": kwh(0),
        "ConsumedEnergy": kwh(0),
    }


def due(charged: Charged, now: datetime) -> datetime:
    """Return when the record may be sent: now, or once its end is no longer in the future.

    Raises RecordError for a clock that is further ahead than CLOCK_TOLERANCE.
    """
    if charged.ended_at > now + CLOCK_TOLERANCE:
        raise RecordError(f"it ends in the future: {charged.ended_at:%Y-%m-%d %H:%M:%S} UTC")
    return max(now, charged.ended_at)


def start_notification(
    session: HubSession, operator_id: str, started_at: datetime, meter_start_wh: int
) -> Json:
    """Write: energy flows. Raises RecordError."""
    return {
        **_notification("Start", session, operator_id),
        "SessionStart": session.time(started_at),
        "ChargingStart": session.time(started_at),
        "MeterValueStart": _meter(meter_start_wh),
        **_product(session),
    }


def progress_notification(
    session: HubSession,
    operator_id: str,
    started_at: datetime,
    meter_start_wh: int,
    read_at: datetime,
    meter_wh: int,
) -> Json:
    """Write: so much has flowed up to a reading. ChargingDuration is in milliseconds."""
    if read_at < started_at:
        raise RecordError("the reading is older than the session")
    return {
        **_notification("Progress", session, operator_id),
        "SessionStart": session.time(started_at),
        "ChargingStart": session.time(started_at),
        PROGRESS_AT: session.time(read_at),
        "ChargingDuration": int((read_at - started_at) / timedelta(milliseconds=1)),
        "ConsumedEnergyProgress": _meter(max(0, meter_wh - meter_start_wh)),
        "MeterValueStart": _meter(meter_start_wh),
        **_product(session),
    }


def end_notification(session: HubSession, operator_id: str, charged: Charged) -> Json:
    """Write: energy flows no more. Raises RecordError where the record itself would be wrong."""
    record = charge_detail_record(session, charged)
    members = (
        *("SessionStart", "ChargingStart", "ChargingEnd", "SessionEnd"),
        *("MeterValueStart", "MeterValueEnd", "ConsumedEnergy"),
    )
    return {
        **_notification("End", session, operator_id),
        **{name: record[name] for name in members},
        **_product(session),
    }


def error_notification(session: HubSession, operator_id: str, info: str, *, critical: bool) -> Json:
    """Write: it went wrong. critical: somebody must look at the charging point.

    Not critical is what the driver can mend: the plug.
    """
    return {
        **_notification("Error", session, operator_id),
        "ErrorType": "CriticalError" if critical else "ConnectorError",
        "ErrorAdditionalInfo": info[:MAX_ERROR_INFO],
    }


def _of(session: HubSession) -> Json:
    if session.evse_id is None:
        raise RecordError("its connector has no EVSE id; `operations evses import` gives it one")
    return {
        "SessionID": session.hub_spelling or session.hub_session_id,
        "CPOPartnerSessionID": session.cpo_partner_session_id,
        **(
            {"EMPPartnerSessionID": session.emp_partner_session_id}
            if session.emp_partner_session_id
            else {}
        ),
        "EvseID": session.evse_id,
    }


def _product(session: HubSession) -> Json:
    return {"PartnerProductID": session.product_id} if session.product_id else {}


def _notification(kind: str, session: HubSession, operator_id: str) -> Json:
    return {
        "Type": kind,
        **_of(session),
        "Identification": session.identification,
        "OperatorID": operator_id,
    }


def _meter(wh: int) -> Decimal:
    if wh < 0:
        raise RecordError(f"the meter shows less than nothing: {wh} Wh")
    return kwh(wh)


def _between(charged: Charged) -> list[Decimal]:
    """Return readings that rise from start to end; evenly chosen where there are too many."""
    rising: list[int] = []
    last = charged.meter_start_wh
    for reading in charged.readings_wh:
        if last < reading < charged.meter_stop_wh:
            rising.append(reading)
            last = reading
    if len(rising) > MAX_READINGS:
        rising = [rising[place * len(rising) // MAX_READINGS] for place in range(MAX_READINGS)]
    return [kwh(reading) for reading in rising]
