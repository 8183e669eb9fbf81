"""Where the backend is and how to reach it: address, TLS, credentials."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

PASSWORD_VARIABLE = "CHARGING_POINT_PASSWORD"  # noqa: S105 - a variable's name
OPEN_TIMEOUT_SECONDS = 20


class TargetError(ValueError):
    """The options do not make an address; the message says what to change."""


@dataclass(frozen=True)
class Target:
    """A backend.

    path: what stands before the identity. tls_name: the name to hold the certificate against
    where host is an address. password: for all charging points that are not in `passwords`.
    """

    host: str
    port: int
    path: str = "/"
    plain: bool = False
    ca_file: str | None = None
    tls_name: str | None = None
    insecure: bool = False
    user: str | None = None
    password: str | None = None
    passwords: dict[str, str] | None = None

    def url(self, identity: str) -> str:
        """Return the WebSocket address of a charging point."""
        scheme = "ws" if self.plain else "wss"
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = "/" + self.path.strip("/")
        return f"{scheme}://{host}:{self.port}{path.rstrip('/')}/{quote(identity, safe='')}"

    def credentials(self, identity: str) -> tuple[str, str] | None:
        """Return user and password of a charging point, None when it has none."""
        password = (self.passwords or {}).get(identity, self.password)
        return None if password is None else (self.user or identity, password)

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return how the backend's certificate is verified; None for plain WebSocket.

        Raises TargetError when the CA file cannot be read.
        """
        if self.plain:
            return None
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
            compression=None,
            open_timeout=OPEN_TIMEOUT_SECONDS,
            ping_interval=60,
            ping_timeout=30,
            close_timeout=5,
            user_agent_header="vni-charging-point-simulator",
            proxy=None,
        )


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


def _basic(user: str, password: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
