"""How much of an HTTP/1.1 request has come in: read without waiting, by nobody's thread.

Only its length is read here. What is malformed counts as whole, so that gunicorn, which reads it
for good, refuses it. Source: RFC 9112, sections 2.2, 6 and 7.
"""

from __future__ import annotations

import re
from enum import Enum, auto

MAX_HEAD_BYTES = 32 * 1024
MAX_BODY_BYTES = 256 * 1024
"""Of one request; the hub's have some hundred bytes."""
MAX_CHUNKED_BYTES = 1024 * 1024
"""Of a body in chunks, with what stands between them."""
MAX_CHUNK_LINE_BYTES = 1024

_END_OF_HEAD = b"\r\n\r\n"
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")


class Extent(Enum):
    """How far a request has come in."""

    PARTLY = auto()
    WHOLE = auto()
    TOO_LARGE = auto()


class Incoming:
    """A request that comes in. received: its bytes so far, and what may follow them.

    wants_consent: its sender waits for "100 Continue" before he sends the body.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.wants_consent = False
        self._body_at: int | None = None
        self._searched = 0
        self._chunk_at: int | None = None
        self._whole_at: int | None = None

    def take(self, part: bytes) -> Extent:
        """Add what has come in; return how far the request is."""
        self.received += part
        if self._body_at is None and not self._read_head():
            too_long = len(self.received) > MAX_HEAD_BYTES
            return Extent.TOO_LARGE if too_long else Extent.PARTLY
        assert self._body_at is not None
        if self._chunk_at is not None and self._whole_at is None:
            self._walk_chunks()
        if self._whole_at is None:
            too_long = len(self.received) - self._body_at > MAX_CHUNKED_BYTES
            return Extent.TOO_LARGE if too_long else Extent.PARTLY
        if self._chunk_at is None and self._whole_at - self._body_at > MAX_BODY_BYTES:
            return Extent.TOO_LARGE
        return Extent.WHOLE if len(self.received) >= self._whole_at else Extent.PARTLY

    def _read_head(self) -> bool:
        while self.received.startswith(b"\r\n"):
            del self.received[:2]
        at = self.received.find(_END_OF_HEAD, max(0, self._searched - len(_END_OF_HEAD)))
        self._searched = len(self.received)
        if at < 0:
            return False
        self._body_at = at + len(_END_OF_HEAD)
        fields = [line.partition(b":") for line in bytes(self.received[:at]).split(b"\r\n")[1:]]
        named = [(name.strip().lower(), value.strip().lower()) for name, _, value in fields]
        lengths = {value for name, value in named if name == b"content-length"}
        codings = [value for name, value in named if name == b"transfer-encoding"]
        if codings == [b"chunked"] and not lengths:
            self._chunk_at = self._body_at
        elif len(lengths) == 1 and not codings and (length := lengths.pop()).isdigit():
            self._whole_at = self._body_at + int(length[:12])
        else:
            self._whole_at = self._body_at
        self.wants_consent = (b"expect", b"100-continue") in named
        return True

    def _walk_chunks(self) -> None:
        while self._chunk_at is not None:
            end = self.received.find(b"\r\n", self._chunk_at)
            if end < 0:
                if len(self.received) - self._chunk_at > MAX_CHUNK_LINE_BYTES:
                    self._whole_at = len(self.received)
                return
            size = bytes(self.received[self._chunk_at : end]).partition(b";")[0].strip()
            if not _CHUNK_SIZE.fullmatch(size):
                self._whole_at = len(self.received)
                return
            if int(size, 16) == 0:
                # Trailers may follow, up to an empty line.
                last = self.received.find(_END_OF_HEAD, end)
                if last >= 0:
                    self._whole_at = last + len(_END_OF_HEAD)
                return
            self._chunk_at = end + 2 + int(size, 16) + 2
