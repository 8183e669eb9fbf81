"""What the hub's answer means: it has it, try again, or never try that again.

The hub does not always answer HTTP 200, and not always OICP. Source: OICP 2.3, status codes, and
answers seen by those who call it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from third_party_backend.oicp.status import DESCRIPTIONS, StatusCode

Json = dict[str, Any]

MAX_REASON = 1000
_AGAIN = frozenset({"001", "002", "009"})
_NOT_PROCESSED = frozenset({429, 503})


class Verdict(StrEnum):
    """What to do about an answer."""

    DONE = "done"
    AGAIN = "again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended.

    uncertain: the hub may have taken it although it did not say so. busy: another call would fare
    the same, so the trouble is not this message's. whole: it is us that the hub refuses, not this
    message. code: OICP's, empty without one. retry_after: seconds, where the hub named them.
    """

    verdict: Verdict
    code: str = ""
    reason: str = ""
    uncertain: bool = False
    busy: bool = False
    whole: bool = False
    retry_after: float | None = None
    process_id: str | None = None
    body: Json | None = None

    @property
    def is_known(self) -> bool:
        """Whether the session has its record there, or the hub knows no such session."""
        return self.verdict is Verdict.REFUSED and self.code == StatusCode.SESSION_INVALID


def judge(http: int, text: bytes, retry_after: str | None, process_id: str | None) -> Answer:
    """Judge an answer that came. text: the body, JSON or not."""
    body = _read(text)
    code = _code(body)
    common: dict[str, Any] = {"code": code, "process_id": process_id, "body": body}
    if http == 200:
        if body is None:
            return Answer(
                Verdict.AGAIN, reason="200 without JSON", uncertain=True, process_id=process_id
            )
        if body.get("Result") is True or "AuthorizationStatus" in body:
            return Answer(Verdict.DONE, **common)
        if code in _AGAIN:
            return Answer(Verdict.AGAIN, reason=_reason(http, body, code), uncertain=True, **common)
        return Answer(
            Verdict.REFUSED, reason=_reason(http, body, code), whole=_refuses_us(code), **common
        )
    if http in (408, 429) or http >= 500:
        return Answer(
            Verdict.AGAIN,
            reason=_reason(http, body, code),
            uncertain=http not in _NOT_PROCESSED,
            busy=http != 500,
            retry_after=_seconds(retry_after),
            **common,
        )
    return Answer(
        Verdict.REFUSED,
        reason=_reason(http, body, code, text),
        whole=http in (401, 403) or _refuses_us(code),
        **common,
    )


def lost(error: str, *, sent: bool) -> Answer:
    """Judge that no answer came. sent: the hub may have the message all the same."""
    return Answer(Verdict.AGAIN, reason=error[:MAX_REASON], uncertain=sent, busy=True)


def _refuses_us(code: str) -> bool:
    return code in ("017", "210")


def _read(text: bytes) -> Json | None:
    try:
        body = json.loads(text, parse_float=Decimal)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _code(body: Json | None) -> str:
    status = (body or {}).get("StatusCode")
    code = status.get("Code") if isinstance(status, dict) else None
    return "" if code is None else str(code).zfill(3)


def _reason(http: int, body: Json | None, code: str, text: bytes = b"") -> str:
    """Return the hub's reason in one line."""
    parts = [] if http == 200 else [f"HTTP {http}"]
    if code:
        known = DESCRIPTIONS.get(StatusCode(code), "") if code in set(StatusCode) else ""
        parts.append(f"{code} {known}".strip())
    if body is not None:
        status = body.get("StatusCode")
        if isinstance(status, dict):
            detail = status.get("AdditionalInfo") or status.get("Description") or ""
            if detail and str(detail) not in " ".join(parts):
                parts.append(str(detail))
        if not code and body.get("message"):
            parts.append(str(body["message"]))
        parts.extend(
            f"{fault.get('fieldReference')}: {fault.get('errorMessage')}"
            for fault in body.get("validationErrors") or ()
            if isinstance(fault, dict)
        )
    elif http == 403:
        parts.append("the hub does not admit our address")
    elif text:
        plain = re.sub(r"<[^>]*>", " ", text[:2000].decode(errors="replace"))
        parts.append(" ".join(plain.split())[:200])
    return "; ".join(parts)[:MAX_REASON]


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.strip().isdigit() else None
