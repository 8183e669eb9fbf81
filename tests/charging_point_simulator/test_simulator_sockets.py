"""What a simulated charging point does to its socket, as a process of its own."""

import json
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from charging_point_simulator.registers import Registers
from scripts.programs import Program
from tests.charging_point_simulator.central_system import CentralSystem
from tests.waiting import eventually


@pytest.fixture
def charge(tmp_path):
    """Run a charging point that deviates, against a port."""
    programs = []

    def run(port, *names, words=()):
        deviations = [word for name in names for word in ("--deviate", name)]
        programs.append(
            Program(
                [
                    *("charging_point_simulator", "charge", "--plain", "--port", str(port)),
                    *("--time-compression", "600", "--state-directory", str(tmp_path / "state")),
                    *deviations,
                    *words,
                ],
                tmp_path / "simulator.log",
            )
        )
        return programs[-1]

    yield run
    for program in programs:
        program.stop()


@pytest.mark.parametrize(
    ("name", "path", "connection", "extensions"),
    [
        (None, "/SIM00001", True, False),
        ("no-connection-header", "/SIM00001", False, False),
        ("two-slashes", "/SIM00001//", True, False),
        ("offers-compression", "/SIM00001", True, True),
    ],
)
def test_handshakes(charge, name, path, connection, extensions):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        charge(server.getsockname()[1], *([name] if name else []))
        client, _ = server.accept()
        with client:
            client.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
    request, *lines = head.decode().split("\r\n")
    headers = {line.partition(":")[0].lower() for line in lines}
    assert request == f"GET {path} HTTP/1.1"
    assert ("connection" in headers) == connection
    assert ("sec-websocket-extensions" in headers) == extensions


def talk_to(handler):
    """A server of the library's own, in a thread; ended by its socket."""
    server = serve(handler, "127.0.0.1", 0, subprotocols=["ocpp1.6"], ping_interval=None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize(("names", "answered"), [((), True), (("no-pongs",), False)])
def test_pings(charge, names, answered):
    pongs = []

    def handler(connection):
        connection.recv()
        pongs.append(connection.ping().wait(3))

    server = talk_to(handler)
    charge(server.socket.getsockname()[1], *names)
    eventually(lambda: pongs, 20)
    server.shutdown()
    assert pongs[0] is answered


def test_one_that_never_boots_and_one_that_hangs_up(charge):
    first, ended = [], []

    def handler(connection):
        first.append(json.loads(connection.recv(timeout=20))[2])
        connection.send('[2,"c","GetConfiguration",{}]')
        try:
            while True:
                connection.recv(timeout=2)
        except TimeoutError:
            ended.append(False)
        except ConnectionClosed:
            ended.append(True)

    server = talk_to(handler)
    port = server.socket.getsockname()[1]
    never = charge(port, "no-boot")
    eventually(lambda: ended, 20)
    never.stop()
    assert (first[0], ended[0]) == ("StatusNotification", False)
    first.clear()
    ended.clear()
    charge(port, "hangs-up")
    eventually(lambda: ended, 20)
    server.shutdown()
    assert (first[0], ended[0]) == ("BootNotification", True)


def test_a_session_without_its_stop_and_with_odd_frames(charge):
    """The charging point goes on as if all were well, but knows of no acknowledgement."""
    received = []

    def handler(connection):
        for text in connection:
            assert text.startswith("\ufeff")
            frame = json.loads(text.removeprefix("\ufeff"))
            received.append(frame)
            answers = {
                "BootNotification": {
                    "status": "Accepted",
                    "interval": 300,
                    "currentTime": "2026-03-01T10:00:00Z",
                },
                "Authorize": {"idTagInfo": {"status": "Accepted"}},
                "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
            }
            connection.send(json.dumps([3, frame[1], answers.get(frame[2], {})]))

    server = talk_to(handler)
    port = server.socket.getsockname()[1]
    program = charge(port, "byte-order-mark", "number-ids", "lost-stop", words=["--duration", "60"])
    assert program.wait(30) == 0, program.log_end()
    server.shutdown()
    actions = [frame[2] for frame in received]
    assert "StartTransaction" in actions
    assert "StopTransaction" not in actions
    assert "0 of 1 sessions complete" in program.log_end()
    assert all(isinstance(frame[1], int) for frame in received)


def test_a_boot_that_is_always_refused_is_given_up(charge):
    def handler(connection):
        for text in connection:
            message_id = json.loads(text)[1]
            connection.send(json.dumps([4, message_id, "FormationViolation", "no vendor", {}]))

    server = talk_to(handler)
    port = server.socket.getsockname()[1]
    program = charge(port, "no-vendor", words=["--give-up-after", "1"])
    assert program.wait(30) == 1
    server.shutdown()
    assert "gave up: BootNotification: FormationViolation no vendor" in program.log_end()


def test_a_charging_point_with_a_broken_connector_fails_its_scenario(charge):
    with CentralSystem() as central:
        program = charge(central.port, words=["--status", "Faulted"])
        assert program.wait(30) == 1
        assert "connector 1 is Faulted" in program.log_end()
        assert "0 of 0 sessions complete" in program.log_end()


def test_registers_never_go_back_and_survive_nonsense(tmp_path):
    registers = Registers(tmp_path / "deep" / "state")
    assert registers.load("CP/1") == {}
    registers.save("CP/1", {1: 1234.5678, 2: 5.0})
    assert registers.load("CP/1") == {1: 1234.568, 2: 5.0}
    for text in ("", "[]", "null", '{"1": "x"}', '{"x": 1}'):
        (file,) = (tmp_path / "deep" / "state").iterdir()
        file.write_text(text)
        assert registers.load("CP/1") == {}
    Registers(None).save("CP1", {1: 1.0})
    Registers(tmp_path / "deep/state/CP_1.json").save("CP1", {1: 1.0})  # not a directory
    assert Registers(None).load("CP1") == {}


# Security profile 3, from profile 2 over OCPP.


def authority():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
    now = datetime.now(UTC)
    ca = x509.BasicConstraints(ca=True, path_length=None)
    return key, issue(key, name, name, key.public_key(), ca, now)


def issue(key, issuer, subject, public_key, constraints, now, *names):
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(constraints, critical=True)
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        built = built.add_extension(alternative, critical=False)
    return built.sign(key, hashes.SHA256())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def test_a_certificate_that_was_signed_over_ocpp_is_presented_from_then_on(charge, tmp_path):
    key, root = authority()
    leaf = x509.BasicConstraints(ca=False, path_length=None)
    now, own = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    server = issue(key, root.subject, name, own.public_key(), leaf, now, "localhost")
    (tmp_path / "ca.pem").write_text(pem(root))
    private = own.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "server.pem").write_text(private.decode() + pem(server))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.load_verify_locations(cadata=pem(root))
    context.verify_mode = ssl.CERT_OPTIONAL
    with CentralSystem(tls=context) as central:
        program = Program(
            [
                *("charging_point_simulator", "charge", "--port", str(central.port)),
                *("--host", "localhost", "--ca-file", str(tmp_path / "ca.pem")),
                *("--sessions", "0", "--stay", "--state-directory", str(tmp_path / "state")),
            ],
            tmp_path / "simulator.log",
        )
        try:
            first = central.wait_for_connection()
            assert not first.transport.get_extra_info("ssl_object").getpeercert()
            central.expect("StatusNotification", connector_id=1)
            trigger = {"requested_message": "SignChargePointCertificate"}
            assert central.call("ExtendedTriggerMessage", **trigger).status == "Accepted"
            request = central.expect("SignCertificate")["csr"]
            csr = x509.load_pem_x509_csr(request.encode())
            signed = issue(key, root.subject, csr.subject, csr.public_key(), leaf, now)
            answer = central.call("CertificateSigned", certificate_chain=pem(signed))
            assert answer.status == "Accepted"
            change = {"key": "SecurityProfile", "value": "3"}
            assert central.call("ChangeConfiguration", **change).status == "Accepted"
            second = central.wait_for_connection()
            presented = second.transport.get_extra_info("ssl_object").getpeercert()
            assert (("commonName", "SIM00001"),) in presented["subject"]
        finally:
            program.stop()


# A node of ours.


def test_a_station_at_a_real_node_and_the_database_agree(run_node, database, tmp_path):
    node = run_node(admit_unknown="true", admit_unknown_tokens="true")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "charging_point_simulator", "station", "--plain"),
            *("--identity", "CP0001", "--port", str(node.port), "--no-frames"),
            *("--state-directory", str(tmp_path), "--time-compression", "100"),
            *("--meter-values-interval", "0.2"),
        ],
        input="plug\ntap CARD\nwait 1\nstop\nstatus\nunplug\nquit\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    (row,) = database.execute("SELECT meter_stop_wh, energy_wh, state FROM sessions").fetchall()
    assert row[1:] == (row[1], "ended")
    assert row[1] > 0
    assert f"connector 1: Finishing, 0 W, {row[0]} Wh" in run.stdout
