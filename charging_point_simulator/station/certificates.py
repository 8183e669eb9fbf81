"""The certificates of a charging point, and its own key. Source: OCPP 1.6 security whitepaper."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

MAX_CERTIFICATES = 8
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class HashData:
    """Identifies a certificate, in hexadecimal. Source: OCPP, CertificateHashDataType."""

    algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str

    def same_as(self, other: HashData) -> bool:
        """Whether both mean one certificate; case and leading zeros say nothing."""
        return self._normal() == other._normal()

    def _normal(self) -> tuple[str, ...]:
        return (
            self.algorithm,
            self.issuer_name_hash.lower(),
            self.issuer_key_hash.lower(),
            self.serial_number.lower().lstrip("0"),
        )


def hash_data(certificate: x509.Certificate, algorithm: str = "SHA256") -> HashData:
    """Return the hash data of a root certificate, which is its own issuer."""
    new = getattr(hashlib, algorithm.lower())
    return HashData(
        algorithm,
        new(certificate.issuer.public_bytes()).hexdigest(),
        new(_key_bits(certificate)).hexdigest(),
        f"{certificate.serial_number:x}",
    )


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Return the public key itself, without its algorithm. Source: RFC 6960 section 4.1.1."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
    return b""


def read_chain(pem: str) -> list[x509.Certificate]:
    """Read one certificate or several. Raises ValueError."""
    found = [x509.load_pem_x509_certificate(text.encode()) for text in _PEM.findall(pem)]
    if not found:
        raise ValueError("no certificate in PEM")
    return found


def valid_at(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether a certificate's dates hold."""
    now = now.astimezone(UTC)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def signature_holds(certificate: x509.Certificate, signature: bytes, content: bytes) -> bool:
    """Whether a signature of content, by a certificate's key and SHA-256, holds."""
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            try:
                key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
            except InvalidSignature:
                pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
                key.verify(signature, content, pss, hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


class Certificates:
    """What is installed, by type, and the charging point's own certificate.

    chain_pem, key_pem: the charging point's own, once signed; it connects with them.
    """

    def __init__(self) -> None:
        self._installed: dict[str, list[x509.Certificate]] = {}
        self._pending: ec.EllipticCurvePrivateKey | None = None
        self.chain_pem: str | None = None
        self.key_pem: str | None = None

    def install(self, kind: str, pem: str, now: datetime) -> str:
        """Install a root certificate; return Accepted, Rejected or Failed."""
        try:
            (certificate,) = read_chain(pem)
        except ValueError:
            return "Rejected"
        if not valid_at(certificate, now):
            return "Rejected"
        installed = self._installed.setdefault(kind, [])
        if certificate not in installed:
            if sum(map(len, self._installed.values())) >= MAX_CERTIFICATES:
                return "Failed"
            installed.append(certificate)
        return "Accepted"

    def installed(self, kind: str) -> list[HashData]:
        """Return the hash data of all certificates of a type."""
        return [hash_data(certificate) for certificate in self._installed.get(kind, [])]

    def delete(self, wanted: HashData) -> str:
        """Remove a certificate; return Accepted or NotFound."""
        for installed in self._installed.values():
            for certificate in installed:
                if hash_data(certificate, wanted.algorithm).same_as(wanted):
                    installed.remove(certificate)
                    return "Accepted"
        return "NotFound"

    def request(self, identity: str, organisation: str) -> str:
        """Make a new key; return the certificate signing request for it, PEM."""
        self._pending = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, identity),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            ]
        )
        request = x509.CertificateSigningRequestBuilder().subject_name(name)
        signed = request.sign(self._pending, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def take_signed(self, chain_pem: str, now: datetime) -> bool:
        """Take the certificate that was asked for; False when it is not for our key."""
        try:
            leaf = read_chain(chain_pem)[0]
        except ValueError:
            return False
        key = self._pending
        if key is None or leaf.public_key() != key.public_key() or not valid_at(leaf, now):
            return False
        self.chain_pem = chain_pem
        self.key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        self._pending = None
        return True
