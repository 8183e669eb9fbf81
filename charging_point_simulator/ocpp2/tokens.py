"""Tokens as OCPP 2.x writes them. Source: 2.0.1 part 2, IdTokenType."""

from __future__ import annotations

import re
from typing import Any

# UIDs of ISO 14443: 4, 7 or 10 bytes.
_CARD = re.compile(r"(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{14}|[0-9A-Fa-f]{20})")
# Source: ISO 15118-2 annex H; with and without hyphens, with and without check digit.
_CONTRACT = re.compile(r"[A-Za-z]{2}-?[A-Za-z0-9]{3}-?C[A-Za-z0-9]{8}(?:-?[A-Za-z0-9])?")


def write_token(token: str, kind: str = "") -> dict[str, Any]:
    """Write a token. kind: its type; without one it is told from its form."""
    if not kind and _CARD.fullmatch(token):
        kind = "ISO14443"
    elif not kind:
        kind = "eMAID" if _CONTRACT.fullmatch(token) else "Central"
    return {"idToken": token, "type": kind}
