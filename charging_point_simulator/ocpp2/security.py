"""Certificates. Source: OCPP 2.0.1 part 2, A02 and M03 to M06."""

from __future__ import annotations

from charging_point_simulator.ocpp2.context import Command, Context, Payload
from charging_point_simulator.unversioned import (
    certificate_signed,
    delete_certificate,
    install_certificate,
    write_hash_data,
)

_USES = (
    *("V2GRootCertificate", "MORootCertificate", "CSMSRootCertificate", "V2GCertificateChain"),
    *("ManufacturerRootCertificate", "OEMRootCertificate"),
)


def get_installed_certificate_ids(context: Context, payload: Payload) -> Payload:
    """Return the hash data of all root certificates of some types, or of all."""
    chain = [
        {
            "certificateType": use,
            "certificateHashData": write_hash_data(found),
        }
        for use in payload.get("certificateType", _USES)
        for found in context.point.certificates.installed(use)
    ]
    if not chain:
        return {"status": "NotFound"}
    return {"status": "Accepted", "certificateHashDataChain": chain}


COMMANDS: dict[str, Command] = {
    "CertificateSigned": certificate_signed,
    "DeleteCertificate": delete_certificate,
    "GetInstalledCertificateIds": get_installed_certificate_ids,
    "InstallCertificate": install_certificate,
}
