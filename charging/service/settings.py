"""A program's settings: a frozen dataclass whose fields are read from environment variables.

Each program declares its fields with `setting()`, so that the default, the meaning and the bounds
stand in one place; what depends on two fields together is checked by the program itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, Generic, TypeVar, get_type_hints

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_TRUE = frozenset({"true", "yes", "1", "on"})
_FALSE = frozenset({"false", "no", "0", "off", ""})

S = TypeVar("S")


class SettingError(ValueError):
    """A setting has a value that is not allowed; the message names it and says what is."""


def setting(default: Any, help_text: str, least: float = 0, *, choices: Sequence[str] = ()) -> Any:
    """Declare a setting: a field of a dataclass, annotated as bool, int, float or str.

    help_text: its meaning, for `--help` and the documentation. least: of a number. choices: the
    only texts allowed; empty: any.
    """
    return field(
        default=default, metadata={"help": help_text, "least": least, "choices": tuple(choices)}
    )


@dataclass(frozen=True, slots=True)
class SettingsReader(Generic[S]):
    """Reads a dataclass of settings from variables that begin with a prefix.

    program: as it is started, for messages: `python -m <program> --help`.
    """

    kind: type[S]
    prefix: str
    program: str

    def variable(self, name: str) -> str:
        """Return the environment variable of a setting."""
        return self.prefix + name.upper()

    def read(self, environment: Mapping[str, str], overrides: Mapping[str, Any]) -> S:
        """Return the settings; overrides (from the command line) win where they are not None.

        Raises SettingError for a value that is not allowed, and for a variable with the prefix
        that is no setting, since a misspelt one would otherwise silently not apply.
        """
        known = {self.variable(f.name): f for f in fields(self.kind)}  # type: ignore[arg-type]
        unknown = sorted(n for n in environment if n.startswith(self.prefix) and n not in known)
        if unknown:
            raise SettingError(
                f"{', '.join(unknown)}: no such setting; "
                f"`python -m {self.program} --help` lists them"
            )
        # The annotation, not the default: 8 may be the default of a number with a fraction.
        types = get_type_hints(self.kind)
        values: dict[str, Any] = {
            f.name: _parse(name, environment[name], types[f.name])
            for name, f in known.items()
            if name in environment
        }
        values |= {name: value for name, value in overrides.items() if value is not None}
        settings = self.kind(**values)
        for name, f in known.items():
            _check(name, getattr(settings, f.name), f)
        return settings

    def table(self) -> list[tuple[str, str, str]]:
        """Return the rows (variable, default, meaning) of the documentation's table."""
        return [
            (self.variable(f.name), _show(f.default), f.metadata["help"])
            for f in fields(self.kind)  # type: ignore[arg-type]
        ]


def _parse(name: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise SettingError(f"{name}={text}: must be true or false")
        return text.lower() in _TRUE
    try:
        return kind(text)
    except ValueError:
        number = "a whole number" if kind is int else "a number"
        raise SettingError(f"{name}={text}: must be {number}") from None


def _check(name: str, value: Any, declared: Field[Any]) -> None:
    least, choices = declared.metadata["least"], declared.metadata["choices"]
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise SettingError(f"{name}={value}: must be a finite number")
        if value < least:
            raise SettingError(f"{name}={value}: must be at least {least}")
    if choices and value not in choices:
        raise SettingError(f"{name}={value}: must be one of {', '.join(choices)}")


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
