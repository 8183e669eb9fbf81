"""Commands, and values of them, that every version of OCPP words alike.

Source: the security whitepaper for OCPP 1.6, sections 3 to 5; OCPP 2.0.1 part 2, A02, K08, M03 to
M06 and N01.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from charging_point_simulator.station import operators
from charging_point_simulator.station.calls import CallError
from charging_point_simulator.station.car import PHASES, VOLTAGE_V
from charging_point_simulator.station.certificates import HashData
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.logs import Logs, Upload

Payload = dict[str, Any]

RETRY_SECONDS = 1
"""Between tries of a transfer, where the command names no other time."""


class Context(Protocol):
    """What these commands work on."""

    @property
    def point(self) -> ChargingPoint:
        """The charging point."""

    @property
    def logs(self) -> Logs:
        """Sends its log."""

    @property
    def now(self) -> datetime:
        """The time."""


def read_time(text: str) -> datetime:
    """Read a time; one without a zone is UTC. Raises CallError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CallError("PropertyConstraintViolation", f"{text[:40]!r} is no time") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def read_optional_time(text: str | None) -> datetime | None:
    """Read a time that may be absent. Raises CallError."""
    return None if text is None else read_time(text)


def write_hash_data(found: HashData) -> Payload:
    """Return a certificate's hash data."""
    return {
        "hashAlgorithm": found.algorithm,
        "issuerNameHash": found.issuer_name_hash,
        "issuerKeyHash": found.issuer_key_hash,
        "serialNumber": found.serial_number,
    }


def install_certificate(context: Context, payload: Payload) -> Payload:
    """Install a root certificate."""
    status = context.point.certificates.install(
        payload["certificateType"], payload["certificate"], context.now
    )
    return {"status": status}


def delete_certificate(context: Context, payload: Payload) -> Payload:
    """Remove a root certificate."""
    wanted = payload["certificateHashData"]
    status = context.point.certificates.delete(
        HashData(
            wanted["hashAlgorithm"],
            wanted["issuerNameHash"],
            wanted["issuerKeyHash"],
            wanted["serialNumber"],
        )
    )
    return {"status": status}


def certificate_signed(context: Context, payload: Payload) -> Payload:
    """Take the certificate that was asked for; connect with it from now on."""
    point = context.point
    if not point.certificates.take_signed(payload["certificateChain"], context.now):
        event = point.dialect.security_event("InvalidChargePointCertificate", "")
        point.afterwards.append(lambda: point.calls.send(event))
        return {"status": "Rejected"}
    if point.options.security_profile == 3:
        # The answer must be on its way before the connection goes.
        point.timers.after(0.1, lambda: point.stay_away(0.0))
    return {"status": "Accepted"}


def get_log(context: Context, payload: Payload) -> Payload:
    """Send the log, or what of it is about security, to a location."""
    kind = payload["logType"]
    name = f"{context.point.identity}-{kind}-{payload['requestId']}.log"[-255:]
    status = "AcceptedCanceled" if context.logs.busy else "Accepted"
    upload = Upload(
        payload["log"]["remoteLocation"],
        name,
        payload.get("retries", 0),
        payload.get("retryInterval", RETRY_SECONDS),
        payload["requestId"],
        kind == "SecurityLog",
    )
    context.point.afterwards.append(lambda: context.logs.begin(upload))
    return {"status": status, "filename": name}


def composite_periods(context: Context, number: int, payload: Payload) -> tuple[str, list[Payload]]:
    """Return in which unit, and in which periods from now on, an EVSE may give how much.

    number: of the EVSE, 0 for the whole charging point.
    """
    point, unit = context.point, payload.get("chargingRateUnit", "W")
    schedule = point.profiles.composite(
        number,
        context.now,
        payload["duration"],
        operators.session_start(point, number),
        point.settings.max_power_w * (1 if number else len(point.connectors)),
    )
    divisor = 1 if unit == "W" else PHASES * VOLTAGE_V
    return unit, [
        {"startPeriod": start, "limit": round(limit / divisor, 1)} for start, limit in schedule
    ]
