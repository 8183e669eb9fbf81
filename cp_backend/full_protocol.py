"""RFC 6455 whole, by `websockets`, for what the fast path of `connection` does not read."""

from __future__ import annotations

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol as WebSocketProtocol
from websockets.protocol import Side, State

MAX_FRAGMENTS = 4096
"""Of one message: each costs memory, however short it is."""


class FullProtocol:
    """What a connection needs for frames that the fast path does not read, and for closing."""

    __slots__ = ("_chunks", "binary", "cause", "deadline", "ended", "protocol")

    def __init__(self, max_message_bytes: int, *, deflate: bool) -> None:
        self.protocol = WebSocketProtocol(Side.SERVER, max_size=max_message_bytes)
        if deflate:
            # No context takeover: each message stands alone, so a fresh object can read it.
            self.protocol.extensions = [PerMessageDeflate(True, True, 15, 15)]
        self._chunks: list[bytes] = []
        self.binary = False
        """Whether the message that is read is binary."""
        self.cause = ""
        """Why the connection is closing, once it is."""
        self.deadline = 0.0
        """When, in the wheel's seconds, a closing connection is let go."""
        self.ended = False
        """Whether the protocol wants the stream to end."""

    @property
    def closing(self) -> bool:
        """Whether a close has been sent or received."""
        return self.protocol.state is not State.OPEN

    def close_cause(self) -> str:
        """Return in a word or two why the protocol closes."""
        if self.protocol.parser_exc is not None:
            return "violated protocol"
        code = self.protocol.close_rcvd.code if self.protocol.close_rcvd else None
        return "closed by the charging point" if code is not None else "closed"

    def next_message(self) -> bytes | None:
        """Return a message that is complete by now, None while it is not."""
        for frame in self.protocol.events_received():
            if not isinstance(frame, Frame):
                continue
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self.binary = self.binary or frame.opcode is Opcode.BINARY
                self._chunks.append(bytes(frame.data))
                if len(self._chunks) > MAX_FRAGMENTS:
                    self._chunks = []
                    self.protocol.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
                    return None
                if frame.fin:
                    message, self._chunks = b"".join(self._chunks), []
                    return message
        return None
