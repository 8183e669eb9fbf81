"""How a handshake came here: over TLS or not, and with which client certificate.

TLS ends in the node itself or at a load balancer in front. What the balancer says of it stands in
headers that anybody could write, so they are believed of the balancer's own addresses alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from charging.handshake import RefusedHandshake
from cp_backend.refusal import Refusal

PROTOCOL_HEADER = "X-Forwarded-Proto"
SUBJECT_HEADER = "X-Amzn-Mtls-Clientcert-Subject"
"""The subject of a client's certificate that an AWS ALB has verified, as RFC 2253 writes it.
Source: Elastic Load Balancing, "HTTP headers and mutual TLS", mutual TLS verify mode. Its
passthrough mode verifies nothing, and its header is not read."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the subject of a verified client certificate says. names: CN and serial number."""

    names: frozenset[str]
    organizations: frozenset[str]


@dataclass(frozen=True, slots=True)
class Transport:
    """certificate: of the client, verified against a CA; None: it showed none."""

    encrypted: bool
    certificate: Certificate | None = None


PLAIN = Transport(encrypted=False)
ENCRYPTED = Transport(encrypted=True)
"""Over TLS, without a client's certificate, as through a network load balancer that ends TLS."""


def behind_balancer(
    get_all: Mapping[str, list[str]] | Any, *, certificates_verified: bool
) -> Transport:
    """Return what a load balancer says of its client.

    get_all: the request's headers. certificates_verified: whether the balancer verifies client
    certificates on every listener that leads here; otherwise the client could have written the
    header itself. Raises Refusal (400) for a header that came twice.
    """
    encrypted = _only(get_all, PROTOCOL_HEADER).lower() in ("https", "wss")
    subject = _only(get_all, SUBJECT_HEADER) if certificates_verified else ""
    return Transport(encrypted, of_subject(subject) if subject and encrypted else None)


def _only(headers: Any, name: str) -> str:
    values: list[str] = headers.get_all(name)
    if len(values) > 1:
        raise Refusal(HTTPStatus.BAD_REQUEST, RefusedHandshake.BAD_REQUEST, f"more than one {name}")
    return values[0].strip() if values else ""


def of_peer(certificate: Mapping[str, Any] | None) -> Certificate | None:
    """Return a certificate as `ssl.SSLSocket.getpeercert` has it; None for none."""
    if not certificate:
        return None
    parts = [part for rdn in certificate.get("subject", ()) for part in rdn]
    return _certificate(parts)


# Attributes in small letters, as RFC 4514 and OpenSSL name them, and their object identifiers.
_NAMES = frozenset({"cn", "commonname", "2.5.4.3", "serialnumber", "2.5.4.5"})
_ORGANIZATIONS = frozenset({"o", "organizationname", "2.5.4.10"})


def _certificate(parts: Iterable[tuple[str, str]]) -> Certificate:
    attributes = [(name.lower().removeprefix("oid."), value) for name, value in parts]
    return Certificate(
        frozenset(value for name, value in attributes if name in _NAMES),
        frozenset(value for name, value in attributes if name in _ORGANIZATIONS),
    )


def of_subject(text: str) -> Certificate:
    """Read a subject as RFC 2253 and RFC 4514 write it, such as ``CN=CP0001,O=VNI``."""
    return _certificate(_read_subject(text))


def _read_subject(text: str) -> Iterator[tuple[str, str]]:
    # A comma or a plus sign ends an attribute unless it is escaped or quoted.
    for part in re.findall(r'(?:\\.|"(?:\\.|[^"\\])*"|[^,;+\\"])+', text, re.DOTALL):
        name, equals, value = part.partition("=")
        if equals:
            yield name.strip(), _unescape(value.strip())


def _unescape(value: str) -> str:
    r"""Take the quotes and the escapes off a value: ``\,`` is a comma, ``\C3\A4`` an ä."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]

    def bytes_of(found: re.Match[str]) -> str:
        octets = bytes.fromhex(found[0].replace("\\", ""))
        return octets.decode(errors="replace")

    value = re.sub(r"(?:\\[0-9A-Fa-f]{2})+", bytes_of, value)
    return re.sub(r"\\(.)", r"\1", value)
