"""The versions of OCPP that are spoken here: the only module that knows them by name.

A dialect is all that a conversation has to know of its version. docs/decisions/0030-dialects.md
says why it is a record of tables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from charging.command import CommandKind, Outcome
from cp_backend.ocpp import plug_and_charge, v2, v16
from cp_backend.ocpp.actions import AnyIncoming, Outgoing
from cp_backend.ocpp.errors import ErrorCode
from cp_backend.ocpp.redaction import redact
from cp_backend.ocpp.schemas import Schemas, schemas
from cp_backend.vocabulary import JsonObject


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version of OCPP.

    version: as settings and the database name it, such as ``1.6``. subprotocol: of the WebSocket.
    schemas: compiled when first asked for. incoming: what charging points call, by action.
    outgoing: what can be asked of them. before_boot: actions that are answered before a
    BootNotification has been accepted. always_kept: those that tell of sessions, and are kept
    whatever its boot was answered. spelling: error codes that the version writes otherwise
    than 1.6. read_error: the code of a CALLERROR to a command → its outcome. secrets: members of
    an action's payload that no log may hold, beside those that `redaction` knows of itself.
    compressed: whether compression may be agreed on; charging points of 1.6 that offer it are
    known to break what was agreed.
    unanswered: what charging points send in frames that are never answered, by action; None for a
    version without such frames.
    """

    version: str
    subprotocol: str
    schemas: Callable[[], Schemas]
    incoming: Mapping[str, AnyIncoming]
    outgoing: Mapping[CommandKind, Outgoing]
    before_boot: frozenset[str]
    always_kept: frozenset[str]
    spelling: Mapping[ErrorCode, str]
    read_error: Callable[[str], Outcome]
    secrets: Mapping[str, frozenset[str]]
    compressed: bool = False
    unanswered: Mapping[str, AnyIncoming] | None = None

    def spell(self, code: ErrorCode) -> str:
        """Return an error code as this version writes it."""
        return self.spelling.get(code, code.value)

    def loggable(self, action: str, payload: JsonObject) -> object:
        """Return a payload without its secrets and with hashed tokens, for the service's log."""
        return redact(payload, _KEY, self.secrets.get(action, frozenset()))


# Of this process alone: the log shows that two tokens are the same, not which.
_KEY = os.urandom(16)

V16 = Dialect(
    version="1.6",
    subprotocol="ocpp1.6",
    schemas=partial(schemas, "v16"),
    incoming=plug_and_charge.INCOMING,
    outgoing=plug_and_charge.OUTGOING,
    before_boot=frozenset({"BootNotification"}),
    always_kept=frozenset({"StopTransaction", "MeterValues"}),
    spelling={ErrorCode.RPC_FRAMEWORK_ERROR: ErrorCode.FORMATION_VIOLATION.value},
    read_error=v16.read_error,
    secrets=v16.SECRETS,
)

V201 = Dialect(
    version="2.0.1",
    subprotocol="ocpp2.0.1",
    schemas=partial(schemas, "v201"),
    incoming=v2.INCOMING,
    outgoing=v2.OUTGOING,
    before_boot=frozenset({"BootNotification"}),
    always_kept=frozenset({"TransactionEvent", "MeterValues"}),
    spelling=v2.SPELLING,
    read_error=v2.read_error,
    secrets=v2.SECRETS,
    compressed=True,
)

V21 = replace(
    V201,
    version="2.1",
    subprotocol="ocpp2.1",
    schemas=partial(schemas, "v21"),
    incoming=v2.INCOMING_V21,
    unanswered=v2.UNANSWERED_V21,
)

DIALECTS: Mapping[str, Dialect] = {each.version: each for each in (V16, V201, V21)}
"""By version: what can be spoken. `CP_BACKEND_OCPP_VERSIONS` says what is."""
