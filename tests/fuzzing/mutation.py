"""Wrong messages out of right ones: of a schema, of a JSON value, of bytes.

Everything is drawn from one seeded `random.Random`, so that a run can be repeated.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

Json = Any

DEEPEST = 12
_WORDS = (
    "", " ", "x", "0", "-1", "1.5", "1e400", "1e1000000", "NaN", "Infinity", "null", "true",
    "2027-01-01T12:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59.999999+14:00",
    "2027-02-30T25:61:61Z", "\x00", "\u202e", "\ud800", "\x1b[2J", "[/x]", "Ä" * 300, "x" * 5000,
    "'; DROP TABLE sessions; --", "%s%n", "{0}", "٣", "𝟙", "1_000", "0x10", "-", ".", "e5", "+5",
)  # fmt: skip
_NUMBERS = (
    0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64 - 1,
    0.1, -0.0, 1e308, 5e-324, 1e16, 12345678901234567890,
)  # fmt: skip


class Mutator:
    """Draws values and changes them. random: where chance comes from."""

    def __init__(self, random: Random) -> None:
        self.random = random

    # Of a schema.

    def sample(self, schema: Json, root: Json, depth: int = 0) -> Json:
        """Return a value that mostly fits a schema of draft 4 to 7, with its limits tried."""
        schema = _resolved(schema, root)
        chance = self.random.random
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            required = schema.get("required", ())
            wanted = 0.6 if depth < 3 else 0.15
            return {
                name: self.sample(member, root, depth + 1)
                for name, member in schema.get("properties", {}).items()
                if name in required or (depth < DEEPEST and chance() < wanted)
            }
        if kind == "array":
            most = min(schema.get("maxItems", 3), 3)
            least = max(schema.get("minItems", 1), 0)
            count = self.random.randint(least, max(least, most))
            return [self.sample(schema["items"], root, depth + 1) for _ in range(count)]
        if kind == "string":
            return self._text(schema)
        if kind == "integer":
            return self.random.choice((0, 1, 1, 1, 2, 17, 1000))
        if kind == "number":
            return self.random.choice((0, 1, 1.5, 230.4, -0.1))
        if kind == "boolean":
            return chance() < 0.5
        return self.word()

    def _text(self, schema: Json) -> str:
        if schema.get("format") == "date-time":
            hour, minute = self.random.randrange(24), self.random.randrange(60)
            return f"2026-11-{self.random.randint(1, 28):02}T{hour:02}:{minute:02}:00Z"
        longest = schema.get("maxLength", 20)
        if self.random.random() < 0.05:
            return "x" * min(longest, 6000)
        return self.random.choice(("TAG", "04A1B2C3", "1", "1.5", "Wh", "Accepted", "A B"))[
            :longest
        ]

    # Of a JSON value.

    def word(self) -> Json:
        """Return something that may stand nowhere."""
        kind = self.random.randrange(8)
        if kind < 3:
            return self.random.choice(_WORDS)
        if kind < 6:
            return self.random.choice(_NUMBERS)
        if kind == 6:
            return self.random.choice((None, True, False, [], {}, [[]], [{}], {"a": None}))
        return self.nested(self.random.choice((3, 30, 100, 254, 300, 900)))

    def nested(self, depth: int) -> Json:
        """Return something nested so deep."""
        value: Json = 1
        for _ in range(depth):
            value = [value] if depth % 2 else {"a": value}
        return value

    def changed(self, value: Json, times: int | None = None) -> Json:
        """Return a value with some of its parts changed; the value itself may change with it."""
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 6)) if times is None else times):
            places = list(_places(value))
            if not places:
                return self.word()
            holder, key = self.random.choice(places)
            self._change(holder, key)
        return value

    def _change(self, holder: Json, key: Json) -> None:
        kind = self.random.randrange(9)
        old = holder[key]
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[self._name(key)] = old
        elif kind == 1:
            holder.insert(key, old)
        elif kind == 2:
            holder[key] = [old]
        elif kind == 3:
            holder[key] = (
                _number(old)
                if isinstance(old, str)
                else repr(old)[:500]
                if not isinstance(old, (list, dict))
                else str(len(old))
            )
        elif kind == 4 and isinstance(old, str):
            holder[key] = self._text_changed(old)
        elif kind == 4 and isinstance(old, list) and old:
            holder[key] = old * self.random.choice((2, 50))
        else:
            holder[key] = self.word()

    def _name(self, old: str) -> str:
        return old.swapcase() if self.random.random() < 0.5 else self.random.choice(_WORDS)

    def _text_changed(self, text: str) -> str:
        at = self.random.randint(0, len(text))
        piece = self.random.choice(_WORDS)
        return text[:at] + piece + text[at + self.random.randint(0, 2) :]

    # Of bytes.

    def text(self, value: Json) -> bytes:
        """Write a JSON value, mostly as JSON."""
        try:
            written = json.dumps(value).encode() if self.random.random() < 0.5 else _raw(value)
        except RecursionError:  # nested deeper than it can be written
            written = b'[2,"17","Heartbeat",' + b'{"a":' * self.random.choice((400, 20_000))
        return written if self.random.random() < 0.8 else self.bytes_changed(written)

    def bytes_changed(self, data: bytes, tokens: tuple[bytes, ...] = ()) -> bytes:
        """Return bytes with some of them changed, cut, doubled, or replaced by tokens."""
        out = bytearray(data)
        for _ in range(self.random.choice((1, 1, 2, 4, 8))):
            at = self.random.randint(0, len(out))
            kind = self.random.randrange(7)
            if kind == 0:
                del out[at:]
            elif kind == 1:
                del out[at : at + self.random.randint(1, 8)]
            elif kind == 2:
                out[at:at] = self.random.randbytes(self.random.randint(1, 4))
            elif kind == 3 and at < len(out):
                out[at] ^= 1 << self.random.randrange(8)
            elif kind == 4:
                end = at + self.random.randint(1, 40)
                out[at:at] = out[at:end]
            elif kind == 5 and tokens:
                out[at:at] = self.random.choice(tokens)
            else:
                out[at:at] = self.random.choice((b'"', b"\\", b"[", b"]", b"{", b"}", b",", b"\0"))
        return bytes(out)


def _resolved(schema: Json, root: Json) -> Json:
    while "$ref" in schema:
        found = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _places(value: Json, depth: int = 0) -> list[tuple[Json, Json]]:
    """Return where a value has parts: (holder, key)."""
    if depth > DEEPEST:
        return []
    keys: list[Json] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(min(len(value), 20)))
    found = [(value, key) for key in keys]
    for key in keys:
        found += _places(value[key], depth + 1)
    return found


def _number(text: str) -> Json:
    try:
        return float(text)
    except ValueError:
        return len(text)


def _raw(value: Json) -> bytes:
    """Write JSON with characters as they are, also halves of them."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
