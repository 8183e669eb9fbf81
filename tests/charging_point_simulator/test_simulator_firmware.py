"""Firmware, logs and certificates, texts in and texts out."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from charging_point_simulator.station.settings import Settings
from tests.charging_point_simulator.station import Station

# Firmware and logs.


def certificate(name="VNI", key=None, public_key=None, days=10):
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime(2026, 3, 1, tzinfo=UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public_key or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=20))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode(), key


def firmware_statuses(station):
    return [
        p["status"]
        for a, p in station.take()
        if a in ("FirmwareStatusNotification", "SignedFirmwareStatusNotification")
    ]


def test_firmware_is_fetched_installed_and_reported_step_by_step():
    station = Station()
    location = "ftp://files.example/simulator-2.5.1.bin"
    when = "2026-03-01T10:00:30Z"
    assert station.call("UpdateFirmware", location=location, retrieveDate=when) == {}
    station.wait(20)
    assert firmware_statuses(station) == []
    session = station.charge()
    assert session is not None
    # It waits for the session to end.
    station.wait(30)
    assert firmware_statuses(station) == ["Downloading", "Downloaded"]
    station.call("RemoteStopTransaction", transactionId=1)
    station.take()
    station.wait(10)
    sent = station.take()
    assert [p.get("status") for a, p in sent if a == "FirmwareStatusNotification"] == [
        "Installing",
        "Installed",
    ]
    (boot,) = (p for a, p in sent if a == "BootNotification")
    assert boot["firmwareVersion"] == "2.5.1"


@pytest.mark.parametrize(
    ("outcome", "last"),
    [("download-failed", "DownloadFailed"), ("installation-failed", "InstallationFailed")],
)
def test_an_update_can_fail(outcome, last):
    station = Station(outcome=outcome)
    station.call(
        "UpdateFirmware",
        location="ftp://files.example/x.bin",
        retrieveDate="2026-03-01T10:00:00Z",
        retries=2,
        retryInterval=5,
    )
    station.wait(60)
    statuses = firmware_statuses(station)
    assert statuses[-1] == last
    assert statuses.count("Downloading") == (3 if outcome == "download-failed" else 1)
    assert station.point.firmware_version == "1.0"


def signed_update(station, pem, key, content=b"", location="ftp://files.example/x-3.0.bin"):
    signature = key.sign(content, ec.ECDSA(hashes.SHA256()))
    return station.status(
        "SignedUpdateFirmware",
        requestId=7,
        firmware={
            "location": location,
            "retrieveDateTime": "2026-03-01T10:00:00Z",
            "signingCertificate": pem,
            "signature": base64.b64encode(signature).decode(),
        },
    )


def test_signed_firmware_is_verified():
    station = Station()
    pem, key = certificate()
    assert signed_update(station, pem, key) == "Accepted"
    assert signed_update(station, pem, key) == "AcceptedCanceled"
    station.wait(20)
    statuses = firmware_statuses(station)
    assert statuses[-6:] == [
        *("Downloading", "Downloaded", "SignatureVerified"),
        *("Installing", "InstallRebooting", "Installed"),
    ]
    expired, key = certificate(days=-5)
    assert signed_update(station, expired, key) == "InvalidCertificate"
    (event,) = station.payloads("SecurityEventNotification")
    assert event["type"] == "InvalidFirmwareSigningCertificate"


@pytest.mark.parametrize("good", [True, False])
def test_the_signature_is_of_the_bytes_that_were_fetched(good):
    station = Station()
    pem, key = certificate()
    signed_update(station, pem, key, b"firmware", "http://127.0.0.1:1/x-3.0.bin")
    station.wait(1)
    (transfer,) = station.point.transfers
    assert (transfer.url, transfer.content) == ("http://127.0.0.1:1/x-3.0.bin", None)
    transfer.done(b"firmware" if good else b"something else")
    station.wait(10)
    assert ("Installed" in firmware_statuses(station)) == good
    assert (station.point.firmware_version == "3.0") == good


def test_diagnostics_are_sent():
    station = Station()
    answer = station.call("GetDiagnostics", location="ftp://files.example/logs/")
    assert answer == {"fileName": "CP0001-diagnostics.log"}
    station.wait(2)
    statuses = [p["status"] for p in station.payloads("DiagnosticsStatusNotification")]
    assert statuses == ["Uploading", "Uploaded"]


def test_a_log_holds_the_frames_and_goes_where_it_is_wanted():
    station = Station()
    where = {"remoteLocation": "http://127.0.0.1:1/logs/"}
    answer = station.call("GetLog", log=where, logType="DiagnosticsLog", requestId=3)
    assert answer == {"status": "Accepted", "filename": "CP0001-DiagnosticsLog-3.log"}
    (transfer,) = station.point.transfers
    assert transfer.url == "http://127.0.0.1:1/logs/CP0001-DiagnosticsLog-3.log"
    assert b"BootNotification" in transfer.content
    again = station.status("GetLog", log=where, logType="SecurityLog", requestId=4)
    assert again == "AcceptedCanceled"
    transfer.done(b"")  # of the one that was cancelled
    station.point.transfers[-1].done(None)
    station.exchange()
    sent = [(p["requestId"], p["status"]) for p in station.payloads("LogStatusNotification")]
    assert sent == [(3, "Uploading"), (4, "Uploading"), (4, "UploadFailure")]


# Certificates.


def test_certificates_are_installed_listed_and_deleted():
    station = Station()
    kind = {"certificateType": "CentralSystemRootCertificate"}
    assert station.status("GetInstalledCertificateIds", **kind) == "NotFound"
    pem, _ = certificate()
    assert station.status("InstallCertificate", **kind, certificate=pem) == "Accepted"
    assert station.status("InstallCertificate", **kind, certificate="nonsense") == "Rejected"
    (found,) = station.call("GetInstalledCertificateIds", **kind)["certificateHashData"]
    spelt = {**found, "serialNumber": found["serialNumber"].upper().zfill(40)}
    assert station.status("DeleteCertificate", certificateHashData=spelt) == "Accepted"
    assert station.status("DeleteCertificate", certificateHashData=found) == "NotFound"
    for _ in range(8):
        station.call("InstallCertificate", **kind, certificate=certificate()[0])
    assert station.status("InstallCertificate", **kind, certificate=pem) == "Failed"


def test_a_certificate_is_asked_for_and_taken_when_it_is_for_our_key():
    station = Station(security_profile=2)
    station.call("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")
    (request,) = station.payloads("SignCertificate")
    csr = x509.load_pem_x509_csr(request["csr"].encode())
    assert csr.is_signature_valid
    assert csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "CP0001"
    wrong, key = certificate()
    assert station.status("CertificateSigned", certificateChain=wrong) == "Rejected"
    (event,) = station.payloads("SecurityEventNotification")
    assert event["type"] == "InvalidChargePointCertificate"
    right, _ = certificate(key=key, public_key=csr.public_key())
    profile3 = {"key": "SecurityProfile", "value": "3"}
    assert station.status("ChangeConfiguration", **profile3) == "Rejected"
    assert station.status("CertificateSigned", certificateChain=right + wrong) == "Accepted"
    assert station.status("ChangeConfiguration", **profile3) == "Accepted"
    connection = station.point.calls.connection
    station.wait(1)
    assert station.point.calls.connection == connection + 1
    back = station.status("ChangeConfiguration", key="SecurityProfile", value="2")
    assert back == "Rejected"


def test_a_step_takes_as_long_as_it_is_set():
    station = Station(settings=Settings(job_seconds=10))
    station.call(
        "UpdateFirmware", location="ftp://x.example/y", retrieveDate="2026-03-01T10:00:00Z"
    )
    station.wait(9)
    assert firmware_statuses(station) == ["Downloading"]
