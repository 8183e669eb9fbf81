"""What a planner works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charging.database.connection import Connection
from third_party_backend.settings import Settings

BATCH = 500
"""Rows that one transaction takes on."""
STATUS_BATCH = 2000
"""The same for statuses of EVSEs: they come in crowds, and only the newest of each matters."""


@dataclass(frozen=True, slots=True)
class Context:
    """The connection, inside the planner's transaction, and the settings."""

    connection: Connection
    settings: Settings


@dataclass(frozen=True, slots=True)
class Event:
    """A row of `events`, of a kind that its planner knows. payload: as `EventKind` says."""

    charging_point_id: str
    payload: Any
