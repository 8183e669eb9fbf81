"""The environment's certificate authority, and the certificates of its load balancers.

See docs/decisions/0009-a-certificate-authority-of-our-own.md and
docs/decisions/0055-a-certificate-for-each-service.md.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from charging.database.address import state_directory
from scripts.cloud.aws import Aws, AwsError, temporary_files
from scripts.cloud.steps import NO_CHANGES
from templates.environments import sizes
from templates.naming import (
    CHARGING_POINT,
    SERVICES,
    THIRD_PARTY,
    camel,
    host_name,
    named,
    parameter_name,
    spelled,
)

AUTHORITY_DAYS = 3650
# What browsers and many TLS stacks accept at most is 398.
CERTIFICATE_DAYS = 397
RENEW_WITHIN_DAYS = 30
FOREIGN = "kept: another authority signed it (FORCE=1 replaces it)"
_AUTHORITY_BITS = 3072
_CERTIFICATE_BITS = 2048

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Kind:
    """What a certificate is for. services: whose names it has. elliptic: ECDSA, otherwise RSA."""

    services: tuple[str, ...]
    elliptic: bool = False


# Charging points may demand either: "Improved security for OCPP 1.6-J", TLS profiles. The hub's
# is one of its own, so that a public authority's can take its place.
LIVE = {
    CHARGING_POINT: Kind((CHARGING_POINT,)),
    f"{CHARGING_POINT}-ecdsa": Kind((CHARGING_POINT,), elliptic=True),
    THIRD_PARTY: Kind((THIRD_PARTY,)),
}
"""Certificates of the services' load balancers by name."""
TEST = "test"
"""That of the pipelines' tests, which know only the environment's own authority."""
_KINDS = {**LIVE, TEST: Kind(SERVICES)}


class Authority:
    """A certificate authority: a certificate and its key."""

    def __init__(self, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
        self.certificate = certificate
        self._key = key

    @classmethod
    def new(cls, environment: str) -> Authority:
        """Make an authority for an environment."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=_AUTHORITY_BITS)
        name = _name(f"VNI {environment} charging authority")
        certificate = (
            _builder(name, name, key, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def from_json(cls, text: str) -> Authority:
        """Read what `to_json` wrote."""
        parts = json.loads(text)
        key = serialization.load_pem_private_key(parts["key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return cls(x509.load_pem_x509_certificate(parts["certificate"].encode()), key)

    def to_json(self) -> str:
        """Write it down, key and all."""
        return json.dumps({"certificate": self.pem.decode(), "key": _key_pem(self._key).decode()})

    @property
    def pem(self) -> bytes:
        """The certificate, for clients to trust."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, names: list[str], days: int = CERTIFICATE_DAYS, *, elliptic: bool = False
    ) -> tuple[bytes, bytes]:
        """Return a certificate for these names and addresses, and its key, in PEM.

        elliptic: whether the key is of P-256, otherwise of RSA.
        """
        key: _Key = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65537, key_size=_CERTIFICATE_BITS)
        )
        certificate = (
            _builder(_name(names[0][:64]), self.certificate.subject, key, days)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(encrypts_keys=not elliptic), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key)

    def signed(self, certificate: x509.Certificate) -> bool:
        """Return whether a certificate is this authority's."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True


def names_in(certificate: x509.Certificate) -> set[str]:
    """Return the names and addresses that a certificate is for."""
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    names = {str(a) for a in extension.value.get_values_for_type(x509.IPAddress)}
    return names | set(extension.value.get_values_for_type(x509.DNSName))


def own_names(environment: str, services: Iterable[str] = SERVICES) -> list[str]:
    """Return the names that services' certificates have in any case; clients may ask for them."""
    return [spelled(host_name(service), environment) for service in services]


def parameter_of(name: str) -> str:
    """Return the stacks' parameter that takes a certificate's ARN."""
    return camel(f"{name}-certificate-arn")


class Certificates:
    """An environment's authority, its load balancers' certificates, and where AWS keeps them."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._environment = aws.target.environment
        self._secret = aws.target.spelled(named("certificate-authority"))
        self._parameters = {
            name: aws.target.spelled(parameter_name(f"{name}-certificate-arn")) for name in _KINDS
        }
        self._known: dict[str, x509.Certificate | None] = {}

    def create(
        self,
        more_names: Mapping[str, Iterable[str]] | None = None,
        *,
        names: Collection[str] = tuple(LIVE),
        force: bool = False,
    ) -> str:
        """Make what is missing, renew what ends soon or lacks a name; return what was done.

        more_names: service → names and addresses besides the environment's own and those that its
        certificates have already. names: of the certificates.
        """
        done: dict[str, list[str]] = {}
        if self._stored is None:
            done["authority made"] = []
        for name in names:
            wanted = {
                n for service in _KINDS[name].services for n in (more_names or {}).get(service, ())
            }
            done.setdefault(self._create(name, wanted, force=force), []).append(name)
        done.pop(NO_CHANGES, None)
        texts = [f"{what}: {', '.join(of)}" if of else what for what, of in done.items()]
        return "; ".join(texts) or NO_CHANGES

    def _create(self, name: str, more_names: set[str], *, force: bool) -> str:
        kind, current = _KINDS[name], self._current(name)
        first = own_names(self._environment, kind.services)
        wanted = {*first, *more_names}
        why = ""
        if current:
            if not self._authority.signed(current) and not force:
                return FOREIGN
            wanted |= names_in(current)
            why = "asked for" if force else _why_renew(current, wanted)
            if not why:
                return NO_CHANGES
        certificate, key = self._authority.issue(
            [*first, *sorted(wanted - set(first))], elliptic=kind.elliptic
        )
        self._import(name, certificate, key)
        return f"renewed, {why}" if current else "made"

    @cached_property
    def arns(self) -> dict[str, str]:
        """The ARNs of the certificates that there are, by name."""
        answer = self._aws("ssm", "get-parameters", "--names", *self._parameters.values())
        found = {entry["Name"]: str(entry["Value"]) for entry in answer["Parameters"]}
        return {name: found[key] for name, key in self._parameters.items() if key in found}

    def parameters(self) -> dict[str, str]:
        """Return the stacks' parameters that take the services' certificates."""
        return {parameter_of(name): arn for name, arn in self.arns.items() if name in LIVE}

    def authority_file(self) -> Path:
        """Write the authority's certificate where clients can take it; return the file."""
        file = state_directory() / "certificates" / self._environment / "ca.pem"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self._authority.pem)
        return file

    def remove(self) -> None:
        """Delete certificate and authority; a protected environment's stay restorable 30 days."""
        for arn in self.arns.values():
            self._unless_gone("acm", "delete-certificate", "--certificate-arn", arn)
        if self.arns:
            self._aws("ssm", "delete-parameters", "--names", *self._parameters.values())
        recovery = (
            ("--recovery-window-in-days", "30")
            if sizes(self._environment).protected
            else ("--force-delete-without-recovery",)
        )
        self._unless_gone("secretsmanager", "delete-secret", "--secret-id", self._secret, *recovery)

    @cached_property
    def _stored(self) -> str | None:
        """The authority as it is kept, or None before there is one."""
        words = ("secretsmanager", "get-secret-value", "--secret-id", self._secret)
        try:
            return str(self._aws(*words)["SecretString"])
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            if error.code != "InvalidRequestException":
                raise
        # The environment was deleted not long ago; its charging points trust this one still.
        self._aws("secretsmanager", "restore-secret", "--secret-id", self._secret)
        return str(self._aws(*words)["SecretString"])

    @cached_property
    def _authority(self) -> Authority:
        if self._stored:
            return Authority.from_json(self._stored)
        authority = Authority.new(self._environment)
        with temporary_files(authority=authority.to_json().encode()) as files:
            self._aws(
                *("secretsmanager", "create-secret", "--name", self._secret),
                *("--description", "Key of the authority that charging points trust"),
                *("--secret-string", f"file://{files['authority']}"),
                *("--tags", f"Key=Environment,Value={self._environment}"),
            )
        return authority

    def _current(self, name: str) -> x509.Certificate | None:
        """Return the certificate that a load balancer has, if there is one."""
        if name not in self._known:
            self._known[name] = self._fetch(name)
        return self._known[name]

    def _fetch(self, name: str) -> x509.Certificate | None:
        if name not in self.arns:
            return None
        try:
            answer = self._aws("acm", "get-certificate", "--certificate-arn", self.arns[name])
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise
        return x509.load_pem_x509_certificate(answer["Certificate"].encode())

    def _import(self, name: str, certificate: bytes, key: bytes) -> None:
        """Give a certificate to ACM, over the one there is."""
        with temporary_files(certificate=certificate, key=key, chain=self._authority.pem) as files:
            answer = self._aws(
                *("acm", "import-certificate"),
                *("--certificate", f"fileb://{files['certificate']}"),
                *("--private-key", f"fileb://{files['key']}"),
                *("--certificate-chain", f"fileb://{files['chain']}"),
                # Over the same ARN there must be no tags.
                *(
                    ("--certificate-arn", self.arns[name])
                    if self._current(name)
                    else ("--tags", f"Key=Environment,Value={self._environment}")
                ),
            )
        arn = str(answer["CertificateArn"])
        if arn != self.arns.get(name):
            self._aws(
                *("ssm", "put-parameter", "--overwrite", "--type", "String"),
                *("--name", self._parameters[name], "--value", arn),
            )
        self.arns[name] = arn
        self._known[name] = x509.load_pem_x509_certificate(certificate)

    def _unless_gone(self, *words: str) -> None:
        try:
            self._aws(*words)
        except AwsError as error:
            if error.code not in ("ResourceNotFoundException", "ParameterNotFound"):
                raise


def _why_renew(current: x509.Certificate, wanted: set[str]) -> str:
    left = current.not_valid_after_utc - datetime.now(UTC)
    if left < timedelta(days=RENEW_WITHIN_DAYS):
        return f"{max(left.days, 0)} days were left"
    match len(wanted - names_in(current)):
        case 0:
            return ""
        case 1:
            return "a name was missing"
        case missing:
            return f"{missing} names were missing"


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _Key, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Charging points' clocks are not always right.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days - 1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Venerable Inertia"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool = False, encrypts_keys: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_encipherment=encrypts_keys,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
