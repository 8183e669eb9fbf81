"""The charging point's calls: answered one at a time, in the order in which they came.

OCPP-J allows a charging point one CALL in flight. One that sends more is answered in order, and
is not read while too many wait.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from charging.database.messages import Direction
from cp_backend.committer import DatabaseAwayError
from cp_backend.context import Context
from cp_backend.conversation.wire import Wire
from cp_backend.handlers import HANDLERS
from cp_backend.ocpp import frames
from cp_backend.ocpp.actions import AnyIncoming
from cp_backend.ocpp.dialect import Dialect
from cp_backend.ocpp.errors import CallRefusedError, ErrorCode
from cp_backend.ocpp.frames import Call, CallResultError, FrameError, Send
from cp_backend.ocpp.repair import Repair, RepairKind, sample_of
from cp_backend.ocpp.tolerance import TOLERANT, Tolerance
from cp_backend.vocabulary import JsonObject, Registration

log = logging.getLogger(__name__)


class Answering:
    """Answers the calls of one charging point.

    registration: what its last boot was answered, on whatever connection; None: it never booted,
    and is served all the same, since it may have moved here without a restart. tolerance: how what
    deviates from the standard is read. quiet_until: the wire's time until which nothing is asked
    of it: some charging points hang up when they are, before or just after their boot is answered.
    """

    __slots__ = (
        "_booting",
        "_called",
        "_reply",
        "_waiting",
        "context",
        "dialect",
        "quiet_until",
        "registration",
        "tolerance",
        "wire",
    )

    def __init__(
        self,
        wire: Wire,
        context: Context,
        dialect: Dialect,
        registration: Registration | None,
        tolerance: Tolerance = TOLERANT,
    ) -> None:
        self.wire = wire
        self.context = context
        self.dialect = dialect
        self.registration = registration
        self.tolerance = tolerance
        self.quiet_until: float = wire.now + context.settings.settle_time
        self._booting = False
        self._called = False
        self._reply: Reply | None = None
        self._waiting: deque[Call] | None = None

    @property
    def busy(self) -> bool:
        """Whether a call of the charging point is being answered."""
        return self._reply is not None

    def on_call(self, call: Call) -> None:
        """Answer a call, now or after those that came before it."""
        if self._reply is None:
            self._answer(call)
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(call)
        if len(self._waiting) >= self.context.settings.max_waiting_calls:
            self.wire.pause()

    def on_bad_frame(self, text: bytes, error: FrameError) -> None:
        """Answer a text that is no frame, if there is an id to answer."""
        try:
            text.decode()
        except UnicodeDecodeError:
            self.wire.close_for_bad_text()
            return
        count = self.context.metrics.count
        count("FramesIgnored" if error.message_id is None else "CallErrorsSent")
        self.context.log_limit.log(
            log,
            logging.WARNING,
            "bad frame",
            {"charging_point": self.wire.charging_point_id, "error": error.description[:200]},
        )
        self.context.message_log.note(
            self.wire.charging_point_id,
            Direction.IN,
            "unreadable",
            outcome=error.description,
            payload=text.decode(),
        )
        if error.message_id is not None:
            code = self.dialect.spell(ErrorCode.RPC_FRAMEWORK_ERROR)
            self.wire.send_text(frames.call_error(error.message_id, code, error.description))

    def on_send(self, send: Send) -> None:
        """Take a report that is never answered, not even when it is wrong."""
        incoming = (self.dialect.unanswered or {}).get(send.action)
        if (
            incoming is None
            or self.registration is not Registration.ACCEPTED
            or not self.dialect.schemas().accepts_request(send.action, send.payload)
        ):
            self.context.metrics.count("FramesIgnored", "send")
            return
        self.context.metrics.count("MessagesReceived", send.action)
        reply: Unanswered = Unanswered(self.wire.charging_point_id, send.action)
        try:
            message = incoming.read(send.payload)
            HANDLERS[type(message)](self.context, self.wire.charging_point_id, message, reply)
        except Exception as error:  # noqa: BLE001 - there is nobody to tell
            reply.fail(error)

    def on_call_result_error(self, error: CallResultError) -> None:
        """Keep what the charging point could not make of an answer of ours, for a person."""
        self.context.metrics.count("CallResultErrors", error.code[:50])
        name = self.wire.charging_point_id
        extra = {"charging_point": name, "code": error.code[:50]}
        self.context.log_limit.log(log, logging.WARNING, "answer refused", extra)
        self.context.message_log.note(
            name,
            Direction.IN,
            "error",
            message_id=error.message_id,
            outcome=error.code,
            payload={"code": error.code, "description": error.description},
        )

    def forget_calls(self) -> None:
        """Drop the calls that wait: the connection is gone."""
        self._waiting = None

    def _answer(self, call: Call) -> None:
        dialect = self.dialect
        schemas = dialect.schemas()
        action = call.action
        if action not in schemas.actions and not self.tolerance.strict:
            action = schemas.action(action)
        self.context.metrics.count(
            "MessagesReceived", action if action in schemas.actions else "unknown"
        )
        incoming = dialect.incoming.get(action)
        self._reply = reply = Reply(self, call, incoming)
        if action in dialect.before_boot:
            self._booting, self.quiet_until = True, math.inf
        elif not self._called:
            self.quiet_until = 0
            self.on_quiet_changed()
        self._called = True
        try:
            if self.registration is not Registration.ACCEPTED:
                self._check_registration(action)
            fits = schemas.accepts_request(action, call.payload)
            if fits and action == call.action and not call.repairs:
                message = self._read(action, incoming, call.payload)
            else:
                message = self._read_deviating(action, incoming, call, fits=fits)
            HANDLERS[type(message)](self.context, self.wire.charging_point_id, message, reply)
        except CallRefusedError as refusal:
            reply.refuse(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            # A defect ends this message; the charging point may try again, others go on.
            reply.fail(error)

    def on_quiet_changed(self) -> None:
        """Note that `quiet_until` has changed."""

    def _check_registration(self, action: str) -> None:
        """Refuse what must wait for a boot that is accepted.

        Facts of sessions are kept in any case: they are somebody's money.
        """
        dialect = self.dialect
        served = self.registration is None and not self.tolerance.strict
        if (
            not served
            and action not in dialect.before_boot | dialect.always_kept
            and action in dialect.schemas().actions
        ):
            raise CallRefusedError(ErrorCode.SECURITY_ERROR, "the boot has not been accepted")

    def _read(self, action: str, incoming: AnyIncoming | None, payload: JsonObject) -> Any:
        if incoming is None:
            raise CallRefusedError(ErrorCode.NOT_SUPPORTED, f"{action} is not supported")
        return incoming.read(payload)

    def _read_deviating(
        self, action: str, incoming: AnyIncoming | None, call: Call, *, fits: bool
    ) -> Any:
        """Read a call that is not as the standard wants it: repaired, or refused.

        fits: whether its payload is as its schema wants it.
        """
        if any(repair.kind is RepairKind.DEPTH for repair in call.repairs):
            raise CallRefusedError(ErrorCode.FORMATION_VIOLATION, "payload: nested too deep")
        schemas = self.dialect.schemas()
        strict, zone = self.tolerance
        if strict:
            schemas.check_request(action, call.payload)
            what = call.repairs[0].kind.value if call.repairs else "payload"
            raise CallRefusedError(ErrorCode.FORMATION_VIOLATION, f"the frame's {what} is odd")
        payload, repairs = call.payload, list(call.repairs)
        if action != call.action:
            repairs.append(Repair(action, "", RepairKind.ACTION, sample_of("", call.action)))
        if not fits:
            cut_off = any(repair.kind is RepairKind.CUT for repair in repairs)
            form = schemas.request_form(action)
            payload, more = form.repair(payload, datetime.now(UTC), zone, complete=not cut_off)
            repairs += more
        message = self._read(action, incoming, payload)
        self.context.deviations.note(self.wire.charging_point_id, action, repairs)
        return message

    def replied(self, frame: bytes) -> None:
        """Send the answer to the call at hand and turn to the next."""
        self._reply = None
        try:
            self.wire.send_text(frame)
            if self._booting:
                self._booting = False
                self.quiet_until = self.wire.now + self.context.settings.settle_time
                self.on_quiet_changed()
            while self._waiting and self._reply is None:
                call = self._waiting.popleft()
                if not self._waiting:
                    self._waiting = None
                self._answer(call)
            if not self._waiting:
                self.wire.resume()
        except Exception:
            # Whoever called back cannot know what this connection still owes: it starts anew.
            log.exception("answer not sent", extra={"charging_point": self.wire.charging_point_id})
            self.wire.abort("defect")


class Reply:
    """The answer owed to one call; given exactly once.

    It keeps the call's text, not what was read from it: thousands wait for a commit at a time, and
    a payload of many small objects is made and freed fastest while the processor has it at hand.
    """

    __slots__ = (
        "_action",
        "_answering",
        "_incoming",
        "_message_id",
        "_payload",
        "_received_at",
        "_text",
    )

    def __init__(self, answering: Answering, call: Call, incoming: AnyIncoming | None) -> None:
        self._answering: Answering | None = answering
        self._incoming = incoming
        self._message_id, self._action, payload, _, self._text = call
        self._payload = None if self._text else payload
        self._received_at = time.perf_counter()

    def answer(self, answer: Any) -> None:
        """Answer with a CALLRESULT. answer: the type that goes with the call's message."""
        assert self._incoming is not None
        try:
            payload = self._incoming.write(answer)
            frame = frames.call_result(self._message_id, payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self.fail(error)
        else:
            self._send(frame, "result", payload)

    def refuse(self, refusal: CallRefusedError) -> None:
        """Answer with a CALLERROR."""
        answering = self._answering
        assert answering is not None
        answering.context.metrics.count("CallErrorsSent", refusal.code.value)
        answering.context.log_limit.log(
            log,
            logging.WARNING,
            "call refused",
            {
                "charging_point": answering.wire.charging_point_id,
                "action": self._action[:50],
                "code": refusal.code.value,
                "error": refusal.description,
            },
        )
        code = answering.dialect.spell(refusal.code)
        frame = frames.call_error(self._message_id, code, refusal.description)
        self._send(frame, "error", {"code": code, "description": refusal.description})

    def fail(self, error: Exception) -> None:
        """Answer that the fault is ours, so that the charging point tries again.

        After an answer has been given, the error is only logged.
        """
        expected = isinstance(error, (DatabaseAwayError, psycopg.Error))
        log.error(
            "call failed",
            extra={"action": self._action[:50], "error": str(error)[:300]},
            exc_info=None if expected else error,
        )
        if self._answering is not None:
            self.refuse(CallRefusedError(ErrorCode.INTERNAL_ERROR, "try again later"))

    def registered(self, registration: Registration) -> None:
        """Remember what the boot is answered."""
        assert self._answering is not None
        self._answering.registration = registration

    def _send(self, frame: bytes, kind: str, payload: JsonObject) -> None:
        answering, self._answering = self._answering, None
        assert answering is not None, "a call is answered once"
        milliseconds = (time.perf_counter() - self._received_at) * 1000
        answering.context.metrics.sample("CallLatency", milliseconds)
        if kind == "error" or answering.context.message_log.keeps(
            answering.wire.charging_point_id, self._action
        ):
            self._log(answering, kind, payload, milliseconds)
        answering.replied(frame)

    def _log(
        self, answering: Answering, kind: str, payload: JsonObject, milliseconds: float
    ) -> None:
        """Keep the call, as of when it came, and its answer."""
        note, now = answering.context.message_log.note, datetime.now(UTC)
        name, action = answering.wire.charging_point_id, self._action
        message_id = str(self._message_id)
        secrets = answering.dialect.secrets.get(action, frozenset())
        note(
            name,
            Direction.IN,
            "call",
            at=now - timedelta(milliseconds=milliseconds),
            action=action,
            message_id=message_id,
            payload=frames.payload_of(self._text) if self._payload is None else self._payload,
            secrets=secrets,
        )
        note(
            name,
            Direction.OUT,
            kind,
            at=now,
            action=action,
            message_id=message_id,
            outcome=payload["code"] if kind == "error" else "",
            latency_milliseconds=milliseconds,
            payload=payload,
            secrets=secrets,
        )


class Unanswered:
    """Stands for the answer that nobody waits for; what fails is logged."""

    __slots__ = ("_action", "_charging_point_id")

    def __init__(self, charging_point_id: str, action: str) -> None:
        self._charging_point_id = charging_point_id
        self._action = action

    def answer(self, answer: Any) -> None:
        """Nothing is sent."""

    def refuse(self, refusal: CallRefusedError) -> None:
        """Log it."""
        self.fail(refusal)

    def fail(self, error: Exception) -> None:
        """Log it."""
        log.warning(
            "report not kept",
            extra={
                "charging_point": self._charging_point_id,
                "action": self._action,
                "error": str(error)[:300],
            },
        )

    def registered(self, registration: Registration) -> None:
        """Remember nothing: a boot is never sent so."""
