"""Firmware and logs, signed and unsigned. Source: OCPP 1.6 sections 5.9 and 5.19, and the
security whitepaper's sections 4 and 5.
"""

from __future__ import annotations

from charging_point_simulator.ocpp16.context import (
    Command,
    Context,
    Payload,
)
from charging_point_simulator.station.certificates import read_chain, valid_at
from charging_point_simulator.station.firmware import Update
from charging_point_simulator.station.logs import Upload
from charging_point_simulator.unversioned import (
    RETRY_SECONDS,
    get_log,
    read_optional_time,
    read_time,
)


def update_firmware(context: Context, payload: Payload) -> Payload:
    """Fetch and install firmware."""
    update = Update(
        payload["location"],
        read_time(payload["retrieveDate"]),
        payload.get("retries", 0),
        payload.get("retryInterval", RETRY_SECONDS),
    )
    context.point.afterwards.append(lambda: context.firmware.begin(update))
    return {}


def signed_update_firmware(context: Context, payload: Payload) -> Payload:
    """Fetch firmware, hold it against its signature, and install it."""
    wanted = payload["firmware"]
    try:
        certificate = read_chain(wanted["signingCertificate"])[0]
    except ValueError:
        certificate = None
    if certificate is None or not valid_at(certificate, context.now):
        event = context.point.dialect.security_event("InvalidFirmwareSigningCertificate", "")
        context.point.afterwards.append(lambda: context.point.calls.send(event))
        return {"status": "InvalidCertificate"}
    status = "AcceptedCanceled" if context.firmware.busy else "Accepted"
    update = Update(
        wanted["location"],
        read_time(wanted["retrieveDateTime"]),
        payload.get("retries", 0),
        payload.get("retryInterval", RETRY_SECONDS),
        read_optional_time(wanted.get("installDateTime")),
        payload["requestId"],
        certificate,
        wanted["signature"],
    )
    context.point.afterwards.append(lambda: context.firmware.begin(update))
    return {"status": status}


def get_diagnostics(context: Context, payload: Payload) -> Payload:
    """Send the log to a location."""
    name = f"{context.point.identity}-diagnostics.log"[-255:]
    upload = Upload(
        payload["location"],
        name,
        payload.get("retries", 0),
        payload.get("retryInterval", RETRY_SECONDS),
    )
    context.point.afterwards.append(lambda: context.logs.begin(upload))
    return {"fileName": name}


COMMANDS: dict[str, Command] = {
    "GetDiagnostics": get_diagnostics,
    "GetLog": get_log,
    "SignedUpdateFirmware": signed_update_firmware,
    "UpdateFirmware": update_firmware,
}
