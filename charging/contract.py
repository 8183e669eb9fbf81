"""Charging contracts that a vehicle shows by a certificate (Plug & Charge)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ContractHash:
    """Names a certificate to an OCSP responder: hashes in hex. responder: its address, if named."""

    algorithm: str
    issuer_name: str
    issuer_key: str
    serial_number: str
    responder: str = ""


class ContractFinding(StrEnum):
    """How a contract's certificate is."""

    VALID = "valid"
    CANCELLED = "cancelled"
    """Good, but its token may not charge any more."""
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNTRUSTED = "untrusted"
    """It is of no authority that is believed, or of another contract."""
    UNCHECKED = "unchecked"
    """Nobody could be asked, or nobody answered as it should be."""


class CertificateStatus(StrEnum):
    """How a certificate stands with its issuer."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    FAILED = "failed"
    """It could not be found out."""
