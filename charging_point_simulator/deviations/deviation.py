"""What a deviation may change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from charging_point_simulator.target import Handshake

Payload = dict[str, Any]


@dataclass(frozen=True)
class Deviation:
    """One way to deviate; what is None stays as it is.

    about: a sentence for a person. payload: changes a call's payload in place. frame: changes a
    frame's elements in place. text: changes the text that is sent. message_id: makes another
    id. answer: changes an answer in place, given the action. instead: the answer to a command
    that is not carried out, None for one that is. drop: actions that are never sent.
    handshake, boots, patient, replays: see `target.Handshake` and
    `station.charging_point.Options`.
    """

    about: str
    payload: Callable[[str, Payload], None] | None = None
    frame: Callable[[list[Any]], None] | None = None
    text: Callable[[list[Any], str], str] | None = None
    message_id: Callable[[int], Any] | None = None
    answer: Callable[[str, Payload], None] | None = None
    instead: Callable[[str, Payload], Payload | None] | None = None
    drop: tuple[str, ...] = ()
    handshake: Handshake = field(default_factory=Handshake)
    boots: bool = True
    patient: bool = True
    replays: bool = False
