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
MAX_CODE = 100
"""Characters of a status code, or of the hub's process id, that are kept."""
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
    process = _storable(process_id)[:MAX_CODE] if process_id else None
    common: dict[str, Any] = {"code": code, "process_id": process, "body": body}
    if 200 <= http < 300:
        if body is None or not (code or "Result" in body or "AuthorizationStatus" in body):
            # Of a proxy, perhaps; the hub may have the message all the same.
            return Answer(
                Verdict.AGAIN,
                reason=f"{http} without an answer of OICP",
                uncertain=True,
                process_id=common["process_id"],
            )
        if _succeeded(body, code):
            return Answer(Verdict.DONE, **common)
        if code in _AGAIN:
            return Answer(Verdict.AGAIN, reason=_reason(http, body, code), uncertain=True, **common)
        return Answer(
            Verdict.REFUSED, reason=_reason(http, body, code), whole=_refuses_us(code), **common
        )
    if http in (408, 429) or http >= 500 or http < 400:
        # One that sends us elsewhere has not read it.
        return Answer(
            Verdict.AGAIN,
            reason=_reason(http, body, code),
            uncertain=http not in _NOT_PROCESSED and http >= 400,
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
    return Answer(Verdict.AGAIN, reason=_storable(error[:MAX_REASON]), uncertain=sent, busy=True)


def _refuses_us(code: str) -> bool:
    return code in ("017", "210")


def _succeeded(body: Json, code: str) -> bool:
    """Return whether an answer says that it was done, or, of a card, what was decided."""
    if "AuthorizationStatus" in body:
        return True
    result = body.get("Result")
    if isinstance(result, str):
        result = result.strip().lower()
    return result in (True, "true") or (result in (None, "") and code == StatusCode.SUCCESS)


def _read(text: bytes) -> Json | None:
    try:
        body = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return _spelled(body) if isinstance(body, dict) else None


# Of answers, as far as anything here reads them.
_MEMBERS = {
    name.lower(): name
    for name in (
        *("Result", "StatusCode", "Code", "Description", "AdditionalInfo"),
        *("AuthorizationStatus", "SessionID", "ProviderID", "EMPPartnerSessionID"),
        *("AuthorizationStopIdentifications", "message", "validationErrors"),
    )
}


def _spelled(body: Json) -> Json:
    """Return an answer with its members spelled as OICP does."""
    spelled = dict(body)
    for name, member in body.items():
        right = _MEMBERS.get(name.lower(), name)
        spelled.setdefault(right, member)
    if isinstance(status := spelled.get("StatusCode"), dict):
        spelled["StatusCode"] = {
            **{_MEMBERS.get(name.lower(), name): member for name, member in status.items()},
            **status,
        }
    return spelled


def _code(body: Json | None) -> str:
    """Return the status code, of three digits where it is a number; it may stand by itself."""
    code = (body or {}).get("StatusCode")
    if isinstance(code, dict):
        code = code.get("Code")
    if isinstance(code, bool) or not isinstance(code, (str, int, Decimal)):
        return ""
    written = _storable(str(code)[:MAX_CODE]).strip()
    return written.removesuffix(".0").zfill(3) if written else ""


def _storable(text: str) -> str:
    """Return text that a database and a log take, whatever the hub wrote."""
    return "".join(c if c.isprintable() else " " for c in text)


def _reason(http: int, body: Json | None, code: str, text: bytes = b"") -> str:
    """Return the hub's reason in one line."""
    parts = [] if 200 <= http < 300 else [f"HTTP {http}"]
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
        faults = body.get("validationErrors")
        parts.extend(
            f"{fault.get('fieldReference')}: {fault.get('errorMessage')}"
            for fault in (faults if isinstance(faults, list) else ())
            if isinstance(fault, dict)
        )
    elif http == 403:
        parts.append("the hub does not admit our address")
    elif text:
        plain = re.sub(r"<[^>]*>", " ", text[:2000].decode(errors="replace"))
        parts.append(" ".join(plain.split())[:200])
    return _storable("; ".join(parts)[:MAX_REASON])


def _seconds(text: str | None) -> float | None:
    written = (text or "").strip()
    return float(written) if re.fullmatch(r"[0-9]{1,9}", written) else None
