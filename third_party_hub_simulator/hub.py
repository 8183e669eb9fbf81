"""The hub itself: takes an operator's call, misbehaves if it is to, judges, records, answers."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from third_party_hub_simulator.books import Books
from third_party_hub_simulator.faults import Fault, Faults, Kind
from third_party_hub_simulator.forms import faults_of_form
from third_party_hub_simulator.messages import (
    CALLS_PER_MINUTE,
    SEQUENTIAL,
    Json,
    Operation,
    acknowledgment,
    without_nulls,
)
from third_party_hub_simulator.rules import Terms, judge

MAX_CALLS_REMEMBERED = 5000
_MINUTE_SECONDS = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What goes back. body: a JSON object, text in HTML, or None for nothing.

    cut: the connection is cut instead.
    """

    http: int
    body: Json | str | None = None
    cut: bool = False


class Hub:
    """One hub and one operator. Safe for many threads.

    limits: calls a minute of each operation; one that is missing is not limited.
    """

    def __init__(
        self,
        books: Books,
        terms: Terms,
        faults: Faults,
        limits: Mapping[Operation, int] = CALLS_PER_MINUTE,
    ) -> None:
        self.terms = terms
        self.faults = faults
        self.lock = threading.Lock()
        self.books = books
        self._limits = dict(limits)
        self._calls: deque[Json] = deque(maxlen=MAX_CALLS_REMEMBERED)
        self._counts: Counter[tuple[str, int]] = Counter()
        self._recent: dict[Operation, deque[float]] = {o: deque() for o in Operation}
        self._in_flight: dict[Operation, list[socket.socket]] = {o: [] for o in Operation}
        self._most_a_minute: Counter[Operation] = Counter()

    def take(
        self, operation: Operation, operator_id: str | None, text: bytes, peer: socket.socket
    ) -> tuple[Answer, str]:
        """Take a call; return the answer and its Process-ID.

        peer: the caller's socket. operator_id: from the path, None where it has none.
        """
        process_id = str(uuid.uuid4())
        started = time.monotonic()
        at = datetime.now(UTC)
        with self._alone(operation, peer):
            fault = self.faults.of_call(operation)
            answer = self._answer(operation, operator_id, text, fault)
        with self.lock:
            self._counts[operation.value, 0 if answer.cut else answer.http] += 1
            self._calls.append(
                {
                    "at": at.isoformat(timespec="milliseconds"),
                    "operation": operation.value,
                    "http": None if answer.cut else answer.http,
                    "code": _code(answer.body),
                    "fault": fault.kind.value if fault else None,
                    "ms": round((time.monotonic() - started) * 1000, 1),
                    "process_id": process_id,
                    "body": _readable(text),
                }
            )
        return answer, process_id

    def _answer(
        self, operation: Operation, operator_id: str | None, text: bytes, fault: Fault | None
    ) -> Answer:
        with self.lock:
            if self._too_many(operation):
                limit = self._limits[operation]
                self.violate(operation.value, "calls a minute", f"more than {limit}")
                return Answer(429)
        if fault is not None:
            refusal = _REFUSALS.get(fault.kind)
            if refusal is not None:
                return refusal
            if fault.kind is Kind.SLOW:
                time.sleep(fault.seconds)
        answer = self._process(operation, operator_id, text)
        if fault is not None and fault.kind is Kind.CUT_AFTER:
            return Answer(answer.http, cut=True)
        if fault is not None and fault.kind is Kind.UNCERTAIN:
            return Answer(500)
        return answer

    def _process(self, operation: Operation, operator_id: str | None, text: bytes) -> Answer:
        try:
            rough = json.loads(text)
            exact = json.loads(text, parse_float=Decimal)
        except ValueError as error:
            return self._malformed(operation, [("(whole)", f"no JSON: {error}")])
        wrong = faults_of_form(operation, without_nulls(rough))
        if wrong:
            return self._malformed(operation, wrong)
        with self.lock:
            verdict = judge(self.books, self.terms, operation, operator_id, exact)
            for name, facts in verdict.events:
                self.books.record(name, **facts)
            for rule, detail in verdict.violations:
                self.violate(operation.value, rule, detail)
            for remark in verdict.remarks:
                self.books.record("remark", operation=operation.value, remark=remark)
        return Answer(verdict.http, verdict.answer)

    def _malformed(self, operation: Operation, wrong: list[tuple[str, str]]) -> Answer:
        with self.lock:
            for field, message in wrong:
                self.violate(operation.value, "form", f"{field}: {message}")
        return Answer(400, _validation_errors(wrong))

    def violate(self, operation: str, rule: str, detail: str) -> None:
        """Write a violation down; the lock is held."""
        log.warning("violation: %s: %s: %s", operation, rule, detail)
        self.books.record("violation", operation=operation, rule=rule, detail=detail)

    def calls(self, operation: str | None = None) -> list[Json]:
        """Return the latest calls, oldest first."""
        with self.lock:
            return [c for c in self._calls if operation in (None, c["operation"])]

    def figures(self) -> Json:
        """Return counts of what the hub has seen since it started, and of what it knows."""
        with self.lock:
            books = self.books
            sessions = list(books.sessions.values())
            cdrs = [session for session in sessions if session.cdr is not None]
            round_trips = sorted(s.round_trip_ms for s in sessions if s.round_trip_ms is not None)
            calls: dict[str, Json] = {}
            for (operation, http), count in sorted(self._counts.items()):
                calls.setdefault(operation, {})[str(http or "cut")] = count
            return {
                "evses": len(books.evses),
                "statuses": dict(Counter(status for status, _ in books.statuses.values())),
                "sessions": len(sessions),
                "sessions_accepted": sum(s.code == "000" for s in sessions),
                "sessions_open": sum(session.open for session in sessions),
                "cdrs": len(cdrs),
                "cdrs_again": sum(session.cdr_copies for session in cdrs),
                "energy_wh": sum(session.energy_wh or 0 for session in cdrs),
                "violations": len(books.violations),
                "remarks": dict(books.remarks),
                "calls": calls,
                "most_calls_a_minute": {o.value: n for o, n in self._most_a_minute.items()},
                "remote_round_trip_ms": _percentiles(round_trips),
            }

    @contextmanager
    def _alone(self, operation: Operation, peer: socket.socket) -> Iterator[None]:
        """Note whether another push of the operation is under way: there must be none."""
        with self.lock:
            under_way = self._in_flight[operation]
            # One whose caller has died in the middle is nobody's push any more.
            if operation in SEQUENTIAL and any(_connected(other) for other in under_way):
                self.violate(operation.value, "sequential", "two pushes at the same time")
            under_way.append(peer)
        try:
            yield
        finally:
            with self.lock:
                under_way.remove(peer)

    def _too_many(self, operation: Operation) -> bool:
        recent, now = self._recent[operation], time.monotonic()
        while recent and recent[0] <= now - _MINUTE_SECONDS:
            recent.popleft()
        limit = self._limits.get(operation)
        if limit is not None and len(recent) >= limit:
            return True
        recent.append(now)
        self._most_a_minute[operation] = max(self._most_a_minute[operation], len(recent))
        return False


def _validation_errors(wrong: list[tuple[str, str]]) -> Json:
    return {
        "message": "Validation failed",
        "validationErrors": [
            {"fieldReference": field, "errorMessage": message} for field, message in wrong
        ],
    }


_REFUSALS = {
    Kind.VALIDATION: Answer(400, _validation_errors([("demanded", "a fault was asked for")])),
    Kind.UNAUTHORIZED: Answer(401, acknowledgment("017", "a fault was asked for")),
    Kind.FORBIDDEN_HTML: Answer(
        403, "<html><head><title>403 Forbidden</title></head><body>Forbidden</body></html>"
    ),
    Kind.FORBIDDEN: Answer(403, acknowledgment("210", "a fault was asked for")),
    Kind.NO_PARTNER: Answer(404, acknowledgment("300", "a fault was asked for")),
    Kind.NO_SESSION: Answer(404, acknowledgment("400", "a fault was asked for")),
    Kind.TIMEOUT: Answer(408),
    Kind.TOO_MANY: Answer(429),
    Kind.ERROR: Answer(500),
    Kind.UNAVAILABLE: Answer(503, acknowledgment("009", "a fault was asked for")),
    Kind.SYSTEM_ERROR: Answer(200, acknowledgment("001", "a fault was asked for")),
    Kind.CUT_BEFORE: Answer(0, cut=True),
}


def _connected(peer: socket.socket) -> bool:
    """Whether the other end still holds its socket."""
    try:
        # A plain look at the descriptor: over TLS a dead peer's socket ends just the same.
        with socket.socket(fileno=socket.dup(peer.fileno())) as twin:
            return twin.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _code(body: Json | str | None) -> str | None:
    if isinstance(body, dict) and "StatusCode" in body:
        code: str = body["StatusCode"]["Code"]
        return code
    return None


def _readable(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")[:2000]


def _percentiles(ordered: list[float]) -> Json:
    if not ordered:
        return {"count": 0}
    return {"count": len(ordered)} | {
        f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 1)
        for p in (50, 95, 99)
    }
