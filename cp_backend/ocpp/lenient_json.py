"""JSON as some charging points write it, rewritten into JSON that a parser takes. Without I/O.

Only what orjson has refused comes here, so its speed does not matter to a charging point that
writes JSON; its bounds do: MAX_BYTES and MAX_DEPTH hold whatever comes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from cp_backend.ocpp.repair import RepairKind

MAX_BYTES = 32 * 1024
"""A longer text is not mended."""
MAX_TOKENS = 6000
"""Names, values and marks of a text that is mended: about 30 ms of the event loop at most. A
reading of one sample has about 40."""
MAX_DEPTH = 32
"""Levels of lists and objects; OCPP's deepest message has fewer than ten."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_EDGES = bytes(range(33)) + b"\x7f"
# Spaces of other kinds, in UTF-8: no-break, zero width.
_ODD_SPACES = (b"\xc2\xa0", b"\xe2\x80\x8b")

# A string may lack its end. None of the alternatives can fail after having begun, so the whole
# takes time in proportion to the text.
_TOKEN = re.compile(
    rb'(?P<string>"(?:[^"\\]+|\\.)*(?P<end>"?))|(?P<mark>[\[\]{}:,])|(?P<atom>[^\s\[\]{}:,"]+)',
    re.DOTALL,
)
# Commas too many, outside of texts: what to keep is in the groups.
_COMMAS = re.compile(
    rb'("(?:[^"\\]+|\\.)*"?)|([\[{])\s*(?:,\s*)+|,\s*(?:,\s*)*(?=[\]}])|(,)\s*(?:,\s*)+', re.DOTALL
)
_NUMBER = re.compile(rb"([+-]?)0*(\d+)?(?:\.(\d*))?([eE][+-]?\d{1,3})?")
_WORDS = {
    b"true": b"true",
    b"false": b"false",
    b"null": b"null",
    b"none": b"null",
    b"nil": b"null",
    b"nan": b"null",
    b"-nan": b"null",
    b"inf": b"null",
    b"-inf": b"null",
    b"infinity": b"null",
    b"-infinity": b"null",
    b"undefined": b"null",
}
_RAW_CONTROL = re.compile(rb"[\x00-\x1f]")
_BAD_ESCAPE = re.compile(rb'\\(?:u[0-9A-Fa-f]{4}|["\\/bfnrt]|(.))', re.DOTALL)
_SURROGATE = re.compile(
    rb"\\u[dD][89aAbB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|(\\u[dD][89a-fA-F][0-9A-Fa-f]{2})"
)
_CLOSING = {b"[": b"]", b"{": b"}"}


class Mended(NamedTuple):
    """value: what was read. kinds: what had to be mended. cut: the text ended too early.

    rest: what follows the value.
    """

    value: object
    kinds: tuple[RepairKind, ...]
    cut: bool
    rest: bytes = b""


def load(text: bytes) -> Mended:
    """Read text that is almost JSON.

    Raises ValueError where no reading is certain: a text that was cut off within a value, that
    is nested deeper than MAX_DEPTH or longer than MAX_BYTES, or that makes no sense.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"not JSON, and longer than the {MAX_BYTES} bytes that are mended")
    kinds: list[RepairKind] = []
    bare = text.lstrip(_EDGES)
    while bare.startswith((_BYTE_ORDER_MARK, *_ODD_SPACES)):
        mark = bare.startswith(_BYTE_ORDER_MARK)
        bare = bare[2 if bare.startswith(_ODD_SPACES[0]) else 3 :].lstrip(_EDGES)
        if not kinds:
            kinds.append(RepairKind.BYTE_ORDER_MARK if mark else RepairKind.CONTROL_CHARACTERS)
    bare = bare.rstrip(_EDGES)
    if b"\x00" in bare or text.strip() != text.strip(_EDGES):
        bare = bare.replace(b"\x00", b"")
        kinds.append(RepairKind.CONTROL_CHARACTERS)
    if kinds:
        try:
            return Mended(orjson.loads(bare), tuple(kinds), cut=False)
        except orjson.JSONDecodeError:
            pass
    try:  # the commonest fault, mended at a fraction of the cost of the rest
        value = orjson.loads(_COMMAS.sub(rb"\1\2\3", bare))
        return Mended(value, (*kinds, RepairKind.JSON), cut=False)
    except orjson.JSONDecodeError:
        pass
    writer = _Writer()
    written = writer.rewrite(bare)
    try:
        value = orjson.loads(written)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if writer.controls and RepairKind.CONTROL_CHARACTERS not in kinds:
        kinds.append(RepairKind.CONTROL_CHARACTERS)
    if writer.cut:
        kinds.append(RepairKind.CUT)
    elif writer.mended or not kinds:
        kinds.append(RepairKind.JSON)
    return Mended(value, tuple(kinds), writer.cut, writer.rest.strip(_EDGES))


def is_deeper(value: object, levels: int) -> bool:
    """Return whether a JSON value has more levels of lists and objects than that."""
    row = [value]
    for _ in range(levels + 1):
        row = [
            inner
            for each in row
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not row:
            return False
    return True


class _Writer:
    """Writes the tokens of a text again, with what JSON wants between them."""

    def __init__(self) -> None:
        self.cut = False
        self.controls = False
        self.mended = False
        self.rest = b""
        self._out: list[bytes] = []
        self._open: list[bytes] = []
        self._after = "start"  # start, open, value, comma, key, colon
        self._uncertain = False  # whether a cut here would be within a value

    def rewrite(self, text: bytes) -> bytes:
        for count, match in enumerate(_TOKEN.finditer(text)):
            if count > MAX_TOKENS:
                raise ValueError(f"not JSON, and of more than {MAX_TOKENS} parts")
            kind = match.lastgroup
            if kind == "end" or kind == "string":
                self._string(match["string"], closed=bool(match["end"]))
            elif kind == "mark":
                self._mark(match["mark"])
            else:
                self._atom(match["atom"])
            if not self._open:  # what follows the frame is no part of it
                self.rest = text[match.end() :]
                self.mended = self.mended or bool(self.rest)
                break
        if self._open:
            if self._uncertain or self._after in ("key", "colon"):
                raise ValueError("cut off within a value")
            self.cut = True
            while self._open:
                self._close(self._open[-1])
        return b"".join(self._out)

    def _value(self, written: bytes) -> None:
        self._separate()
        self._out.append(written)
        self._after = "value"

    def _separate(self) -> None:
        if self._after == "comma":
            self._out.append(b",")
        elif self._after == "value":
            self._out.append(b",")
            self.mended = True
        elif self._after == "key":
            self._out.append(b":")
            self.mended = True

    def _expects_key(self) -> bool:
        return bool(self._open) and self._open[-1] == b"{" and self._after not in ("key", "colon")

    def _key(self, written: bytes) -> None:
        self._separate()
        self._out.append(written)
        self._after = "key"

    def _string(self, token: bytes, *, closed: bool) -> None:
        if not closed:
            raise ValueError("cut off within a text")
        self._uncertain = False
        if _RAW_CONTROL.search(token):
            self.controls = True
            token = _RAW_CONTROL.sub(lambda m: b"\\u%04x" % m[0][0] if m[0][0] else b"", token)
        if b"\\" in token:
            mended = _SURROGATE.sub(
                lambda m: b"\\ufffd" if m[1] else m[0], _BAD_ESCAPE.sub(_escape, token)
            )
            self.mended = self.mended or mended != token
            token = mended
        if self._expects_key():
            self._key(token)
        else:
            self._value(token)

    def _atom(self, token: bytes) -> None:
        if self._expects_key():
            self._key(_quoted(token))
            return
        word = _WORDS.get(token.lower())
        number = None if word else _number(token)
        self._uncertain = word is None
        written = word or number or _quoted(token)
        self.mended = self.mended or written != token
        self._value(written)

    def _mark(self, mark: bytes) -> None:
        if mark in _CLOSING:
            if self._expects_key():
                self.mended = True
                return  # an object or list cannot be a member's name
            if len(self._open) >= MAX_DEPTH:
                raise ValueError("nested too deep")
            self._separate()
            self._out.append(mark)
            self._open.append(mark)
            self._after = "open"
        elif mark == b":":
            if self._after == "key":
                self._out.append(b":")
                self._after = "colon"
        elif mark == b",":
            self._missing()
            if self._after == "value":
                self._after = "comma"
            else:
                self.mended = True
        else:
            opening = b"[" if mark == b"]" else b"{"
            if opening in self._open:
                while self._open[-1] != opening:
                    self._close(self._open[-1])
                self._close(opening)
        self._uncertain = False

    def _missing(self) -> None:
        if self._after == "key":
            self._out.append(b":null")
        elif self._after == "colon":
            self._out.append(b"null")
        else:
            return
        self.mended = True
        self._after = "value"

    def _close(self, opening: bytes) -> None:
        self._missing()
        if self._after == "comma":
            self.mended = True
        self._out.append(_CLOSING[opening])
        self._open.pop()
        self._after = "value"


def _escape(match: re.Match[bytes]) -> bytes:
    """Return an escape of JSON's as it is, of any other character the character."""
    other = match[1]
    if other is None:
        return match[0]
    return b"'" if other == b"'" else b"\\\\" + other


def _number(token: bytes) -> bytes | None:
    """Return a number as JSON writes it, None for what is none or beyond all bounds."""
    match = _NUMBER.fullmatch(token)
    if match is None or (match[2] is None and not match[3]) or len(token) > 40:
        return None if match is None or len(token) <= 40 else b"null"
    sign, whole, fraction, exponent = match.groups()
    written = (b"-" if sign == b"-" else b"") + (whole or b"0")
    if fraction:
        written += b"." + fraction
    written += exponent or b""
    try:
        orjson.loads(written)
    except orjson.JSONDecodeError:  # beyond the range of a double
        return b"null"
    return written


def _quoted(token: bytes) -> bytes:
    return orjson.dumps(token.decode("utf-8", "replace").strip("'"))
