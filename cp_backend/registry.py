"""The charging points whose sockets this node holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cp_backend.connection import Connection


class Registry:
    """Charging point id → connection. The newest wins; removal compares identity."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._guests: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._connections) + len(self._guests)

    def __iter__(self) -> Iterator[Connection]:
        return iter([*self._connections.values(), *self._guests])

    def charging_points(self) -> Iterator[Connection]:
        """Iterate over the connections of charging points, without guests."""
        return iter([*self._connections.values()])

    def add_guest(self, connection: Connection) -> None:
        """Count a connection that stands for no charging point (a connectivity test)."""
        self._guests.add(connection)

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
        if connection in self._guests:
            self._guests.remove(connection)
            return False
        if self._connections.get(connection.charging_point_id) is connection:
            del self._connections[connection.charging_point_id]
        return True
