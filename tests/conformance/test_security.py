"""The Open Charge Alliance's cases of the security extension."""

import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidStatus, WebSocketException

from charging.database.audit import Asker
from charging.intents import (
    CertificateHash,
    CertificateUse,
    DeleteCertificate,
    InstallCertificate,
    LogKind,
    ReadCertificates,
    SetCertificate,
    SetPassword,
    Trigger,
    TriggerMessage,
    UpdateFirmware,
    UploadLog,
    WriteSettings,
)
from operations import charging_points
from tests.station import Station, ago, iso

BY = Asker("operator", "conformance")

PASSWORD, NEW_PASSWORD = "correct horse 1", "correct horse 2"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def comes_in(bench, **how):
    """Whether it comes in and boots so; `how` as `Station` takes it."""
    try:
        with Station(bench.port, bench.identity, **how) as station:
            return station.boot()["status"] == "Accepted"
    except InvalidStatus as refused:
        assert refused.response.status_code in (401, 403)
        return False


def test_tc_073_csms(bench):
    charging_points.renew_password(bench.database, bench.identity, by=BY, password=PASSWORD)
    intent = SetPassword(NEW_PASSWORD)
    calls, command = bench.ask(intent, {"status": "Accepted"})
    value = NEW_PASSWORD.encode().hex()
    assert calls == [("ChangeConfiguration", {"key": "AuthorizationKey", "value": value})]
    assert command.outcome == "accepted"
    assert comes_in(bench, password=NEW_PASSWORD)
    assert not comes_in(bench)


def test_tc_074_csms(bench):
    calls, command = bench.ask(TriggerMessage(Trigger.SIGN_CERTIFICATE), {"status": "Accepted"})
    assert calls == [("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})]
    assert command.outcome == "accepted"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, bench.identity)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    text = csr.public_bytes(serialization.Encoding.PEM).decode()
    assert bench.call("SignCertificate", csr=text) == {"status": "Accepted"}
    _, message_id, action, payload = bench.station.receive()
    assert action == "CertificateSigned"
    (signed,) = x509.load_pem_x509_certificates(payload["certificateChain"].encode())
    assert signed.public_key() == key.public_key()
    bench.station.send([3, message_id, {"status": "Accepted"}])
    bench.reconnect()


def install(bench, use, written):
    calls, command = bench.ask(InstallCertificate(use, CERTIFICATE), {"status": "Accepted"})
    assert calls == [
        ("InstallCertificate", {"certificateType": written, "certificate": CERTIFICATE})
    ]
    assert command.outcome == "accepted"


def test_tc_075_1_csms(bench):
    install(bench, CertificateUse.MANUFACTURER, "ManufacturerRootCertificate")


def test_tc_075_2_csms(bench):
    install(bench, CertificateUse.CENTRAL_SYSTEM, "CentralSystemRootCertificate")


def test_tc_076_csms(bench):
    named = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "ab",
        "issuerKeyHash": "cd",
        "serialNumber": "01",
    }
    calls, command = bench.ask(
        ReadCertificates(CertificateUse.CENTRAL_SYSTEM),
        {"status": "Accepted", "certificateHashData": [named]},
    )
    assert calls[0][0] == "GetInstalledCertificateIds"
    assert command.answer[0]["certificateHashData"] == [named]
    calls, command = bench.ask(
        DeleteCertificate(CertificateHash("SHA256", "ab", "cd", "01")), {"status": "Accepted"}
    )
    assert calls == [("DeleteCertificate", {"certificateHashData": named})]
    assert command.outcome == "accepted"


def report_event(bench, kind):
    assert bench.call("SecurityEventNotification", type=kind, timestamp=iso(ago())) == {}
    assert kind in bench.notices("security")


def test_tc_077_csms(bench):
    calls, command = bench.ask(SetCertificate(CERTIFICATE), {"status": "Rejected"})
    assert calls == [("CertificateSigned", {"certificateChain": CERTIFICATE})]
    assert command.outcome == "rejected"
    report_event(bench, "InvalidChargePointCertificate")


def test_tc_078_csms(bench):
    intent = InstallCertificate(CertificateUse.CENTRAL_SYSTEM, CERTIFICATE)
    _, command = bench.ask(intent, {"status": "Rejected"})
    assert command.outcome == "rejected"
    report_event(bench, "InvalidCentralSystemCertificate")


def test_tc_079_csms(bench):
    intent = UploadLog("https://files.example/logs/", LogKind.SECURITY)
    ((action, payload),), command = bench.ask(
        intent, {"status": "Accepted", "filename": "security.log"}
    )
    assert (action, payload["logType"]) == ("GetLog", "SecurityLog")
    assert command.outcome == "accepted"
    for status in ("Uploading", "Uploaded"):
        answer = bench.call("LogStatusNotification", status=status, requestId=payload["requestId"])
        assert answer == {}
    assert bench.notices("log") == ["Uploading", "Uploaded"]


def update(bench, *statuses):
    intent = UpdateFirmware(
        "https://files.example/firmware.bin",
        ago(),
        signature="c2ln",
        signing_certificate=CERTIFICATE,
    )
    ((action, payload),), command = bench.ask(intent, {"status": "Accepted"})
    assert action == "SignedUpdateFirmware"
    assert payload["firmware"]["signature"] == "c2ln"
    assert command.outcome == "accepted"
    for status in statuses:
        answer = bench.call(
            "SignedFirmwareStatusNotification", status=status, requestId=payload["requestId"]
        )
        assert answer == {}
    assert bench.notices("firmware") == list(statuses)


def test_tc_080_csms(bench):
    update(
        bench,
        *("Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting"),
        "Installed",
    )


def test_tc_081_csms(bench):
    update(bench, "Downloading", "Downloaded", "InvalidSignature")
    report_event(bench, "InvalidFirmwareSignature")


def test_tc_083_csms(bench):
    calls, command = bench.ask(WriteSettings({"SecurityProfile": "2"}), {"status": "Accepted"})
    assert calls == [("ChangeConfiguration", {"key": "SecurityProfile", "value": "2"})]
    assert command.outcome == "accepted"
    bench.reconnect()


def test_tc_085_csms(bench):
    charging_points.renew_password(bench.database, bench.identity, by=BY, password=PASSWORD)
    assert comes_in(bench, password=PASSWORD)
    assert not comes_in(bench, password=NEW_PASSWORD)
    assert not comes_in(bench, password=PASSWORD, user="ANOTHER")
    assert not comes_in(bench)


def test_tc_086_csms(bench, tls):
    charging_points.renew_password(bench.database, bench.identity, by=BY, password=PASSWORD)
    charging_points.set_security(bench.database, bench.identity, by=BY, profile=2)
    assert not comes_in(bench, password=PASSWORD)
    with tls.open(bench.identity, password=PASSWORD) as station:
        assert station.socket.socket.version() in ("TLSv1.2", "TLSv1.3")
        assert station.boot()["status"] == "Accepted"
    with pytest.raises(InvalidStatus):
        tls.open(bench.identity, password=NEW_PASSWORD)
    with pytest.raises(ssl.SSLError):
        tls.open(bench.identity, password=PASSWORD, trusts=trustme.CA())
    with pytest.raises(ssl.SSLError):
        tls.open(bench.identity, password=PASSWORD, most=ssl.TLSVersion.TLSv1_1)


def test_tc_087_csms(bench, tls):
    charging_points.set_security(bench.database, bench.identity, by=BY, profile=3)
    with tls.open(bench.identity, certificate=tls.certificate(bench.identity)) as station:
        assert station.boot()["status"] == "Accepted"
    for certificate in (None, tls.certificate("ANOTHER")):
        with pytest.raises(InvalidStatus):
            tls.open(bench.identity, certificate=certificate)
    stranger = trustme.CA().issue_cert(common_name=bench.identity)
    with pytest.raises((OSError, WebSocketException)) as refused:
        tls.open(bench.identity, certificate=stranger)
    assert not isinstance(refused.value, InvalidStatus)


def test_tc_088_csms(bench):
    with Station(bench.port, bench.identity, subprotocols=["ocpp9.9", "ocpp1.6"]) as station:
        assert station.socket.subprotocol == "ocpp1.6"
        assert station.boot()["status"] == "Accepted"
