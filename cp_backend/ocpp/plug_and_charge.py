"""Plug & Charge over OCPP 1.6: messages of 2.0.1 as texts in DataTransfer, by 2.0.1's own readers.

Source: Using ISO 15118 Plug & Charge with OCPP 1.6, Open Charge Alliance, application note.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from charging.authorization import Authorization
from charging.command import CommandKind, Outcome
from charging.intents import CertificateUse
from cp_backend.ocpp import v2, v16
from cp_backend.ocpp.actions import AnyIncoming, Incoming, Outgoing, OutgoingCall
from cp_backend.ocpp.errors import CallRefusedError
from cp_backend.ocpp.schemas import schemas
from cp_backend.vocabulary import (
    CertificateRequestAnswer,
    CertificateRequested,
    CertificateStatusAnswer,
    CertificateStatusAsked,
    ContractAnswer,
    ContractCertificateAnswer,
    ContractCertificateAsked,
    ContractPresented,
    DataRefused,
    DataTransferAnswer,
    DataTransferred,
    JsonObject,
    TokenPresented,
)

VENDOR = "org.openchargealliance.iso15118pnc"

Message = (
    DataTransferred
    | DataRefused
    | CertificateRequested
    | CertificateStatusAsked
    | ContractCertificateAsked
    | ContractPresented
    | TokenPresented
)
_ANSWERED: dict[type, str] = {
    Authorization: "Authorize",
    CertificateRequestAnswer: "SignCertificate",
    CertificateStatusAnswer: "GetCertificateStatus",
    ContractAnswer: "Authorize",
    ContractCertificateAnswer: "Get15118EVCertificate",
}
"""An answer's type → the message of 2.0.1 that it answers."""
_MESSAGES = frozenset(_ANSWERED.values())
_PLAIN: AnyIncoming = v16.INCOMING["DataTransfer"]


def _read(payload: JsonObject) -> Message:
    if payload["vendorId"] != VENDOR:
        plain: DataTransferred = _PLAIN.read(payload)
        return plain
    action = payload.get("messageId")
    if action not in _MESSAGES:
        return DataRefused(DataTransferAnswer.UNKNOWN_MESSAGE, f"no message {str(action)[:50]}")
    try:
        inner = orjson.loads(payload.get("data") or "")
        schemas("v201").check_request(action, inner)
        message: Message = v2.INCOMING[action].read(inner)
    except ValueError as error:
        return DataRefused(DataTransferAnswer.REJECTED, f"{action}: no JSON: {error}"[:200])
    except CallRefusedError as error:
        return DataRefused(DataTransferAnswer.REJECTED, f"{action}: {error.description}"[:200])
    return message


def _write(answer: object) -> JsonObject:
    if isinstance(answer, DataTransferAnswer):
        return _PLAIN.write(answer)
    written = v2.INCOMING[_ANSWERED[type(answer)]].write(answer)
    return {"status": "Accepted", "data": orjson.dumps(written).decode()}


INCOMING: dict[str, AnyIncoming] = v16.INCOMING | {"DataTransfer": Incoming(_read, _write)}
"""What charging points that speak 1.6 call."""

_OF_VEHICLES = frozenset({CertificateUse.V2G_ROOT.value, CertificateUse.CONTRACT_ROOT.value})
"""Uses of certificates that 1.6 itself has no words for."""


def _either_way(kind: CommandKind) -> Outgoing:
    """Return the row of a command that goes through DataTransfer where 1.6 has no words for it."""
    plain, inner = v16.OUTGOING[kind], v2.OUTGOING[kind]

    def plan(arguments: JsonObject) -> Sequence[OutgoingCall]:
        if arguments.get("use") not in _OF_VEHICLES:
            return plain.plan(arguments)
        calls = inner.plan(arguments)
        for call in calls:
            schemas("v201").check_request(call.action, call.payload)
        return [
            OutgoingCall(
                "DataTransfer",
                {
                    "vendorId": VENDOR,
                    "messageId": call.action,
                    "data": orjson.dumps(call.payload).decode(),
                },
            )
            for call in calls
        ]

    def read(payload: JsonObject) -> Outcome:
        if payload.get("status") != "Accepted" or not payload.get("data"):
            return plain.read(payload)
        try:
            return inner.read(orjson.loads(payload["data"]))
        except (ValueError, LookupError, TypeError, AttributeError):
            return Outcome.FAILED  # nobody knows what it means

    return Outgoing(plan, read)


OUTGOING: dict[CommandKind, Outgoing] = v16.OUTGOING | {
    kind: _either_way(kind)
    for kind in (
        CommandKind.INSTALL_CERTIFICATE,
        CommandKind.DELETE_CERTIFICATE,
        CommandKind.READ_CERTIFICATES,
    )
}
"""What can be asked of a charging point that speaks 1.6."""
