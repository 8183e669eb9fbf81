"""How the actions of one OCPP version are read and written: the rows of a dialect's tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from charging.command import Outcome, Setting
from cp_backend.vocabulary import JsonObject

M = TypeVar("M", covariant=True)
A = TypeVar("A", contravariant=True)


@dataclass(frozen=True, slots=True)
class Incoming(Generic[M, A]):
    """A call of the charging point: what it means, and how its answer is written.

    read: a payload that has passed its schema → a message; raises CallRefusedError for a time or
    a number that makes no sense. write: an answer → the payload of the CALLRESULT. refuses: why
    what it asks for is not done, empty where it is.
    """

    read: Callable[[JsonObject], M]
    write: Callable[[A], JsonObject]
    refuses: str = ""


AnyIncoming = Incoming[Any, Any]
"""One of a table's rows; `handlers.HANDLERS` pairs its message with its answer."""


class OutgoingCall(NamedTuple):
    """A call of ours, as it is sent."""

    action: str
    payload: JsonObject


class Exchange(NamedTuple):
    """A call that was sent, and the payload of its answer; None: it was answered with an error."""

    call: OutgoingCall
    answer: JsonObject | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A command to the charging point.

    plan: its arguments → the calls that carry it out, sent one after the other until one is not
    accepted; raises KeyError, ValueError or TypeError for arguments that cannot be written.
    read: the payload of a call's answer, which has passed its schema → its outcome. shown_by: the
    arguments → the action by which the charging point does what it accepted. resume: looked at
    after each answer: the arguments and all exchanges so far → the calls that take the place of
    those not sent yet, whatever was answered; None leaves the plan as it is. settings: all
    exchanges → what they tell of the charging point's settings.
    """

    plan: Callable[[JsonObject], Sequence[OutgoingCall]]
    read: Callable[[JsonObject], Outcome]
    shown_by: Callable[[JsonObject], str] | None = None
    resume: Callable[[JsonObject, Sequence[Exchange]], Sequence[OutgoingCall] | None] | None = None
    settings: Callable[[Sequence[Exchange]], Sequence[Setting]] | None = None
