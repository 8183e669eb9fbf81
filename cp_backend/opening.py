"""The opening handshake without I/O: the text of a request → what it asks for → the answer.

Requests are read as charging points write them: a Connection header that is missing, empty or
quoted headers, values spread over several lines, a subprotocol in capitals. Answers are as RFC
6455 section 4.2 and RFC 9110 want them.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import unicodedata
from collections.abc import Generator, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader, NegotiationError, SecurityError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension
from websockets.http11 import Request
from websockets.utils import accept_key

from charging.handshake import RefusedHandshake
from charging.identity import InvalidIdentityError, parse_charging_point_id
from cp_backend.refusal import Refusal

_KEY_BYTES = 16
_HEALTH = "/health"
# Beside the comma that RFC 9110 wants between values; none of them can stand in one.
_BETWEEN_VALUES = re.compile(r"[,;\s]+")
_SCHEME_AND_AUTHORITY = re.compile(r"(?:https?|wss?)://[^/?#]*", re.IGNORECASE)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::\d*)?")

_DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True
)


class Opening(NamedTuple):
    """A request that asks for a WebSocket.

    key: Sec-WebSocket-Key. offered: subprotocols, the charging point's order is its preference.
    odd: headers that are not as RFC 6455 wants them.
    """

    key: str
    offered: tuple[str, ...]
    odd: tuple[str, ...]


class Opened(NamedTuple):
    """The answer to a request that is granted.

    subprotocol: as we spell it, None where none is shared. odd: headers of the request that are
    not as RFC 6455 and OCPP-J want them.
    """

    response: bytes
    subprotocol: str | None
    deflate: bool
    odd: tuple[str, ...]


def cannot_become_a_request(data: bytes) -> bool:
    """Return whether what begins so cannot be a request, whatever follows. data: not empty.

    A TLS ClientHello, lines that end in LF only, or a first line that is none.
    """
    line, newline, _ = data.partition(b"\n")
    return not data[:1].isalpha() or (bool(newline) and not line.endswith(b"\r"))


def read_request(data: bytes) -> Request:
    """Read a whole request, from its first line to the empty one.

    Raises ValueError. `websockets` reads it, line by line from a generator that never has to
    wait: a protocol object for each handshake costs kilobytes in cycles that only the collector
    can free.
    """
    lines = io.BytesIO(data)

    def read_line(
        limit: int, too_long: type[Exception]
    ) -> Generator[None, None, bytes | bytearray]:
        yield from ()
        return lines.readline(limit)

    try:
        next(Request.parse(read_line))
    except StopIteration as end:
        request: Request = end.value
    except (EOFError, NotImplementedError, SecurityError) as error:
        raise ValueError(str(error)) from error
    else:
        raise AssertionError("a request that is whole was not read whole")
    hosts = request.headers.get_all("Host")
    # RFC 9112 section 3.2; HTTP/1.0 knows no Host.
    wanted = 0 if request.protocol == "HTTP/1.0" else 1
    if not wanted <= len(hosts) <= 1 or not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError("one valid Host is needed")
    return request


def requested_path(request: Request) -> str:
    """Return the path of a request, percent-encoded, without query and trailing slashes."""
    target = _SCHEME_AND_AUTHORITY.sub("", request.path, count=1) or "/"
    return re.split("[?#]", target, maxsplit=1)[0].rstrip("/")


def charging_point_id(path: str) -> str:
    """Return the identity in a request's path: its last segment, percent-decoded.

    Raises Refusal (404). Source: OCPP-J 1.6 section 3.1.1.
    """
    try:
        if not path.startswith("/") or path == _HEALTH or path.startswith(f"{_HEALTH}/"):
            raise InvalidIdentityError
        decoded = unquote_to_bytes(path.rpartition("/")[2]).decode().strip()
        # One spelling of letters that have two, since it is compared with what a person typed.
        return parse_charging_point_id(unicodedata.normalize("NFC", decoded))
    except (InvalidIdentityError, UnicodeDecodeError):
        raise Refusal(
            HTTPStatus.NOT_FOUND,
            RefusedHandshake.UNKNOWN,
            "the path does not end in a charging point's identity",
        ) from None


def read_opening(request: Request) -> Opening:
    """Return what a request for a WebSocket asks for; raises Refusal for any other request.

    Source: RFC 6455 section 4.2.1.
    """
    headers = request.headers
    if request.method not in ("GET", "HEAD"):
        raise Refusal(
            HTTPStatus.METHOD_NOT_ALLOWED,
            RefusedHandshake.BAD_REQUEST,
            "GET only",
            [("Allow", "GET, HEAD")],
        )
    odd = []
    connection = any(value.lower() == "upgrade" for value in _values(headers, "Connection"))
    upgrades = _values(headers, "Upgrade")
    upgrade = any(value.lower().partition("/")[0] == "websocket" for value in upgrades)
    # One of the two must be there: a proxy that knows no WebSocket takes both away.
    if (
        request.method == "HEAD"
        or not (upgrade or (connection and not upgrades and "Sec-WebSocket-Key" in headers))
        or request.protocol == "HTTP/1.0"
    ):
        raise Refusal(
            HTTPStatus.UPGRADE_REQUIRED,
            RefusedHandshake.BAD_REQUEST,
            "a WebSocket is spoken here: HTTP/1.1 with Upgrade: websocket",
            [("Upgrade", "websocket")],
        )
    if not connection:
        odd.append("Connection")
    if not (len(upgrades) == 1 and upgrade and headers.get_all("Upgrade") == upgrades):
        odd.append("Upgrade")
    versions = _values(headers, "Sec-WebSocket-Version")
    if "13" not in versions:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            RefusedHandshake.BAD_REQUEST,
            "Sec-WebSocket-Version is not 13",
            [("Sec-WebSocket-Version", "13")],
        )
    if headers.get_all("Sec-WebSocket-Version") != ["13"]:
        odd.append("Sec-WebSocket-Version")
    offered = _values(headers, "Sec-WebSocket-Protocol")
    if ", ".join(headers.get_all("Sec-WebSocket-Protocol")).replace(" ", "") != ",".join(offered):
        odd.append("Sec-WebSocket-Protocol")
    return Opening(_key(headers), tuple(offered), tuple(odd))


def grant(
    opening: Opening, headers: Headers, spoken: Sequence[str], compressed: Sequence[str]
) -> Opened:
    """Return the answer to a request that is granted.

    spoken: subprotocols that may be spoken. compressed: those in which permessage-deflate may be
    agreed on. Source: RFC 6455 section 4.2.2, RFC 7692 section 7.
    """
    ours = {_letters(name): name for name in spoken}
    chosen = next((name for name in opening.offered if _letters(name) in ours), None)
    subprotocol = None if chosen is None else ours[_letters(chosen)]
    extension = _deflate(headers) if subprotocol in compressed else None
    fields = [
        ("Date", formatdate(usegmt=True)),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_key(opening.key)),
    ]
    if extension is not None:
        fields.append(("Sec-WebSocket-Extensions", extension))
    if chosen is not None:  # spelled as it came: a client compares
        fields.append(("Sec-WebSocket-Protocol", chosen))
    head = _head(HTTPStatus.SWITCHING_PROTOCOLS, fields)
    odd = opening.odd
    if chosen != subprotocol and "Sec-WebSocket-Protocol" not in odd:
        odd = (*odd, "Sec-WebSocket-Protocol")
    return Opened(head, subprotocol, extension is not None, odd)


def _letters(subprotocol: str) -> str:
    """Return what spellings of a subprotocol have in common, such as OCPP-1.6 and ocpp1.6J."""
    return re.sub("[^a-z0-9]", "", subprotocol.lower()).removesuffix("j")


def answer(
    status: HTTPStatus, text: str, headers: Sequence[tuple[str, str]] = (), *, head: bool = False
) -> bytes:
    """Return an HTTP answer that ends the connection. head: without its body."""
    body = text.encode()
    fields = [
        ("Date", formatdate(usegmt=True)),
        ("Connection", "close, Upgrade" if ("Upgrade", "websocket") in headers else "close"),
        ("Content-Length", str(len(body))),
        ("Content-Type", "text/plain; charset=utf-8"),
        *headers,
    ]
    return _head(status, fields) + (b"" if head else body)


def _head(status: HTTPStatus, fields: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{n}: {v}" for n, v in fields)]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _values(headers: Headers, name: str) -> list[str]:
    """Return the values of a header's lists in all its lines, without quotes and empty ones."""
    return [
        value
        for line in headers.get_all(name)
        for each in _BETWEEN_VALUES.split(line)
        if (value := each.strip("\"'"))
    ]


def _key(headers: Headers) -> str:
    keys = set(headers.get_all("Sec-WebSocket-Key"))
    try:
        (key,) = keys
        padded = key + "=" * (-len(key) % 4)
        if len(base64.b64decode(padded.encode(), validate=True)) == _KEY_BYTES:
            return key
    except (ValueError, binascii.Error):
        pass
    raise Refusal(
        HTTPStatus.BAD_REQUEST,
        RefusedHandshake.BAD_REQUEST,
        "Sec-WebSocket-Key is not 16 bytes in base64",
    )


def _deflate(headers: Headers) -> str | None:
    """Return the parameters of compression to agree on, None for none."""
    for line in headers.get_all("Sec-WebSocket-Extensions"):
        try:
            offers = parse_extension(line)
        except InvalidHeader:
            continue  # nothing of it can be taken, and nothing has to be
        for name, offered in offers:
            if name == _DEFLATE.name:
                try:
                    parameters, _ = _DEFLATE.process_request_params(offered, [])
                except NegotiationError:
                    continue
                return build_extension([(name, parameters)])
    return None
