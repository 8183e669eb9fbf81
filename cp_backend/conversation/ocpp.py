"""One charging point's OCPP conversation: both directions over one connection."""

from __future__ import annotations

import logging

from charging.command import CommandKind, CommandResult, Outcome
from cp_backend.context import Context
from cp_backend.conversation.answering import Answering
from cp_backend.conversation.asking import Asking, OnCommandResult, OnDone, ignore_result
from cp_backend.conversation.wire import Wire
from cp_backend.ocpp import frames
from cp_backend.ocpp.dialect import Dialect
from cp_backend.ocpp.frames import (
    Call,
    CallError,
    CallResult,
    CallResultError,
    Frame,
    FrameError,
    Send,
    Several,
    UnreadableAnswer,
)
from cp_backend.ocpp.repair import Repair, RepairKind
from cp_backend.ocpp.tolerance import TOLERANT, Tolerance
from cp_backend.vocabulary import JsonObject, Registration

log = logging.getLogger(__name__)


class OcppConversation(Answering):
    """What this node and a charging point exchange in one version of OCPP.

    Few charging points are asked anything at a moment, so the direction that asks is an object of
    its own that exists while it is needed.
    """

    __slots__ = ("_asking", "_boot_due")

    def __init__(
        self,
        wire: Wire,
        context: Context,
        dialect: Dialect,
        registration: Registration | None,
        tolerance: Tolerance = TOLERANT,
    ) -> None:
        super().__init__(wire, context, dialect, registration, tolerance)
        self._asking: Asking | None = None
        self._boot_due = 0.0
        if registration is None and context.settings.boot_wait > 0:
            self._boot_due = wire.now + context.settings.boot_wait
            wire.call_in(context.settings.boot_wait)

    @property
    def version(self) -> str:
        """The subprotocol."""
        return self.dialect.subprotocol

    def on_text(self, text: bytes) -> None:
        """Take one frame, or several in one text."""
        try:
            frame = frames.parse(text)
        except FrameError as error:
            self.on_bad_frame(text, error)
            return
        except Exception:
            log.exception("frame not read", extra={"charging_point": self.wire.charging_point_id})
            self.on_bad_frame(text, FrameError("cannot be read"))
            return
        if not isinstance(frame, Several):
            self._take(frame)
            return
        for each in frame.frames:
            if isinstance(each, FrameError):
                self.on_bad_frame(text, each)
            else:
                self._take(each)

    def on_binary(self, data: bytes) -> bool:
        """Take a binary message as the text that was meant; not from one that is read strictly."""
        if self.tolerance.strict:
            return False
        odd = Repair("", "", RepairKind.BINARY, "")
        self.context.deviations.note(self.wire.charging_point_id, "", [odd])
        self.on_text(data)
        return True

    def _take(self, frame: Frame) -> None:
        if log.isEnabledFor(logging.DEBUG):
            self._log(frame)
        if type(frame) is Call:
            self.on_call(frame)
            if self._asking is not None:
                self._asking.on_call(frame.action)
                self._rest()
            return
        if isinstance(frame, (Send, CallResultError)):
            self._take_of_21(frame)
            return
        asking = self._asking
        if asking is None:
            ignore_result(self.context)
            return
        if isinstance(frame, CallResult):
            asking.on_result(frame)
        elif isinstance(frame, CallError):
            asking.on_error(frame)
        elif isinstance(frame, UnreadableAnswer):
            asking.on_unreadable(frame)
        self._rest()

    def _take_of_21(self, frame: Send | CallResultError) -> None:
        """Take a frame that only 2.1 has; other versions ignore it. Source: OCPP-J, 4.1.3."""
        if self.dialect.unanswered is None:
            self.context.metrics.count("FramesIgnored", "message type")
        elif isinstance(frame, Send):
            self.on_send(frame)
        else:
            self.on_call_result_error(frame)

    def command(
        self,
        kind: CommandKind,
        arguments: JsonObject,
        seconds: float,
        on_result: OnCommandResult,
        on_done: OnDone | None = None,
    ) -> None:
        """Ask something of the charging point; `on_result` gets the result, once.

        seconds: until nobody waits for the answer any more. on_done: called where it was asked to
        send something, and has sent it.
        """
        if self.registration not in (Registration.ACCEPTED, None):
            # OCPP 1.6 section 4.2: no remote start or stop before the boot is accepted.
            on_result(CommandResult(Outcome.REJECTED, "its boot has not been accepted", sent=False))
            return
        if self._asking is None:
            self._asking = Asking(
                self.wire, self.context, self.dialect, self.tolerance, lambda: self.quiet_until
            )
        self._asking.ask(kind, arguments, seconds, on_result, on_done)
        self._rest()

    def on_second(self, now: int) -> None:
        """Look at deadlines; ask for a boot that does not come."""
        if 0 < self._boot_due <= now:
            self._boot_due = 0
            if self.registration is None:
                self.context.store.commands.ask_to_boot(self.wire.charging_point_id, _asked_to_boot)
        if self._asking is not None:
            self._asking.on_second(now)
            self._rest()

    def on_quiet_changed(self) -> None:
        """Send what waited, now or when the time for it has come."""
        if self._asking is not None:
            self._asking.on_second(self.wire.now)
            self._rest()

    def on_closed(self) -> None:
        """Give up what waited: the connection is gone."""
        self.forget_calls()
        if self._asking is not None:
            self._asking.on_closed()
            self._asking = None

    def _rest(self) -> None:
        if self._asking is not None and self._asking.idle:
            self._asking = None

    def _log(self, frame: Frame) -> None:
        extra: JsonObject = {"charging_point": self.wire.charging_point_id}
        if isinstance(frame, (Call, Send)):
            payload = self.dialect.loggable(frame.action, frame.payload)
            extra |= {"action": frame.action[:50], "payload": payload}
        elif isinstance(frame, CallResult):
            extra["payload"] = frame.payload
        elif isinstance(frame, (CallError, CallResultError)):
            extra |= {"code": frame.code, "error": frame.description}
        else:
            extra["text"] = frame.text
        log.debug("frame received", extra=extra)


def _asked_to_boot(result: Exception | None) -> None:
    if result is not None:
        log.warning("not asked to boot", extra={"error": str(result)[:300]})
