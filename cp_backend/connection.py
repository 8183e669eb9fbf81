"""One charging point's WebSocket, as small as it can be.

An idle connection is this object, its conversation and a file descriptor: no task, queue,
timer, lock or buffer. Nearly every frame in the field is one whole, small, masked text or a
ping; those are read here. Everything else (fragments, compression, close frames, violations of
RFC 6455) is given, frame by frame, to a `websockets` protocol object that lives only as long as
it is needed. docs/decisions/0012-connection-engine.md has the measurements.
"""

from __future__ import annotations

import logging
import os
import random
import socket
from collections.abc import Callable
from typing import Protocol

from websockets.frames import CloseCode
from websockets.speedups import apply_mask

from cp_backend.full_protocol import FullProtocol
from cp_backend.keepalive import TimerWheel
from cp_backend.poller import READ, WRITE, Poller

READ_BYTES = 64 * 1024
FRAMES_A_TURN = 16
"""How many frames of one connection are handled before the others get their turn."""

_FIN_TEXT = 0x81
_FIN_CLOSE = 0x88
_FIN_PING = 0x89
_FIN_PONG = 0x8A
_PING = b"\x89\x00"
_MAX_CONTROL = 125
# Silence of so many of its intervals is the end of one that answers no ping.
_HEARTBEATS_MISSED = 2

log = logging.getLogger(__name__)


class Conversation(Protocol):
    """What is spoken over a connection; the subprotocol decides which."""

    @property
    def version(self) -> str:
        """The subprotocol."""

    @property
    def busy(self) -> bool:
        """Whether a request of the charging point is being answered."""

    def on_text(self, text: bytes) -> None:
        """Take one whole message, not yet known to be UTF-8."""

    def on_binary(self, data: bytes) -> bool:
        """Take one whole binary message; False where only text is taken, which ends it."""

    def on_closed(self) -> None:
        """Give up what waited for an answer: the connection is gone."""

    def on_second(self, now: int) -> None:
        """Look at deadlines; called while the connection asked for it."""


class Limits(Protocol):
    """The settings that bound a connection; times in seconds."""

    @property
    def ping_interval(self) -> float:
        """Silence before a ping."""

    @property
    def pong_timeout(self) -> float:
        """How long a ping may stay unanswered."""

    @property
    def heartbeat_interval(self) -> int:
        """Seconds between the heartbeats of a charging point."""

    @property
    def close_timeout(self) -> float:
        """How long a closing handshake may take."""

    @property
    def max_unsent_bytes(self) -> int:
        """How much may stay unread."""


class Engine:
    """What all connections of a node share."""

    __slots__ = ("limits", "max_message_bytes", "on_closed", "poller", "wheel")

    def __init__(
        self,
        poller: Poller,
        wheel: TimerWheel,
        limits: Limits,
        max_message_bytes: int,
        on_closed: Callable[[Connection, str], None],
    ) -> None:
        self.poller = poller
        self.wheel = wheel
        self.limits = limits
        self.max_message_bytes = max_message_bytes
        """A message beyond this closes the connection with 1009."""
        self.on_closed = on_closed
        """Called once for each connection when its socket is gone, with the cause."""


class Connection:
    """A WebSocket after its handshake.

    conversation: set by whoever makes the connection, before the first read. security_profile: how
    safely it came in, as its handshake found.
    """

    __slots__ = (
        "_deflate",
        "_engine",
        "_fd",
        "_inbox",
        "_last_read",
        "_later",
        "_outbox",
        "_paused",
        "_pinged",
        "_ponged",
        "_stalled",
        "_unusual",
        "charging_point_id",
        "connection_id",
        "conversation",
        "opened",
        "security_profile",
    )

    conversation: Conversation

    def __init__(
        self, engine: Engine, fd: int, charging_point_id: str, *, deflate: bool = False
    ) -> None:
        self._engine = engine
        self._fd = fd
        self._deflate = deflate
        self._inbox: bytes | None = None
        self._outbox: bytearray | None = None
        self._unusual: FullProtocol | None = None
        self._paused = False
        self._later = False
        self._pinged = False
        self._ponged = False
        self._stalled = False
        self._last_read = self.opened = engine.wheel.now
        self.charging_point_id = charging_point_id
        self.connection_id = random.getrandbits(63)
        self.security_profile = 0

    def start(self) -> None:
        """Begin: from now on silence is noticed."""
        # Spread over the interval, so that those who came together are not pinged together.
        interval = self._engine.limits.ping_interval
        self._engine.wheel.schedule(self, random.uniform(interval / 2, interval))  # noqa: S311

    @property
    def open(self) -> bool:
        """Whether messages can be exchanged: neither closed nor closing."""
        return self._fd >= 0 and (self._unusual is None or not self._unusual.closing)

    @property
    def now(self) -> int:
        """The wheel's time, in seconds."""
        return self._engine.wheel.now

    def call_in(self, seconds: float) -> None:
        """Have `conversation.on_second` called after so many seconds."""
        self._engine.wheel.schedule(_Deadline(self), seconds)

    def send_text(self, text: bytes) -> None:
        """Send one text message; silently nothing once the connection is closing."""
        if not self.open:
            return
        length = len(text)
        if length < 126:
            head = bytes((_FIN_TEXT, length))
        elif length < 65536:
            head = bytes((_FIN_TEXT, 126)) + length.to_bytes(2, "big")
        else:
            head = bytes((_FIN_TEXT, 127)) + length.to_bytes(8, "big")
        self._send(head + text)

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake; the socket goes when it ends or takes too long."""
        if not self.open:
            return
        unusual = self._as_unusual()
        unusual.protocol.send_close(code, reason)
        self._flush_unusual(f"closed {code}")

    def abort(self, cause: str) -> None:
        """Close the socket now. cause: a word or two, for the log and the counters."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._engine.poller.close(fd)
        self._inbox = self._outbox = None
        if self._unusual is not None and self._unusual.cause:
            cause = self._unusual.cause
        self._unusual = None
        self.conversation.on_closed()
        self._engine.on_closed(self, cause)

    def pause(self) -> None:
        """Read no more until `resume`: the charging point sends more than can be answered."""
        self._paused = True
        self._watch()

    def resume(self) -> None:
        """Read again, beginning with what came before the pause took effect."""
        if not self._paused or self._fd < 0:
            return
        self._paused = False
        if not self._later:
            self._watch()
            self._read_inbox()

    def go_on(self) -> None:
        """Handle more of what has been read, now that the others have had their turn."""
        self._later = False
        if self._fd < 0 or self._paused:
            return  # resume goes on
        self._read_inbox()
        if not self._later:
            self._watch()

    def on_due(self, now: int) -> float | None:
        """Ping after silence; drop after a silent ping or a message it never read.

        One that has answered no ping of this connection is judged by what it sends of itself:
        some charging points never answer any.
        """
        if self._fd < 0:
            return None
        limits = self._engine.limits
        if self._outbox is not None:
            if self._stalled:
                self.abort("does not read")
                return None
            self._stalled = True
        if self._unusual is not None and self._unusual.closing:
            if now < self._unusual.deadline:
                return self._unusual.deadline - now
            self.abort("close timed out")
            return None
        if self._paused or self._later:
            return limits.ping_interval  # it sent more than was read: it lives
        silence = now - self._last_read
        # Silent since before the ping: that is a tick more than the wait for the pong at least.
        if self._pinged and silence >= limits.pong_timeout + 1:
            if self._ponged:
                self.abort("pong timed out")
                return None
            if silence > _HEARTBEATS_MISSED * limits.heartbeat_interval + limits.pong_timeout:
                self.abort("silent")
                return None
        if silence < limits.ping_interval:
            self._pinged = False
            return limits.ping_interval - silence
        self._pinged = True
        self._send(_PING)
        return limits.pong_timeout

    def on_readable(self) -> None:
        """Read what came."""
        if self._paused or self._later:
            self.abort("reset")  # nothing else is reported while nothing is to be read
            return
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.abort("reset")
            return
        if not data:
            self.abort("end of stream")
            return
        self._last_read = self._engine.wheel.now
        self.receive(data)

    def receive(self, data: bytes) -> None:
        """Take bytes off the wire."""
        if self._inbox is not None:
            data, self._inbox = self._inbox + data, None
        self._read_frames(data)

    def on_writable(self) -> None:
        """Send what the charging point was too slow to take."""
        if self._outbox is None:
            return
        try:
            sent = os.write(self._fd, self._outbox)
        except BlockingIOError:
            return
        except OSError:
            self.abort("reset")
            return
        self._stalled = False
        if sent < len(self._outbox):
            del self._outbox[:sent]
            return
        self._outbox = None
        self._watch()
        if self._unusual is not None and self._unusual.ended:
            self._half_close()

    def _read_inbox(self) -> None:
        if self._inbox is not None:
            data, self._inbox = self._inbox, None
            self._read_frames(data)

    # Frames. Source: RFC 6455 section 5.2.

    def _read_frames(self, data: bytes) -> None:
        start, end = 0, len(data)
        left = FRAMES_A_TURN
        while start < end and self._fd >= 0:
            if self._paused:
                break
            if left == 0:
                self._leave_for_later()
                break
            left -= 1
            if end - start < 2:
                break
            first, second = data[start], data[start + 1]
            length = second & 0x7F
            body = start + 2
            if length >= 126:
                size = 2 if length == 126 else 8
                body += size
                if end < body:
                    break
                length = int.from_bytes(data[body - size : body], "big")
                if length > self._engine.max_message_bytes:
                    self._read_unusual(data[start:])  # its header alone is a violation
                    return
            masked = second & 0x80
            if masked:
                body += 4
            stop = body + length
            if stop > end:
                break
            if masked and first == _FIN_TEXT and self._unusual is None:
                self.conversation.on_text(apply_mask(data[body:stop], data[body - 4 : body]))
            elif masked and first == _FIN_PONG and length <= _MAX_CONTROL:
                self._ponged = True
            elif masked and first == _FIN_PING and length <= _MAX_CONTROL and self.open:
                pong = apply_mask(data[body:stop], data[body - 4 : body])
                self._send(bytes((_FIN_PONG, length)) + pong)
            else:
                self._read_unusual(data[start:stop])
            start = stop
        if start < end and self._fd >= 0:
            self._inbox = data[start:] if start else data

    def _leave_for_later(self) -> None:
        """Read no more before what has been read is handled, a share a turn."""
        if not self._later:
            self._later = True
            self._watch()
            self._engine.poller.go_on_later(self)

    def _read_unusual(self, frame: bytes) -> None:
        """Give a frame, or the header that is already one too many, to `websockets`."""
        if frame[0] == _FIN_CLOSE and self._unusual is not None and not self._unusual.closing:
            # It may stand between fragments (RFC 6455 section 5.4); `websockets` fails it there.
            self._unusual = None
        unusual = self._as_unusual()
        unusual.protocol.receive_data(frame)
        message = unusual.next_message()
        if message is not None and not unusual.closing:
            self._unusual = None  # between messages nothing is unusual any more
            if not unusual.binary:
                self.conversation.on_text(message)
                return
            if self.conversation.on_binary(message):
                return
            self._unusual = unusual
            unusual.protocol.fail(CloseCode.UNSUPPORTED_DATA, "OCPP is text")
        self._flush_unusual("")

    def _as_unusual(self) -> FullProtocol:
        if self._unusual is None:
            self._unusual = FullProtocol(self._engine.max_message_bytes, deflate=self._deflate)
        return self._unusual

    def _flush_unusual(self, cause: str) -> None:
        unusual = self._unusual
        assert unusual is not None
        if unusual.closing and not unusual.cause:
            unusual.cause = cause or unusual.close_cause()
            seconds = self._engine.limits.close_timeout
            unusual.deadline = self._engine.wheel.now + seconds
            self._engine.wheel.schedule(self, seconds)
        for data in unusual.protocol.data_to_send():
            if data:
                self._send(data)
            else:
                unusual.ended = True
        if unusual.ended and self._fd >= 0 and self._outbox is None:
            self._half_close()

    def close_for_bad_text(self) -> None:
        """Close with 1007: a text that is not UTF-8. Source: RFC 6455 section 8.1."""
        if self.open:
            self._as_unusual().protocol.fail(CloseCode.INVALID_DATA, "not UTF-8")
            self._flush_unusual("")

    def _half_close(self) -> None:
        with socket.socket(fileno=os.dup(self._fd)) as handle:
            try:
                handle.shutdown(socket.SHUT_WR)
            except OSError:
                self.abort("reset")

    def _send(self, data: bytes) -> None:
        if self._outbox is not None:
            if len(self._outbox) + len(data) > self._engine.limits.max_unsent_bytes:
                self.abort("does not read")
                return
            self._outbox += data
            return
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort("reset")
            return
        if sent < len(data):
            self._outbox = bytearray(data[sent:])
            self._watch()

    def _watch(self) -> None:
        if self._fd >= 0:
            self._engine.poller.watch(
                self._fd,
                (0 if self._paused or self._later else READ)
                | (0 if self._outbox is None else WRITE),
            )


class _Deadline:
    """A second appointment in the wheel, beside the connection's own for silence."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def on_due(self, now: int) -> float | None:
        if self._connection.open:
            self._connection.conversation.on_second(now)
        return None

    def abort(self, cause: str) -> None:
        self._connection.abort(cause)
