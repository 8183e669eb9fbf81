"""Misbehaviour on demand: which call is to go wrong, and how."""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from third_party_hub_simulator.messages import Operation


class Kind(StrEnum):
    """How a call goes wrong."""

    VALIDATION = "validation"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN_HTML = "forbidden-html"
    FORBIDDEN = "forbidden"
    NO_PARTNER = "no-partner"
    NO_SESSION = "no-session"
    TIMEOUT = "timeout"
    TOO_MANY = "too-many"
    ERROR = "error"
    UNAVAILABLE = "unavailable"
    SYSTEM_ERROR = "system-error"
    SLOW = "slow"
    CUT_BEFORE = "cut-before"
    CUT_AFTER = "cut-after"
    UNCERTAIN = "uncertain"


MEANINGS = {
    Kind.VALIDATION: "HTTP 400 with validationErrors and no status code",
    Kind.UNAUTHORIZED: "HTTP 401 with 017: the certificate is not the operator's",
    Kind.FORBIDDEN_HTML: "HTTP 403 in HTML: the address is not whitelisted",
    Kind.FORBIDDEN: "HTTP 403 with 210: no contract",
    Kind.NO_PARTNER: "HTTP 404 with 300",
    Kind.NO_SESSION: "HTTP 404 with 400",
    Kind.TIMEOUT: "HTTP 408, empty",
    Kind.TOO_MANY: "HTTP 429, empty",
    Kind.ERROR: "HTTP 500, empty",
    Kind.UNAVAILABLE: "HTTP 503 with 009",
    Kind.SYSTEM_ERROR: "HTTP 200 with Result false and 001",
    Kind.SLOW: "does it right after so many seconds",
    Kind.CUT_BEFORE: "cuts the connection before it did anything",
    Kind.CUT_AFTER: "does it, then cuts the connection without an answer",
    Kind.UNCERTAIN: "does it, then answers HTTP 500",
}


@dataclass
class Fault:
    """A rule of misbehaviour.

    operation: None for all. calls: how many are left to go wrong, None for no end.
    share: of the calls, 0 to 1. seconds: how long a slow one takes.
    """

    number: int
    kind: Kind
    operation: Operation | None = None
    calls: int | None = 1
    share: float = 1.0
    seconds: float = 5.0
    happened: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it for the control interface."""
        return {
            "number": self.number,
            "kind": self.kind.value,
            "operation": self.operation.value if self.operation else "all",
            "calls left": self.calls,
            "share": self.share,
            "seconds": self.seconds if self.kind is Kind.SLOW else None,
            "happened": self.happened,
        }


class Faults:
    """The rules in force; the first that fits a call decides. Safe for many threads."""

    def __init__(self, seed: int | None = None) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - misbehaviour, no secret
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._faults: list[Fault] = []

    def add(self, kind: Kind, **more: Any) -> Fault:
        """Put a rule in force."""
        with self._lock:
            fault = Fault(next(self._numbers), kind, **more)
            self._faults.append(fault)
        return fault

    def clear(self, number: int | None = None) -> int:
        """Take a rule, or all, out of force; return how many there were."""
        with self._lock:
            before = len(self._faults)
            self._faults = [f for f in self._faults if number not in (None, f.number)]
            return before - len(self._faults)

    def list(self) -> list[dict[str, Any]]:
        """Return the rules in force."""
        with self._lock:
            return [fault.as_json() for fault in self._faults]

    def of_call(self, operation: Operation) -> Fault | None:
        """Return how this call is to go wrong; None when it is not."""
        with self._lock:
            for fault in self._faults:
                fits = fault.operation in (None, operation)
                if fits and (fault.share >= 1 or self._chance.random() < fault.share):
                    fault.happened += 1
                    if fault.calls is not None:
                        fault.calls -= 1
                        if fault.calls <= 0:
                            self._faults.remove(fault)
                    return fault
        return None
