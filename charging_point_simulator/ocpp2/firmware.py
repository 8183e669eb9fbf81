"""Firmware, signed and unsigned, and logs. Source: OCPP 2.0.1 part 2, L01 to L04 and N01."""

from __future__ import annotations

from charging_point_simulator.ocpp2.context import (
    Command,
    Context,
    Payload,
    constant,
)
from charging_point_simulator.station.certificates import read_chain, valid_at
from charging_point_simulator.station.firmware import Update
from charging_point_simulator.unversioned import (
    RETRY_SECONDS,
    get_log,
    read_optional_time,
    read_time,
)


def update_firmware(context: Context, payload: Payload) -> Payload:
    """Fetch firmware, hold it against its signature where it has one, and install it."""
    wanted = payload["firmware"]
    certificate = None
    if "signingCertificate" in wanted:
        try:
            certificate = read_chain(wanted["signingCertificate"])[0]
        except ValueError:
            certificate = None
        if certificate is None or not valid_at(certificate, context.now):
            event = context.point.dialect.security_event("InvalidFirmwareSigningCertificate", "")
            context.afterwards(event)
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
        wanted.get("signature", ""),
    )
    context.point.afterwards.append(lambda: context.firmware.begin(update))
    return {"status": status}


def publish_firmware(context: Context, payload: Payload) -> Payload:
    """Offer firmware to others near by: fetched and held in no more than name."""
    request = {"requestId": payload["requestId"]}
    context.published.add(payload["checksum"])
    for status in ("Downloading", "Downloaded", "ChecksumVerified"):
        context.afterwards(
            constant("PublishFirmwareStatusNotification", {"status": status, **request})
        )
    published = {"status": "Published", "location": [payload["location"]], **request}
    context.afterwards(constant("PublishFirmwareStatusNotification", published))
    return {"status": "Accepted"}


def unpublish_firmware(context: Context, payload: Payload) -> Payload:
    """Offer firmware no more."""
    known = payload["checksum"] in context.published
    context.published.discard(payload["checksum"])
    return {"status": "Unpublished" if known else "NoFirmware"}


COMMANDS: dict[str, Command] = {
    "GetLog": get_log,
    "PublishFirmware": publish_firmware,
    "UnpublishFirmware": unpublish_firmware,
    "UpdateFirmware": update_firmware,
}
