"""Values that an operator reads and sets as texts: types, bounds, who may write them.

Keys of OCPP 1.6's configuration and variables of 2.x's device model are such values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The type of a value, which always travels as text."""

    INTEGER = "integer"
    BOOLEAN = "boolean"
    LIST = "list"
    TEXT = "text"


@dataclass(frozen=True)
class Key:
    """A value by its name.

    attribute: of `Settings`; without one the value has no effect here. value: where there is no
    attribute. high: of an integer, or the most members of a list. choices: of a list's members.
    reboot: whether a new value holds only after a reboot.
    """

    name: str
    kind: Kind
    attribute: str = ""
    value: str = ""
    readonly: bool = False
    reboot: bool = False
    low: int = 0
    high: int = 86_400
    choices: tuple[str, ...] = ()

    def read(self, text: str) -> Any:
        """Return a value from text. Raises ValueError."""
        match self.kind:
            case Kind.INTEGER:
                number = int(text)
                if not self.low <= number <= self.high:
                    raise ValueError(f"not within {self.low} and {self.high}")
                return number
            case Kind.BOOLEAN:
                if text.lower() not in ("true", "false"):
                    raise ValueError("neither true nor false")
                return text.lower() == "true"
            case Kind.LIST:
                members = tuple(part.strip() for part in text.split(",") if part.strip())
                if len(members) > self.high or not set(members) <= set(self.choices or members):
                    raise ValueError("unknown members, or too many")
                return members
        return text

    def write(self, value: Any) -> str:
        """Return a value as text."""
        match self.kind:
            case Kind.BOOLEAN:
                return "true" if value else "false"
            case Kind.LIST:
                return ",".join(value)
            case Kind.INTEGER:
                return str(-int(-value // 1))  # a fast car's interval is a fraction of a second
        return str(value)
