"""Headers and certificates → how a handshake came, and what the client's certificate says."""

import pytest
from websockets.datastructures import Headers

from charging.service.proxies import comes_from, read_networks
from cp_backend.refusal import Refusal
from cp_backend.transport import Certificate, behind_balancer, of_peer, of_subject

SUBJECT = "X-Amzn-Mtls-Clientcert-Subject"


def certificate(*names, organizations=()):
    return Certificate(frozenset(names), frozenset(organizations))


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("CN=CP0001", certificate("CP0001")),
        ("CN=CP0001,OU=Street,O=VNI,C=DE", certificate("CP0001", organizations=["VNI"])),
        ("cn = CP0001 , o = VNI", certificate("CP0001", organizations=["VNI"])),
        ("SERIALNUMBER=SN42+CN=CP0001", certificate("CP0001", "SN42")),
        ("2.5.4.5=SN42,OID.2.5.4.3=CP1", certificate("CP1", "SN42")),
        (r"CN=A\,O=Evil,O=VNI", certificate("A,O=Evil", organizations=["VNI"])),
        ('CN="A,O=Evil",O=VNI', certificate("A,O=Evil", organizations=["VNI"])),
        (r"O=Stra\C3\9Fe,CN=CP1", certificate("CP1", organizations=["Straße"])),
        ("CN=CP*1", certificate("CP*1")),
        ("", certificate()),
        ("CN", certificate()),
        ("=,=+;\\", certificate()),
    ],
)
def test_a_subject_is_read_as_rfc_2253_writes_it(subject, expected):
    assert of_subject(subject) == expected


def test_a_peer_certificate_is_read_as_ssl_has_it():
    peer = {"subject": ((("commonName", "CP1"),), (("organizationName", "VNI"),))}
    assert of_peer(peer) == certificate("CP1", organizations=["VNI"])
    assert of_peer({}) is None
    assert of_peer(None) is None


def test_a_balancer_that_verifies_no_certificates_is_not_believed_to():
    headers = Headers({"X-Forwarded-Proto": "https", SUBJECT: "CN=CP1"})
    assert behind_balancer(headers, certificates_verified=False).certificate is None
    assert behind_balancer(headers, certificates_verified=True).certificate == certificate("CP1")


@pytest.mark.parametrize(
    ("protocol", "encrypted"), [("https", True), ("WSS", True), ("http", False)]
)
def test_the_protocol_says_whether_it_came_over_tls(protocol, encrypted):
    headers = Headers({"X-Forwarded-Proto": protocol})
    assert behind_balancer(headers, certificates_verified=True).encrypted is encrypted


@pytest.mark.parametrize("name", [SUBJECT, "X-Forwarded-Proto"])
def test_a_header_that_came_twice_is_refused(name):
    headers = Headers({"X-Forwarded-Proto": "https"})
    headers[name] = "CN=CP1"
    headers[name] = "CN=CP2"
    with pytest.raises(Refusal):
        behind_balancer(headers, certificates_verified=True)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.0.1.7", True),
        ("::ffff:10.0.1.7", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_a_peer_is_in_a_network_or_not(address, inside):
    assert comes_from(address, read_networks("10.0.0.0/16, 192.0.2.7")) is inside


def test_without_networks_nobody_is_believed():
    assert read_networks("") == ()
    assert not comes_from("127.0.0.1", ())
    with pytest.raises(ValueError, match="host bits"):
        read_networks("10.0.0.1/8")
