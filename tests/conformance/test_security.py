"""The Open Charge Alliance's cases of the security extension."""

from charging.intents import (
    CertificateHash,
    CertificateUse,
    DeleteCertificate,
    InstallCertificate,
    LogKind,
    ReadCertificates,
    SetCertificate,
    UpdateFirmware,
    UploadLog,
    WriteSettings,
)
from tests.station import Station, ago, iso

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


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


def test_tc_088_csms(bench):
    with Station(bench.port, bench.identity, subprotocols=["ocpp9.9", "ocpp1.6"]) as station:
        assert station.socket.subprotocol == "ocpp1.6"
        assert station.boot()["status"] == "Accepted"
