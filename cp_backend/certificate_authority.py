"""The authority that signs charging points' own certificates, for security profile 3.

It signs what names the charging point that asks over its own, authenticated connection, and nothing
else. Source: Improved security for OCPP 1.6-J edition 3, A02 and A03; OCPP 2.0.1 part 2, A02.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MIN_RSA_BITS = 2048
MAX_REQUEST_CHARACTERS = 5500
"""Of the longest request that OCPP allows."""
_BEFORE = timedelta(minutes=10)
"""A charging point's clock may be behind ours."""

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class UnsignedError(Exception):
    """A request is not signed; the message says why, for an operator."""


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """certificates: its own first, then what leads to the root. organization: '' for any."""

    certificates: tuple[x509.Certificate, ...]
    key: _Key
    days: int
    organization: str = ""

    def try_sign(self, request: str, name: str, now: datetime) -> tuple[str | None, str]:
        """Return what `sign` does, or why it is not signed."""
        try:
            return self.sign(request, name, now), ""
        except UnsignedError as error:
            return None, str(error)

    def sign(self, request: str, name: str, now: datetime) -> str:
        """Return the certificate that a request asks for, with its chain, PEM.

        request: PKCS #10, PEM. name: that its CN must be. now: aware. The chain leaves out the
        root, which a charging point has. Raises UnsignedError.
        """
        asked = _read(request)
        public_key = asked.public_key()
        _check_key(public_key)
        _check_subject(asked.subject, name, self.organization)
        own = self.certificates[0]
        until = min(now + timedelta(days=self.days), own.not_valid_after_utc)
        if until <= now:
            raise UnsignedError("the authority's certificate has expired")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(own.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - _BEFORE, own.not_valid_before_utc))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(public_key), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        chain = [certificate, *(c for c in self.certificates if c.issuer != c.subject)]
        return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in chain)


def _read(request: str) -> x509.CertificateSigningRequest:
    if len(request) > MAX_REQUEST_CHARACTERS:
        raise UnsignedError(f"the request is longer than {MAX_REQUEST_CHARACTERS} characters")
    # Some charging points write the lines' ends out, as a backslash and an n.
    text = request.replace("\\r", "").replace("\\n", "\n")
    try:
        asked = x509.load_pem_x509_csr(text.encode())
        sound = asked.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnsignedError(f"the request cannot be read: {str(error)[:100]}") from None
    if not sound:
        raise UnsignedError("the request is not signed by its own key")
    return asked


def _check_key(key: object) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise UnsignedError(f"a key of {key.key_size} bits is shorter than {MIN_RSA_BITS}")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or key.key_size < 256:
        raise UnsignedError("the key is neither of RSA nor of a curve of 256 bits or more")


def _check_subject(subject: x509.Name, name: str, organization: str) -> None:
    names = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [name]:
        raise UnsignedError(f"the request names {', '.join(names)[:100] or 'nobody'}, not {name}")
    owners = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if organization and owners != [organization]:
        raise UnsignedError(
            f"the request is of {', '.join(owners)[:100] or 'nobody'}, not of {organization}"
        )


def _usage(key: object) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=isinstance(key, rsa.RSAPublicKey),
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@functools.cache
def load(certificate: str, key: str, days: int, organization: str) -> CertificateAuthority:
    """Load an authority. certificate: file of its PEM chain; key: file of its PEM private key.

    Raises OSError, ValueError.
    """
    certificates = x509.load_pem_x509_certificates(Path(certificate).read_bytes())
    private = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError(f"{key} is neither of RSA nor of an elliptic curve")
    if private.public_key() != certificates[0].public_key():
        raise ValueError(f"{key} is not the key of the first certificate in {certificate}")
    try:
        constraints = certificates[0].extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        raise ValueError(f"{certificate} is not of an authority") from None
    if not constraints.value.ca:
        raise ValueError(f"{certificate} is not of an authority")
    return CertificateAuthority(tuple(certificates), private, days, organization)
