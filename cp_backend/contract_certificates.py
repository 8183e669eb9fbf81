"""Certificates of charging contracts: whether one is good, by its chain and by OCSP.

Nothing is asked here: texts and bytes go in. Imported where Plug & Charge is configured only, since
what it imports takes a tenth of a node's memory. Source: RFC 6960; ISO 15118-2 annex E; OCPP 2.0.1
part 2, C07 and M06.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from charging.contract import ContractFinding, ContractHash

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
_MOST_LEVELS = 4
"""Authorities from a contract's certificate to the root, at most."""
_CLOCKS = timedelta(minutes=5)
"""By so much a responder's clock may be ahead of ours."""
_EMAID_CHARACTERS = 14
"""Of a contract's name without separators; the fifteenth is a check digit that may be left out."""


class UntrustedError(Exception):
    """A certificate or an answer is not to be believed; the message says why, for an operator."""

    def __init__(self, finding: ContractFinding, reason: str) -> None:
        super().__init__(reason)
        self.finding = finding


def request(wanted: ContractHash) -> bytes:
    """Return the OCSP request for a certificate, DER. Raises ValueError."""
    built = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        bytes.fromhex(wanted.issuer_name),
        bytes.fromhex(wanted.issuer_key),
        int(wanted.serial_number, 16),
        _HASHES[wanted.algorithm](),
    )
    return built.build().public_bytes(serialization.Encoding.DER)


def is_answer(response: bytes) -> bool:
    """Whether a responder's answer is one, whatever it says of the certificate."""
    try:
        read = ocsp.load_der_ocsp_response(response)
    except ValueError:
        return False
    return read.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL


@dataclass(frozen=True, slots=True)
class Authorities:
    """Authorities whose contracts are believed, and the checks that they are asked for."""

    certificates: tuple[x509.Certificate, ...]

    def check_answer(
        self,
        wanted: ContractHash,
        response: bytes,
        now: datetime,
        others: Sequence[x509.Certificate] = (),
    ) -> datetime | None:
        """Hold a responder's answer against what was asked; return until when it holds.

        response: DER. others: certificates that may lead from the signer to an authority. Raises
        UntrustedError for any but a signed, timely "good".
        """
        try:
            answer = ocsp.load_der_ocsp_response(response)
        except ValueError as error:
            raise UntrustedError(ContractFinding.UNCHECKED, f"no OCSP answer: {error}") from None
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            reason = f"the responder answered {answer.response_status.name}"
            raise UntrustedError(ContractFinding.UNCHECKED, reason)
        if not _is_of(answer, wanted):
            raise UntrustedError(ContractFinding.UNCHECKED, "the answer is of another certificate")
        self._check_signer(answer, wanted, now, others)
        if answer.this_update_utc > now + _CLOCKS or (
            answer.next_update_utc is not None and answer.next_update_utc < now
        ):
            raise UntrustedError(ContractFinding.UNCHECKED, "the answer is not of this time")
        if answer.certificate_status is ocsp.OCSPCertStatus.REVOKED:
            raise UntrustedError(ContractFinding.REVOKED, "it is revoked")
        if answer.certificate_status is not ocsp.OCSPCertStatus.GOOD:
            raise UntrustedError(ContractFinding.UNTRUSTED, "its issuer does not know it")
        return answer.next_update_utc

    def _check_signer(
        self,
        answer: ocsp.OCSPResponse,
        wanted: ContractHash,
        now: datetime,
        others: Sequence[x509.Certificate],
    ) -> None:
        """See that the certificate's issuer signed, or whom it has named for that.

        Source: RFC 6960 section 4.2.2.2.
        """
        pool = [*answer.certificates, *others, *self.certificates]
        for signer in pool:
            if not _signed_by(answer, signer):
                continue
            if _is_issuer(signer, wanted) and self._leads_here(signer, pool, now):
                return
            if not _signs_ocsp(signer) or not _is_timely(signer, now):
                continue
            for issuer in pool:
                if (
                    _is_issuer(issuer, wanted)
                    and _issued(issuer, signer)
                    and self._leads_here(issuer, pool, now)
                ):
                    return
        raise UntrustedError(
            ContractFinding.UNCHECKED, "the answer is not signed by whom the authorities trust"
        )

    def check_chain(self, chain: str, name: str, now: datetime) -> list[x509.Certificate]:
        """Hold a contract's certificate and its chain against the authorities; return them.

        chain: PEM, the contract's own first. name: that it must be of. Raises UntrustedError.
        """
        try:
            certificates = x509.load_pem_x509_certificates(chain.encode())
        except ValueError as error:
            reason = f"the certificate cannot be read: {str(error)[:100]}"
            raise UntrustedError(ContractFinding.UNTRUSTED, reason) from None
        own = certificates[0]
        names = [str(a.value) for a in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if [_contract(each) for each in names] != [_contract(name)]:
            raise UntrustedError(ContractFinding.UNTRUSTED, "it is another contract's")
        if not _is_timely(own, now):
            raise UntrustedError(ContractFinding.EXPIRED, "it has expired, or does not hold yet")
        pool = [*certificates[1:], *self.certificates]
        if not any(_issued(issuer, own) and self._leads_here(issuer, pool, now) for issuer in pool):
            reason = "its chain does not lead to an authority that is believed"
            raise UntrustedError(ContractFinding.UNTRUSTED, reason)
        return list(certificates)

    def hash_of(self, certificates: Sequence[x509.Certificate]) -> ContractHash:
        """Return what names the first certificate to its responder. Raises UntrustedError."""
        own = certificates[0]
        issuer = next(
            each for each in (*certificates[1:], *self.certificates) if _issued(each, own)
        )
        responder = ""
        try:
            access = own.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        except x509.ExtensionNotFound:
            access = None
        for description in access or ():
            if description.access_method == AuthorityInformationAccessOID.OCSP:
                responder = str(description.access_location.value)
        return ContractHash(
            "SHA256",
            hashlib.sha256(own.issuer.public_bytes()).hexdigest(),
            _key_hash(issuer, "SHA256"),
            f"{own.serial_number:x}",
            responder,
        )

    def _leads_here(
        self,
        certificate: x509.Certificate,
        pool: Sequence[x509.Certificate],
        now: datetime,
        levels: int = _MOST_LEVELS,
    ) -> bool:
        """Whether a certificate is an authority's of ours, or one that they have made one."""
        if not _is_timely(certificate, now) or not _is_authority(certificate):
            return False
        if certificate in self.certificates:
            return True
        return levels > 0 and any(
            _issued(issuer, certificate) and self._leads_here(issuer, pool, now, levels - 1)
            for issuer in pool
            if issuer is not certificate
        )


def _is_of(answer: ocsp.OCSPResponse, wanted: ContractHash) -> bool:
    algorithm = answer.hash_algorithm.name.upper().replace("-", "")
    return (
        algorithm == wanted.algorithm
        and answer.serial_number == int(wanted.serial_number, 16)
        and answer.issuer_key_hash.hex() == wanted.issuer_key.lower()
        and answer.issuer_name_hash.hex() == wanted.issuer_name.lower()
    )


def _signed_by(answer: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, algorithm = signer.public_key(), answer.signature_hash_algorithm
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            pkcs = padding.PKCS1v15()
            key.verify(answer.signature, answer.tbs_response_bytes, pkcs, algorithm)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _signs_ocsp(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _is_timely(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _is_issuer(certificate: x509.Certificate, wanted: ContractHash) -> bool:
    return _key_hash(certificate, wanted.algorithm) == wanted.issuer_key.lower()


def _key_hash(certificate: x509.Certificate, algorithm: str) -> str:
    """Return the hash of a public key's bits, without their algorithm. Source: section 4.1.1."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        bits = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        bits = key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
    else:
        return ""
    return hashlib.new(algorithm, bits).hexdigest()


def _contract(name: str) -> str:
    """Return a contract's name as all its spellings have it: no separators, no check digit."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())[:_EMAID_CHARACTERS]


@functools.cache
def load(file: str) -> Authorities:
    """Load authorities from a PEM file. Raises OSError, ValueError."""
    certificates = x509.load_pem_x509_certificates(Path(file).read_bytes())
    for certificate in certificates:
        if not _is_authority(certificate):
            name = certificate.subject.rfc4514_string()
            raise ValueError(f"{file}: {name} is not of an authority")
    return Authorities(tuple(certificates))
