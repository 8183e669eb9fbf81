"""The header by which a network load balancer says who is behind a connection; no I/O.

Source: HAProxy, "The PROXY protocol", version 2, section 2.2; Elastic Load Balancing, "Proxy
protocol" of network load balancers.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_PREFIX_BYTES = 16
MAX_HEADER_BYTES = 1024
"""Addresses and a few type-length-values take some 100 bytes."""

_LOCAL, _PROXY = 0x20, 0x21
# Family and transport → bytes of an address.
_TCP = {0x11: 4, 0x21: 16}


class ProxyProtocolError(ValueError):
    """The bytes are no header of version 2."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header.

    address: of the client; None where the load balancer speaks for itself, as its health checks
    do, or of a family that has no such address. length: bytes that the header takes.
    """

    address: str | None
    length: int


def read_header(data: bytes) -> Header | None:
    """Read the header that a connection begins with; None: more is to come.

    Raises ProxyProtocolError for anything else, however little of it is there.
    """
    begin = data[: len(SIGNATURE)]
    if not SIGNATURE.startswith(begin):
        raise ProxyProtocolError("no header of the PROXY protocol, version 2")
    if len(data) < _PREFIX_BYTES:
        return None
    command, family = data[12], data[13]
    if command not in (_LOCAL, _PROXY):
        raise ProxyProtocolError(f"version and command {command:#04x} are unknown")
    length = _PREFIX_BYTES + int.from_bytes(data[14:16], "big")
    if length > MAX_HEADER_BYTES:
        raise ProxyProtocolError(f"a header of {length} bytes")
    if len(data) < length:
        return None
    size = _TCP.get(family)
    if command == _LOCAL or size is None:
        return Header(None, length)
    if length < _PREFIX_BYTES + 2 * size + 4:
        raise ProxyProtocolError("a header that is shorter than its addresses")
    address = ipaddress.ip_address(data[_PREFIX_BYTES : _PREFIX_BYTES + size])
    return Header(str(address), length)
