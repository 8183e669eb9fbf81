"""What every handler works with."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from typing import Any, Protocol

from cp_backend.ocpp.errors import CallRefusedError
from cp_backend.ocpp.vocabulary import Answer, Registration
from cp_backend.roaming import Roaming
from cp_backend.settings import Settings
from cp_backend.store import Store
from cp_backend.telemetry import Metrics


class Reply(Protocol):
    """The answer owed to one call; given exactly once, now or after a commit."""

    def answer(self, answer: Answer) -> None:
        """Answer as asked."""

    def refuse(self, refusal: CallRefusedError) -> None:
        """Answer with an error of the charging point's making."""

    def fail(self, error: Exception) -> None:
        """Answer with an error of ours; the charging point shall try again."""

    def registered(self, registration: Registration) -> None:
        """Remember what the charging point's boot is answered."""


class Desk:
    """A node's store, hub, settings and figures, shared by all its conversations."""

    __slots__ = ("_message_ids", "metrics", "roaming", "settings", "store")

    def __init__(
        self, store: Store, roaming: Roaming, settings: Settings, metrics: Metrics
    ) -> None:
        self.store = store
        self.roaming = roaming
        self.settings = settings
        self.metrics = metrics
        prefix = secrets.token_hex(8)
        self._message_ids = (f"{prefix}-{n}" for n in itertools.count(1))

    def next_message_id(self) -> str:
        """Return an id that no call of any node has had; at most 36 characters."""
        return next(self._message_ids)


def after_commit(reply: Reply, answer: Callable[[Any], Answer]) -> Callable[[Any], None]:
    """Return what the store shall tell: it answers with the result, or that the fault is ours."""

    def told(result: Any) -> None:
        if isinstance(result, Exception):
            reply.fail(result)
            return
        try:
            reply.answer(answer(result))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            reply.fail(error)

    return told


def or_fail(reply: Reply, step: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a step on the way to an answer that, where it raises, answers that the fault is ours.

    Without it the call would stay unanswered, and all that wait behind it.
    """

    def guarded(result: Any) -> None:
        try:
            step(result)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            reply.fail(error)

    return guarded
