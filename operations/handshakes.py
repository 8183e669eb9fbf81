"""Handshakes that were refused, and what to do about each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from charging.database import handshakes
from charging.database.connection import Connection
from charging.handshake import RefusedHandshake
from operations.errors import InvalidError

ADVICE = {
    RefusedHandshake.TLS: (
        "its TLS version, or the root certificate that it believes: `openssl s_client` against our"
        " port shows ours"
    ),
    RefusedHandshake.TOO_SLOW: (
        "it connected and sent no whole request: look at its network, or it speaks TLS to a port"
        " without it"
    ),
    RefusedHandshake.BAD_REQUEST: (
        "its URL must begin with ws:// or wss://; a proxy between us may take the Upgrade header"
        " away"
    ),
    RefusedHandshake.NO_PROXY_HEADER: (
        "let it connect through the load balancer, and that one send the PROXY protocol's header,"
        " version 2"
    ),
    RefusedHandshake.UNKNOWN: (
        "correct the end of its URL, or let it in: `charging-points register IDENTITY`"
    ),
    RefusedHandshake.NO_CREDENTIALS: (
        "set its password (AuthorizationKey): `charging-points new-password IDENTITY` prints one"
    ),
    RefusedHandshake.BAD_CREDENTIALS: (
        "its password is not ours, or its user is not its identity: `charging-points new-password"
        " IDENTITY`"
    ),
    RefusedHandshake.NO_ENCRYPTION: (
        "set wss:// in it; or allow it: `charging-points set-security IDENTITY --profile 1`"
    ),
    RefusedHandshake.NO_CERTIFICATE: (
        "install its certificate (`commands set-certificate`); or allow a password:"
        " `charging-points set-security IDENTITY --profile 2`"
    ),
    RefusedHandshake.WRONG_CERTIFICATE: (
        "its certificate's CN is not its identity: `charging-points set-security IDENTITY"
        " --certificate-name CN`"
    ),
    RefusedHandshake.NO_SUBPROTOCOL: (
        "it offers no OCPP version that we speak with it: set another one in it"
    ),
    RefusedHandshake.DRAINING: "nothing: it comes again, and another node takes it",
    RefusedHandshake.FULL: "more nodes are needed: `operations nodes`",
    RefusedHandshake.TOO_MANY: "nothing, if it ends soon: many came back at once, and come again",
    RefusedHandshake.DATABASE_AWAY: "look at the database; they come again by themselves",
    RefusedHandshake.DEFECT: "look for `handshake failed` in the service's log",
}


@dataclass(frozen=True, slots=True)
class RefusedPlace:
    """Refused handshakes of one cause, path and address; advice: what to do about them.

    detail: what the client says it is, or offers.
    """

    cause: str
    path: str
    address: str
    count: int
    first_at: datetime
    last_at: datetime
    detail: str
    advice: str


def list_refused(
    connection: Connection, *, charging_point: str | None = None, limit: int = 100
) -> list[RefusedPlace]:
    """Return refused handshakes, the latest first.

    charging_point: those at paths that end in it. Raises InvalidError.
    """
    if not 1 <= limit <= handshakes.MOST_ROWS:
        raise InvalidError(f"--limit must be 1 to {handshakes.MOST_ROWS}")
    return [
        RefusedPlace(
            found.cause,
            found.path,
            found.address,
            found.count,
            found.first_at,
            found.last_at,
            found.detail,
            ADVICE.get(RefusedHandshake(found.cause), ""),
        )
        for found in handshakes.read(connection, charging_point=charging_point, limit=limit)
    ]
