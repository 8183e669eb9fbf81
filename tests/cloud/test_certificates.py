"""The authority of our own, and the load balancers' certificates, each over one ARN."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from scripts.cloud.certificates import LIVE, Authority, names_in, own_names
from templates.naming import CHARGING_POINT, THIRD_PARTY
from templates.parts.service import TLS_POLICIES

SECRET = "vni-cpo-staging-certificate-authority"
ECDSA = f"{CHARGING_POINT}-ecdsa"


@pytest.fixture
def create(account):
    def run(**variables):
        done = account.make("create-certificates", ENVIRONMENT="staging", **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def arn(account, name):
    parameter = account.client("ssm").get_parameter(Name=f"/vni/staging/{name}-certificate-arn")
    return parameter["Parameter"]["Value"]


def current(account, name=CHARGING_POINT):
    answer = account.client("acm").get_certificate(CertificateArn=arn(account, name))
    return x509.load_pem_x509_certificate(answer["Certificate"].encode())


def authority(account):
    answer = account.client("secretsmanager").get_secret_value(SecretId=SECRET)
    return Authority.from_json(answer["SecretString"])


def replace(account, issuer, name=CHARGING_POINT, days=100):
    """Put a certificate over the one there is."""
    certificate, key = issuer.issue(own_names("staging"), days)
    account.client("acm").import_certificate(
        CertificateArn=arn(account, name), Certificate=certificate, PrivateKey=key
    )


def test_certificates_are_made_renewed_and_replaced_each_over_one_arn(account, create):
    said = create()
    assert f"Certificates: authority made; made: {', '.join(LIVE)}" in said
    made = {name: arn(account, name) for name in LIVE}
    assert len(set(made.values())) == 3
    for name in LIVE:
        assert f"  {name:<28} {made[name]}" in said
    file = account.project / "var/certificates/staging/ca.pem"
    assert f"Clients trust it by {file}" in said
    ssl.create_default_context(cafile=str(file))
    kinds = {name: type(current(account, name).public_key()) for name in LIVE}
    assert issubclass(kinds.pop(ECDSA), ec.EllipticCurvePublicKey)
    assert all(issubclass(kind, rsa.RSAPublicKey) for kind in kinds.values())
    for name, kind in LIVE.items():
        assert names_in(current(account, name)) == set(own_names("staging", kind.services))

    said = create(CERTIFICATE_NAMES="cp.example.com")
    assert f"Certificates: renewed, a name was missing: {', '.join(LIVE)}\n" in said
    assert "cp.example.com" in names_in(current(account))

    replaced = authority(account)
    replace(account, replaced, days=20)
    assert f"Certificates: renewed, 18 days were left: {CHARGING_POINT}\n" in create()
    assert authority(account).pem == replaced.pem == file.read_bytes()
    assert {name: arn(account, name) for name in LIVE} == made


def test_a_public_authoritys_certificate_for_the_hub_leaves_the_charging_points_theirs(
    account, create
):
    create()
    ours = {name: current(account, name) for name in (CHARGING_POINT, ECDSA)}
    replace(account, Authority.new("elsewhere"), THIRD_PARTY)
    foreign = current(account, THIRD_PARTY)
    assert f"kept: another authority signed it (FORCE=1 replaces it): {THIRD_PARTY}" in create()
    assert current(account, THIRD_PARTY) == foreign
    assert {name: current(account, name) for name in ours} == ours
    assert f"Certificates: renewed, asked for: {', '.join(LIVE)}\n" in create(FORCE="1")
    assert authority(account).signed(current(account, THIRD_PARTY))


def test_the_authority_comes_back_with_its_environment(account, create):
    create()
    trusted = authority(account).pem
    secrets = account.client("secretsmanager")
    secrets.delete_secret(SecretId=SECRET, RecoveryWindowInDays=30)
    assert "Certificates: no changes" in create()
    assert authority(account).pem == trusted


# What security policies let a client choose of TLS 1.2. Source: Elastic Load Balancing, "Security
# policies for your Application Load Balancer".
_FORWARD_SECRET = {
    f"ECDHE-{key}-AES{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("128-GCM-SHA256", "128-SHA256", "256-GCM-SHA384", "256-SHA384")
}
POLICIES = {
    "ELBSecurityPolicy-TLS13-1-2-2021-06": _FORWARD_SECRET,
    "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06": _FORWARD_SECRET
    | {"AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256"},
}
# "Improved security for OCPP 1.6-J", TLS profiles: the central system SHALL support these.
DEMANDED = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": ec.EllipticCurvePublicKey,
    "ECDHE-ECDSA-AES256-GCM-SHA384": ec.EllipticCurvePublicKey,
    "AES128-GCM-SHA256": rsa.RSAPublicKey,
    "AES256-GCM-SHA384": rsa.RSAPublicKey,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What the charging points' load balancer serves TLS 1.2 with, and what clients trust."""
    directory = tmp_path_factory.mktemp("tls")
    issuer = Authority.new("staging")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(sorted(POLICIES[TLS_POLICIES[CHARGING_POINT]])))
    for elliptic in (False, True):
        names = own_names("staging", [CHARGING_POINT])
        for file, pem in zip(("chain", "key"), issuer.issue(names, elliptic=elliptic), strict=True):
            (directory / file).write_bytes(pem)
        context.load_cert_chain(directory / "chain", directory / "key")
    return context, issuer.pem.decode()


@pytest.mark.parametrize("suite", DEMANDED)
def test_a_charging_point_with_one_of_the_demanded_suites_alone_agrees_on_tls(served, suite):
    """A handshake in memory, between OpenSSL on both sides."""
    server_context, trusted = served
    client_context = ssl.create_default_context(cadata=trusted)
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    client_context.set_ciphers(suite)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(
        to_client, to_server, server_hostname=own_names("staging", [CHARGING_POINT])[0]
    )
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    done = set()
    for side in (client, server) * 4:
        try:
            side.do_handshake()
            done.add(side)
        except ssl.SSLWantReadError:
            continue
    assert done == {client, server}
    assert client.cipher()[0] == suite
    certificate = x509.load_der_x509_certificate(client.getpeercert(binary_form=True))
    assert isinstance(certificate.public_key(), DEMANDED[suite])


def test_the_hubs_load_balancer_agrees_on_nothing_without_forward_secrecy():
    assert all(suite.startswith("ECDHE") for suite in POLICIES[TLS_POLICIES[THIRD_PARTY]])


def test_a_certificate_is_what_charging_points_accept():
    issuer = Authority.new("staging")
    pem, _ = issuer.issue(["cp.example.com", "198.51.100.7"])
    certificate = x509.load_pem_x509_certificate(pem)
    assert names_in(certificate) == {"cp.example.com", "198.51.100.7"}
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc < now - timedelta(hours=23)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= timedelta(days=398)
    assert issuer.signed(certificate)
    assert not Authority.new("staging").signed(certificate)
    read = Authority.from_json(issuer.to_json())
    assert read.pem == issuer.pem
