"""OCPP-J from the charging point's side: one CALL of ours in flight, theirs answered meanwhile.

Texts in, texts out; a connection is somebody else's business. Facts that concern money are
durable calls: in order, the same again until they are answered, over however many connections
that takes. Other calls end with their connection.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from charging_point_simulator.station.timers import Timer, Timers

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
CALL_TIMEOUT_SECONDS = 30.0
MAX_RETRY_SECONDS = 10.0
DURABLE_LIMIT = 10_000
_LOG_FRAMES = 200

Payload = dict[str, Any]


class CallError(Exception):
    """A call of the central system gets a CALLERROR; the message is its description."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(description)
        self.code = code


class MemoryFullError(Exception):
    """The charging point was offline for longer than its memory lasts."""


@dataclass(eq=False)
class Call:
    """A call to the central system.

    payload: made when it is sent, since a session's number is known only then. on_answer: called
    with the answer. on_failure: called with a reason when there will be none. durable: kept
    until answered. before_boot: goes out although the boot is not accepted.
    """

    action: str
    payload: Callable[[], Payload]
    on_answer: Callable[[Payload], None] = lambda answer: None
    on_failure: Callable[[str], None] = lambda reason: None
    durable: bool = False
    before_boot: bool = False
    attempts: int = field(default=0, init=False)


class Answering(Protocol):
    """Answers the central system's calls."""

    def __call__(self, message_id: Any, action: str, payload: Any) -> None:
        """Take a call; its answer goes to `Calls.answer` or `Calls.refuse`, now or later."""


class Outgoing(Protocol):
    """Writes a frame as text, or in the way of a charging point that deviates."""

    def __call__(self, frame: list[Any], answered: str = "") -> str | None:
        """Return the text, None for a frame that is lost.

        answered: the action of the call that a CALLRESULT answers.
        """


@dataclass
class Observer:
    """What others want to know; functions that do nothing unless they are replaced."""

    latency: Callable[[str, float], None] = lambda action, seconds: None
    violation: Callable[[str], None] = lambda text: None
    frame: Callable[[str, str], None] = lambda direction, text: None


def write_frame(frame: list[Any], answered: str = "") -> str:
    """Write a frame as the standard wants it."""
    return json.dumps(frame)


class Calls:
    """The calls of one charging point.

    on_call: takes the central system's calls. check: raises ValueError for an answer that is
    not of its action's shape. message_id: makes an id of a number. outgoing: texts that wait to
    be sent. broken: whether the connection is of no use any more.
    """

    def __init__(
        self,
        timers: Timers,
        on_call: Answering,
        *,
        check: Callable[[str, Payload], None] = lambda action, answer: None,
        write: Outgoing = write_frame,
        message_id: Callable[[int], Any] = str,
        observer: Observer | None = None,
    ) -> None:
        self.outgoing: deque[str] = deque()
        self.connected = False
        self.accepted = False
        self.broken = False
        self.connection = 0
        self.attempts = 1_000
        self.retry_seconds = 1.0
        self.log: deque[tuple[str, str, str]] = deque(maxlen=_LOG_FRAMES)
        self._timers = timers
        self._on_call = on_call
        self._check = check
        self._write = write
        self._message_id = message_id
        self._observer = observer or Observer()
        self._queue: deque[Call] = deque()
        self._durable = 0
        self._in_flight: tuple[Any, Call, float] | None = None
        self._timeout: Timer | None = None
        self._durable_waits = False
        self._ids = itertools.count(1)

    # The connection.

    def on_connected(self) -> None:
        """Begin on a new connection."""
        self.connected, self.broken = True, False
        self.connection += 1
        self.outgoing.clear()

    def on_disconnected(self) -> None:
        """Keep what is durable, give up the rest."""
        self.connected = False
        self.outgoing.clear()
        self._end_flight()
        lost = [call for call in self._queue if not call.durable]
        self._queue = deque(call for call in self._queue if call.durable)
        for call in lost:
            call.on_failure("disconnected")

    # Our calls.

    @property
    def durable_waiting(self) -> int:
        """How many durable calls are not answered."""
        return self._durable

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._queue

    def send(self, *calls: Call, first: bool = False) -> None:
        """Queue calls. first: before all others. Raises MemoryFullError."""
        for call in calls:
            if call.durable:
                if self._durable >= DURABLE_LIMIT:
                    raise MemoryFullError("was offline for longer than its memory lasts")
                self._durable += 1
            elif not self.connected:
                call.on_failure("disconnected")
                continue
            if not first:
                self._queue.append(call)
        if first:
            self._queue.extendleft(reversed(calls))
        self.pump()

    def pump(self) -> None:
        """Send the next call, when one may go."""
        while self.connected and self._in_flight is None:
            call = next((c for c in self._queue if self._may_go(c)), None)
            if call is None:
                return
            self._send(call)

    def _may_go(self, call: Call) -> bool:
        if call.durable and self._durable_waits:
            return False
        return self.accepted or call.before_boot

    def _send(self, call: Call) -> None:
        message_id = self._message_id(next(self._ids))
        call.attempts += 1
        text = self._write([CALL, message_id, call.action, call.payload()])
        if text is None:
            self._finish(call)  # lost: neither sent nor ever acknowledged
            return
        self._in_flight = (message_id, call, self._timers.clock.monotonic())
        self._timeout = self._timers.after(CALL_TIMEOUT_SECONDS, self._on_timeout)
        self._put(text)

    def _on_timeout(self) -> None:
        # Without an answer it is unknown what the central system has: the same message is sent
        # again on a new connection.
        self.broken = True

    def _end_flight(self) -> None:
        self._in_flight = None
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _finish(self, call: Call) -> None:
        self._queue.remove(call)
        self._durable -= call.durable

    # What comes in.

    def receive(self, text: str) -> None:
        """Take a text from the central system."""
        self._note("<", text)
        try:
            frame = json.loads(text)
            kind, message_id = frame[0], frame[1]
        except (ValueError, LookupError, TypeError):
            self._observer.violation(f"not an OCPP frame: {text[:100]}")
            return
        if kind == CALL and len(frame) == 4:
            self._on_call(message_id, frame[2], frame[3])
        elif kind in (CALL_RESULT, CALL_ERROR) and len(frame) > 2:
            self._on_answer(frame)
        else:
            self._observer.violation(f"not an OCPP frame: {text[:100]}")
        self.pump()

    def _on_answer(self, frame: list[Any]) -> None:
        flight = self._in_flight
        if flight is None or flight[0] != frame[1]:
            self._observer.violation(f"an answer to nothing: {frame[1]!r}")
            return
        _, call, began = flight
        self._end_flight()
        if frame[0] == CALL_ERROR:
            self._on_refused(call, f"{call.action}: {' '.join(map(str, frame[2:4]))}".strip())
            return
        self._observer.latency(call.action, self._timers.clock.monotonic() - began)
        self._finish(call)
        try:
            self._check(call.action, frame[2])
        except ValueError as error:
            self._observer.violation(str(error))
            self._on_wrong_answer(call, frame[2])
            return
        call.on_answer(frame[2])

    def _on_wrong_answer(self, call: Call, answer: Any) -> None:
        """Take of an answer that is against the standard what can be used, else try again."""
        try:
            call.on_answer(answer)
        except (LookupError, TypeError, ValueError, AttributeError):
            self._queue.appendleft(call)
            self._durable += call.durable
            self._on_refused(call, f"{call.action}: its answer cannot be read")

    def _on_refused(self, call: Call, reason: str) -> None:
        """Try a durable call again: the central system may recover.

        Source: OCPP 1.6 sections 3.7 and 9.1.32, 9.1.33.
        """
        if call.durable and call.attempts < self.attempts:
            self._durable_waits = True
            wait = min(MAX_RETRY_SECONDS, self.retry_seconds * call.attempts)
            self._timers.after(wait, self._retry)
            return
        self._finish(call)
        call.on_failure(reason)

    def _retry(self) -> None:
        self._durable_waits = False
        self.pump()

    # Our answers.

    def answer(self, message_id: Any, action: str, payload: Payload) -> None:
        """Answer a call of the central system."""
        text = self._write([CALL_RESULT, message_id, payload], action)
        if text is not None:
            self._put(text)

    def refuse(self, message_id: Any, error: CallError) -> None:
        """Answer a call of the central system with a CALLERROR."""
        text = self._write([CALL_ERROR, message_id, error.code, str(error)[:255], {}])
        if text is not None:
            self._put(text)

    def report_violation(self, text: str) -> None:
        """Note what the central system sent against the standard."""
        self._observer.violation(text)

    def _put(self, text: str) -> None:
        self._note(">", text)
        self.outgoing.append(text)

    def _note(self, direction: str, text: str) -> None:
        when = self._timers.clock.utc().isoformat(timespec="milliseconds")
        self.log.append((when, direction, text))
        self._observer.frame(direction, text)
