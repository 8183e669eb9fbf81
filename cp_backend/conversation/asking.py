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

from charging.command import CommandKind, CommandResult, Outcome
from charging.database.messages import Direction
from cp_backend.context import Context
from cp_backend.conversation.wire import Wire
from cp_backend.ocpp import frames
from cp_backend.ocpp.actions import Outgoing, OutgoingCall
from cp_backend.ocpp.dialect import Dialect
from cp_backend.ocpp.errors import CallRefusedError
from cp_backend.ocpp.frames import CallError, CallResult, UnreadableAnswer
from cp_backend.ocpp.tolerance import Tolerance
from cp_backend.vocabulary import JsonObject

MAX_COMMANDS_WAITING = 8

OnCommandResult = Callable[[CommandResult], None]

log = logging.getLogger(__name__)


class Command:
    """A command: waiting, or in flight when it has a message id.

    calls: that carry it out; the first `done` of them have been answered.
    """

    __slots__ = (
        "answers",
        "calls",
        "deadline",
        "message_id",
        "on_result",
        "outcomes",
        "outgoing",
        "sent_at",
    )

    def __init__(
        self,
        outgoing: Outgoing,
        calls: Sequence[OutgoingCall],
        deadline: float,
        on_result: OnCommandResult,
    ) -> None:
        self.outgoing = outgoing
        self.calls = calls
        self.deadline = deadline
        self.on_result = on_result
        self.answers: tuple[JsonObject, ...] = ()
        self.outcomes: tuple[Outcome, ...] = ()
        self.message_id = ""
        self.sent_at = 0.0

    @property
    def call(self) -> OutgoingCall:
        """The call that is in flight, or goes out next."""
        return self.calls[len(self.answers)]

    def finish(self, outcome: Outcome, detail: str = "") -> None:
        """Hand the result on."""
        try:
            self.on_result(CommandResult(outcome, detail[:255], self.answers))
        except Exception:
            # The commands behind it must not wait for ever.
            log.exception("result of a command not handed on")


class Asking:
    """Sends commands to one charging point, in the order in which they were asked."""

    __slots__ = ("_commands", "_context", "_dialect", "_quiet_until", "_tolerance", "_wire")

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

    @property
    def idle(self) -> bool:
        """Whether no command waits or is in flight."""
        return not self._commands

    def ask(
        self,
        kind: CommandKind,
        arguments: JsonObject,
        seconds: float,
        on_result: OnCommandResult,
    ) -> None:
        """Send a command when its turn comes. on_result is called once, perhaps at once.

        seconds: until nobody waits for the answer any more.
        """
        outgoing = self._dialect.outgoing.get(kind)
        if outgoing is None:
            detail = f"OCPP {self._dialect.version} has no {kind}"
            on_result(CommandResult(Outcome.NOT_OFFERED, detail))
            return
        if len(self._commands) >= MAX_COMMANDS_WAITING:
            on_result(CommandResult(Outcome.FAILED, "too many commands wait for it"))
            return
        try:
            calls = outgoing.plan(arguments)
            for call in calls:
                self._dialect.schemas().check_request(call.action, call.payload)
        except CallRefusedError as error:
            on_result(CommandResult(Outcome.INVALID, error.description))
            return
        except (KeyError, ValueError, TypeError) as error:
            on_result(CommandResult(Outcome.INVALID, str(error)[:255]))
            return
        deadline = self._wire.now + seconds
        self._commands.append(Command(outgoing, calls, deadline, on_result))
        self._wire.call_in(seconds)
        if len(self._commands) == 1:
            self._send_next()

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
            command.answers += (payload,)
            command.outcomes += (outcome,)
            if outcome.accepted and len(command.answers) < len(command.calls):
                command.message_id = ""
            else:
                self._finish(_least(command.outcomes), _detail(command, outcome))
        self._send_next()

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
        """Give up a call whose deadline has passed."""
        if self._commands and self._commands[0].deadline <= now:
            sent = self._commands[0].message_id
            self._finish(
                Outcome.TIMEOUT, "it did not answer in time" if sent else "its turn did not come"
            )
        self._send_next()

    def on_closed(self) -> None:
        """End all commands: the connection is gone."""
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

    def _in_flight(self, message_id: str) -> Command | None:
        if self._commands and self._commands[0].message_id == message_id:
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
    done = len(command.answers) - 1
    return f"{word}; {done} of {len(command.calls)} were accepted before" if done else word


def ignore_result(context: Context) -> None:
    """Count a result that is late or was never asked for; keeping it would be for ever."""
    context.metrics.count("FramesIgnored", "unsolicited result")
