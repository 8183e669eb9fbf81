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
        self._visitors: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._connections) + len(self._visitors)

    def __iter__(self) -> Iterator[Connection]:
        return iter([*self._connections.values(), *self._visitors])

    def visit(self, connection: Connection) -> None:
        """Count a connection that stands for no charging point (a connectivity test)."""
        self._visitors.add(connection)

    def get(self, charging_point_id: str) -> Connection | None:
        """Return the connection of a charging point, None when this node has none."""
        return self._connections.get(charging_point_id)

    def add(self, connection: Connection) -> Connection | None:
        """Enter a connection; return the one it takes the place of, for the caller to close."""
        predecessor = self._connections.get(connection.charging_point_id)
        self._connections[connection.charging_point_id] = connection
        return predecessor

    def remove(self, connection: Connection) -> bool:
        """Remove a connection, unless a newer one has its place; say whether it did.

        The end of an old socket must never evict its successor.
        """
        self._visitors.discard(connection)
        if self._connections.get(connection.charging_point_id) is not connection:
            return False
        del self._connections[connection.charging_point_id]
        return True
