"""OCPP 1.6 and its security extension: between payloads and our vocabulary, as tables by action."""

from __future__ import annotations

from cp_backend.ocpp.actions import AnyIncoming
from cp_backend.ocpp.v16 import core, notices
from cp_backend.ocpp.v16.commands import OUTGOING, read_error

__all__ = ["INCOMING", "OUTGOING", "SECRETS", "read_error"]

INCOMING: dict[str, AnyIncoming] = core.INCOMING | notices.INCOMING
"""What charging points that speak 1.6 call."""

SECRETS: dict[str, frozenset[str]] = {
    "GetDiagnostics": frozenset({"location"}),
    "GetLog": frozenset({"remoteLocation"}),
    "SignedUpdateFirmware": frozenset({"location"}),
    "UpdateFirmware": frozenset({"location"}),
}
"""Members that no log may hold beside those that `redaction` knows: addresses with passwords."""
