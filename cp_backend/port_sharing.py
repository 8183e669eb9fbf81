"""How the nodes behind one port share it: each knows how much room the others have.

The kernel spreads new connections over all sockets that listen on a port, full nodes included. So
a full node stops listening while another has room:
docs/decisions/0020-a-full-node-leaves-the-port.md.
"""

from __future__ import annotations

import mmap
import socket
from collections.abc import Callable
from dataclasses import dataclass

_BYTES = 4
# Full from the first share of its connections on, roomy again from the second down.
FULL, ROOMY = 0.99, 0.95


class Rooms:
    """Free connections of each node, in memory that they share; made before they are forked."""

    def __init__(self, count: int) -> None:
        self._rooms = memoryview(mmap.mmap(-1, _BYTES * count)).cast("I")

    def publish(self, place: int, room: int) -> None:
        """Set how many more connections the node at a place can take now."""
        self._rooms[place] = max(0, room)

    def others_have_room(self, place: int, least: int) -> bool:
        """Return whether another node can take so many."""
        return any(room >= least for n, room in enumerate(self._rooms) if n != place)


@dataclass(frozen=True, slots=True)
class SharedPort:
    """A node's share of a port. bind: makes a socket on it anew."""

    rooms: Rooms
    place: int
    bind: Callable[[], socket.socket]


def should_listen(*, listening: bool, connections: int, limit: int, others_have_room: bool) -> bool:
    """Return whether a node should take new connections, or leave them to the others."""
    if not others_have_room:
        return True  # then 503 is the answer, and only who listens can give it
    return connections < limit * (FULL if listening else ROOMY)
