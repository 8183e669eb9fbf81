"""What can be set about third-party-backend, all of it from the environment.

The table in docs/third-party-backend-settings.md is made from this; a test compares them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PREFIX = "THIRD_PARTY_"


class SettingError(ValueError):
    """A setting has a value that cannot be; the message names it and says what can."""


def _setting(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the web processes. Times in seconds."""

    host: str = _setting("127.0.0.1", "address to listen on; 0.0.0.0 in a container")
    port: int = _setting(9100, "port to listen on")
    workers: int = _setting(2, "gunicorn worker processes")
    threads: int = _setting(32, "threads of a worker; a waiting remote start holds one")
    answer_timeout: float = _setting(
        8.0, "seconds a charging point has to answer; the hub cuts off at 10, travel included"
    )
    presence_timeout: float = _setting(
        15.0, "seconds of a node's silence after which its charging points count as offline"
    )
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def from_environment(environment: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
    """Read the settings; overrides (from the command line) win where they are not None.

    Raises SettingError for a value that cannot be and for an unknown THIRD_PARTY_ variable.
    """
    known = {variable(f.name): f for f in fields(Settings)}
    unknown = sorted(n for n in environment if n.startswith(PREFIX) and n not in known)
    if unknown:
        raise SettingError(
            f"{', '.join(unknown)}: no such setting; "
            "`python -m third_party_backend --help` lists them"
        )
    values: dict[str, Any] = {}
    for name, setting in known.items():
        if name in environment:
            try:
                kind: type = type(setting.default)
                values[setting.name] = kind(environment[name])
            except ValueError:
                raise SettingError(f"{name}={environment[name]}: must be a number") from None
    values |= {name: value for name, value in overrides.items() if value is not None}
    settings = Settings(**values)
    if min(settings.workers, settings.threads) < 1 or not 0 < settings.answer_timeout <= 9:
        raise SettingError(
            "workers and threads must be at least 1, answer_timeout above 0 and at most 9 seconds"
        )
    return settings


def table() -> list[tuple[str, str, str]]:
    """Return the rows (variable, default, meaning) of the documentation's table."""
    return [(variable(f.name), str(f.default), f.metadata["help"]) for f in fields(Settings)]
