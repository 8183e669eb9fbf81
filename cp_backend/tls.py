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

from charging.handshake import RefusedHandshake
from cp_backend.listener import BACKLOG, Listener
from cp_backend.refused_handshakes import RefusedHandshakes
from cp_backend.settings import Settings
from cp_backend.transport import Transport, of_peer

_CHUNK_BYTES = 16 * 1024
_PAUSE_SECONDS = 0.1

log = logging.getLogger(__name__)


class TlsListener:
    """Accepts TLS and hands plain sockets to a listener. Raises ssl.SSLError, OSError.

    Client certificates are asked for where the settings name who signs them, and shown to the
    handshake, which knows whether its charging point needs one. refused: counts TLS handshakes
    that do not come to an end.
    """

    def __init__(
        self, settings: Settings, listener: Listener, refused: RefusedHandshakes | None = None
    ) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        if settings.tls_client_ca:
            self._context.load_verify_locations(settings.tls_client_ca)
            self._context.verify_mode = ssl.CERT_OPTIONAL
        self._handshake_timeout = settings.handshake_timeout
        self._most_handshakes = settings.max_handshakes
        self._handshakes = 0
        self._listener = listener
        self._refused = refused
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def listen(self, sock: socket.socket) -> None:
        """Accept from a bound socket, from now on."""
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._accepting = asyncio.create_task(self._accept(sock), name="tls")

    def stop(self) -> None:
        """Accept no more."""
        if self._accepting is not None:
            self._accepting.cancel()

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with sock:
            while True:
                try:
                    accepted, address = await loop.sock_accept(sock)
                except OSError as error:  # no files left, or the peer was gone before we looked
                    log.warning("not accepted", extra={"error": str(error)})
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                task = loop.create_task(self._serve(accepted, address[0]))
                self._serving.add(task)
                task.add_done_callback(self._serving.discard)

    async def _serve(self, accepted: socket.socket, address: str) -> None:
        if self._handshakes >= self._most_handshakes:
            accepted.close()
            self._note(RefusedHandshake.TOO_MANY, address, "before TLS")
            return
        self._handshakes += 1
        try:
            reader, writer = await self._shake_hands(accepted)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            accepted.close()
            reason = getattr(error, "reason", None) or str(error) or type(error).__name__
            log.info("tls failed", extra={"remote_address": address, "error": reason})
            self._note(RefusedHandshake.TLS, address, reason)
            return
        finally:
            self._handshakes -= 1
        certificate = of_peer(writer.get_extra_info("peercert"))
        inner, engine_side = socket.socketpair()
        inner.setblocking(False)
        self._listener.take(engine_side, address, Transport(True, certificate))
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

    def _note(self, cause: RefusedHandshake, address: str, detail: str) -> None:
        if self._refused is not None:
            self._refused.note(cause, "", address, detail)

    async def _shake_hands(
        self, accepted: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the plain ends of a connection, as `asyncio.open_connection` does for a client."""
        loop = asyncio.get_running_loop()
        accepted.setblocking(False)
        reader = asyncio.StreamReader(limit=_CHUNK_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            accepted,
            ssl=self._context,
            ssl_handshake_timeout=self._handshake_timeout,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the end, then end the other side too."""
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    # TLS has no half-open state worth keeping: the end of one side is the end of both.
    writer.close()
