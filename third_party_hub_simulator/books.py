"""What the hub knows: EVSEs, statuses, sessions, CDRs, violations. Nothing is ever deleted.

Every change is an event; with a file each is a line of JSON there before it takes effect, and a
hub that is started again on the file has the state that it had.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from third_party_hub_simulator.messages import Json, key

MAX_VIOLATIONS = 10_000


class BooksError(RuntimeError):
    """The file cannot be read or written; the message names it."""


@dataclass
class Token:
    """A card that a provider has given out. stops: cards that may end what it started."""

    uid: str
    provider_id: str = "DE-EMP"
    stops: list[str] = field(default_factory=list)


@dataclass
class Session:
    """A session between a provider's driver and the operator.

    origin: remote, rfid or reservation. code: what the operator answered to the (last) start,
    None before its answer. round_trip_ms: how long it took.
    """

    session_id: str
    origin: str
    provider_id: str
    evse_id: str
    identification: Json
    asked_at: datetime
    cpo_partner_session_id: str | None = None
    emp_partner_session_id: str | None = None
    code: str | None = None
    round_trip_ms: float | None = None
    stops: list[str] = field(default_factory=list)
    stopped_at: datetime | None = None
    notifications: list[tuple[datetime, Json]] = field(default_factory=list)
    cdr: Json | None = None
    cdr_at: datetime | None = None
    cdr_copies: int = 0
    """How often its CDR came again after it was taken."""

    def notified(self, kind: str) -> list[tuple[datetime, Json]]:
        """Return the notifications of a type with the time they came."""
        return [(at, body) for at, body in self.notifications if body["Type"] == kind]

    @property
    def open(self) -> bool:
        """Whether the provider still waits for the CDR."""
        return self.code == "000" and self.cdr is None and not self.notified("Error")

    @property
    def energy_wh(self) -> int | None:
        """Energy of the CDR in Wh, None before it came."""
        return None if self.cdr is None else int(Decimal(str(self.cdr["ConsumedEnergy"])) * 1000)

    def as_json(self) -> Json:
        """Return it for the control interface."""
        late = None
        if self.cdr is not None and self.cdr_at is not None:
            ended = datetime.fromisoformat(self.cdr["SessionEnd"])
            late = round((self.cdr_at - ended).total_seconds(), 3)
        return {
            "session": self.session_id,
            "origin": self.origin,
            "provider": self.provider_id,
            "evse": self.evse_id,
            "identification": self.identification,
            "asked_at": _text(self.asked_at),
            "code": self.code,
            "round_trip_ms": self.round_trip_ms,
            "cpo_partner_session": self.cpo_partner_session_id,
            "emp_partner_session": self.emp_partner_session_id,
            "stopped_at": _text(self.stopped_at) if self.stopped_at else None,
            "notifications": [
                {"at": _text(at), "type": body["Type"], "body": body}
                for at, body in self.notifications
            ],
            "open": self.open,
            "energy_wh": self.energy_wh,
            "cdr": self.cdr,
            "cdr_copies": self.cdr_copies,
            "seconds_to_cdr": late,
        }


@dataclass
class Violation:
    """A rule that was broken. operation: the operator's, or ours that it answered wrongly."""

    at: str
    operation: str
    rule: str
    detail: str


class Books:
    """The hub's knowledge. Not safe for many threads: the hub holds a lock around it.

    file: JSON lines to remember by; None to remember in memory only. Raises BooksError.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.evses: dict[str, Json] = {}
        self.removed: set[str] = set()
        self.statuses: dict[str, tuple[str, datetime]] = {}
        self.status_changes: list[tuple[datetime, str, str]] = []
        self.products: dict[str, set[str]] = {}
        self.prices: dict[tuple[str, str], list[str]] = {}
        self.sessions: dict[str, Session] = {}
        self.tokens: dict[str, Token] = {}
        self.violations: list[Violation] = []
        self.remarks: Counter[str] = Counter()
        self._lines: IO[str] | None = None
        if file is not None:
            self._open(file)

    def close(self) -> None:
        """Close the file."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def record(self, event: str, at: datetime | None = None, **facts: Any) -> None:
        """Write an event to the file, then apply it. Raises BooksError."""
        at = at or datetime.now(UTC)
        # What takes effect is what was written, so a restart changes nothing.
        line = json.dumps({"event": event, "at": at.isoformat(), **facts}, default=float)
        if self._lines is not None:
            try:
                self._lines.write(line + "\n")
                self._lines.flush()
            except OSError as error:
                raise BooksError(f"{self._lines.name}: {error}") from error
        self._take(line)

    def session(self, session_id: str) -> Session | None:
        """Return a session; its id compares without case."""
        return self.sessions.get(session_id.lower())

    def _open(self, file: Path) -> None:
        try:
            if file.exists():
                whole = 0
                with file.open("rb") as lines:
                    for line in lines:
                        if not line.endswith(b"\n"):
                            break  # its writer was killed in the middle: it never took effect
                        whole += len(line)
                        self._take(line)
                with file.open("r+b") as lines:
                    lines.truncate(whole)
            self._lines = file.open("a")
        except (OSError, ValueError, KeyError) as error:
            raise BooksError(f"{file} cannot be used: {error}") from error

    def _take(self, line: str | bytes) -> None:
        facts = json.loads(line)
        event, at = facts.pop("event"), datetime.fromisoformat(facts.pop("at"))
        getattr(self, f"_on_{event}")(at, **facts)

    # The events.

    def _on_data(self, at: datetime, action: str, records: list[Json]) -> None:
        if action == "fullLoad":
            kept = {key(record["EvseID"]) for record in records}
            self.removed |= self.evses.keys() - kept
            self.evses.clear()
        for record in records:
            name = key(record["EvseID"])
            if action == "delete":
                self.evses.pop(name, None)
                self.removed.add(name)
            else:
                self.evses[name] = record
                self.removed.discard(name)
        for name in self.statuses.keys() - self.evses.keys():
            del self.statuses[name]

    def _on_status(self, at: datetime, action: str, records: list[Json]) -> None:
        if action == "fullLoad":
            kept = {key(record["EvseID"]) for record in records}
            for name in self.statuses.keys() - kept:
                del self.statuses[name]
        for record in records:
            name = key(record["EvseID"])
            if action == "delete":
                self.statuses.pop(name, None)
                continue
            before = self.statuses.get(name)
            if before is None or before[0] != record["EvseStatus"]:
                self.status_changes.append((at, record["EvseID"], record["EvseStatus"]))
                self.statuses[name] = (record["EvseStatus"], at)

    def _on_session(self, at: datetime, session: Json) -> None:
        made = Session(asked_at=at, **session)
        self.sessions[made.session_id.lower()] = made

    def _on_answered(
        self,
        at: datetime,
        session_id: str,
        code: str,
        round_trip_ms: float | None = None,
        cpo_partner_session_id: str | None = None,
    ) -> None:
        session = self.sessions[session_id.lower()]
        session.code = code
        session.round_trip_ms = round_trip_ms
        session.cpo_partner_session_id = cpo_partner_session_id or session.cpo_partner_session_id

    def _on_stopped(self, at: datetime, session_id: str) -> None:
        self.sessions[session_id.lower()].stopped_at = at

    def _on_notification(self, at: datetime, body: Json) -> None:
        self.sessions[body["SessionID"].lower()].notifications.append((at, body))

    def _on_cdr(self, at: datetime, body: Json) -> None:
        session = self.sessions[body["SessionID"].lower()]
        session.cdr, session.cdr_at = body, at

    def _on_cdr_again(self, at: datetime, session_id: str) -> None:
        self.sessions[session_id.lower()].cdr_copies += 1

    def _on_products(self, at: datetime, action: str, provider: str, products: list[str]) -> None:
        held = self.products.setdefault(provider, set())
        if action == "fullLoad":
            held.clear()
        if action == "delete":
            held.difference_update(products)
        else:
            held.update(products)

    def _on_prices(
        self, at: datetime, action: str, prices: list[tuple[str, str, list[str]]]
    ) -> None:
        if action == "fullLoad":
            self.prices.clear()
        for evse, provider, products in prices:
            if action == "delete":
                self.prices.pop((evse, provider), None)
            else:
                self.prices[evse, provider] = products

    def _on_token(self, at: datetime, token: Json) -> None:
        made = Token(**token)
        self.tokens[made.uid] = made

    def _on_token_removed(self, at: datetime, uid: str) -> None:
        self.tokens.pop(uid, None)

    def _on_violation(self, at: datetime, operation: str, rule: str, detail: str) -> None:
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(Violation(_text(at), operation, rule, detail))
        self.remarks["violations"] += 1

    def _on_remark(self, at: datetime, operation: str, remark: str) -> None:
        self.remarks[f"{operation}: {remark}"] += 1

    def violations_as_json(self) -> list[Json]:
        """Return the violations, oldest first."""
        return [asdict(violation) for violation in self.violations]


def new_session(
    session_id: str,
    origin: str,
    provider_id: str,
    evse_id: str,
    identification: Json,
    **more: Any,
) -> Json:
    """Return what the event `session` carries."""
    return {
        "session_id": session_id,
        "origin": origin,
        "provider_id": provider_id,
        "evse_id": evse_id,
        "identification": identification,
        **more,
    }


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
