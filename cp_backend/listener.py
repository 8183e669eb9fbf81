"""From a connected socket to an open WebSocket: accept, health, handshake, authentication.

The opening handshake belongs to `websockets`; this module decides who may come in. Health
paths answer plain HTTP on the same port, since load balancers do not speak WebSocket.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import io
import logging
import os
import socket
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from websockets.exceptions import SecurityError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from charging.credential import password_matches
from charging.identity import InvalidIdentityError, parse_charging_point_id
from cp_backend.connection import Connection, Conversation, Engine
from cp_backend.keepalive import TimerWheel
from cp_backend.poller import READ, Poller
from cp_backend.registry import Registry
from cp_backend.settings import Settings
from cp_backend.store import AdmissionRequest, Admitted, Store
from cp_backend.telemetry import Metrics

LIVE_PATH = "/health/live"
READY_PATH = "/health/ready"

BACKLOG = 4096
"""asyncio's 100 makes a storm fail; the kernel cuts this at net.core.somaxconn."""
MAX_REQUEST_BYTES = 16 * 1024

_ACCEPTS_A_TURN = 32
# With so much waiting for the database, accepteds wait in the kernel, where they cost nothing.
_COMFORTABLE_DEPTH = 1000
_PAUSE_SECONDS = 0.02
_END_OF_HEADERS = b"\r\n\r\n"
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Connection: close\r\nContent-Length: 0\r\n\r\n"
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A connection whose handshake has just succeeded. subprotocol: None where none is shared."""

    connection: Connection
    subprotocol: str | None
    admitted: Admitted
    remote_address: str


class Listener:
    """Accepts sockets and turns them into connections.

    subprotocols: which may be spoken with a charging point, given the look-up's result.
    make_conversation: None where no subprotocol is shared.
    ready: whether this node can serve (asked by the ready path).
    """

    def __init__(
        self,
        *,
        settings: Settings,
        engine: Engine,
        store: Store,
        registry: Registry,
        metrics: Metrics,
        subprotocols: Callable[[Admitted], Sequence[str]],
        make_conversation: Callable[[Accepted], Conversation | None],
        ready: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.store = store
        self.registry = registry
        self.metrics = metrics
        self.subprotocols = subprotocols
        self.make_conversation = make_conversation
        self.ready = ready
        self.connection_limit = settings.connection_limit()
        self.handshakes = 0
        # One for all: it negotiates and writes answers, and is never connected itself.
        self.protocol = ServerProtocol(
            select_subprotocol=_select_subprotocol,
            extensions=[_DEFLATE],
        )
        self._socket: socket.socket | None = None

    @property
    def poller(self) -> Poller:
        """The node's epoll."""
        return self.engine.poller

    @property
    def wheel(self) -> TimerWheel:
        """The node's timer wheel."""
        return self.engine.wheel

    @property
    def listening(self) -> bool:
        """Whether sockets are accepted."""
        return self._socket is not None

    def listen(self, sock: socket.socket) -> None:
        """Accept from a bound socket, from now on."""
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._socket = sock
        self.poller.register(sock.fileno(), self)

    def stop(self) -> None:
        """Accept no more. Handshakes under way go on."""
        if self._socket is not None:
            self.poller.close(self._socket.detach())
            self._socket = None

    def abort(self, cause: str) -> None:
        """Stay: a listener has nothing to give up."""

    def on_writable(self) -> None:
        """Nothing is ever written to a listening socket."""

    def on_readable(self) -> None:
        """Accept what waits, a few at a time so that open connections are heard as well."""
        if self._socket is not None and self.store.depth > _COMFORTABLE_DEPTH:
            self.poller.watch(self._socket.fileno(), 0)
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
                    self.poller.watch(self._socket.fileno(), 0)
                    self.wheel.schedule(_AcceptAgain(self), 1)
                    return
                continue  # the peer was gone before we looked
            self.welcome(accepted, address[0] if address else "")

    def welcome(self, accepted: socket.socket, address: str) -> None:
        """Begin the handshake of a connected socket. address: of the peer, without port."""
        accepted.setblocking(False)
        if accepted.family in (socket.AF_INET, socket.AF_INET6):
            # Answers are small and wanted at once.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Handshake(self, accepted.detach(), address)

    def accept_again(self) -> None:
        """Go on after a pause: files ran out, or much waited for the database."""
        if self._socket is not None:
            self.poller.watch(self._socket.fileno(), READ)


class _AcceptAgain:
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def on_due(self, now: int) -> float | None:
        self._listener.accept_again()
        return None

    def abort(self, cause: str) -> None:
        pass


class Refusal(Exception):  # noqa: N818 - an answer, not a defect
    """A handshake that is answered with an HTTP error. cause: a word for the counters."""

    def __init__(
        self,
        status: HTTPStatus,
        cause: str,
        text: str,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.cause = cause
        self.text = text
        self.headers = headers


class Handshake:
    """One handshake in flight: request → who is it → may it come in → 101."""

    __slots__ = (
        "_address",
        "_began_at",
        "_buffer",
        "_charging_point_id",
        "_fd",
        "_listener",
        "_request",
        "_waiting",
    )

    def __init__(self, listener: Listener, fd: int, address: str) -> None:
        self._listener = listener
        self._fd = fd
        self._address = address
        self._began_at = time.perf_counter()
        self._buffer = b""
        self._charging_point_id = ""
        self._request: Request | None = None
        self._waiting = False
        listener.handshakes += 1
        listener.poller.register(fd, self)
        listener.wheel.schedule(self, listener.settings.handshake_timeout)

    def on_due(self, now: int) -> float | None:
        """Cut off a handshake that takes too long."""
        if self._fd >= 0:
            self._count_refusal("too slow")
            self.abort("too slow")
        return None

    def abort(self, cause: str) -> None:
        """Close without an answer."""
        if self._fd >= 0:
            self._leave()
            fd, self._fd = self._fd, -1
            self._listener.poller.close(fd)

    def on_writable(self) -> None:
        """Answers fit an empty socket buffer; nothing waits."""

    def on_readable(self) -> None:
        """Gather the request."""
        if self._waiting:
            self.abort("reset")  # nothing but trouble is watched while the database is asked
            return
        try:
            data = os.read(self._fd, MAX_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.abort("gone")
            return
        self._buffer += data
        end = self._buffer.find(_END_OF_HEADERS)
        if end < 0:
            if len(self._buffer) > MAX_REQUEST_BYTES:
                self._count_refusal("bad request")
                self._write(_TOO_LARGE)
                self.abort("bad request")
            return
        end += len(_END_OF_HEADERS)
        request, self._buffer = self._buffer[:end], self._buffer[end:]
        self._on_request(request)

    def _on_request(self, data: bytes) -> None:
        try:
            self._request = request = read_request(data)
        except ValueError:
            self._count_refusal("bad request")
            self._write(_BAD_REQUEST)
            self.abort("bad request")
            return
        self._address = self._forwarded_address(request)
        try:
            path = request.path.partition("?")[0]
            if path in (LIVE_PATH, READY_PATH):
                self._answer_health(ready=path == LIVE_PATH or self._listener.ready())
                return
            self._check_room()
            self._charging_point_id = charging_point_id(path)
            self._listener.store.admit(
                AdmissionRequest(self._charging_point_id, self._listener.settings.admit_unknown),
                self._on_looked_up,
            )
            self._waiting = True
            self._listener.poller.watch(self._fd, 0)
        except Refusal as refusal:
            self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Answer a handshake that met a defect of ours, and free its place at once."""
        log.error(
            "handshake failed",
            extra={"charging_point": self._charging_point_id},
            exc_info=error,
        )
        if self._fd >= 0:
            self._refuse(Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "defect", "cannot serve this"))

    def _check_room(self) -> None:
        listener = self._listener
        if len(listener.registry) + listener.handshakes > listener.connection_limit:
            raise self._busy("full", "this node holds all the connections it can")
        if listener.handshakes > listener.settings.max_handshakes:
            raise self._busy("too many handshakes", "too many handshakes at once")

    def _busy(self, cause: str, text: str) -> Refusal:
        return Refusal(
            HTTPStatus.SERVICE_UNAVAILABLE,
            cause,
            text,
            [("Retry-After", str(self._listener.settings.retry_after))],
        )

    def _on_looked_up(self, result: Admitted | Exception | None) -> None:
        if self._fd < 0:
            return  # gone, or cut off, while the database was asked
        self._waiting = False
        try:
            if isinstance(result, Exception):
                raise self._busy("database away", "cannot look up charging points now")
            if result is None:
                raise Refusal(HTTPStatus.NOT_FOUND, "unknown", "no such charging point")
            self._authenticate(result)
            self._open(result)
        except Refusal as refusal:
            self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self._fail(error)

    def _authenticate(self, admitted: Admitted) -> None:
        """Source: OCPP-J 1.6 section 6.2.2; the Basic user is the identity."""
        assert self._request is not None
        credentials = _basic_credentials(self._request)
        if admitted.password_hash is None:
            return
        assert admitted.password_salt is not None
        if credentials is None:
            raise _unauthorized("no credentials", "Basic credentials are needed")
        user, password = credentials
        # The user's name comes second so that a refusal takes the same time either way.
        matches = password_matches(password, admitted.password_salt, admitted.password_hash)
        if not (matches and user == self._charging_point_id.encode()):
            raise _unauthorized("bad credentials", "wrong user or password")

    def _open(self, admitted: Admitted) -> None:
        listener, protocol, request = self._listener, self._listener.protocol, self._request
        assert request is not None
        allowed = listener.subprotocols(admitted)
        protocol.available_subprotocols = [Subprotocol(name) for name in allowed]
        response = protocol.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            status = HTTPStatus(response.status_code)
            raise Refusal(status, "bad request", f"not a WebSocket handshake: {status.phrase}")
        if not self._write(response.serialize()):
            self.abort("gone")
            return
        fd, self._fd = self._fd, -1
        self._leave()
        buffer, self._buffer = self._buffer, b""
        connection = Connection(
            listener.engine, fd, self._charging_point_id, deflate=bool(protocol.extensions)
        )
        accepted = Accepted(connection, protocol.subprotocol, admitted, self._address)
        conversation = listener.make_conversation(accepted)
        connection.conversation = conversation or _Silence()
        listener.poller.hand_over(fd, connection)
        connection.start()
        if conversation is None:
            # RFC 6455 section 4.1 leaves it to the client to fail; OCPP-J has us close.
            self._count_refusal("no common subprotocol")
            connection.close(1002, "no common subprotocol")
            return
        listener.metrics.count("HandshakesAccepted")
        listener.metrics.sample("HandshakeLatency", (time.perf_counter() - self._began_at) * 1000)
        if buffer:
            connection.receive(buffer)

    def _answer_health(self, *, ready: bool) -> None:
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        text = "ok\n" if ready else "not ready\n"
        self._write(self._listener.protocol.reject(status, text).serialize())
        self.abort("health")

    def _refuse(self, refusal: Refusal) -> None:
        self._count_refusal(refusal.cause)
        log.info(
            "handshake refused",
            extra={
                "charging_point": self._charging_point_id,
                "cause": refusal.cause,
                "status": int(refusal.status),
                "remote_address": self._address,
            },
        )
        response = self._listener.protocol.reject(refusal.status, f"{refusal}\n")
        for name, value in refusal.headers:
            response.headers[name] = value
        self._write(response.serialize())
        self.abort(refusal.cause)

    def _count_refusal(self, cause: str) -> None:
        self._listener.metrics.count("HandshakesRefused", cause)

    def _forwarded_address(self, request: Request) -> str:
        """Return the peer as the outermost proxy we trust saw it."""
        hops = self._listener.settings.forwarded_hops
        entries = [
            entry.strip()
            for value in request.headers.get_all("X-Forwarded-For")
            for entry in value.split(",")
        ]
        # Proxies append: what stands further left was said by whoever called them.
        return entries[-hops][:64] if 0 < hops <= len(entries) else self._address

    def _write(self, data: bytes) -> bool:
        try:
            return os.write(self._fd, data) == len(data)
        except OSError:
            return False

    def _leave(self) -> None:
        self._listener.handshakes -= 1
        # This object stands in the wheel until its deadline; what it read need not.
        self._request = None


class _Silence:
    """The conversation of a connection that shares no subprotocol and is closing."""

    version = ""
    busy = False

    def on_text(self, text: bytes) -> None:
        pass

    def on_closed(self) -> None:
        pass

    def on_second(self, now: int) -> None:
        pass


_DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True
)


def read_request(data: bytes) -> Request:
    """Read a whole request, from its first line to the empty one. Raises ValueError.

    `websockets` reads it, line by line from a generator that never has to wait: a protocol
    object for each handshake costs kilobytes in cycles that only the collector can free.
    """
    lines = io.BytesIO(data)

    def read_line(
        limit: int, too_long: type[Exception]
    ) -> Generator[None, None, bytes | bytearray]:
        yield from ()
        return lines.readline(limit)

    try:
        next(Request.parse(read_line))
    except StopIteration as end:
        request: Request = end.value
        return request
    except (EOFError, NotImplementedError, SecurityError) as error:
        raise ValueError(str(error)) from error
    raise AssertionError("a request that is whole was not read whole")


def charging_point_id(path: str) -> str:
    """Return the identity in a request's path: its last segment, percent-decoded.

    One trailing slash is taken off, no more. Raises Refusal (404).
    Source: OCPP-J 1.6 section 3.1.1.
    """
    segment = path.removesuffix("/").rpartition("/")[2]
    try:
        return parse_charging_point_id(unquote_to_bytes(segment).decode())
    except (InvalidIdentityError, UnicodeDecodeError):
        raise Refusal(
            HTTPStatus.NOT_FOUND, "unknown", "the path does not end in a charging point's identity"
        ) from None


def _select_subprotocol(
    protocol: ServerProtocol, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Take the first of the client's that we speak: its order is its preference."""
    ours = protocol.available_subprotocols or ()
    return next((name for name in offered if name in ours), None)


def _basic_credentials(request: Request) -> tuple[bytes, bytes] | None:
    """Return user and password, both bytes: OCPP 1.6 allows any byte in a password.

    Raises Refusal (400) for more than one Authorization.
    """
    headers = request.headers.get_all("Authorization")
    if len(headers) > 1:
        raise Refusal(HTTPStatus.BAD_REQUEST, "bad request", "more than one Authorization")
    scheme, _, encoded = (headers[0] if headers else "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:  # not base64, or not even ASCII
        return None
    return (user, password) if colon else None


def _unauthorized(cause: str, text: str) -> Refusal:
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        cause,
        text,
        [("WWW-Authenticate", 'Basic realm="charging points"')],
    )


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
