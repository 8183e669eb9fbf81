"""Security profiles 0 to 3 with real TLS and real certificates, and who is not let in."""

import base64
import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from charging.credential import hash_password
from charging.database.audit import Asker
from charging.handshake import RefusedHandshake
from cp_backend.authentication import authenticate
from cp_backend.refusal import Refusal
from cp_backend.refused_handshakes import MAX_PATHS_OF_AN_ADDRESS, MAX_PLACES, RefusedHandshakes
from cp_backend.store.admission import Admitted
from cp_backend.transport import PLAIN, Certificate, Transport
from operations import charging_points, handshakes
from operations.command_line.main import main
from operations.errors import ConflictError, InvalidError
from scripts.world import Node
from tests.rows import add_charging_point
from tests.station import Station
from tests.waiting import eventually

BY = Asker("operator", "tests")
PASSWORD = "correct horse"
SALT = b"s" * 16


def basic(password, user="CP1"):
    if isinstance(password, str):
        password = password.encode()
    return "Basic " + base64.b64encode(user.encode() + b":" + password).decode()


def admitted(password=PASSWORD, **more):
    hashed = None if password is None else hash_password(password.encode(), SALT)
    return Admitted(password and SALT, hashed, None, None, **more)


def shown(name, organization="VNI"):
    return Transport(True, Certificate(frozenset({name}), frozenset({organization})))


TLS = Transport(encrypted=True)
NONE = Headers()
RIGHT = Headers({"Authorization": basic(PASSWORD)})


@pytest.mark.parametrize(
    ("headers", "transport", "row", "profile"),
    [
        (NONE, PLAIN, admitted(None), 0),
        (RIGHT, PLAIN, admitted(), 1),
        (RIGHT, TLS, admitted(lowest_profile=1), 2),
        (RIGHT, TLS, admitted(lowest_profile=2), 2),
        (NONE, shown("CP1"), admitted(), 3),
        (NONE, shown("CP1"), admitted(None, lowest_profile=3), 3),
        (NONE, shown("SN42"), admitted(lowest_profile=3, certificate_name="SN42"), 3),
        # A certificate of another is none, where a password is enough.
        (RIGHT, shown("CP2"), admitted(lowest_profile=2), 2),
    ],
)
def test_a_charging_point_comes_in_with_its_profile(headers, transport, row, profile):
    assert authenticate(headers, "CP1", row, transport) == profile


@pytest.mark.parametrize(
    ("headers", "transport", "row", "cause"),
    [
        (RIGHT, PLAIN, admitted(lowest_profile=2), RefusedHandshake.NO_ENCRYPTION),
        (RIGHT, PLAIN, admitted(lowest_profile=3), RefusedHandshake.NO_ENCRYPTION),
        (RIGHT, TLS, admitted(lowest_profile=3), RefusedHandshake.NO_CERTIFICATE),
        (RIGHT, shown("CP2"), admitted(lowest_profile=3), RefusedHandshake.WRONG_CERTIFICATE),
        (
            NONE,
            shown("CP1"),
            admitted(lowest_profile=3, certificate_name="SN42"),
            RefusedHandshake.WRONG_CERTIFICATE,
        ),
        (NONE, TLS, admitted(None, lowest_profile=1), RefusedHandshake.NO_CREDENTIALS),
        (NONE, shown("CP2"), admitted(), RefusedHandshake.NO_CREDENTIALS),
        (NONE, TLS, admitted(), RefusedHandshake.NO_CREDENTIALS),
        (Headers({"Authorization": basic("wrong")}), TLS, admitted(), "bad credentials"),
        (Headers({"Authorization": basic(PASSWORD, "CP2")}), TLS, admitted(), "bad credentials"),
    ],
)
def test_below_its_lowest_profile_it_does_not(headers, transport, row, cause):
    with pytest.raises(Refusal) as refused:
        authenticate(headers, "CP1", row, transport)
    assert refused.value.cause == cause


def test_a_node_may_ask_for_more_than_a_charging_points_row():
    with pytest.raises(Refusal) as refused:
        authenticate(RIGHT, "CP1", admitted(), PLAIN, lowest_profile=2)
    assert refused.value.cause == RefusedHandshake.NO_ENCRYPTION


def test_a_certificate_of_another_operator_is_none():
    assert authenticate(NONE, "CP1", admitted(), shown("CP1"), organization="VNI") == 3
    with pytest.raises(Refusal):
        authenticate(NONE, "CP1", admitted(), shown("CP1", "Other"), organization="VNI")


@pytest.mark.parametrize(
    ("registered", "sent"),
    [
        ("0123456789abcdef", "0123456789abcdef"),
        ("0123456789abcdef", bytes.fromhex("0123456789abcdef")),
        ("0123456789ABCDEF", bytes.fromhex("0123456789abcdef")),
        (PASSWORD, PASSWORD.encode().hex()),
        (PASSWORD, PASSWORD.encode().hex().upper()),
        ("x" * 64, "x" * 64),
        ("pass:word", "pass:word"),
    ],
)
def test_a_password_may_be_written_in_hex_on_either_side(registered, sent):
    headers = Headers({"Authorization": basic(sent)})
    assert authenticate(headers, "CP1", admitted(registered), TLS) == 2


def test_credentials_may_lack_their_padding_or_have_the_alphabet_of_urls():
    password = b"\xfb\xff\xfe 16 bytes and more"
    written = base64.b64encode(b"CP1:" + password).decode()
    assert "+" in written or "/" in written
    row = Admitted(SALT, hash_password(password, SALT), None, None)
    for sent in (written.rstrip("="), written.replace("+", "-").replace("/", "_")):
        assert authenticate(Headers({"Authorization": f"basic  {sent}"}), "CP1", row, TLS) == 2


# Real TLS.


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def files(authority, tmp_path):
    """The files of a node that speaks TLS and asks for client certificates."""
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in server.cert_chain_pems:
        blob.write_to_path(tmp_path / "certificate.pem", append=True)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {
        "tls_certificate": str(tmp_path / "certificate.pem"),
        "tls_key": str(tmp_path / "key.pem"),
        "tls_client_ca": str(tmp_path / "ca.pem"),
    }


@pytest.fixture
def run_tls_node(database_url, tmp_path, files):
    """Start nodes that speak TLS: their health paths do too, so what they log is waited for."""
    nodes = []

    def run(**settings):
        node = Node(database_url, tmp_path / f"tls{len(nodes)}.log", (), files | settings)
        nodes.append(node)
        eventually(lambda: node.program.log.exists() and node.logged("listening"), 30)
        return node

    yield run
    for node in nodes:
        assert node.program.stop() == 0


def client_certificate(authority, name, organization="VNI"):
    return authority.issue_cert(
        f"{name.lower()}.example", common_name=name, organization_name=organization
    )


def open_over_tls(node, authority, name="CP1", certificate=None, password=None, **options):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if isinstance(certificate, Path):
        context.load_cert_chain(certificate)
    elif certificate is not None:
        certificate.configure_cert(context)
    headers = {} if password is None else {"Authorization": basic(password, name)}
    return connect(
        f"wss://localhost:{node.port}/{name}",
        sock=socket.create_connection(("127.0.0.1", node.port), timeout=10),
        ssl=context,
        subprotocols=["ocpp1.6"],
        additional_headers=headers,
        **options,
    )


def boots(websocket):
    boot = {"chargePointVendor": "V", "chargePointModel": "M"}
    websocket.send(json.dumps([2, "1", "BootNotification", boot]))
    return json.loads(websocket.recv(10))[2]["status"] == "Accepted"


def test_a_certificate_of_the_charging_point_opens_and_no_other(run_tls_node, database, authority):
    add_charging_point(database, lowest_security_profile=3)
    node = run_tls_node(certificate_organization="VNI")
    with open_over_tls(
        node, authority, certificate=client_certificate(authority, "CP1")
    ) as socket_:
        assert boots(socket_)
    for certificate in (
        None,
        client_certificate(authority, "CP2"),
        client_certificate(authority, "CP1", "Other"),
    ):
        with pytest.raises(InvalidStatus) as refused:
            open_over_tls(node, authority, certificate=certificate)
        assert refused.value.response.status_code == 403
    eventually(lambda: len(handshakes.list_refused(database)) == 2)
    assert {each.cause for each in handshakes.list_refused(database)} == {
        "no certificate",
        "wrong certificate",
    }


def test_a_certificate_that_nobody_believes_opens_nothing(run_tls_node, database, authority):
    add_charging_point(database, lowest_security_profile=3)
    node = run_tls_node()
    stranger = client_certificate(trustme.CA(), "CP1")
    with pytest.raises((OSError, ssl.SSLError, EOFError, Exception)) as error:
        open_over_tls(node, authority, certificate=stranger)
    assert not isinstance(error.value, InvalidStatus)
    (refused,) = eventually(lambda: handshakes.list_refused(database))
    assert (refused.cause, refused.path, refused.address) == ("tls failed", "", "127.0.0.1")
    assert "openssl" in refused.advice


def test_a_password_over_tls_is_profile_2(run_tls_node, database, authority):
    charging_points.register(database, "CP1", by=BY, password=PASSWORD)
    charging_points.set_security(database, "CP1", by=BY, profile=2)
    node = run_tls_node()
    with open_over_tls(node, authority, password=PASSWORD) as socket_:
        assert boots(socket_)
        # Who comes in more safely than it must is who can be made to.
        (listed,) = charging_points.list_all(database)
        assert (listed.security_profile, listed.lowest_profile) == (2, 2)
        charging_points.set_security(database, "CP1", by=BY, profile=1)
        (listed,) = charging_points.list_all(database)
        assert (listed.security_profile, listed.lowest_profile) == (2, 1)
    eventually(lambda: charging_points.list_all(database)[0].security_profile is None)


def test_a_client_that_does_not_believe_our_certificate_is_listed(
    run_tls_node, database, authority
):
    node = run_tls_node()
    with pytest.raises(ssl.SSLError):
        open_over_tls(node, trustme.CA())
    eventually(lambda: [r for r in handshakes.list_refused(database) if r.cause == "tls failed"])


def test_tls_handshakes_have_a_limit(run_tls_node, database, authority):
    add_charging_point(database)
    node = run_tls_node(max_handshakes="2", handshake_timeout="1")
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(4)]
    try:
        for refused in (silent[2], silent[3]):
            refused.settimeout(10)
            assert refused.recv(1) == b""
        # Those that say nothing are let go, and others come in.
        eventually(lambda: _causes(database) == {"too many handshakes", "tls failed"})
        with open_over_tls(node, authority) as socket_:
            assert boots(socket_)
    finally:
        for each in silent:
            each.close()


def _causes(database):
    return {refused.cause for refused in handshakes.list_refused(database)}


def test_a_certificate_that_was_asked_for_opens_with_profile_3(
    run_tls_node, database, authority, tmp_path
):
    charging_points.register(database, "CP1", by=BY, password=PASSWORD)
    authority.private_key_pem.write_to_path(tmp_path / "ca.key")
    node = run_tls_node(
        signing_certificate=str(tmp_path / "ca.pem"), signing_key=str(tmp_path / "ca.key")
    )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CP1")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    csr = request.public_bytes(serialization.Encoding.PEM).decode()
    with open_over_tls(node, authority, password=PASSWORD) as socket_:
        assert boots(socket_)
        socket_.send(json.dumps([2, "2", "SignCertificate", {"csr": csr}]))
        assert json.loads(socket_.recv(10))[2] == {"status": "Accepted"}
        _, message_id, action, payload = json.loads(socket_.recv(10))
        assert action == "CertificateSigned"
        socket_.send(json.dumps([3, message_id, {"status": "Accepted"}]))
    charging_points.set_security(database, "CP1", by=BY, profile=3)
    signed = tmp_path / "cp1.pem"
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    signed.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
        + payload["certificateChain"].encode()
    )
    with open_over_tls(node, authority, certificate=signed) as socket_:
        assert boots(socket_)
        (listed,) = charging_points.list_all(database)
        assert listed.security_profile == 3


# A load balancer in front.

FROM_BALANCER = {"X-Forwarded-Proto": "https"}


def refusal(*arguments, **options):
    with pytest.raises(InvalidStatus) as error:
        Station(*arguments, **options)
    return error.value.response.status_code


def test_tls_at_the_balancer_counts_where_the_balancer_says_so(run_node, database):
    charging_points.register(database, "CP1", by=BY, password=PASSWORD)
    charging_points.set_security(database, "CP1", by=BY, profile=2)
    believing = run_node(balancer_networks="127.0.0.0/8")
    with Station(believing.port, password=PASSWORD, headers=FROM_BALANCER) as station:
        assert station.boot()["status"] == "Accepted"
    assert refusal(believing.port, password=PASSWORD) == 403
    assert refusal(believing.port, password=PASSWORD, headers={"X-Forwarded-Proto": "http"}) == 403
    # From another address the header could be anybody's.
    other = run_node(balancer_networks="192.0.2.0/24")
    assert refusal(other.port, password=PASSWORD, headers=FROM_BALANCER) == 403


def test_a_certificate_that_the_balancer_verified_counts_where_it_verifies(run_node, database):
    add_charging_point(database, lowest_security_profile=3)
    headers = FROM_BALANCER | {"X-Amzn-Mtls-Clientcert-Subject": "CN=CP1,O=VNI"}
    verifying = {"balancer_verifies_certificates": "true"}
    node = run_node(balancer_networks="127.0.0.1", **verifying)
    with Station(node.port, headers=headers) as station:
        assert station.boot()["status"] == "Accepted"
    other = headers | {"X-Amzn-Mtls-Clientcert-Subject": "CN=CP2,O=VNI"}
    assert refusal(node.port, headers=other) == 403
    # One that verifies nothing passes on what the client wrote.
    assert refusal(run_node(balancer_networks="127.0.0.1").port, headers=headers) == 403


# What an operator sees of it, and sets.


def test_refused_handshakes_are_listed_with_advice(
    run_node, database, database_url, monkeypatch, capsys
):
    monkeypatch.setenv("DATABASE_URL", database_url)
    charging_points.register(database, "CP1", by=BY, password=PASSWORD)
    node = run_node()
    for _ in range(3):
        assert refusal(node.port, "CP1", password="wrong wrong") == 401
    assert refusal(node.port, path="/ocpp/STRANGER?token=secret") == 404
    station = Station(node.port, password=PASSWORD, subprotocols=["ocpp9.9"])
    station.socket.close()
    found = {r.cause: r for r in eventually(lambda: _all_of(database, 3))}
    assert found["bad credentials"].count == 3
    assert found["bad credentials"].path == "/CP1"
    assert found["unknown"].path == "/ocpp/STRANGER"
    assert found["no common subprotocol"].detail == "offered: ocpp9.9"
    assert main(["handshakes", "refused", "CP1", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["cause"] for row in listed} == {"bad credentials", "no common subprotocol"}
    assert all(row["advice"] for row in listed)
    assert main(["handshakes", "refused", "--limit", "0"]) == 1


def _all_of(database, count):
    found = handshakes.list_refused(database)
    return found if len(found) == count else None


def test_every_cause_has_its_advice():
    assert set(handshakes.ADVICE) == set(RefusedHandshake)


async def test_one_address_cannot_fill_the_list_and_all_together_neither():
    class Lookups:
        async def ask(self, statement, counted):
            self.counted = counted

    lookups = Lookups()
    refused = RefusedHandshakes(lookups)
    for number in range(1000):
        refused.note("unknown", f"/{number}", "192.0.2.1")
    await refused.flush()
    assert len(lookups.counted) == MAX_PATHS_OF_AN_ADDRESS + 1
    assert sum(each.count for each in lookups.counted) == 1000
    for number in range(2 * MAX_PLACES):
        refused.note("unknown", "/a\x00\x1b[2J", f"2001:db8::{number:x}")
    await refused.flush()
    assert len(lookups.counted) == MAX_PLACES
    assert {each.path for each in lookups.counted} == {"/a��[2J"}


def test_security_is_set_by_an_operator(database):
    charging_points.register(database, "CP1", by=BY)
    charging_points.register(database, "CP2", by=BY, with_password=False)

    def row(name):
        return database.execute(
            "SELECT lowest_security_profile, certificate_name FROM charging_points"
            " WHERE charging_point_id = %s",
            [name],
        ).fetchone()

    assert (row("CP1"), row("CP2")) == ((1, None), (0, None))
    charging_points.set_security(database, "CP1", by=BY, profile=3, certificate_name="SN42")
    assert row("CP1") == (3, "SN42")
    charging_points.set_security(database, "CP1", by=BY, certificate_name="")
    assert row("CP1") == (3, None)
    with pytest.raises(ConflictError):
        charging_points.set_security(database, "CP1", by=BY, profile=0)
    charging_points.renew_password(database, "CP2", by=BY, password="x" * 8)
    assert row("CP2") == (1, None)
    for password in ("x" * 7, "x" * 65):
        with pytest.raises(InvalidError, match="8 to 64 bytes"):
            charging_points.renew_password(database, "CP2", by=BY, password=password)
    with pytest.raises(InvalidError):
        charging_points.set_security(database, "CP1", by=BY)


def test_a_password_is_given_on_standard_input(database, database_url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    words = ["charging-points", "register", "CP1", "--password", "-", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "operations", *words],
        input=b"0123456789abcdef\n",
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(done.stdout)["password"] == "0123456789abcdef"
    assert main(["charging-points", "set-security", "CP1", "--profile", "2"]) == 0
