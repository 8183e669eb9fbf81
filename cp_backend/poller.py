"""One epoll for all sockets of a node, inside the event loop.

The loop watches a single file, the epoll itself; sockets are bare file descriptors with one
small object each. asyncio's (and uvloop's) own transport costs kilobytes a connection, see
docs/decisions/0012-connection-engine.md.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
from collections import deque
from typing import Protocol

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
_TROUBLE = select.EPOLLERR | select.EPOLLHUP

# What one turn of the loop handles before timers and the database get theirs. A transaction takes
# several turns: were they long, a storm would starve what it waits for.
_EVENTS_A_TURN = 64
# Of those that have more to read than their share of a turn: a share each.
_LATER_A_TURN = 16

log = logging.getLogger(__name__)


class Endpoint(Protocol):
    """What owns a file descriptor."""

    def on_readable(self) -> None:
        """Read: there is data, an end, or an error."""

    def on_writable(self) -> None:
        """Write what waits."""

    def abort(self, cause: str) -> None:
        """Close the descriptor now, with nothing more to say."""


class Reader(Protocol):
    """What has read more than it may handle in one turn of the loop."""

    def go_on(self) -> None:
        """Handle a turn's share of what has been read."""

    def abort(self, cause: str) -> None:
        """Close the descriptor now, with nothing more to say."""


class Poller:
    """Calls the owner of each file descriptor that is ready."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        # By file descriptor: a list is a third of a dict, and descriptors are small and dense.
        self._endpoints: list[Endpoint | None] = []
        self._later: deque[Reader] = deque()
        loop.add_reader(self._epoll.fileno(), self._turn)

    def register(self, fd: int, endpoint: Endpoint, events: int = READ) -> None:
        """Watch a descriptor on behalf of an endpoint."""
        if fd >= len(self._endpoints):
            self._endpoints.extend([None] * (fd + 1 - len(self._endpoints)))
        self._endpoints[fd] = endpoint
        self._epoll.register(fd, events)

    def hand_over(self, fd: int, endpoint: Endpoint, events: int = READ) -> None:
        """Give a watched descriptor to another endpoint."""
        self._endpoints[fd] = endpoint
        self._epoll.modify(fd, events)

    def watch(self, fd: int, events: int) -> None:
        """Watch for something else; 0 for nothing but trouble."""
        self._epoll.modify(fd, events)

    def go_on_later(self, reader: Reader) -> None:
        """Call a reader's `go_on` in a turn to come, after the others have had theirs."""
        if not self._later:
            self._loop.call_soon(self._go_on)
        self._later.append(reader)

    def release(self, fd: int) -> None:
        """Forget a descriptor, which stays open."""
        self._endpoints[fd] = None
        self._epoll.unregister(fd)

    def close(self, fd: int) -> None:
        """Forget and close a descriptor."""
        self._endpoints[fd] = None
        os.close(fd)  # which takes it out of the epoll as well

    def stop(self) -> None:
        """Leave the loop."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _turn(self) -> None:
        for fd, events in self._epoll.poll(0, _EVENTS_A_TURN):
            endpoint = self._endpoints[fd]
            if endpoint is None:
                continue  # closed by an event before it in this turn
            try:
                if events & WRITE:
                    endpoint.on_writable()
                    if self._endpoints[fd] is not endpoint:
                        continue
                if events & (READ | _TROUBLE):
                    endpoint.on_readable()
            except Exception:
                # One connection's defect must not end the others; this one is gone.
                log.exception("endpoint failed", extra={"fd": fd})
                if self._endpoints[fd] is endpoint:
                    endpoint.abort("defect")

    def _go_on(self) -> None:
        for _ in range(min(_LATER_A_TURN, len(self._later))):
            reader = self._later.popleft()
            try:
                reader.go_on()
            except Exception:
                log.exception("reader failed")
                reader.abort("defect")
        if self._later:
            self._loop.call_soon(self._go_on)
