"""The opening handshake: a request → which charging point, may it come in → an open WebSocket.

The protocol of the handshake belongs to `websockets`; this module decides who may come in. Health
paths answer plain HTTP on the same port, since load balancers do not speak WebSocket.
"""

from __future__ import annotations

import io
import logging
import os
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

from charging.identity import InvalidIdentityError, parse_charging_point_id
from charging.service.proxies import client_address
from cp_backend.authentication import authenticate
from cp_backend.connection import Connection, Conversation, Engine
from cp_backend.refusal import Refusal
from cp_backend.registry import Registry
from cp_backend.settings import Settings
from cp_backend.store.admission import Admitted
from cp_backend.store.store import Store
from cp_backend.telemetry import Metrics

LIVE_PATH = "/health/live"
READY_PATH = "/health/ready"
MAX_REQUEST_BYTES = 16 * 1024

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


class Handshakes:
    """What the handshakes of a node share, and how many are under way.

    subprotocols: which may be spoken with a charging point, given the look-up's result.
    make_conversation: None where no subprotocol is shared. ready: whether this node can serve
    (asked by the ready path).
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
        self.under_way = 0
        # One for all: it negotiates and writes answers, and is never connected itself.
        self.protocol = ServerProtocol(
            select_subprotocol=_select_subprotocol, extensions=[_DEFLATE]
        )

    def begin(self, fd: int, address: str) -> None:
        """Begin the handshake of a connected socket. address: of the peer, without port."""
        Handshake(self, fd, address)


class Handshake:
    """One handshake in flight: request → who is it → may it come in → 101."""

    __slots__ = (
        "_address",
        "_began_at",
        "_buffer",
        "_charging_point_id",
        "_fd",
        "_request",
        "_shared",
        "_waiting",
    )

    def __init__(self, shared: Handshakes, fd: int, address: str) -> None:
        self._shared = shared
        self._fd = fd
        self._address = address
        self._began_at = time.perf_counter()
        self._buffer = b""
        self._charging_point_id = ""
        self._request: Request | None = None
        self._waiting = False
        shared.under_way += 1
        shared.engine.poller.register(fd, self)
        shared.engine.wheel.schedule(self, shared.settings.handshake_timeout)

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
            self._shared.engine.poller.close(fd)

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
        # For the log and the row only, so one that did not come through the proxies has one too.
        hops = self._shared.settings.forwarded_hops
        forwarded_for = request.headers.get_all("X-Forwarded-For")
        self._address = (
            client_address(self._address, forwarded_for, hops, fall_back=True) or self._address
        )
        try:
            path = request.path.partition("?")[0]
            if path in (LIVE_PATH, READY_PATH):
                self._answer_health(ready=path == LIVE_PATH or self._shared.ready())
                return
            self._check_room()
            self._charging_point_id = charging_point_id(path)
            self._shared.store.admission.look_up(self._charging_point_id, self._on_looked_up)
            self._waiting = True
            self._shared.engine.poller.watch(self._fd, 0)
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
        shared = self._shared
        if len(shared.registry) + shared.under_way > shared.connection_limit:
            raise self._busy("full", "this node holds all the connections it can")
        if shared.under_way > shared.settings.max_handshakes:
            raise self._busy("too many handshakes", "too many handshakes at once")

    def _busy(self, cause: str, text: str) -> Refusal:
        return Refusal(
            HTTPStatus.SERVICE_UNAVAILABLE,
            cause,
            text,
            [("Retry-After", str(self._shared.settings.retry_after))],
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
            assert self._request is not None
            authenticate(self._request.headers, self._charging_point_id, result)
            self._open(result)
        except Refusal as refusal:
            self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self._fail(error)

    def _open(self, admitted: Admitted) -> None:
        shared, protocol, request = self._shared, self._shared.protocol, self._request
        assert request is not None
        # Only now is it known which versions of OCPP the charging point may speak.
        allowed = shared.subprotocols(admitted)
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
            shared.engine, fd, self._charging_point_id, deflate=bool(protocol.extensions)
        )
        shared.engine.poller.hand_over(fd, connection)
        connection.conversation = _SILENCE
        try:
            conversation = shared.make_conversation(
                Accepted(connection, protocol.subprotocol, admitted, self._address)
            )
        except Exception:
            connection.abort("defect")
            raise
        if conversation is not None:
            connection.conversation = conversation
        connection.start()
        if conversation is None:
            # RFC 6455 section 4.1 leaves it to the client to fail; OCPP-J has us close.
            self._count_refusal("no common subprotocol")
            connection.close(1002, "no common subprotocol")
            return
        shared.metrics.count("HandshakesAccepted")
        shared.metrics.sample("HandshakeLatency", (time.perf_counter() - self._began_at) * 1000)
        if buffer:
            connection.receive(buffer)

    def _answer_health(self, *, ready: bool) -> None:
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        text = "ok\n" if ready else "not ready\n"
        self._write(self._shared.protocol.reject(status, text).serialize())
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
        response = self._shared.protocol.reject(refusal.status, f"{refusal}\n")
        for name, value in refusal.headers:
            response.headers[name] = value
        self._write(response.serialize())
        self.abort(refusal.cause)

    def _count_refusal(self, cause: str) -> None:
        self._shared.metrics.count("HandshakesRefused", cause)

    def _write(self, data: bytes) -> bool:
        try:
            return os.write(self._fd, data) == len(data)
        except OSError:
            return False

    def _leave(self) -> None:
        self._shared.under_way -= 1
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


_SILENCE = _Silence()


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
