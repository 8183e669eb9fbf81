"""Certificates. Source: the security whitepaper for OCPP 1.6, sections 3 and 5."""

from __future__ import annotations

from charging_point_simulator.ocpp16.context import Command, Context, Payload
from charging_point_simulator.unversioned import (
    certificate_signed,
    delete_certificate,
    install_certificate,
    write_hash_data,
)


def get_installed_certificate_ids(context: Context, payload: Payload) -> Payload:
    """Return the hash data of all root certificates of a type."""
    installed = context.point.certificates.installed(payload["certificateType"])
    if not installed:
        return {"status": "NotFound"}
    return {
        "status": "Accepted",
        "certificateHashData": [write_hash_data(found) for found in installed],
    }


COMMANDS: dict[str, Command] = {
    "CertificateSigned": certificate_signed,
    "DeleteCertificate": delete_certificate,
    "GetInstalledCertificateIds": get_installed_certificate_ids,
    "InstallCertificate": install_certificate,
}
