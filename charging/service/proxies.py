"""The address of a client behind proxies that append to X-Forwarded-For."""

from __future__ import annotations

from collections.abc import Iterable

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
