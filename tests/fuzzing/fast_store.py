"""A store that answers at once, and a connection that keeps nothing but what was sent last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import psycopg

from charging.authorization import Authorization, Decision
from cp_backend.committer import DatabaseAwayError
from cp_backend.context import Context
from cp_backend.hub_authorization import HubAuthorization
from cp_backend.message_log import MessageLog
from cp_backend.settings import Settings
from cp_backend.store.certificates import Signed
from cp_backend.telemetry import Metrics
from cp_backend.vocabulary import (
    DataTransferAnswer,
    Registration,
    SessionEndedAnswer,
    SessionReportedAnswer,
    SessionStartedAnswer,
)

_YES, _NO = Authorization(Decision.ACCEPTED), Authorization(Decision.REFUSED)
_UNKNOWN = Authorization(Decision.UNKNOWN)
_RESULTS: dict[str, tuple[Any, ...]] = {
    "admission.booted": (Registration.ACCEPTED,),
    "authorizations.shown": (_YES, _NO, _UNKNOWN),
    "certificates.requested": (Signed("PEM", ""), Signed("", "not ours")),
    "data_transfers.received": tuple(DataTransferAnswer),
    "hub_questions.ask": (_YES, None),
    "sessions.started": tuple(SessionStartedAnswer(1, a) for a in (_YES, _NO, _UNKNOWN)),
    "sessions.ended": (SessionEndedAnswer(None), SessionEndedAnswer(_YES)),
    "station_sessions.reported": (
        SessionReportedAnswer(1, _YES),
        SessionReportedAnswer(1, _UNKNOWN, may_ask=True),
        SessionReportedAnswer(None, None),
    ),
}
_FAILURES = (DatabaseAwayError("away"), psycopg.errors.LockNotAvailable("locked"))
_FAILS = 0.02


class FastStore:
    """Gives a result of the right type at once, now and then a failure of the database."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.lookups = self

    def __getattr__(self, subject: str) -> _Subject:
        return _Subject(subject, self._random)

    def submit(self, *arguments: Any, **options: Any) -> None:
        """Do nothing: counts go nowhere."""


class _Subject:
    def __init__(self, name: str, random: Random) -> None:
        self._name, self._random = name, random

    def __getattr__(self, method: str) -> Callable[..., None]:
        results = _RESULTS.get(f"{self._name}.{method}", (None,))

        def ask(*arguments: Any) -> None:
            failed = self._random.random() < _FAILS
            result = self._random.choice(_FAILURES if failed else results)
            if callable(arguments[-1]):
                arguments[-1](result)

        return ask


class LastWire:
    """A `conversation.wire.Wire` that keeps what was sent since it was emptied."""

    charging_point_id = "FUZZ"

    def __init__(self) -> None:
        self.now = 0
        self.sent: list[bytes] = []
        self.ended = ""

    def call_in(self, seconds: float) -> None:
        """Nothing is ever due."""

    def send_text(self, text: bytes) -> None:
        self.sent.append(text)

    def pause(self) -> None:
        """It is read on."""

    def resume(self) -> None:
        """It is read on."""

    def close_for_bad_text(self) -> None:
        self.ended = "1007"

    def abort(self, cause: str) -> None:
        self.ended = cause


def context(store: Any) -> Context:
    """Return a node's context on such a store; its log of messages keeps what it is given."""
    settings, metrics = Settings(settle_time=0, boot_wait=0), Metrics()
    message_log = MessageLog("", metrics, most_waiting=10)
    message_log._key = b"0" * 16  # as if the database had given it
    hub = HubAuthorization(store.hub_questions, settings)
    return Context(store, hub, message_log, settings, metrics)


async def settled() -> None:
    """Let what was begun in the event loop end."""
    for _ in range(3):
        await asyncio.sleep(0)
