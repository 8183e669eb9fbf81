"""Why a charging point's handshake is refused, whichever program asks."""

from __future__ import annotations

from enum import StrEnum


class RefusedHandshake(StrEnum):
    """The cause, as it is counted and listed."""

    TLS = "tls failed"
    """The TLS handshake did not come to an end: no common version or cipher, a certificate that
    one side does not believe, or no TLS at all."""
    TOO_SLOW = "too slow"
    BAD_REQUEST = "bad request"
    """What came is no HTTP request, or no WebSocket handshake."""
    NO_PROXY_HEADER = "no proxy header"
    """It came from where a network load balancer sits, without that one's header."""
    UNKNOWN = "unknown"
    """The path does not end in the identity of a charging point that is registered."""
    NO_CREDENTIALS = "no credentials"
    BAD_CREDENTIALS = "bad credentials"
    """Another user than the identity, or another password than ours."""
    NO_ENCRYPTION = "no encryption"
    """Its lowest security profile wants TLS."""
    NO_CERTIFICATE = "no certificate"
    """Its lowest security profile wants a client certificate that we can check."""
    WRONG_CERTIFICATE = "wrong certificate"
    """The certificate names another charging point, or another operator."""
    NO_SUBPROTOCOL = "no common subprotocol"
    DRAINING = "draining"
    FULL = "full"
    TOO_MANY = "too many handshakes"
    DATABASE_AWAY = "database away"
    DEFECT = "defect"
