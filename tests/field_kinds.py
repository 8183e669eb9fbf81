"""Kinds of fields that a standard knows: what is wrong with a value, and wrong ones to try.

`faults` names what is wrong; `wrong` makes, of a right value, values with one fault each; `edges`
makes others that are right too. `right` is a JSON value of the kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

Json = dict[str, Any]
Path = str


@dataclass(frozen=True)
class Text:
    """Text of a length, or of a pattern."""

    longest: int | None = None
    shortest: int = 0
    pattern: str | None = None

    def faults(self, value: Any, path: Path) -> Iterator[str]:
        if not isinstance(value, str):
            yield f"{path} is no text: {value!r}"
        elif len(value) < self.shortest or (self.longest and len(value) > self.longest):
            yield f"{path} has {len(value)} characters"
        elif self.pattern and not re.fullmatch(self.pattern, value):
            yield f"{path} has not its form: {value!r}"

    def wrong(self, right: Any) -> Iterator[Any]:
        yield from (5, True, [right], {"value": right})
        if self.longest:
            yield "x" * (self.longest + 1)
        if self.shortest:
            yield "x" * (self.shortest - 1)
        if self.pattern:
            yield from ("", right + " ", " " + right, right + "\n", "?" + right[1:], right + "Ä")

    def edges(self, right: Any) -> Iterator[Any]:
        if self.longest and not self.pattern:
            yield "x" * self.longest
        if self.longest and not self.shortest and not self.pattern:
            yield ""


@dataclass(frozen=True)
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    def faults(self, value: Any, path: Path) -> Iterator[str]:
        if value not in self.words or not isinstance(value, str):
            yield f"{path} is {value!r}"

    def wrong(self, right: Any) -> Iterator[Any]:
        yield from ("", right + " ", right.swapcase(), "Unspecified", 5, True, [right])

    def edges(self, right: Any) -> Iterator[Any]:
        yield from self.words


@dataclass(frozen=True)
class Whole:
    """A whole number."""

    least: int
    most: int | None = None

    def faults(self, value: Any, path: Path) -> Iterator[str]:
        if not isinstance(value, int) or isinstance(value, bool):
            yield f"{path} is no whole number: {value!r}"
        elif value < self.least or (self.most is not None and value > self.most):
            yield f"{path} is {value}"

    def wrong(self, right: Any) -> Iterator[Any]:
        yield from (str(right), right + 0.5, self.least - 1, True, [right])
        if self.most is not None:
            yield self.most + 1

    def edges(self, right: Any) -> Iterator[Any]:
        yield self.least
        if self.most is not None:
            yield self.most


@dataclass(frozen=True)
class Number:
    """A number with some decimals at most."""

    decimals: int | None = None
    least: int = 0
    most: int | None = None

    def faults(self, value: Any, path: Path) -> Iterator[str]:
        if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
            yield f"{path} is no number: {value!r}"
            return
        exact = Decimal(str(value))
        if exact < self.least or (self.most is not None and exact > self.most):
            yield f"{path} is {value}"
        if self.decimals is not None and exact != round(exact, self.decimals):
            yield f"{path} has more than {self.decimals} decimals: {value}"

    def wrong(self, right: Any) -> Iterator[Any]:
        yield from (str(right), self.least - 1, True, [right])
        if self.decimals is not None:
            yield Decimal(str(right)) + Decimal(1).scaleb(-self.decimals - 1)
        if self.most is not None:
            yield self.most + 1

    def edges(self, right: Any) -> Iterator[Any]:
        return iter(())


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def faults(self, value: Any, path: Path) -> Iterator[str]:
        if not isinstance(value, bool):
            yield f"{path} is neither true nor false: {value!r}"

    def wrong(self, right: Any) -> Iterator[Any]:
        yield from ("true", 1, 0, [True])

    def edges(self, right: Any) -> Iterator[Any]:
        yield from (True, False)


@dataclass(frozen=True)
class Moment:
    """A time with its offset from UTC."""

    def faults(self, value: Any, path: Path) -> Iterator[str]:
        form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
        try:
            assert isinstance(value, str)
            assert re.fullmatch(form, value)
            datetime.fromisoformat(value)
        except (AssertionError, ValueError):
            yield f"{path} is no time with an offset: {value!r}"

    def wrong(self, right: Any) -> Iterator[Any]:
        yield from ("", "yesterday", "2026-11-24", "2026-11-24T10:00:00", "2026-13-24T10:00:00Z")
        yield from ("2026-11-24T25:00:00Z", "24.11.2026 10:00", "2026-02-30T10:00:00Z")
        yield from (1764000000, True, [right])

    def edges(self, right: Any) -> Iterator[Any]:
        return iter(())


@dataclass(frozen=True)
class Each:
    """A list of values of one kind."""

    of: Any
    least: int = 0
    most: int | None = None

    def faults(self, value: Any, path: Path) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            yield f"{path} has {len(value)} entries"
        for index, entry in enumerate(value):
            yield from self.of.faults(entry, f"{path}.{index}")

    def wrong(self, right: Any) -> Iterator[Any]:
        yield from (right[0], "x", {"0": right[0]})
        if self.least:
            yield []
        if self.most is not None:
            yield right[:1] * (self.most + 1)
        for index, entry in enumerate(right):
            for wrong in self.of.wrong(entry):
                yield [*right[:index], wrong, *right[index + 1 :]]

    def edges(self, right: Any) -> Iterator[Any]:
        for edge in self.of.edges(right[0]):
            yield [edge, *right[1:]]


@dataclass(frozen=True)
class Either:
    """One of two forms, where the standard contradicts itself. The first is what we send."""

    first: Any
    second: Any

    def faults(self, value: Any, path: Path) -> Iterator[str]:
        yield from self.first.faults(value, path)

    def wrong(self, right: Any) -> Iterator[Any]:
        for wrong in self.first.wrong(right):
            if any(self.second.faults(wrong, "")):
                yield wrong

    def edges(self, right: Any) -> Iterator[Any]:
        yield from self.first.edges(right)


@dataclass(frozen=True)
class Members:
    """An object. one: it has exactly one of its members."""

    required: Json
    optional: Json = field(default_factory=dict)
    one: bool = False

    def faults(self, value: Any, path: Path) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path} is no object: {value!r}"
            return
        known = {**self.required, **self.optional}
        yield from (f"{path}.{name} is missing" for name in self.required if name not in value)
        yield from (f"{path}.{name} is unknown" for name in value if name not in known)
        if self.one and len(value) != 1:
            yield f"{path} has {len(value)} members"
        for name, member in value.items():
            if name in known:
                yield from known[name].faults(member, f"{path}.{name}")

    def wrong(self, right: Any) -> Iterator[Any]:
        yield from ("x", 5, [right])
        if self.one:
            yield {}
        known = {**self.required, **self.optional}
        for name, member in right.items():
            if name in self.required:
                yield {key: value for key, value in right.items() if key != name}
                yield {**right, name: None}
            for wrong in known[name].wrong(member):
                yield {**right, name: wrong}

    def edges(self, right: Any) -> Iterator[Any]:
        known = {**self.required, **self.optional}
        for name, member in right.items():
            if name in self.optional:
                yield {key: value for key, value in right.items() if key != name}
                yield {**right, name: None}
            for edge in known[name].edges(member):
                yield {**right, name: edge}


def words(*those: str) -> OneOf:
    return OneOf(those)
