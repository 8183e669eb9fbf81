"""A connection without a socket, for conversations: it keeps what was sent and what was asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cp_backend.context import Context
from cp_backend.hub_authorization import HubAuthorization
from cp_backend.message_log import MessageLog
from cp_backend.settings import Settings
from cp_backend.telemetry import Metrics


class MemoryWire:
    """A `conversation.wire.Wire` in memory. sent: the frames, read as JSON."""

    charging_point_id = "CP1"

    def __init__(self) -> None:
        self.now = 0
        self.sent: list[Any] = []
        self.paused = False
        self.calls_in: list[float] = []
        self.ended = ""

    def call_in(self, seconds: float) -> None:
        self.calls_in.append(seconds)

    def send_text(self, text: bytes) -> None:
        self.sent.append(json.loads(text))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close_for_bad_text(self) -> None:
        self.ended = "1007"

    def abort(self, cause: str) -> None:
        self.ended = cause


class GivenResults:
    """A store whose results the test gives: `asked` has (what, message, callback)."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, Any]] = []

    def __getattr__(self, subject: str) -> _Subject:
        return _Subject(subject, self.asked)

    def give(self, result: Any) -> None:
        """Give the result of what was asked first."""
        _, _, on_result = self.asked.pop(0)
        on_result(result)


class _Subject:
    def __init__(self, name: str, asked: list[tuple[str, Any, Any]]) -> None:
        self._name = name
        self._asked = asked

    def __getattr__(self, method: str) -> Callable[..., None]:
        def ask(*arguments: Any) -> None:
            *given, on_result = arguments
            self._asked.append((f"{self._name}.{method}", given[-1], on_result))

        return ask


def context(**settings: Any) -> Any:
    """A node's context whose store waits for the test to give results."""
    store: Any = GivenResults()
    chosen = Settings(**{"settle_time": 0, **settings})
    metrics = Metrics()
    # Without a database the log keeps nothing.
    log = MessageLog("", metrics)
    return Context(store, HubAuthorization(store.hub_questions, chosen), log, chosen, metrics)
