"""WebSocket frames from the client's side: whole, short and masked. Source: RFC 6455 section 5."""

from __future__ import annotations

import base64
import hashlib
import os
import random

from websockets.speedups import apply_mask

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

_FIN = 0x80
_MASKED = 0x80
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ViolationError(Exception):
    """A server sent what no server may send, or what this client does not expect of one."""


def write(opcode: int, payload: bytes) -> bytes:
    """Write one whole frame; payload below 64 KiB."""
    mask = random.getrandbits(32).to_bytes(4, "big")
    length = len(payload)
    if length < 126:
        head = bytes((_FIN | opcode, _MASKED | length))
    else:
        head = bytes((_FIN | opcode, _MASKED | 126)) + length.to_bytes(2, "big")
    return head + mask + apply_mask(payload, mask)


def read(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the whole frames (opcode, payload) in data, and the bytes that are left over.

    Raises ViolationError for a fragment, a masked frame or one longer than 64 KiB: none is
    against the protocol but the second, and none is what a central system sends here.
    """
    frames = []
    start, end = 0, len(data)
    while end - start >= 2:
        first, length = data[start], data[start + 1]
        body = start + 2
        if length == 126:
            if end - start < 4:
                break
            length = int.from_bytes(data[body : body + 2], "big")
            body += 2
        elif length > 126:
            raise ViolationError("a masked frame, or a very long one")
        if not first & _FIN or first & 0x70:
            raise ViolationError("a fragment, or a compressed frame")
        if body + length > end:
            break
        frames.append((first & 0x0F, data[body : body + length]))
        start = body + length
    return frames, data[start:]


def new_key() -> bytes:
    """Return a Sec-WebSocket-Key."""
    return base64.b64encode(os.urandom(16))


def accept_of(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers a key. Source: RFC 6455 section 4.2.2."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
