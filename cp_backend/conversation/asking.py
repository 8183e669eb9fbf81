"""Our calls to the charging point: one in flight, each with a deadline.

The two directions never share a slot: while the charging point waits for us it must still answer,
and the other way round.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from charging.command import CommandKind, CommandResult, Outcome, Setting
from charging.database.messages import Direction
from cp_backend.context import Context
from cp_backend.conversation.wire import Wire
from cp_backend.ocpp import frames
from cp_backend.ocpp.actions import Exchange, Outgoing, OutgoingCall
from cp_backend.ocpp.dialect import Dialect
from cp_backend.ocpp.errors import CallRefusedError
from cp_backend.ocpp.frames import CallError, CallResult, UnreadableAnswer
from cp_backend.ocpp.redaction import without_secrets
from cp_backend.ocpp.tolerance import Tolerance
from cp_backend.vocabulary import JsonObject

MAX_COMMANDS_WAITING = 8

AWAITED_SECONDS = 120

OnCommandResult = Callable[[CommandResult], None]
OnDone = Callable[[], None]

log = logging.getLogger(__name__)


class Awaited:
    """What a charging point was asked to send: done when it is seen, and was accepted."""

    __slots__ = ("_accepted", "_on_done", "action", "deadline", "seen")

    def __init__(self, action: str, on_done: OnDone) -> None:
        self.action = action
        self.deadline = 0.0
        self._on_done = on_done
        self.seen = self._accepted = False

    def see(self) -> None:
        """Note that it came, which may be before the answer."""
        self.seen = True
        self._check()

    def accept(self) -> None:
        """Note that it was accepted."""
        self._accepted = True
        self._check()

    def _check(self) -> None:
        if self.seen and self._accepted:
            self._on_done()


class Command:
    """A command: waiting, or in flight when it has a message id.

    calls: that are not answered yet, the next first. outcomes: of those that were, but for what
    `Outgoing.resume` has replaced.
    """

    __slots__ = (
        "answers",
        "arguments",
        "awaited",
        "calls",
        "deadline",
        "exchanges",
        "message_id",
        "on_result",
        "outcomes",
        "outgoing",
        "planned",
        "sent_at",
    )

    def __init__(
        self,
        outgoing: Outgoing,
        arguments: JsonObject,
        calls: Sequence[OutgoingCall],
        deadline: float,
        on_result: OnCommandResult,
        awaited: Awaited | None,
    ) -> None:
        self.outgoing = outgoing
        self.arguments = arguments
        self.calls = deque(calls)
        self.planned = len(calls)
        self.deadline = deadline
        self.on_result = on_result
        self.awaited = awaited
        self.exchanges: tuple[Exchange, ...] = ()
        self.answers: tuple[JsonObject, ...] = ()
        self.outcomes: tuple[Outcome, ...] = ()
        self.message_id = ""
        self.sent_at = 0.0

    @property
    def call(self) -> OutgoingCall:
        """The call that is in flight, or goes out next."""
        return self.calls[0]

    def take(self, payload: JsonObject | None) -> bool:
        """Note an answer, None for an error; return whether other calls follow because of it."""
        self.exchanges += (Exchange(self.calls.popleft(), payload),)
        if payload is not None:
            self.answers += (payload,)
        if self.outgoing.resume is None:
            return False
        calls = self.outgoing.resume(self.arguments, self.exchanges)
        if calls is None:
            return False
        self.calls = deque(calls)
        self.planned, self.outcomes = len(calls), ()
        self.message_id = ""
        return True

    def finish(self, outcome: Outcome, detail: str = "") -> None:
        """Hand the result on."""
        sent = bool(self.message_id or self.exchanges)
        try:
            settings: Sequence[Setting] = ()
            if self.outgoing.settings is not None:
                settings = self.outgoing.settings(self.exchanges)
            self.on_result(
                CommandResult(
                    outcome, detail[:255], without_secrets(self.answers), sent, tuple(settings)
                )
            )
        except Exception:
            # The commands behind it must not wait for ever.
            log.exception("result of a command not handed on")


class Asking:
    """Sends commands to one charging point, in the order in which they were asked."""

    __slots__ = (
        "_awaited",
        "_commands",
        "_context",
        "_dialect",
        "_quiet_until",
        "_tolerance",
        "_wire",
    )

    def __init__(
        self,
        wire: Wire,
        context: Context,
        dialect: Dialect,
        tolerance: Tolerance,
        quiet_until: Callable[[], float],
    ) -> None:
        self._quiet_until = quiet_until
        self._wire = wire
        self._context = context
        self._dialect = dialect
        self._tolerance = tolerance
        self._commands: deque[Command] = deque()
        self._awaited: list[Awaited] = []

    @property
    def idle(self) -> bool:
        """Whether no command waits or is in flight, and nothing is to come that was asked for."""
        return not self._commands and not self._awaited

    def ask(
        self,
        kind: CommandKind,
        arguments: JsonObject,
        seconds: float,
        on_result: OnCommandResult,
        on_done: OnDone | None = None,
    ) -> None:
        """Send a command when its turn comes. on_result is called once, perhaps at once.

        seconds: until nobody waits for the answer any more. on_done: called when the charging
        point was asked to send something, and has sent it.
        """
        outgoing = self._dialect.outgoing.get(kind)
        if outgoing is None:
            detail = f"OCPP {self._dialect.version} has no {kind}"
            on_result(CommandResult(Outcome.NOT_OFFERED, detail, sent=False))
            return
        if len(self._commands) >= MAX_COMMANDS_WAITING:
            on_result(CommandResult(Outcome.FAILED, "too many commands wait for it", sent=False))
            return
        try:
            calls = outgoing.plan(arguments)
            self._check(calls)
        except CallRefusedError as error:
            on_result(CommandResult(Outcome.INVALID, error.description))
            return
        except (KeyError, ValueError, TypeError) as error:
            on_result(CommandResult(Outcome.INVALID, str(error)[:255]))
            return
        deadline = self._wire.now + seconds
        awaited = None
        if outgoing.shown_by is not None and on_done is not None:
            awaited = Awaited(outgoing.shown_by(arguments), on_done)
        command = Command(outgoing, arguments, calls, deadline, on_result, awaited)
        self._commands.append(command)
        self._wire.call_in(seconds)
        if len(self._commands) == 1:
            self._send_next()

    def _check(self, calls: Sequence[OutgoingCall]) -> None:
        for call in calls:
            self._dialect.schemas().check_request(call.action, call.payload)

    def on_call(self, action: str) -> None:
        """Take note of a call of the charging point: it may be one that was asked for."""
        for awaited in self._awaited:
            if awaited.action == action:
                awaited.see()
        if self._commands and self._commands[0].message_id:
            awaited_next = self._commands[0].awaited
            if awaited_next is not None and awaited_next.action == action:
                awaited_next.see()
        self._awaited = [each for each in self._awaited if each.action != action]

    def on_result(self, frame: CallResult) -> None:
        """Take the answer to the call in flight."""
        command = self._in_flight(frame.message_id)
        if command is None:
            return
        action = command.call.action
        self._log_answer(command, "result", frame.payload)
        try:
            payload = self._read(action, frame)
            outcome = command.outgoing.read(payload)
        except CallRefusedError as error:
            self._finish(Outcome.FAILED, f"malformed answer: {error.description}")
        except Exception as error:
            log.exception("result not read", extra={"action": action})
            self._finish(Outcome.FAILED, f"unreadable answer: {error}")
        else:
            if not self._resumed(command, payload):
                command.outcomes += (outcome,)
                if outcome.accepted and command.calls:
                    command.message_id = ""
                else:
                    self._finish(_least(command.outcomes), _detail(command, outcome))
        self._send_next()

    def _resumed(self, command: Command, payload: JsonObject | None) -> bool:
        """Take an answer; return whether the command goes on because of it, whatever it says."""
        try:
            resumed = command.take(payload)
            if resumed:
                self._check(command.calls)
        except (CallRefusedError, KeyError, ValueError, TypeError) as error:
            self._finish(Outcome.INVALID, str(error))
            return True
        if resumed and not command.calls:
            self._finish(Outcome.ACCEPTED)
        return resumed

    def _read(self, action: str, frame: CallResult) -> JsonObject:
        """Return an answer's payload, repaired where it deviates. Raises CallRefusedError."""
        schemas = self._dialect.schemas()
        if self._tolerance.strict:
            schemas.check_response(action, frame.payload)
            return frame.payload
        payload, repairs = frame.payload, list(frame.repairs)
        if not schemas.accepts_response(action, payload):
            form = schemas.response_form(action)
            payload, more = form.repair(payload, datetime.now(UTC), self._tolerance.zone)
            repairs += more
        if repairs:
            self._context.deviations.note(self._wire.charging_point_id, f"{action} answer", repairs)
        return payload

    def on_error(self, frame: CallError) -> None:
        """Take the refusal of the call in flight."""
        command = self._in_flight(frame.message_id)
        if command is not None:
            detail = f"{frame.code}: {frame.description}"
            answer = {"code": frame.code, "description": frame.description}
            self._log_answer(command, "error", answer, frame.code)
            if not self._resumed(command, None):
                self._finish(self._dialect.read_error(frame.code), detail)
            self._send_next()

    def on_unreadable(self, frame: UnreadableAnswer) -> None:
        """End the call in flight: of its answer only the id can be read."""
        command = self._in_flight(frame.message_id)
        if command is not None:
            self._log_answer(command, "unreadable", frame.text)
            self._finish(Outcome.FAILED, f"unreadable answer: {frame.text}")
            self._send_next()

    def on_second(self, now: int) -> None:
        """Give up a call whose deadline has passed, and what was asked for and did not come."""
        if self._awaited:
            self._awaited = [each for each in self._awaited if each.deadline > now]
        if self._commands and self._commands[0].deadline <= now:
            sent = self._commands[0].message_id
            self._finish(
                Outcome.TIMEOUT, "it did not answer in time" if sent else "its turn did not come"
            )
        self._send_next()

    def on_closed(self) -> None:
        """End all commands: the connection is gone."""
        self._awaited = []
        while self._commands:
            self._commands.popleft().finish(Outcome.OFFLINE, "the connection was lost")

    def _send_next(self) -> None:
        while self._commands:
            command = self._commands[0]
            if command.message_id:
                return
            if command.deadline <= self._wire.now:
                self._finish(Outcome.TIMEOUT, "earlier commands took all the time")
                continue
            quiet_until = self._quiet_until()
            if quiet_until > self._wire.now:
                if quiet_until < math.inf:
                    self._wire.call_in(quiet_until - self._wire.now)
                return
            message_id = self._context.next_message_id()
            try:
                text = frames.call(message_id, *command.call)
            except TypeError as error:  # a number of more than 64 bits, for example
                self._finish(Outcome.FAILED, f"cannot be written: {error}")
                continue
            command.message_id = message_id
            command.sent_at = time.perf_counter()
            self._wire.send_text(text)
            self._context.message_log.note(
                self._wire.charging_point_id,
                Direction.OUT,
                "call",
                action=command.call.action,
                message_id=message_id,
                payload=command.call.payload,
                secrets=self._secrets(command),
            )
            return

    def _log_answer(
        self, command: Command, kind: str, payload: JsonObject | str, outcome: str = ""
    ) -> None:
        self._context.message_log.note(
            self._wire.charging_point_id,
            Direction.IN,
            kind,
            action=command.call.action,
            message_id=command.message_id,
            outcome=outcome,
            latency_milliseconds=(time.perf_counter() - command.sent_at) * 1000,
            payload=payload,
            secrets=self._secrets(command),
        )

    def _secrets(self, command: Command) -> frozenset[str]:
        return self._dialect.secrets.get(command.call.action, frozenset())

    def _finish(self, outcome: Outcome, detail: str = "") -> None:
        """Take the first command off and hand its result on."""
        command = self._commands.popleft()
        if command.message_id:
            self._context.metrics.sample(
                "CommandLatency", (time.perf_counter() - command.sent_at) * 1000
            )
        command.finish(outcome, detail)
        if command.awaited is not None and outcome.accepted:
            self._await(command.awaited)

    def _await(self, awaited: Awaited) -> None:
        awaited.accept()
        if not awaited.seen:
            awaited.deadline = self._wire.now + AWAITED_SECONDS
            self._awaited.append(awaited)
            self._wire.call_in(AWAITED_SECONDS)

    def _in_flight(self, message_id: str) -> Command | None:
        # In whatever letters the id comes back: there is one call in flight.
        if self._commands and self._commands[0].message_id == message_id.strip().lower():
            return self._commands[0]
        ignore_result(self._context)
        return None


def _least(outcomes: Sequence[Outcome]) -> Outcome:
    """Return what became of several calls: the one that was not accepted, else what must follow."""
    if not outcomes[-1].accepted:
        return outcomes[-1]
    for outcome in (Outcome.REBOOT_REQUIRED, Outcome.SCHEDULED):
        if outcome in outcomes:
            return outcome
    return outcomes[-1]


def _detail(command: Command, outcome: Outcome) -> str:
    """Return what a person must know of an answer: its word, and whether calls before it hold."""
    if outcome.accepted:
        return ""
    word = str(command.answers[-1].get("status", ""))
    done = len(command.outcomes) - 1
    return f"{word}; {done} of {command.planned} were accepted before" if done else word


def ignore_result(context: Context) -> None:
    """Count a result that is late or was never asked for; keeping it would be for ever."""
    context.metrics.count("FramesIgnored", "unsolicited result")
