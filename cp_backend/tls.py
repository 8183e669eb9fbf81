"""TLS in the process, for where no load balancer speaks it.

asyncio terminates TLS and passes the plain bytes through a socket pair to the connection
engine, which so need not know. It costs two more descriptors and some 30 KiB a connection: in
production TLS ends at the load balancer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl

from cp_backend.listener import BACKLOG, Listener
from cp_backend.settings import Settings

_CHUNK_BYTES = 16 * 1024

log = logging.getLogger(__name__)


class TlsListener:
    """Accepts TLS and hands plain sockets to a listener. Raises ssl.SSLError, OSError."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        self._handshake_timeout = settings.handshake_timeout
        self._listener = listener
        self._server: asyncio.Server | None = None

    async def listen(self, sock: socket.socket) -> None:
        """Accept from a bound socket, from now on."""
        self._server = await asyncio.start_server(
            self._on_connected,
            sock=sock,
            ssl=self._context,
            ssl_handshake_timeout=self._handshake_timeout,
            backlog=BACKLOG,
            limit=_CHUNK_BYTES,
        )

    def stop(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()

    async def _on_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        peer = writer.get_extra_info("peername")
        inner, engine_side = socket.socketpair()
        inner.setblocking(False)
        self._listener.take(engine_side, peer[0] if peer else "")
        inner_reader, inner_writer = await asyncio.open_connection(sock=inner)
        try:
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(_pass_on(reader, inner_writer))
                both_ways.create_task(_pass_on(inner_reader, writer))
        except* (OSError, ssl.SSLError) as error:
            log.debug("connection lost", extra={"error": str(error.exceptions[0])})
        finally:
            for side in (writer, inner_writer):
                side.close()
                with contextlib.suppress(OSError, ssl.SSLError):
                    await side.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the end, then end the other side too."""
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    # TLS has no half-open state worth keeping: the end of one side is the end of both.
    writer.close()
