"""From a port to connected sockets: bind, listen, accept."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

from cp_backend.handshake import Handshakes
from cp_backend.poller import READ
from cp_backend.transport import PLAIN, Transport

BACKLOG = 4096
"""asyncio's 100 makes a storm fail; the kernel cuts this at net.core.somaxconn."""

_ACCEPTS_A_TURN = 32
# With so much waiting for the database, newcomers wait in the kernel, where they cost nothing.
_COMFORTABLE_DEPTH = 1000
_PAUSE_SECONDS = 0.02

log = logging.getLogger(__name__)


class Listener:
    """Accepts sockets and begins their handshakes."""

    def __init__(self, handshakes: Handshakes) -> None:
        self._handshakes = handshakes
        self._poller = handshakes.engine.poller
        self._wheel = handshakes.engine.wheel
        self._store = handshakes.store
        self._socket: socket.socket | None = None

    @property
    def listening(self) -> bool:
        """Whether sockets are accepted."""
        return self._socket is not None

    def listen(self, sock: socket.socket) -> None:
        """Accept from a bound socket, from now on."""
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._socket = sock
        self._poller.register(sock.fileno(), self)

    def stop(self) -> None:
        """Accept no more. Handshakes under way go on."""
        if self._socket is not None:
            self._poller.close(self._socket.detach())
            self._socket = None

    def abort(self, cause: str) -> None:
        """Do nothing: a listener has nothing to give up."""

    def on_writable(self) -> None:
        """Nothing is ever written to a listening socket."""

    def on_readable(self) -> None:
        """Accept what waits, a few at a time so that open connections are read as well."""
        if self._socket is not None and self._store.depth > _COMFORTABLE_DEPTH:
            self._poller.watch(self._socket.fileno(), 0)
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self.accept_again)
            return
        for _ in range(_ACCEPTS_A_TURN):
            if self._socket is None:
                return
            try:
                accepted, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    log.error("no files left to accept with", extra={"error": str(error)})
                    self._poller.watch(self._socket.fileno(), 0)
                    self._wheel.schedule(_AcceptAgain(self), 1)
                    return
                continue  # the peer was gone before we looked
            self.take(accepted, address[0] if address else "")

    def take(self, accepted: socket.socket, address: str, transport: Transport = PLAIN) -> None:
        """Begin the handshake of a connected socket. address: of the peer, without port.

        transport: over which it came, where that is not the socket itself.
        """
        accepted.setblocking(False)
        if accepted.family in (socket.AF_INET, socket.AF_INET6):
            # Answers are small and wanted at once.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._handshakes.begin(accepted.detach(), address, transport)

    def accept_again(self) -> None:
        """Go on after a pause: files ran out, or much waited for the database."""
        if self._socket is not None:
            self._poller.watch(self._socket.fileno(), READ)


class _AcceptAgain:
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def on_due(self, now: int) -> float | None:
        self._listener.accept_again()
        return None

    def abort(self, cause: str) -> None:
        pass


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """Bind the port of a node, without listening yet. port: 0 picks a free one.

    shared: other nodes bind it too (SO_REUSEPORT). Raises OSError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock
