"""The worker of the web server: a request gets a thread once it has come in as a whole.

gunicorn's own gives a thread to a connection as soon as its first byte is there, and that thread
waits for the rest without a limit: a few dozen callers who stall in the middle of a body keep all
drivers waiting. Here requests come in beside each other in the worker's event loop, within a time.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import struct
import time
from functools import partial
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import TConn, ThreadWorker

from third_party_backend.incoming import Extent, Incoming

RECEIVE_SECONDS = 10.0
"""In which a request must come in, counted from its first byte."""
_RECEIVE_BYTES = 64 * 1024
# For what the event loop took for whole and gunicorn does not: its thread does not wait for long.
_WAIT_SECONDS = 2
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class ReceivingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's worker with threads, whose event loop receives the requests.

    `pending_conns` are the connections in the middle of a request, `keepalived_conns` those
    between two, or before their first.
    """

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and wait for its first request as for every other."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        client.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _WAIT_SECONDS, 0)
        )
        self.nr_conns += 1
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        self._watch(conn, self.on_client_socket_readable)

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """Begin to receive a request."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._begin(conn)

    def on_pending_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """Receive what more has come of a request."""
        try:
            part = client.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            self._drop(conn)
        else:
            self._take(conn, part)

    def murder_pending(self) -> None:
        """Give up requests that have not come in in time."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            self._drop(self.pending_conns[0], _TOO_LATE)

    def finish_request(self, conn: Any, future: Any) -> None:
        """Go on with a connection's next request, whose beginning may be there already."""
        keeps = not future.cancelled() and future.exception() is None and bool(future.result())
        ahead = conn.parser.unreader.take_buffered() if keeps else b""
        if ahead:
            conn.sock.setblocking(False)
            self._begin(conn, ahead)
        else:
            super().finish_request(conn, future)

    def _begin(self, conn: Any, part: bytes = b"") -> None:
        conn.incoming = Incoming()
        conn.timeout = time.monotonic() + RECEIVE_SECONDS
        self.pending_conns.append(conn)
        self._watch(conn, self.on_pending_socket_readable)
        if part:
            self._take(conn, part)

    def _take(self, conn: Any, part: bytes) -> None:
        incoming: Incoming = conn.incoming
        extent = incoming.take(part)
        if extent is Extent.TOO_LARGE:
            self._drop(conn, _TOO_LARGE)
        elif extent is Extent.WHOLE:
            self._unwatch(conn)
            # gunicorn parses it: from here, then from the socket.
            conn.initialized = True
            if conn.parser is None:
                conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
            conn.parser.unreader.unread(bytes(incoming.received))
            conn.incoming = None
            self.enqueue_req(conn)
        elif incoming.wants_consent:
            incoming.wants_consent = False
            _send(conn.sock, _CONTINUE)

    def _drop(self, conn: Any, answer: bytes = b"") -> None:
        self._unwatch(conn)
        self.nr_conns -= 1
        if answer:
            _send(conn.sock, answer)
        conn.close()

    def _watch(self, conn: Any, callback: Any) -> None:
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(callback, conn))

    def _unwatch(self, conn: Any) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)


def _send(client: socket.socket, answer: bytes) -> None:
    """Send a line or two to a caller who may not read them."""
    with contextlib.suppress(OSError):
        client.send(answer)
