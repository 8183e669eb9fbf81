"""What can go wrong when an operator asks for something; each message is for the operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from charging.tables import MAX_FAULTS, Fault

T = TypeVar("T")


class OperationError(Exception):
    """Something cannot be done; the message is one sentence with what to do instead."""


class InvalidError(OperationError):
    """An argument is not of the form that is asked for."""


class NotFoundError(OperationError):
    """There is no such thing."""


class ExistsError(OperationError):
    """There is such a thing already."""


class ConflictError(OperationError):
    """The state of things does not allow it: in use, ended, or another's."""


class TableFaultsError(OperationError):
    """Rows of a table are wrong; nothing of it was taken. faults: all of them, by row."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        lines = [f"  {fault}" for fault in self.faults[:MAX_FAULTS]]
        if len(self.faults) > MAX_FAULTS:
            lines.append(f"  … and {len(self.faults) - MAX_FAULTS} more")
        count = len(self.faults)
        super().__init__(f"nothing was imported, {count} things are wrong:\n" + "\n".join(lines))


def valid(parse: Callable[[str], T], text: str) -> T:
    """Parse a text, where a ValueError says what is wrong with it. Raises InvalidError."""
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidError(str(error)) from None
