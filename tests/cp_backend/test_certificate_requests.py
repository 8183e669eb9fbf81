"""Charging points that want a certificate: signed for whom it names, handed over, and used."""

from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from charging.service.settings import SettingError
from cp_backend.certificate_authority import UnsignedError, load
from cp_backend.settings import from_environment
from cp_backend.store.certificates import MOST_AN_HOUR, NO_AUTHORITY
from tests.rows import add_charging_point
from tests.station import Station
from tests.waiting import eventually

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An authority's files: its certificate and its key."""
    directory = tmp_path_factory.mktemp("authority")
    authority = trustme.CA(organization_name="VNI")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    authority.private_key_pem.write_to_path(directory / "ca.key")
    return str(directory / "ca.pem"), str(directory / "ca.key")


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


def request(key, name="CP1", organization="VNI"):
    attributes = [(NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, organization)]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes if value])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def test_a_certificate_names_the_charging_point_and_is_for_clients(files, key):
    authority = load(*files, 30, "VNI")
    (signed,) = x509.load_pem_x509_certificates(authority.sign(request(key), "CP1", NOW).encode())
    signed.verify_directly_issued_by(authority.certificates[0])
    assert signed.public_key() == key.public_key()
    assert signed.subject.rfc4514_string() == "O=VNI,CN=CP1"
    assert timedelta(days=29) < signed.not_valid_after_utc - NOW <= timedelta(days=30)
    assert signed.not_valid_before_utc < NOW
    usage = signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_it_ends_no_later_than_its_authority(files, key):
    authority = load(*files, 10**6, "")
    (signed,) = x509.load_pem_x509_certificates(authority.sign(request(key), "CP1", NOW).encode())
    assert signed.not_valid_after_utc == authority.certificates[0].not_valid_after_utc


def test_an_authority_that_has_expired_signs_nothing(files, key):
    authority = load(*files, 30, "")
    with pytest.raises(UnsignedError, match="has expired"):
        authority.sign(request(key), "CP1", datetime(9000, 1, 1, tzinfo=UTC))


def test_line_ends_may_be_written_out(files, key):
    assert load(*files, 30, "").sign(request(key).replace("\n", "\\n"), "CP1", NOW)
    assert load(*files, 30, "").sign(request(key).replace("\n", "\r\n"), "CP1", NOW)


def test_an_authority_below_another_sends_its_own_certificate_along(tmp_path, key):
    root = trustme.CA()
    child = root.create_child_ca()
    (tmp_path / "chain.pem").write_bytes(child.cert_pem.bytes() + root.cert_pem.bytes())
    child.private_key_pem.write_to_path(tmp_path / "ca.key")
    authority = load(str(tmp_path / "chain.pem"), str(tmp_path / "ca.key"), 30, "")
    chain = x509.load_pem_x509_certificates(authority.sign(request(key), "CP1", NOW).encode())
    assert [c.issuer for c in chain[1:]] == [authority.certificates[1].subject]


def other(**more):
    return lambda key: request(key, **more)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (other(name="CP2"), "the request names CP2, not CP1"),
        (other(name=""), "the request names nobody, not CP1"),
        (other(organization="Other"), "the request is of Other, not of VNI"),
        (other(organization=""), "the request is of nobody, not of VNI"),
        (lambda _: "no request", "the request cannot be read"),
        (lambda _: "", "the request cannot be read"),
        (lambda _: request(rsa.generate_private_key(65537, 1024)), "1024 bits is shorter"),
        (lambda _: request(ed25519.Ed25519PrivateKey.generate()), "neither of RSA nor"),
        (lambda _: request(ec.generate_private_key(ec.SECP192R1())), "neither of RSA nor"),
        (lambda _: "x" * 6000, "longer than 5500"),
    ],
)
def test_what_is_not_signed_says_why(files, key, asked, why):
    with pytest.raises(UnsignedError, match=why):
        load(*files, 30, "VNI").sign(asked(key), "CP1", NOW)


def test_a_request_that_somebody_changed_is_not_signed(files, key):
    signed = x509.load_pem_x509_csr(request(key).encode())
    data = bytearray(signed.public_bytes(serialization.Encoding.DER))
    data[-1] ^= 1
    changed = x509.load_der_x509_csr(bytes(data)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(UnsignedError, match=r"not signed by its own key|cannot be read"):
        load(*files, 30, "").sign(changed.decode(), "CP1", NOW)


def test_settings_name_what_is_wrong_with_an_authority(files, tmp_path):
    certificate, key = files
    trustme.CA().private_key_pem.write_to_path(tmp_path / "other.key")
    leaf = trustme.CA().issue_cert("x.example")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "leaf.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "leaf.key")
    for values in (
        (certificate, ""),
        ("", key),
        (certificate, str(tmp_path / "other.key")),
        (certificate, "/nowhere"),
        (str(tmp_path / "leaf.pem"), str(tmp_path / "leaf.key")),
    ):
        names = ("CP_BACKEND_SIGNING_CERTIFICATE", "CP_BACKEND_SIGNING_KEY")
        with pytest.raises(SettingError, match="SIGNING_CERTIFICATE"):
            from_environment(dict(zip(names, values, strict=True)))


def results(database):
    return database.execute(
        "SELECT status, detail ->> 'refusal' FROM notices WHERE kind = 'certificate_request'"
        " ORDER BY notice_id"
    ).fetchall()


def test_a_signed_certificate_is_handed_over_after_the_answer(run_node, database, files, key):
    add_charging_point(database, certificate_name="SN42")
    node = run_node(
        signing_certificate=files[0], signing_key=files[1], certificate_organization="VNI"
    )
    with Station(node.port) as station:
        station.boot()
        asked = {"csr": request(key, "SN42")}
        assert station.call("SignCertificate", asked) == {"status": "Accepted"}
        _, message_id, action, payload = station.receive()
        assert action == "CertificateSigned"
        (certificate,) = x509.load_pem_x509_certificates(payload["certificateChain"].encode())
        assert certificate.public_key() == key.public_key()
        station.send([3, message_id, {"status": "Accepted"}])
        eventually(
            lambda: (
                database.execute(
                    "SELECT FROM commands WHERE kind = 'set_certificate' AND outcome = 'accepted'"
                ).rowcount
            )
        )
        assert station.call("SignCertificate", {"csr": request(key)}) == {"status": "Rejected"}
    assert results(database) == [("signed", ""), ("refused", "the request names CP1, not SN42")]
    (logged,) = eventually(lambda: _decisions(database, 2))[1:]
    assert logged == "refused: the request names CP1, not SN42"


def _decisions(database, count):
    found = [
        outcome
        for (outcome,) in database.execute(
            "SELECT outcome FROM messages WHERE kind = 'decision' ORDER BY at"
        ).fetchall()
    ]
    return found if len(found) == count else None


def test_one_that_asks_without_end_is_not_signed_for_without_end(run_node, database, files, key):
    add_charging_point(database)
    node = run_node(signing_certificate=files[0], signing_key=files[1])
    for _ in range(MOST_AN_HOUR):
        database.execute(
            "INSERT INTO notices (charging_point_id, kind, status)"
            " VALUES ('CP1', 'certificate_request', 'signed')"
        )
    with Station(node.port) as station:
        station.boot()
        answer = station.call("SignCertificate", {"csr": request(key)})
        assert answer == {"status": "Rejected"}


def test_without_an_authority_a_request_is_refused_and_says_why(run_node, database, key):
    add_charging_point(database)
    node = run_node()
    with Station(node.port) as station:
        station.boot()
        answer = station.call("SignCertificate", {"csr": request(key)})
        assert answer == {"status": "Rejected"}
    assert results(database) == [("refused", NO_AUTHORITY)]
