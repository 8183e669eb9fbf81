"""Clients behind proxies: whose headers are believed, and what the client's address is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MAX_ADDRESS_LENGTH = 64
"""More than any address takes; the text comes from outside."""


def client_address(
    socket_address: str | None, forwarded_for: Iterable[str], hops: int, *, fall_back: bool
) -> str | None:
    """Return the client's address as the outermost trusted proxy saw it.

    socket_address: the peer of the socket. forwarded_for: the values of all X-Forwarded-For
    headers, in order. hops: how many proxies in front are trusted; with 0 the header is ignored.

    Each proxy appends the address of its peer, so what stands further left than `hops` entries
    from the end was written by the client and may be forged. When there are fewer entries than
    `hops`, the request did not come through the trusted proxies. There are two policies for it:

    - fall_back=True returns the socket's address: right where the address is only logged.
    - fall_back=False returns None: right where the address decides who may call.
    """
    if hops <= 0:
        return socket_address
    entries = [entry.strip() for value in forwarded_for for entry in value.split(",")]
    if len(entries) < hops:
        return socket_address if fall_back else None
    return entries[-hops][:MAX_ADDRESS_LENGTH]


Network = IPv4Network | IPv6Network


def read_networks(text: str) -> tuple[Network, ...]:
    """Read addresses and networks, such as ``10.0.0.0/20, 192.0.2.7``. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def comes_from(address: str, networks: Sequence[Network]) -> bool:
    """Return whether a socket's peer is in one of some networks; what is no address is in none."""
    if not networks:
        return False
    try:
        peer = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return any(peer in network for network in networks)
