"""Where the backend is and how to reach it: address, TLS, credentials."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.typing import Subprotocol

from charging_point_simulator.station.charging_point import ChargingPoint

PASSWORD_VARIABLE = "CHARGING_POINT_PASSWORD"  # noqa: S105 - a variable's name
STATE_VARIABLE = "VNI_STATE_DIRECTORY"
OPEN_TIMEOUT_SECONDS = 20


class TargetError(ValueError):
    """The options do not make an address; the message says what to change."""


@dataclass(frozen=True)
class Handshake:
    """Ways of connecting that are not as they should be.

    suffix: after the identity in the path. no_connection_header, no_pongs: what is left out.
    compression: whether permessage-deflate is offered.
    """

    suffix: str = ""
    no_connection_header: bool = False
    no_pongs: bool = False
    compression: bool = False


@dataclass(frozen=True)
class Target:
    """A backend.

    path: what stands before the identity. tls_name: the name to hold the certificate against
    where host is an address. password: for all charging points that are not in `passwords`.
    client_certificate, client_key: PEM files, for OCPP's security profile 3. pem: the same as
    texts, of a certificate that the backend signed. ping_seconds: 0 for no pings of ours.
    """

    host: str
    port: int
    path: str = "/"
    plain: bool = False
    ca_file: str | None = None
    tls_name: str | None = None
    insecure: bool = False
    user: str | None = None
    password: str | bytes | None = None
    passwords: dict[str, str] | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    pem: tuple[str, str] | None = None
    ping_seconds: float = 60.0
    handshake: Handshake = Handshake()

    def of(self, point: ChargingPoint) -> Target:
        """Return the target as it is for a charging point: with what was changed over OCPP."""
        changed = self
        if point.password is not None:
            changed = replace(changed, password=point.password, passwords=None)
        own = point.certificates
        if point.options.security_profile == 3 and own.chain_pem and own.key_pem:
            changed = replace(changed, pem=(own.chain_pem, own.key_pem))
        return replace(changed, ping_seconds=point.settings.ping_seconds)

    def security_profile(self) -> int:
        """Return which of OCPP's security profiles this is, 0 to 3."""
        if self.plain:
            return 0 if self.password is None and not self.passwords else 1
        return 3 if self.client_certificate or self.pem else 2

    def url(self, identity: str) -> str:
        """Return the WebSocket address of a charging point."""
        scheme = "ws" if self.plain else "wss"
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = "/" + self.path.strip("/")
        name = quote(identity, safe="") + self.handshake.suffix
        return f"{scheme}://{host}:{self.port}{path.rstrip('/')}/{name}"

    def credentials(self, identity: str) -> tuple[str, bytes] | None:
        """Return user and password of a charging point, None when it has none."""
        password = (self.passwords or {}).get(identity, self.password)
        if password is None:
            return None
        return self.user or identity, password.encode() if isinstance(password, str) else password

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return how TLS is spoken with the backend; None for plain WebSocket.

        Raises TargetError when the CA file, or the client's certificate, cannot be read.
        """
        if self.plain:
            return None
        context = self.verify()
        try:
            if self.pem is not None:
                _load_texts(context, *self.pem)
            elif self.client_certificate:
                context.load_cert_chain(self.client_certificate, self.client_key)
        except (OSError, ssl.SSLError) as error:
            raise TargetError(f"client certificate {self.client_certificate}: {error}") from error
        return context

    def verify(self) -> ssl.SSLContext:
        """Return how the backend's certificate is verified. Raises TargetError."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise TargetError(f"CA file {self.ca_file}: {error}") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def connect(self, identity: str, subprotocol: str) -> connect:
        """Return a connection to be awaited or entered."""
        headers = {}
        if credentials := self.credentials(identity):
            headers["Authorization"] = _basic(*credentials)
        return connect(
            self.url(identity),
            subprotocols=[Subprotocol(subprotocol)],
            ssl=self.ssl_context(),
            server_hostname=None if self.plain else self.tls_name or self.host,
            additional_headers=headers,
            compression="deflate" if self.handshake.compression else None,
            open_timeout=OPEN_TIMEOUT_SECONDS,
            ping_interval=self.ping_seconds or None,
            ping_timeout=30,
            close_timeout=5,
            user_agent_header="vni-charging-point-simulator",
            proxy=None,
            create_connection=_connection_class(self.handshake),
        )


def _connection_class(handshake: Handshake) -> type[ClientConnection]:
    """Return websockets' connection, or one that leaves out what the handshake says."""

    class Deviating(ClientConnection):
        def __init__(self, protocol: ClientProtocol, **more: object) -> None:
            super().__init__(protocol, **more)  # type: ignore[arg-type]
            send_request, send_frame = protocol.send_request, protocol.send_frame

            def send_without(request: Request) -> None:
                if handshake.no_connection_header:
                    del request.headers["Connection"]
                send_request(request)

            def send_unless_pong(frame: Frame) -> None:
                if not (handshake.no_pongs and frame.opcode is Opcode.PONG):
                    send_frame(frame)

            protocol.send_request = send_without  # type: ignore[method-assign]
            protocol.send_frame = send_unless_pong  # type: ignore[method-assign]

    return Deviating if handshake.no_connection_header or handshake.no_pongs else ClientConnection


def _load_texts(context: ssl.SSLContext, chain: str, key: str) -> None:
    # OpenSSL reads a key from files only.
    with tempfile.TemporaryDirectory() as directory:
        names = [Path(directory) / name for name in ("chain.pem", "key.pem")]
        for file, text in zip(names, (chain, key), strict=True):
            file.touch(mode=0o600)
            file.write_text(text)
        context.load_cert_chain(names[0], names[1])


async def open_connection(target: Target, identity: str, subprotocol: str) -> ClientConnection:
    """Connect, and see that the backend speaks the subprotocol.

    Raises OSError, websockets' exceptions, TargetError for a refused subprotocol.
    """
    connection = await target.connect(identity, subprotocol)
    if connection.subprotocol != subprotocol:
        await connection.close()
        raise TargetError(f"the backend does not speak {subprotocol}")
    return connection


def password_from_environment() -> str | None:
    """Return CHARGING_POINT_PASSWORD: a command line can be read by everybody on a machine."""
    return os.environ.get(PASSWORD_VARIABLE)


def state_directory() -> Path:
    """Return where meters are kept: under VNI_STATE_DIRECTORY, or ``var`` beside the packages."""
    configured = os.environ.get(STATE_VARIABLE)
    root = Path(configured) if configured else Path(__file__).parents[1] / "var"
    return root / "charging-point-simulator"


def _basic(user: str, password: bytes) -> str:
    return "Basic " + base64.b64encode(user.encode() + b":" + password).decode()
