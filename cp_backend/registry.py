"""The charging points whose sockets this node holds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cp_backend.connection import Connection


MAX_GUESTS = 4
"""Connections of one identity that stand for no charging point: one credential fills no node."""


class Registry:
    """Charging point id → connection. The newest wins; removal compares identity."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._guests: dict[str, list[Connection]] = {}

    def __len__(self) -> int:
        return len(self._connections) + sum(map(len, self._guests.values()))

    def __iter__(self) -> Iterator[Connection]:
        return iter([*self._connections.values(), *chain.from_iterable(self._guests.values())])

    def charging_points(self) -> Iterator[Connection]:
        """Iterate over the connections of charging points, without guests."""
        return iter([*self._connections.values()])

    def add_guest(self, connection: Connection) -> Connection | None:
        """Count a connection that stands for no charging point (a connectivity test).

        Returns the oldest guest of that identity where these are too many by now, for the caller
        to close.
        """
        guests = self._guests.setdefault(connection.charging_point_id, [])
        guests.append(connection)
        return guests[0] if len(guests) > MAX_GUESTS else None

    def get(self, charging_point_id: str) -> Connection | None:
        """Return the connection of a charging point, None when this node has none."""
        return self._connections.get(charging_point_id)

    def add(self, connection: Connection) -> Connection | None:
        """Add a connection; return the one that it replaces, for the caller to close."""
        predecessor = self._connections.get(connection.charging_point_id)
        self._connections[connection.charging_point_id] = connection
        return predecessor

    def remove(self, connection: Connection) -> bool:
        """Remove a connection; return False for a guest.

        A newer connection of its charging point stays: the end of an old socket must never evict
        its successor.
        """
        guests = self._guests.get(connection.charging_point_id, [])
        if connection in guests:
            guests.remove(connection)
            if not guests:
                del self._guests[connection.charging_point_id]
            return False
        if self._connections.get(connection.charging_point_id) is connection:
            del self._connections[connection.charging_point_id]
        return True
