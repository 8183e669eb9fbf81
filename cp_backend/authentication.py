"""Whether a charging point is the one that it says it is, and comes in safely enough.

The security profiles are those of OCPP: 0 nothing, 1 a password, 2 a password over TLS, 3 a
client's certificate over TLS. Source: Improved security for OCPP 1.6-J edition 3, section 2;
OCPP 2.0.1 part 2, A00.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from http import HTTPStatus

from websockets.datastructures import Headers

from charging.credential import password_matches
from charging.handshake import RefusedHandshake
from cp_backend.refusal import Refusal
from cp_backend.store.admission import Admitted
from cp_backend.transport import PLAIN, Transport

PASSWORD, ENCRYPTED, CERTIFICATE = 1, 2, 3
"""Security profiles."""
_ALPHABET_OF_URLS = str.maketrans("-_", "+/")


def authenticate(
    headers: Headers,
    charging_point_id: str,
    admitted: Admitted,
    transport: Transport = PLAIN,
    *,
    lowest_profile: int = 0,
    organization: str = "",
) -> int:
    """Check a request; return the security profile that it fulfils.

    lowest_profile: of the node, beside that of the charging point. organization: that a client's
    certificate must name; '' for any. One without a password in the database needs none, where
    profile 0 is allowed. A certificate that names the charging point needs no password.

    Raises Refusal: 403 below the lowest profile, 401, or 400 for more than one Authorization.
    """
    lowest = max(lowest_profile, admitted.lowest_profile)
    credentials = basic_credentials(headers, charging_point_id)
    if lowest >= ENCRYPTED and not transport.encrypted:
        raise _forbidden(RefusedHandshake.NO_ENCRYPTION, "it must come over TLS")
    named = _certificate_names(transport, charging_point_id, admitted, organization)
    if named:
        return CERTIFICATE
    if lowest >= CERTIFICATE:
        if transport.certificate is None:
            raise _forbidden(RefusedHandshake.NO_CERTIFICATE, "a client certificate is needed")
        raise _forbidden(RefusedHandshake.WRONG_CERTIFICATE, "the certificate names another")
    if admitted.password_hash is None:
        if lowest >= PASSWORD:
            raise _unauthorized(RefusedHandshake.NO_CREDENTIALS, "it has no password here")
        return 0
    assert admitted.password_salt is not None
    if credentials is None:
        raise _unauthorized(RefusedHandshake.NO_CREDENTIALS, "Basic credentials are needed")
    user, password = credentials
    # The user's name comes second so that a refusal takes the same time either way.
    matches = any(
        password_matches(spelling, salt, expected)
        for salt, expected in (
            (admitted.password_salt, admitted.password_hash),
            *admitted.other_passwords,
        )
        for spelling in spellings(password)
    )
    if not (matches and user == charging_point_id.encode()):
        raise _unauthorized(RefusedHandshake.BAD_CREDENTIALS, "wrong user or password")
    return ENCRYPTED if transport.encrypted else PASSWORD


def _certificate_names(
    transport: Transport, charging_point_id: str, admitted: Admitted, organization: str
) -> bool:
    """Return whether a verified certificate is this charging point's."""
    certificate = transport.certificate
    if certificate is None:
        return False
    if organization and organization not in certificate.organizations:
        return False
    return (admitted.certificate_name or charging_point_id) in certificate.names


def spellings(password: bytes) -> Iterator[bytes]:
    """Yield the ways in which one password may have been written.

    OCPP 1.6 has it in hex over OCPP and as its bytes in the header; some charging points send the
    hex, and some operators register the hex that stands on a label. Source: OCPP-J 1.6 section
    6.2.2.
    """
    yield password
    written = password.hex()
    yield written.encode()
    yield written.upper().encode()
    with contextlib.suppress(ValueError):  # it is no hex
        yield bytes.fromhex(password.decode("ascii"))


def basic_credentials(headers: Headers, charging_point_id: str) -> tuple[bytes, bytes] | None:
    """Return user and password, both bytes: OCPP 1.6 allows any byte in a password.

    An identity may have colons, which a user of Basic's has not: it ends where the identity does.
    Raises Refusal (400) for more than one Authorization.
    """
    values = headers.get_all("Authorization")
    if len(values) > 1:
        raise Refusal(
            HTTPStatus.BAD_REQUEST, RefusedHandshake.BAD_REQUEST, "more than one Authorization"
        )
    scheme, _, encoded = (values[0] if values else "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        # Some leave the padding out, or take the alphabet of URLs.
        plain = encoded.strip().rstrip("=").translate(_ALPHABET_OF_URLS)
        credentials = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:  # not base64, or not even ASCII
        return None
    identity = charging_point_id.encode()
    if credentials.startswith(identity + b":"):
        return identity, credentials[len(identity) + 1 :]
    user, colon, password = credentials.partition(b":")
    return (user, password) if colon else None


def _unauthorized(cause: RefusedHandshake, text: str) -> Refusal:
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        cause,
        text,
        [("WWW-Authenticate", 'Basic realm="charging points"')],
    )


def _forbidden(cause: RefusedHandshake, text: str) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, cause, text)
