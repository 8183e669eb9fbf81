"""One station by hand, a process of its own, at a central system of the PyPI package `ocpp`."""

import asyncio
import base64
import functools
import http.server
import json
import signal
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.charging_point_simulator.central_system import CentralSystem


class Program:
    """`python -m charging_point_simulator station`, with its pipes."""

    def __init__(self, directory, central, *words, plain=True):
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "charging_point_simulator", "station"),
                *("--identity", "CP0001", "--port", str(central.port)),
                *("--state-directory", str(directory), "--boot-time", "0.2", "--step-time", "0.1"),
                *(["--plain"] if plain else []),
                *map(str, words),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))

    def say(self, *lines):
        for line in lines:
            self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self, *lines, seconds=30):
        self.say(*lines)
        self.process.stdin.close()
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    @property
    def text(self):
        return "\n".join(self.output)


@pytest.fixture
def station(tmp_path):
    """Start a central system and a station: ``station("--connectors", 2)``."""
    centrals, programs = [], []

    def start(*words, tls=None, password=None, wait=True, plain=True):
        central = CentralSystem(tls, password).__enter__()
        centrals.append(central)
        program = Program(tmp_path / "state", central, *words, plain=plain)
        programs.append(program)
        if wait:
            central.expect("StatusNotification", connector_id=1)
        return central, program

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait()
    for central in centrals:
        central.__exit__()


def test_a_session_by_hand_with_its_frames(station):
    central, program = station()
    program.say("plug", "tap CARD")
    start = central.expect("StartTransaction")
    central.expect("StatusNotification", status="Charging")
    assert program.end("status", "stop", "unplug", "quit") == 0
    stop = central.expect("StopTransaction")
    assert stop["meter_stop"] >= start["meter_start"]
    assert (stop["reason"], stop["id_tag"]) == ("Local", "CARD")
    central.expect("StatusNotification", status="Available")
    assert '> [2, "1", "BootNotification"' in program.text
    assert '< [3,"1",' in program.text
    assert "connector 1: Charging, session 1," in program.text


def test_the_meter_goes_on_where_it_stopped_in_the_run_before(station, tmp_path):
    central, program = station("--time-compression", 100)
    assert program.end("plug", "tap CARD", "wait 0.5", "unplug", "quit") == 0
    start, stop = central.expect("StartTransaction"), central.expect("StopTransaction")
    assert stop["meter_stop"] > start["meter_start"]
    central, program = station()
    assert program.end("plug", "tap CARD", "unplug", "quit") == 0
    assert central.expect("StartTransaction")["meter_start"] == stop["meter_stop"]


def test_a_line_that_cannot_be_carried_out_says_so_and_fails_the_script(station):
    _, program = station()
    lines = ["dance", "unplug", "tap", "plug 7", "plug", "plug", "tap WRONG", "fault X", "help"]
    assert program.end(*lines) == 1
    for sentence in (
        "! no command 'dance'; `help` lists them",
        "! no car is plugged into connector 1",
        "! tap CARD [CONNECTOR]",
        "! no connector 7",
        "! a car is plugged into connector 1 already",
        "! card WRONG: Invalid",
        "! no error code 'X'; there are ConnectorLockFailure, ",
        "unplug [CONNECTOR] ",
    ):
        assert sentence in program.text


def test_faults_and_outages_by_hand(station):
    central, program = station()
    program.say("plug", "tap CARD")
    central.expect("StartTransaction")
    central.wait_for_connection()
    program.say("offline")
    program.say("fault GroundFailure")
    program.say("wait 0.3", "online")
    central.wait_for_connection()
    # What it said of its charging before may come first.
    fault = central.expect("StatusNotification", connector_id=1, status="Faulted")
    assert fault["error_code"] == "GroundFailure"
    assert central.expect("StopTransaction")["reason"] == "Other"
    program.say("clear")
    central.expect("StatusNotification", connector_id=1, status="Finishing")
    assert program.end("unplug", "quit") == 0


def test_ctrl_c_is_clean(station):
    _, program = station()
    program.process.send_signal(signal.SIGINT)
    assert program.process.wait(20) == 130
    program._reader.join(5)
    assert "Traceback" not in program.text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["charge", "--connectors", "0"], "--connectors must be positive"),
        (["charge", "--deviate", "nonsense"], "no deviation 'nonsense'"),
        (["charge", "--answer", "Reset"], "--answer Reset: expected"),
        (["charge", "--client-certificate", "/nowhere"], "client certificate /nowhere"),
        (["station", "--identity", "X", "--time-compression", "0"], "must be positive"),
    ],
)
def test_what_cannot_be_is_one_sentence(words, sentence):
    run = subprocess.run(
        [sys.executable, "-m", "charging_point_simulator", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 2
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr


def test_deviations_are_listed():
    run = subprocess.run(
        [sys.executable, "-m", "charging_point_simulator", "--deviations"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "byte-order-mark " in run.stdout


def test_a_backend_that_is_not_there_is_said_and_given_up(tmp_path):
    central = CentralSystem()
    central.port = 1
    program = Program(tmp_path, central, "--give-up-after", 0.1)
    assert program.process.wait(20) == 1
    program._reader.join(5)
    assert "gave up connecting" in program.text


# Every command, at a central system that is not ours.


def test_core_commands(station):
    central, program = station("--connectors", 2)
    central.expect("StatusNotification", connector_id=2)
    assert central.call("ChangeAvailability", connector_id=2, type="Inoperative").status == (
        "Accepted"
    )
    central.expect("StatusNotification", connector_id=2, status="Unavailable")
    answer = central.call("GetConfiguration", key=["NumberOfConnectors", "Nonsense"])
    assert answer.configuration_key == [
        {"key": "NumberOfConnectors", "readonly": True, "value": "2"}
    ]
    assert answer.unknown_key == ["Nonsense"]
    change = {"key": "MeterValueSampleInterval", "value": "1"}
    assert central.call("ChangeConfiguration", **change).status == "Accepted"
    assert central.call("ClearCache").status == "Accepted"
    assert central.call("DataTransfer", vendor_id="X").status == "UnknownVendorId"
    assert central.call("RemoteStartTransaction", id_tag="APP").status == "Accepted"
    program.say("plug")
    central.expect("StartTransaction", id_tag="APP")
    central.expect("MeterValues")
    assert central.call("RemoteStopTransaction", transaction_id=1).status == "Accepted"
    assert central.expect("StopTransaction")["reason"] == "Remote"
    assert central.call("UnlockConnector", connector_id=1).status == "Unlocked"
    for kind in ("Soft", "Hard"):
        assert central.call("Reset", type=kind).status == "Accepted"
        central.expect("BootNotification")
        central.expect("StatusNotification", connector_id=2, status="Unavailable")
    assert program.end("quit") == 0


def test_lists_reservations_profiles_and_triggers(station):
    central, program = station("--meter-values-interval", 1)
    assert central.call("GetLocalListVersion").list_version == 0
    entry = {"id_tag": "CARD", "id_tag_info": {"status": "Accepted"}}
    update = {"list_version": 1, "update_type": "Full", "local_authorization_list": [entry]}
    assert central.call("SendLocalList", **update).status == "Accepted"
    expiry = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    reservation = {"connector_id": 1, "expiry_date": expiry, "id_tag": "X", "reservation_id": 3}
    assert central.call("ReserveNow", **reservation).status == "Accepted"
    central.expect("StatusNotification", status="Reserved")
    assert central.call("CancelReservation", reservation_id=3).status == "Accepted"
    central.expect("StatusNotification", status="Available")
    profile = {
        "charging_profile_id": 1,
        "stack_level": 0,
        "charging_profile_purpose": "TxDefaultProfile",
        "charging_profile_kind": "Relative",
        "charging_schedule": {
            "charging_rate_unit": "W",
            "charging_schedule_period": [{"start_period": 0, "limit": 10}],
        },
    }
    answer = central.call("SetChargingProfile", connector_id=1, cs_charging_profiles=profile)
    assert answer.status == "Accepted"
    composite = central.call("GetCompositeSchedule", connector_id=1, duration=60)
    assert composite.charging_schedule["charging_schedule_period"] == [
        {"start_period": 0, "limit": 10}
    ]
    program.say("plug", "tap CARD")
    for _ in range(3):
        reading = central.expect("MeterValues")["meter_value"][0]["sampled_value"]
        (power,) = (s["value"] for s in reading if s["measurand"] == "Power.Active.Import")
    assert power == "10"
    assert central.call("ClearChargingProfile", id=1).status == "Accepted"
    for message in ("Heartbeat", "MeterValues", "StatusNotification", "BootNotification"):
        assert central.call("TriggerMessage", requested_message=message).status == "Accepted"
        central.expect(message)
    assert program.end("unplug", "quit") == 0


class Files(http.server.BaseHTTPRequestHandler):
    """Serves and takes files."""

    def __init__(self, files, *rest):
        self.files = files
        super().__init__(*rest)

    def do_GET(self):
        content = self.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def do_PUT(self):
        self.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def files():
    """Files by path, and the address they are served at."""
    held = {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, held))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield held, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def certificate(key, public_key=None, name="VNI"):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public_key or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def test_firmware_and_logs_over_http(station, files):
    held, address = files
    central, program = station()
    held["/simulator-2.0.bin"] = b"firmware"
    now = datetime.now(UTC).isoformat()
    central.call("UpdateFirmware", location=f"{address}/simulator-2.0.bin", retrieve_date=now)
    for status in ("Downloading", "Downloaded", "Installing"):
        assert central.expect("FirmwareStatusNotification")["status"] == status
    assert central.expect("BootNotification")["firmware_version"] == "2.0"
    assert central.expect("FirmwareStatusNotification")["status"] == "Installed"
    central.call("UpdateFirmware", location=f"{address}/missing.bin", retrieve_date=now)
    central.expect("FirmwareStatusNotification", status="DownloadFailed")
    name = central.call("GetDiagnostics", location=f"{address}/").file_name
    central.expect("DiagnosticsStatusNotification", status="Uploaded")
    assert b"BootNotification" in held[f"/{name}"]
    log = {"remote_location": f"{address}/drop/one-time-name"}
    answer = central.call("GetLog", log=log, log_type="DiagnosticsLog", request_id=9)
    assert answer.status == "Accepted"
    central.expect("LogStatusNotification", status="Uploaded", request_id=9)
    assert b"BootNotification" in held["/drop/one-time-name"]
    assert program.end("quit") == 0


def test_signed_firmware_over_http(station, files):
    held, address = files
    central, program = station()
    held["/simulator-3.1.bin"] = b"firmware"
    key = ec.generate_private_key(ec.SECP256R1())
    firmware = {
        "location": f"{address}/simulator-3.1.bin",
        "retrieve_date_time": datetime.now(UTC).isoformat(),
        "signing_certificate": certificate(key),
    }
    for content, last in ((b"other", "InvalidSignature"), (b"firmware", "Installed")):
        signature = base64.b64encode(key.sign(content, ec.ECDSA(hashes.SHA256()))).decode()
        answer = central.call(
            "SignedUpdateFirmware", request_id=4, firmware={**firmware, "signature": signature}
        )
        assert answer.status == "Accepted"
        central.expect("SignedFirmwareStatusNotification", status=last, request_id=4)
    assert program.end("quit") == 0


def test_certificates(station):
    central, program = station()
    key = ec.generate_private_key(ec.SECP256R1())
    kind = "CentralSystemRootCertificate"
    pem = certificate(key)
    answer = central.call("InstallCertificate", certificate_type=kind, certificate=pem)
    assert answer.status == "Accepted"
    installed = central.call("GetInstalledCertificateIds", certificate_type=kind)
    (found,) = installed.certificate_hash_data
    assert central.call("DeleteCertificate", certificate_hash_data=found).status == "Accepted"
    trigger = {"requested_message": "SignChargePointCertificate"}
    assert central.call("ExtendedTriggerMessage", **trigger).status == "Accepted"
    csr = x509.load_pem_x509_csr(central.expect("SignCertificate")["csr"].encode())
    signed = certificate(key, csr.public_key(), "CP0001")
    assert central.call("CertificateSigned", certificate_chain=signed).status == "Accepted"
    assert central.call("CertificateSigned", certificate_chain=pem).status == "Rejected"
    central.expect("SecurityEventNotification", type="InvalidChargePointCertificate")
    assert program.end("quit") == 0


def test_commands_answered_otherwise(station):
    central, program = station("--answer", "Reset=reject", "--answer", "ClearCache=late:0.5")
    assert central.call("Reset", type="Hard").status == "Rejected"
    began = time.monotonic()
    assert central.call("ClearCache").status == "Accepted"
    assert time.monotonic() - began >= 0.5
    assert program.end("quit") == 0


# Security profiles.


def tls_contexts(tmp_path):
    authority = trustme.CA()
    server = authority.issue_cert("localhost")
    client = authority.issue_cert("CP0001")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.configure_cert(context)
    authority.configure_trust(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    return authority, context


def test_profile_1_a_password_that_is_changed_over_ocpp(station):
    central, program = station("--password", "first password", password="first password")
    central.wait_for_connection()
    central.password = "second password"
    change = {"key": "AuthorizationKey", "value": b"second password".hex()}
    assert central.call("ChangeConfiguration", **change).status == "Accepted"
    central.wait_for_connection()
    central.expect("StatusNotification", connector_id=1)
    assert program.end("quit") == 0


def test_profile_2_a_certificate_of_a_ca_and_a_password(station, tmp_path):
    _, context = tls_contexts(tmp_path)
    words = ("--host", "localhost", "--ca-file", tmp_path / "ca.pem", "--password", "a password")
    central, program = station(*words, tls=context, password="a password", plain=False)
    answer = central.call("GetConfiguration", key=["SecurityProfile"])
    assert answer.configuration_key[0]["value"] == "2"
    assert program.end("quit") == 0


def test_profile_3_a_client_certificate(station, tmp_path):
    _, context = tls_contexts(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    trust = ("--host", "localhost", "--ca-file", tmp_path / "ca.pem")
    _, stranger = station(*trust, "--give-up-after", 0.1, tls=context, plain=False, wait=False)
    assert stranger.process.wait(30) == 1
    own = ("--client-certificate", tmp_path / "client.pem")
    central, program = station(*trust, *own, tls=context, plain=False)
    connection = central.wait_for_connection()
    presented = connection.transport.get_extra_info("ssl_object").getpeercert()
    assert ("DNS", "cp0001") in presented["subjectAltName"]
    answer = central.call("GetConfiguration", key=["SecurityProfile"])
    assert answer.configuration_key[0]["value"] == "3"
    assert program.end("quit") == 0


def test_violations_of_the_backend_are_reported(station):
    central, program = station()
    peer = central.peer
    bad = json.dumps([2, "bad", "Reset", {"type": "Warm"}])
    asyncio.run_coroutine_threadsafe(peer._connection.send(bad), central._loop).result(10)
    program.say("wait 0.3")
    assert program.end("quit") == 0
    assert "violation, 1 times: Reset: type:" in program.text
