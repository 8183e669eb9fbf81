"""Files that a charging point fetches or sends: over HTTP where it may, otherwise simulated."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Transfer:
    """A file to fetch (content is None) or to send.

    done: called with what was fetched, b"" for what was sent, or with None for a failure.
    """

    url: str
    content: bytes | None
    done: Callable[[bytes | None], None]


def is_real(url: str, backend: str) -> bool:
    """Whether a URL is really used: HTTP to this machine or to the backend's host.

    Others are simulated, so that a test never reaches out to somebody's server.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    if host in ("localhost", backend):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def upload_url(location: str, name: str) -> str:
    """Return where a file goes: into a location that ends in a slash, else to it as it is."""
    return location + name if location.endswith("/") else location


def file_name(url: str) -> str:
    """Return the last part of a URL's path."""
    return urlsplit(url).path.rpartition("/")[2]
