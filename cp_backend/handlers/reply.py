"""The answer that a handler owes, and how the results of commits become it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from cp_backend.ocpp.errors import CallRefusedError
from cp_backend.vocabulary import Registration

A = TypeVar("A", contravariant=True)
R = TypeVar("R")


class Reply(Protocol[A]):
    """The answer owed to one call; given exactly once, now or after a commit."""

    def answer(self, answer: A) -> None:
        """Answer as asked."""

    def refuse(self, refusal: CallRefusedError) -> None:
        """Answer with an error of the charging point's making."""

    def fail(self, error: Exception) -> None:
        """Answer with an error of ours; the charging point shall try again."""

    def registered(self, registration: Registration) -> None:
        """Remember what the charging point's boot is answered."""


def after_commit(reply: Reply[A], answer: Callable[[R], A]) -> Callable[[R | Exception], None]:
    """Return the callback of a commit that answers with its result, or that the fault is ours."""

    def on_result(result: R | Exception) -> None:
        if isinstance(result, Exception):
            reply.fail(result)
            return
        try:
            reply.answer(answer(result))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            reply.fail(error)

    return on_result


def or_fail(
    reply: Reply[A], step: Callable[[R | Exception], None]
) -> Callable[[R | Exception], None]:
    """Return a step on the way to an answer that, where it raises, answers that the fault is ours.

    Without it the call would stay unanswered, and all that wait behind it.
    """

    def guarded(result: R | Exception) -> None:
        try:
            step(result)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            reply.fail(error)

    return guarded
