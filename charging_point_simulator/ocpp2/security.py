"""Certificates. Source: OCPP 2.0.1 part 2, A02 and M03 to M06."""

from __future__ import annotations

from charging_point_simulator.ocpp2.context import Command, Context, Payload
from charging_point_simulator.station.certificates import HashData

_USES = (
    *("V2GRootCertificate", "MORootCertificate", "CSMSRootCertificate", "V2GCertificateChain"),
    *("ManufacturerRootCertificate", "OEMRootCertificate"),
)


def install_certificate(context: Context, payload: Payload) -> Payload:
    """Install a root certificate."""
    status = context.point.certificates.install(
        payload["certificateType"], payload["certificate"], context.now
    )
    return {"status": status}


def get_installed_certificate_ids(context: Context, payload: Payload) -> Payload:
    """Return the hash data of all root certificates of some types, or of all."""
    chain = [
        {
            "certificateType": use,
            "certificateHashData": {
                "hashAlgorithm": found.algorithm,
                "issuerNameHash": found.issuer_name_hash,
                "issuerKeyHash": found.issuer_key_hash,
                "serialNumber": found.serial_number,
            },
        }
        for use in payload.get("certificateType", _USES)
        for found in context.point.certificates.installed(use)
    ]
    if not chain:
        return {"status": "NotFound"}
    return {"status": "Accepted", "certificateHashDataChain": chain}


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
        context.afterwards(event)
        return {"status": "Rejected"}
    if point.options.security_profile == 3:
        # The answer must be on its way before the connection goes.
        point.timers.after(0.1, lambda: point.stay_away(0.0))
    return {"status": "Accepted"}


COMMANDS: dict[str, Command] = {
    "CertificateSigned": certificate_signed,
    "DeleteCertificate": delete_certificate,
    "GetInstalledCertificateIds": get_installed_certificate_ids,
    "InstallCertificate": install_certificate,
}
