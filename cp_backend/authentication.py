"""Whether a charging point is the one that it says it is: HTTP Basic, as OCPP-J has it."""

from __future__ import annotations

import base64
from http import HTTPStatus

from websockets.datastructures import Headers

from charging.credential import password_matches
from cp_backend.refusal import Refusal
from cp_backend.store.admission import Admitted


def authenticate(headers: Headers, charging_point_id: str, admitted: Admitted) -> None:
    """Check a request's credentials; one without a password in the database needs none.

    Raises Refusal: 401, or 400 for more than one Authorization. The Basic user is the identity.
    Source: OCPP-J 1.6 section 6.2.2.
    """
    credentials = basic_credentials(headers, charging_point_id)
    if admitted.password_hash is None:
        return
    assert admitted.password_salt is not None
    if credentials is None:
        raise _unauthorized("no credentials", "Basic credentials are needed")
    user, password = credentials
    # The user's name comes second so that a refusal takes the same time either way.
    matches = any(
        password_matches(password, salt, expected)
        for salt, expected in (
            (admitted.password_salt, admitted.password_hash),
            *admitted.other_passwords,
        )
    )
    if not (matches and user == charging_point_id.encode()):
        raise _unauthorized("bad credentials", "wrong user or password")


def basic_credentials(headers: Headers, charging_point_id: str) -> tuple[bytes, bytes] | None:
    """Return user and password, both bytes: OCPP 1.6 allows any byte in a password.

    An identity may have colons, which a user of Basic's has not: it ends where the identity does.
    Raises Refusal (400) for more than one Authorization.
    """
    values = headers.get_all("Authorization")
    if len(values) > 1:
        raise Refusal(HTTPStatus.BAD_REQUEST, "bad request", "more than one Authorization")
    scheme, _, encoded = (values[0] if values else "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        credentials = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:  # not base64, or not even ASCII
        return None
    identity = charging_point_id.encode()
    if credentials.startswith(identity + b":"):
        return identity, credentials[len(identity) + 1 :]
    user, colon, password = credentials.partition(b":")
    return (user, password) if colon else None


def _unauthorized(cause: str, text: str) -> Refusal:
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        cause,
        text,
        [("WWW-Authenticate", 'Basic realm="charging points"')],
    )
