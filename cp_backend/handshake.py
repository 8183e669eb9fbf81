"""The opening handshake: a request → which charging point, may it come in → an open WebSocket.

How requests are read and answered stands in `opening`; this module decides who may come in.
Health paths answer plain HTTP on the same port, since load balancers do not speak WebSocket.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from websockets.http11 import Request

from charging.handshake import RefusedHandshake
from charging.service.proxies import client_address, comes_from
from cp_backend.authentication import authenticate
from cp_backend.connection import Connection, Conversation, Engine
from cp_backend.file_transfers import FileTransfers, read_file_request
from cp_backend.opening import (
    Opening,
    answer,
    cannot_become_a_request,
    charging_point_id,
    grant,
    read_opening,
    read_request,
    requested_path,
)
from cp_backend.proxy_protocol import ProxyProtocolError, read_header
from cp_backend.refusal import Refusal
from cp_backend.refused_handshakes import RefusedHandshakes
from cp_backend.registry import Registry
from cp_backend.settings import Settings
from cp_backend.store.admission import Admitted
from cp_backend.store.store import Store
from cp_backend.telemetry import Metrics
from cp_backend.transport import ENCRYPTED, PLAIN, PROTOCOL_HEADER, Transport, behind_balancer

LIVE_PATH = "/health/live"
READY_PATH = "/health/ready"
MAX_REQUEST_BYTES = 16 * 1024

_END_OF_HEADERS = b"\r\n\r\n"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A connection whose handshake has just succeeded.

    subprotocol: None where none is shared. odd: headers that were not as the standard wants them.
    """

    connection: Connection
    subprotocol: str | None
    admitted: Admitted
    remote_address: str
    odd: Sequence[str] = ()


class Handshakes:
    """What the handshakes of a node share, and how many are under way.

    subprotocols: which may be spoken with a charging point, given the look-up's result.
    compressed: those in which compression may be agreed on. make_conversation: None where no
    subprotocol is shared. ready: whether this node can serve (asked by the ready path). draining:
    whether it sends its charging points elsewhere. files: what requests for files are given to.
    refused: counts handshakes that are refused.
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
        compressed: Sequence[str] = (),
        draining: Callable[[], bool] = lambda: False,
        files: FileTransfers | None = None,
        refused: RefusedHandshakes | None = None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.store = store
        self.registry = registry
        self.metrics = metrics
        self.subprotocols = subprotocols
        self.compressed = compressed
        self.make_conversation = make_conversation
        self.ready = ready
        self.draining = draining
        self.files = files
        self.refused = refused
        self._balancers = settings.balancers()
        self.connection_limit = settings.connection_limit()
        self._proxies = settings.proxy_networks()
        self.under_way = 0

    def begins_with_header(self, address: str) -> bool:
        """Return whether a peer is a load balancer that says who is behind a connection."""
        return comes_from(address, self._proxies)

    def begin(self, fd: int, address: str, transport: Transport = PLAIN) -> None:
        """Begin the handshake of a connected socket. address: of the peer, without port.

        transport: how it came to this node.
        """
        Handshake(self, fd, address, transport)

    def transport_of(self, request: Request, address: str, transport: Transport) -> Transport:
        """Return how a request came from its client: over the load balancer's TLS, or ours.

        address: of the socket's peer; transport: of the socket. Raises Refusal.
        """
        if PROTOCOL_HEADER not in request.headers or not comes_from(address, self._balancers):
            return transport
        verified = self.settings.balancer_verifies_certificates
        return behind_balancer(request.headers, certificates_verified=verified)


class Handshake:
    """One handshake in flight: request → who is it → may it come in → 101."""

    __slots__ = (
        "_address",
        "_began_at",
        "_buffer",
        "_charging_point_id",
        "_fd",
        "_header_due",
        "_opening",
        "_path",
        "_request",
        "_shared",
        "_transport",
        "_waiting",
    )

    def __init__(
        self, shared: Handshakes, fd: int, address: str, transport: Transport = PLAIN
    ) -> None:
        self._shared = shared
        self._fd = fd
        self._address = address
        self._began_at = time.perf_counter()
        self._buffer = b""
        self._charging_point_id = ""
        self._path = ""
        self._transport = transport
        self._request: Request | None = None
        self._opening: Opening | None = None
        self._waiting = False
        self._header_due = shared.begins_with_header(address)
        shared.under_way += 1
        shared.engine.poller.register(fd, self)
        shared.engine.wheel.schedule(self, shared.settings.handshake_timeout)

    def on_due(self, now: int) -> float | None:
        """Cut off a handshake that takes too long."""
        if self._fd >= 0:
            self._count_refusal(RefusedHandshake.TOO_SLOW)
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
        if self._header_due:
            data = self._read_header(data)
            if self._header_due:
                return
        # Empty lines before a request are to be passed over: RFC 9112 section 2.2.
        self._buffer = (self._buffer + data).lstrip(b"\r\n")
        end = self._buffer.find(_END_OF_HEADERS)
        if end < 0:
            if len(self._buffer) > MAX_REQUEST_BYTES:
                self._reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long")
            elif self._buffer and cannot_become_a_request(self._buffer):
                self._reject(HTTPStatus.BAD_REQUEST, "HTTP/1.1 is spoken here")
            return
        end += len(_END_OF_HEADERS)
        request, self._buffer = self._buffer[:end], self._buffer[end:]
        self._on_request(request)

    def _read_header(self, data: bytes) -> bytes:
        """Read the load balancer's header; return what follows it."""
        self._buffer += data
        try:
            header = read_header(self._buffer)
        except ProxyProtocolError as error:
            log.warning(
                "connection without a proxy's header",
                extra={"remote_address": self._address, "error": str(error)},
            )
            self._count_refusal(RefusedHandshake.NO_PROXY_HEADER)
            self.abort("no proxy header")
            return b""
        if header is None:
            return b""
        self._header_due = False
        if header.address is not None:
            self._address = header.address
            self._transport = ENCRYPTED
        rest, self._buffer = self._buffer[header.length :], b""
        return rest

    def _on_request(self, data: bytes) -> None:
        if self._is_for_a_file(data):
            return
        try:
            self._request = request = read_request(data)
        except ValueError as error:
            self._reject(HTTPStatus.BAD_REQUEST, str(error))
            return
        peer = self._address
        # For the log and the row only, so one that did not come through the proxies has one too.
        hops = self._shared.settings.forwarded_hops
        forwarded_for = request.headers.get_all("X-Forwarded-For")
        self._address = (
            client_address(self._address, forwarded_for, hops, fall_back=True) or self._address
        )
        try:
            path = requested_path(request)
            if path in (LIVE_PATH, READY_PATH) and request.method in ("GET", "HEAD"):
                self._answer_health(ready=path == LIVE_PATH or self._shared.ready())
                return
            self._path = path
            self._transport = self._shared.transport_of(request, peer, self._transport)
            self._charging_point_id = charging_point_id(path)
            self._opening = read_opening(request)
            self._check_room()
            self._waiting = True
            self._shared.engine.poller.watch(self._fd, 0)
            # It is answered at once where too much waits for the database.
            self._shared.store.admission.look_up(self._charging_point_id, self._on_looked_up)
        except Refusal as refusal:
            self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self._fail(error)

    def _is_for_a_file(self, data: bytes) -> bool:
        """Hand a request for a file on, with its socket; return whether it was one."""
        files = self._shared.files
        try:
            request = None if files is None else read_file_request(data)
        except ValueError as error:
            self._reject(HTTPStatus.BAD_REQUEST, str(error))
            return True
        if files is None or request is None:
            return False
        fd, self._fd = self._fd, -1
        self._shared.engine.poller.release(fd)
        self._leave()
        rest, self._buffer = self._buffer, b""
        files.begin(fd, request, rest)
        return True

    def _fail(self, error: Exception) -> None:
        """Answer a handshake that met a defect of ours, and free its place at once."""
        log.error(
            "handshake failed",
            extra={"charging_point": self._charging_point_id},
            exc_info=error,
        )
        if self._fd >= 0:
            defect = RefusedHandshake.DEFECT
            self._refuse(Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, defect, "cannot serve this"))

    def _check_room(self) -> None:
        shared = self._shared
        if shared.draining():
            raise self._busy(RefusedHandshake.DRAINING, "this node is about to stop")
        if len(shared.registry) + shared.under_way > shared.connection_limit:
            raise self._busy(RefusedHandshake.FULL, "this node holds all the connections it can")
        if shared.under_way > shared.settings.max_handshakes:
            raise self._busy(RefusedHandshake.TOO_MANY, "too many handshakes at once")

    def _busy(self, cause: RefusedHandshake, text: str) -> Refusal:
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
                raise self._busy(
                    RefusedHandshake.DATABASE_AWAY, "cannot look up charging points now"
                )
            if result is None:
                raise Refusal(
                    HTTPStatus.NOT_FOUND, RefusedHandshake.UNKNOWN, "no such charging point"
                )
            assert self._request is not None
            settings = self._shared.settings
            profile = authenticate(
                self._request.headers,
                self._charging_point_id,
                result,
                self._transport,
                lowest_profile=settings.lowest_security_profile,
                organization=settings.certificate_organization,
            )
            self._open(result, profile)
        except Refusal as refusal:
            self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self._fail(error)

    def _open(self, admitted: Admitted, security_profile: int) -> None:
        shared, request, opening = self._shared, self._request, self._opening
        assert request is not None
        assert opening is not None
        # Only now is it known which versions of OCPP the charging point may speak.
        opened = grant(opening, request.headers, shared.subprotocols(admitted), shared.compressed)
        if not self._write(opened.response):
            self.abort("gone")
            return
        fd, self._fd = self._fd, -1
        self._leave()
        buffer, self._buffer = self._buffer, b""
        connection = Connection(shared.engine, fd, self._charging_point_id, deflate=opened.deflate)
        shared.engine.poller.hand_over(fd, connection)
        connection.security_profile = security_profile
        connection.conversation = _SILENCE
        try:
            conversation = shared.make_conversation(
                Accepted(connection, opened.subprotocol, admitted, self._address, opened.odd)
            )
        except Exception:
            connection.abort("defect")
            raise
        if conversation is not None:
            connection.conversation = conversation
        connection.start()
        if conversation is None:
            # RFC 6455 section 4.1 leaves it to the client to fail; OCPP-J has us close.
            offered = ", ".join(opening.offered) or "none"
            self._count_refusal(RefusedHandshake.NO_SUBPROTOCOL, detail=f"offered: {offered}")
            connection.close(1002, "no common subprotocol")
            return
        shared.metrics.count("HandshakesAccepted")
        shared.metrics.sample("HandshakeLatency", (time.perf_counter() - self._began_at) * 1000)
        if buffer:
            connection.receive(buffer)

    def _answer_health(self, *, ready: bool) -> None:
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        text = "ok\n" if ready else "not ready\n"
        self._write(answer(status, text, head=self._asks_for_head))
        self.abort("health")

    @property
    def _asks_for_head(self) -> bool:
        return self._request is not None and self._request.method == "HEAD"

    def _reject(self, status: HTTPStatus, text: str) -> None:
        """Answer what is no request."""
        self._count_refusal(RefusedHandshake.BAD_REQUEST)
        self._write(answer(status, f"{text}\n"))
        self.abort("bad request")

    def _refuse(self, refusal: Refusal) -> None:
        self._count_refusal(refusal.cause, refusal.status)
        log.info(
            "handshake refused",
            extra={
                "charging_point": self._charging_point_id,
                "cause": refusal.cause,
                "status": int(refusal.status),
                "remote_address": self._address,
            },
        )
        self._write(
            answer(refusal.status, f"{refusal}\n", refusal.headers, head=self._asks_for_head)
        )
        self.abort(refusal.cause)

    def _count_refusal(
        self, cause: RefusedHandshake, status: int = 0, detail: str | None = None
    ) -> None:
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self._shared.metrics.count("HandshakesPutOff", cause)
        self._shared.metrics.count("HandshakesRefused", cause)
        if self._shared.refused is not None:
            if detail is None:
                detail = self._request.headers.get("User-Agent", "") if self._request else ""
            self._shared.refused.note(cause, self._path, self._address, detail)

    def _write(self, data: bytes) -> bool:
        try:
            return os.write(self._fd, data) == len(data)
        except OSError:
            return False

    def _leave(self) -> None:
        self._shared.under_way -= 1
        # This object stands in the wheel until its deadline; what it read need not.
        self._request = None
        self._opening = None


class _Silence:
    """The conversation of a connection that shares no subprotocol and is closing."""

    version = ""
    busy = False

    def on_text(self, text: bytes) -> None:
        pass

    def on_binary(self, data: bytes) -> bool:
        return True

    def on_closed(self) -> None:
        pass

    def on_second(self, now: int) -> None:
        pass


_SILENCE = _Silence()
