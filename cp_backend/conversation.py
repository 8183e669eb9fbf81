"""One charging point's OCPP conversation: its calls answered one by one, ours sent one by one.

OCPP-J allows each side one CALL in flight. The two directions never share a slot: while the
charging point waits for us it must still answer, and the other way round.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import psycopg

from charging.command import CommandKind, CommandResult, Outcome
from cp_backend.connection import Connection
from cp_backend.handlers import HANDLERS, Desk
from cp_backend.lane import DatabaseAwayError
from cp_backend.ocpp import frames, v16
from cp_backend.ocpp.errors import CallRefusedError, ErrorCode
from cp_backend.ocpp.frames import Call, CallError, CallResult, FrameError
from cp_backend.ocpp.schemas import schemas
from cp_backend.ocpp.vocabulary import Answer, Booted, Registration

MAX_COMMANDS_WAITING = 8

Answered = Callable[[CommandResult], None]

log = logging.getLogger(__name__)


class Command:
    """A call of ours: waiting, or in flight when it has a message id."""

    __slots__ = ("action", "answered", "deadline", "message_id", "payload", "sent_at")

    def __init__(
        self, action: str, payload: dict[str, Any], deadline: float, answered: Answered
    ) -> None:
        self.action = action
        self.payload = payload
        self.deadline = deadline
        self.answered = answered
        self.message_id = ""
        self.sent_at = 0.0


class OcppConversation:
    """What this node and a charging point say to each other in OCPP 1.6."""

    __slots__ = (
        "_answering",
        "_commands",
        "_connection",
        "_desk",
        "_waiting",
        "registration",
    )

    version = v16.SUBPROTOCOL

    def __init__(
        self, connection: Connection, desk: Desk, registration: Registration | None
    ) -> None:
        self._connection = connection
        self._desk = desk
        self.registration = registration
        """What its last boot was answered, on whatever connection; None: it never booted."""
        self._answering: Reply | None = None
        self._waiting: deque[Call] | None = None
        self._commands: deque[Command] | None = None

    @property
    def charging_point_id(self) -> str:
        """Whose conversation it is."""
        return self._connection.charging_point_id

    @property
    def busy(self) -> bool:
        """Whether a call of the charging point is being answered."""
        return self._answering is not None

    # Their calls.

    def on_text(self, text: bytes) -> None:
        """Hear one frame."""
        try:
            frame = frames.parse(text)
        except FrameError as error:
            self._on_bad_frame(text, error)
            return
        except Exception:
            log.exception("frame not read", extra={"charging_point": self.charging_point_id})
            self._on_bad_frame(text, FrameError("cannot be read"))
            return
        if log.isEnabledFor(logging.DEBUG):
            log.debug("heard", extra={"charging_point": self.charging_point_id, "frame": frame})
        if type(frame) is Call:
            if self._answering is None:
                self._answer(frame)
            else:
                self._put_off(frame)
        elif isinstance(frame, CallResult):
            self._on_result(frame)
        elif isinstance(frame, CallError):
            self._on_error(frame)

    def _on_bad_frame(self, text: bytes, error: FrameError) -> None:
        try:
            text.decode()
        except UnicodeDecodeError:
            self._connection.close_for_bad_text()
            return
        self._desk.metrics.count("FramesIgnored" if error.message_id is None else "CallErrorsSent")
        log.warning(
            "bad frame",
            extra={"charging_point": self.charging_point_id, "error": error.description[:200]},
        )
        if error.message_id is not None:
            self._connection.send_text(
                frames.call_error(
                    error.message_id, ErrorCode.FORMATION_VIOLATION, error.description
                )
            )

    def _put_off(self, call: Call) -> None:
        """Keep a call that came before the one before it was answered; slow down a flood."""
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(call)
        if len(self._waiting) >= self._desk.settings.max_waiting_calls:
            self._connection.pause()

    def _answer(self, call: Call) -> None:
        desk = self._desk
        desk.metrics.count("MessagesReceived", call.action if call.action in KNOWN else "unknown")
        self._answering = reply = Reply(self, call)
        try:
            schemas(v16.SCHEMAS).check_request(call.action, call.payload)
            message = v16.read(call.action, call.payload)
            if self.registration is not Registration.ACCEPTED and type(message) is not Booted:
                raise CallRefusedError(
                    ErrorCode.SECURITY_ERROR, "BootNotification has not been accepted"
                )
            HANDLERS[type(message)](desk, self.charging_point_id, message, reply)
        except CallRefusedError as refusal:
            reply.refuse(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            # A defect ends this message; the charging point may try again, others go on.
            reply.fail(error)

    def replied(self, frame: bytes) -> None:
        """Send the answer to the call at hand and turn to the next."""
        self._answering = None
        try:
            self._connection.send_text(frame)
            while self._waiting and self._answering is None:
                call = self._waiting.popleft()
                if not self._waiting:
                    self._waiting = None
                self._answer(call)
            if not self._waiting:
                self._connection.resume()
        except Exception:
            # Whoever called back cannot know what this connection still owes: it starts anew.
            log.exception("answer not sent", extra={"charging_point": self.charging_point_id})
            self._connection.abort("defect")

    # Our calls.

    def command(
        self, kind: CommandKind, arguments: dict[str, Any], seconds: float, answered: Answered
    ) -> None:
        """Ask something of the charging point; `answered` hears the result, once.

        seconds: until nobody waits for the answer any more.
        """
        if self.registration is not Registration.ACCEPTED:
            # OCPP 1.6 section 4.2: no remote start or stop before the boot is accepted.
            answered(CommandResult(Outcome.REJECTED, "its boot has not been accepted"))
            return
        if self._commands is None:
            self._commands = deque()
        if len(self._commands) >= MAX_COMMANDS_WAITING:
            answered(CommandResult(Outcome.FAILED, "too many commands wait for it"))
            return
        try:
            action, payload = v16.write_command(kind, arguments)
        except (KeyError, ValueError, TypeError) as error:
            answered(CommandResult(Outcome.FAILED, f"cannot be said in OCPP 1.6: {error}"))
            return
        self._commands.append(Command(action, payload, self._connection.now + seconds, answered))
        self._connection.call_in(seconds)
        if len(self._commands) == 1:
            self._send_next()

    def _send_next(self) -> None:
        while self._commands:
            command = self._commands[0]
            if command.deadline <= self._connection.now:
                self._finish(CommandResult(Outcome.TIMEOUT, "earlier commands took all the time"))
                continue
            message_id = self._desk.next_message_id()
            try:
                text = frames.call(message_id, command.action, command.payload)
            except TypeError as error:  # a number of more than 64 bits, for example
                self._finish(CommandResult(Outcome.FAILED, f"cannot be written: {error}"))
                continue
            command.message_id = message_id
            command.sent_at = time.perf_counter()
            self._connection.send_text(text)
            return
        self._commands = None

    def _finish(self, result: CommandResult) -> None:
        """Take the first command off and hand its result on."""
        assert self._commands
        command = self._commands.popleft()
        if command.message_id:
            self._desk.metrics.sample(
                "CommandLatency", (time.perf_counter() - command.sent_at) * 1000
            )
        _hand_on(command, result)

    def _in_flight(self, message_id: str) -> Command | None:
        if self._commands and self._commands[0].message_id == message_id:
            return self._commands[0]
        # Late, or never asked: it is counted and forgotten, for keeping it would be for ever.
        self._desk.metrics.count("FramesIgnored", "unsolicited result")
        return None

    def _on_result(self, frame: CallResult) -> None:
        command = self._in_flight(frame.message_id)
        if command is None:
            return
        try:
            schemas(v16.SCHEMAS).check_response(command.action, frame.payload)
            result = CommandResult(v16.read_command_answer(command.action, frame.payload))
        except CallRefusedError as error:
            result = CommandResult(Outcome.FAILED, f"malformed answer: {error.description}")
        except Exception as error:
            log.exception("result not read", extra={"charging_point": self.charging_point_id})
            result = CommandResult(Outcome.FAILED, f"unreadable answer: {error}"[:255])
        self._finish(result)
        self._send_next()

    def _on_error(self, frame: CallError) -> None:
        if self._in_flight(frame.message_id) is not None:
            detail = f"{frame.code}: {frame.description}"[:255]
            self._finish(CommandResult(v16.read_command_error(frame.code), detail))
            self._send_next()

    def on_second(self, now: int) -> None:
        """Give up a call whose deadline has passed."""
        if self._commands and self._commands[0].deadline <= now:
            self._finish(CommandResult(Outcome.TIMEOUT, "it did not answer in time"))
            self._send_next()

    def on_closed(self) -> None:
        """Tell the askers that the charging point is gone."""
        self._waiting = None
        commands, self._commands = self._commands, None
        for command in commands or ():
            _hand_on(command, CommandResult(Outcome.OFFLINE, "the connection was lost"))


def _hand_on(command: Command, result: CommandResult) -> None:
    try:
        command.answered(result)
    except Exception:
        # The commands behind it must not wait for ever.
        log.exception("result of a command not handed on", extra={"action": command.action})


class Reply:
    """The answer owed to one call; given exactly once."""

    __slots__ = ("_action", "_conversation", "_message_id", "_received_at")

    def __init__(self, conversation: OcppConversation, call: Call) -> None:
        self._conversation: OcppConversation | None = conversation
        self._message_id = call.message_id
        self._action = call.action
        self._received_at = time.perf_counter()

    def answer(self, answer: Answer) -> None:
        """Answer with a CALLRESULT."""
        try:
            frame = frames.call_result(self._message_id, v16.write(answer))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self.fail(error)
        else:
            self._send(frame)

    def refuse(self, refusal: CallRefusedError) -> None:
        """Answer with a CALLERROR."""
        conversation = self._conversation
        assert conversation is not None
        conversation._desk.metrics.count("CallErrorsSent", refusal.code.value)
        log.warning(
            "call refused",
            extra={
                "charging_point": conversation.charging_point_id,
                "action": self._action[:50],
                "code": refusal.code.value,
                "error": refusal.description,
            },
        )
        self._send(frames.call_error(self._message_id, refusal.code, refusal.description))

    def fail(self, error: Exception) -> None:
        """Answer that the fault is ours, so that the charging point tries again.

        After an answer has been given, only the log hears of it.
        """
        expected = isinstance(error, (DatabaseAwayError, psycopg.Error))
        log.error(
            "call failed",
            extra={"action": self._action[:50], "error": str(error)[:300]},
            exc_info=None if expected else error,
        )
        if self._conversation is not None:
            self.refuse(CallRefusedError(ErrorCode.INTERNAL_ERROR, "try again later"))

    def registered(self, registration: Registration) -> None:
        """Remember what the boot is answered."""
        assert self._conversation is not None
        self._conversation.registration = registration

    def _send(self, frame: bytes) -> None:
        conversation, self._conversation = self._conversation, None
        assert conversation is not None, "a call is answered once"
        conversation._desk.metrics.sample(
            "CallLatency", (time.perf_counter() - self._received_at) * 1000
        )
        conversation.replied(frame)


KNOWN = schemas(v16.SCHEMAS).actions
