"""The authority of our own, and the load balancers' certificate over one ARN."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from scripts.cloud.certificates import Authority, names_in, own_names

SECRET = "vni-cpo-staging-certificate-authority"


@pytest.fixture
def create(account):
    def run(**variables):
        done = account.make("create-certificates", ENVIRONMENT="staging", **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def arn(account):
    parameter = account.client("ssm").get_parameter(Name="/vni/staging/certificate-arn")
    return parameter["Parameter"]["Value"]


def current(account):
    answer = account.client("acm").get_certificate(CertificateArn=arn(account))
    return x509.load_pem_x509_certificate(answer["Certificate"].encode())


def authority(account):
    answer = account.client("secretsmanager").get_secret_value(SecretId=SECRET)
    return Authority.from_json(answer["SecretString"])


def replace(account, issuer, days=100):
    """Put a certificate over the one there is."""
    certificate, key = issuer.issue(own_names("staging"), days)
    account.client("acm").import_certificate(
        CertificateArn=arn(account), Certificate=certificate, PrivateKey=key
    )


def test_a_certificate_is_made_renewed_and_replaced_over_one_arn(account, create):
    said = create()
    assert "Certificate: authority and certificate made" in said
    made, first = arn(account), current(account)
    assert f"Its ARN: {made}" in said
    file = account.project / "var/certificates/staging/ca.pem"
    assert f"Clients trust it by {file}" in said
    ssl.create_default_context(cafile=str(file))
    assert names_in(first) == set(own_names("staging"))

    said = create(CERTIFICATE_NAMES="cp.example.com")
    assert "Certificate: renewed: a name was missing" in said
    assert "cp.example.com" in names_in(current(account))

    replaced = authority(account)
    replace(account, replaced, days=20)
    assert "Certificate: renewed: 18 days were left" in create()
    assert authority(account).pem == replaced.pem == file.read_bytes()

    replace(account, Authority.new("elsewhere"))
    foreign = current(account)
    assert "kept: another authority signed it" in create()
    assert current(account) == foreign
    assert "Certificate: renewed: asked for" in create(FORCE="1")
    assert authority(account).signed(current(account))
    assert arn(account) == made

    # Deleted with its environment, and back with it: charging points trust it still.
    secrets = account.client("secretsmanager")
    secrets.delete_secret(SecretId=SECRET, RecoveryWindowInDays=30)
    assert "Certificate: no changes" in create()
    assert authority(account).pem == replaced.pem


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
