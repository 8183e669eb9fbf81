"""A way to the database that falls silent: it acknowledges what it is sent and never answers."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class SilentPeer:
    """A proxy in front of a PostgreSQL server. url: leads through it."""

    def __init__(self, url: str) -> None:
        parts = conninfo_to_dict(make_conninfo(url))
        self._socket_path = f"{parts['host']}/.s.PGSQL.{parts.get('port') or 5432}"
        self._is_path = str(parts["host"]).startswith("/")
        self._address = (str(parts["host"]), int(parts.get("port") or 5432))
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = make_conninfo(url, host="127.0.0.1", port=port)
        self._silent: set[socket.socket] = set()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def fall_silent(self) -> None:
        """Forward nothing any more on the connections there are; new ones work."""
        with self._lock:
            self._silent |= set(self._pairs)

    def close(self) -> None:
        """Cut all connections."""
        self._stopped.set()
        self._thread.join()
        for one in [self._listener, *self._pairs]:
            one.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._is_path:
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._socket_path)
        else:
            server = socket.create_connection(self._address)
        with self._lock:
            self._pairs |= {client: server, server: client}
        for one in (client, server):
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = source.recv(65536)
        with self._lock:
            other, silent = self._pairs[source], source in self._silent
        if data and not silent:
            other.sendall(data)
        elif not data:
            for one in (source, other):
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(one)
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


@contextmanager
def silent_peer(url: str) -> Iterator[SilentPeer]:
    """Run one."""
    peer = SilentPeer(url)
    try:
        yield peer
    finally:
        peer.close()
