"""OCPP 2.x: contracts that are shown, and certificates that are asked for.

Source: OCPP 2.0.1 part 2, C07, M01, M02 and M06; 2.1 part 2, M07. The same payloads stand in 1.6's
DataTransfer.
"""

from __future__ import annotations

from functools import partial

from charging.authorization import Authorization
from charging.contract import CertificateStatus, ContractFinding, ContractHash
from cp_backend.ocpp.actions import AnyIncoming, Incoming
from cp_backend.ocpp.errors import CallRefusedError, ErrorCode
from cp_backend.ocpp.times import write_time
from cp_backend.ocpp.v2.tokens import read_token, write_token_info
from cp_backend.vocabulary import (
    CertificateStatusAnswer,
    CertificateStatusAsked,
    ChainStatusAnswer,
    ChainStatusAsked,
    ContractAnswer,
    ContractCertificateAnswer,
    ContractCertificateAsked,
    ContractPresented,
    JsonObject,
    TokenPresented,
)

# Source: AuthorizeCertificateStatusEnumType.
_FINDINGS = {
    ContractFinding.VALID: "Accepted",
    ContractFinding.CANCELLED: "ContractCancelled",
    ContractFinding.EXPIRED: "CertificateExpired",
    ContractFinding.REVOKED: "CertificateRevoked",
    ContractFinding.UNTRUSTED: "CertChainError",
    ContractFinding.UNCHECKED: "NoCertificateAvailable",
}
# Source: CertificateStatusEnumType (2.1).
_STATUSES = {
    CertificateStatus.GOOD: "Good",
    CertificateStatus.REVOKED: "Revoked",
    CertificateStatus.UNKNOWN: "Unknown",
    CertificateStatus.FAILED: "Failed",
}
# Source: HashAlgorithmEnumType, CertificateHashDataType.
_HASHES = frozenset({"SHA256", "SHA384", "SHA512"})
_LONGEST = {"issuerNameHash": 128, "issuerKeyHash": 128, "serialNumber": 40}
_NOT_KNOWN_UNTIL = "1970-01-01T00:00:00Z"
_MAX_REASON = 500


def _read_authorize(payload: JsonObject) -> TokenPresented | ContractPresented:
    token, hashes = read_token(payload["idToken"]), payload.get("iso15118CertificateHashData")
    chain = payload.get("certificate")
    if chain is None and not hashes:
        return TokenPresented(token)
    return ContractPresented(token, tuple(map(_read_hash, hashes or ())), chain or None)


def _read_hash(payload: JsonObject, responder: str = "") -> ContractHash:
    return ContractHash(
        payload["hashAlgorithm"],
        payload["issuerNameHash"],
        payload["issuerKeyHash"],
        payload["serialNumber"],
        payload.get("responderURL", responder),
    )


def _write_authorize(answer: Authorization | ContractAnswer) -> JsonObject:
    if isinstance(answer, Authorization):
        return {"idTokenInfo": write_token_info(answer)}
    return {
        "idTokenInfo": write_token_info(answer.authorization),
        "certificateStatus": _FINDINGS[answer.finding],
    }


def _read_contract(payload: JsonObject) -> ContractCertificateAsked:
    return ContractCertificateAsked(
        payload["exiRequest"],
        payload["iso15118SchemaVersion"],
        payload["action"],
        tuple(payload.get("prioritizedEMAIDs", ())),
        payload.get("maximumContractCertificateChains"),
    )


def _write_contract(longest: int, answer: ContractCertificateAnswer) -> JsonObject:
    if answer.response is None:
        return {"status": "Failed", "exiResponse": "", "statusInfo": _info(answer.reason)}
    if len(answer.response) > longest:
        reason = f"the answer has more than {longest} characters"
        return {"status": "Failed", "exiResponse": "", "statusInfo": _info(reason)}
    return {"status": "Accepted", "exiResponse": answer.response}


def _write_contract_v21(answer: ContractCertificateAnswer) -> JsonObject:
    written = _write_contract(17_000, answer)
    if answer.response is not None:
        written["remainingContracts"] = answer.remaining
    return written


def _read_status(payload: JsonObject) -> CertificateStatusAsked:
    return CertificateStatusAsked(_read_hash(payload["ocspRequestData"]))


def _write_status(longest: int, answer: CertificateStatusAnswer) -> JsonObject:
    if answer.response is None:
        return {"status": "Failed", "statusInfo": _info(answer.reason)}
    if len(answer.response) > longest:
        reason = f"the answer has more than {longest} characters"
        return {"status": "Failed", "statusInfo": _info(reason)}
    return {"status": "Accepted", "ocspResult": answer.response}


def _info(reason: str) -> JsonObject:
    return {"reasonCode": "NoPKI", "additionalInfo": reason[:_MAX_REASON]}


def _read_chain(payload: JsonObject) -> ChainStatusAsked:
    """Read what is asked; raises CallRefusedError for what the answer could not repeat."""
    certificates = [
        _read_hash(each["certificateHashData"], each["urls"][0])
        for each in payload["certificateStatusRequests"]
        if each["urls"] and _can_be_repeated(each["certificateHashData"])
    ]
    if not certificates:
        raise CallRefusedError(
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "no certificate with its hash and responder"
        )
    return ChainStatusAsked(certificates)


def _can_be_repeated(certificate: JsonObject) -> bool:
    """Return whether an answer may hold what was read more leniently than it is written."""
    return certificate["hashAlgorithm"] in _HASHES and all(
        len(certificate[name]) <= longest for name, longest in _LONGEST.items()
    )


def _write_chain(answer: ChainStatusAnswer) -> JsonObject:
    return {
        "certificateStatus": [
            {
                "certificateHashData": {
                    "hashAlgorithm": each.algorithm,
                    "issuerNameHash": each.issuer_name,
                    "issuerKeyHash": each.issuer_key,
                    "serialNumber": each.serial_number,
                },
                "source": "OCSP",
                "status": _STATUSES[status],
                "nextUpdate": _NOT_KNOWN_UNTIL if until is None else write_time(until),
            }
            for each, status, until in answer.statuses
        ]
    }


INCOMING: dict[str, AnyIncoming] = {
    "Authorize": Incoming(_read_authorize, _write_authorize),
    "Get15118EVCertificate": Incoming(_read_contract, partial(_write_contract, 7500)),
    "GetCertificateStatus": Incoming(_read_status, partial(_write_status, 5500)),
}
"""Of 2.0.1; 1.6 has them in its DataTransfer."""

INCOMING_V21: dict[str, AnyIncoming] = {
    "Get15118EVCertificate": Incoming(_read_contract, _write_contract_v21),
    "GetCertificateChainStatus": Incoming(_read_chain, _write_chain),
    "GetCertificateStatus": Incoming(_read_status, partial(_write_status, 18_000)),
}
"""Of 2.1, whose answers may be longer."""
