"""People whom the load balancer has signed in: what it says of them, once it is verified.

An AWS application load balancer signs people in at an OpenID Connect provider. With each request it
hands on who they are (`X-Amzn-Oidc-Data`, a JWT that it signs itself, ES256) and their access token
(`X-Amzn-Oidc-Accesstoken`, which Amazon Cognito signs, RS256), which names their groups.

Source: Elastic Load Balancing, "Authenticate users using an Application Load Balancer", user claims
encoding and signature verification; Amazon Cognito, access token; RFC 7515, 7518 and 7519.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from charging.service.settings import SettingError
from operations.console.settings import Settings
from operations.people import NotAllowedError, Role

HEADERS = ("X-Amzn-Oidc-Data", "X-Amzn-Oidc-Accesstoken")
GROUPS = {
    "administrators": Role.ADMINISTRATOR,
    "developers": Role.OPERATOR,
    "observers": Role.OBSERVER,
}
"""The groups of docs/access.md, as the provider has them, by falling rights."""

LEEWAY_SECONDS = 30
FETCH_SECONDS = 5
MAX_KEY_BYTES = 64 * 1024
MAX_TOKEN = 16 * 1024
MAX_KEYS = 32
UNKNOWN_SECONDS = 60.0
"""How long a key that could not be fetched is not asked for again."""

_SIGNER = re.compile(
    r"arn:[\w-]+:elasticloadbalancing:([a-z0-9-]+):\d{12}:loadbalancer/app/[\w-]+/\w+"
)
_KEY_ID = re.compile(r"[A-Za-z0-9+/=_-]{1,100}")


@dataclass(frozen=True, slots=True)
class Vouched:
    """Somebody whom the load balancer has signed in."""

    name: str
    role: Role


class BalancerSignIn:
    """Reads who has been signed in. fetch: returns what is at an address, or raises OSError.

    Raises SettingError for settings that do not go together.
    """

    def __init__(self, settings: Settings, fetch: Callable[[str], bytes] | None = None) -> None:
        found = _SIGNER.fullmatch(settings.oidc_signer)
        if not found:
            raise SettingError("CONSOLE_OIDC_SIGNER is no ARN of an application load balancer")
        if not (settings.oidc_issuer.startswith("https://") and settings.oidc_client):
            raise SettingError(
                "CONSOLE_OIDC_SIGNER goes with CONSOLE_OIDC_ISSUER, an https:// address, and"
                " CONSOLE_OIDC_CLIENT"
            )
        self._signer = settings.oidc_signer
        self._issuer = settings.oidc_issuer
        self._client = settings.oidc_client
        # Source: the same page, for Regions that are not AWS GovCloud's.
        self._balancers_keys = f"https://public-keys.auth.elb.{found[1]}.amazonaws.com"
        self._fetch = fetch or _fetch
        self._keys = _Keys()

    def person(self, data: str, access_token: str) -> Vouched:
        """Return who a request is from, by the two headers of the load balancer.

        Raises NotAllowedError where that is not certain.
        """
        claims = self._claims(data)
        token = self._access(access_token)
        if not claims.get("sub") or token.get("sub") != claims["sub"]:
            raise NotAllowedError("the load balancer's two tokens are of two people")
        verified = str(claims.get("email_verified", "")).lower() == "true"
        name = claims.get("email") if verified else claims.get("username")
        if not isinstance(name, str) or not name:
            raise NotAllowedError("the load balancer names nobody")
        groups = token.get("cognito:groups", [])
        for group, role in GROUPS.items():
            if isinstance(groups, list) and group in groups:
                return Vouched(name.lower(), role)
        raise NotAllowedError(f"{name} is in none of the groups {', '.join(GROUPS)}")

    def _claims(self, token: str) -> dict[str, Any]:
        """Return what the load balancer says of somebody. Raises NotAllowedError."""
        header = _header(token)
        # Its time stands there, and not only among the claims.
        _expect(
            header,
            {
                "alg": "ES256",
                "signer": self._signer,
                "iss": self._issuer,
                "client": self._client,
            },
        )
        _check_time(header)
        key_id = _key_id(header)
        key = self._keys.get(key_id, lambda: self._balancers_key(key_id))
        return _verified(token, key, "ES256", "the load balancer")

    def _access(self, token: str) -> dict[str, Any]:
        """Return what the provider lets somebody do. Raises NotAllowedError."""
        key_id = _key_id(_header(token))
        key = self._keys.get(f"issuer {key_id}", lambda: self._issuers_key(key_id))
        claims = _verified(token, key, "RS256", "the issuer")
        _expect(claims, {"iss": self._issuer, "client_id": self._client, "token_use": "access"})
        _check_time(claims)
        return claims

    def _balancers_key(self, key_id: str) -> object:
        # It is a part of an address, in which slashes and dots could lead elsewhere.
        if not re.fullmatch(r"[0-9a-f-]{36}", key_id):
            raise ValueError(key_id)
        return load_pem_public_key(self._fetch(f"{self._balancers_keys}/{key_id}"))

    def _issuers_key(self, key_id: str) -> object:
        found = json.loads(self._fetch(f"{self._issuer}/.well-known/jwks.json"))
        for one in found["keys"]:
            if one["kid"] == key_id and one["kty"] == "RSA":
                return jwt.PyJWK.from_dict(one, "RS256").key
        raise ValueError(key_id)


class _Keys:
    """Public keys by their ids, fetched once; so many as are in use, and no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, object]] = {}

    def get(self, name: str, fetch: Callable[[], object]) -> object:
        """Return a key; None where it could not be fetched within the last minute."""
        with self._lock:
            made, key = self._kept.get(name, (0.0, None))
            if key is None and (not made or time.monotonic() - made > UNKNOWN_SECONDS):
                try:
                    key = fetch()
                except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError):
                    key = None
                if len(self._kept) >= MAX_KEYS:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[name] = (time.monotonic(), key)
            return key


def _fetch(address: str) -> bytes:
    request = Request(address, headers={"Accept": "*/*"})  # noqa: S310 - https, by the settings
    with urlopen(request, timeout=FETCH_SECONDS) as answer:  # noqa: S310
        return bytes(answer.read(MAX_KEY_BYTES))


def _header(token: str) -> dict[str, Any]:
    """Return what a token says of itself, before anything of it is verified.

    Raises NotAllowedError.
    """
    try:
        return dict(jwt.get_unverified_header(token if len(token) <= MAX_TOKEN else ""))
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise NotAllowedError("the load balancer has signed nobody in") from None


def _verified(token: str, key: object, algorithm: str, whose: str) -> dict[str, Any]:
    """Return the claims of a token that a key has signed, by one algorithm alone.

    key: None where it could not be had. Raises NotAllowedError.
    """
    if key is None:
        raise NotAllowedError(f"the key of {whose} cannot be had")
    try:
        # Whom it is for stands elsewhere: `client` in a header, `client_id` among the claims.
        return dict(
            jwt.decode(
                token,
                key,  # type: ignore[arg-type]
                algorithms=[algorithm],
                leeway=LEEWAY_SECONDS,
                options={"verify_aud": False},
            )
        )
    except jwt.ExpiredSignatureError:
        raise NotAllowedError("the token is not good any more; load the page again") from None
    except jwt.InvalidSignatureError:
        raise NotAllowedError(f"that is not signed by {whose}") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise NotAllowedError(f"the token of {whose} is not as it should be") from None


def _expect(found: Mapping[str, Any], expected: Mapping[str, str]) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            raise NotAllowedError(f"the token has another {name} than it should have")


def _check_time(found: Mapping[str, Any]) -> None:
    end = found.get("exp")
    if isinstance(end, bool) or not isinstance(end, (int, float)):
        raise NotAllowedError("the token does not say how long it is good")
    if end + LEEWAY_SECONDS < time.time():
        raise NotAllowedError("the token is not good any more; load the page again")


def _key_id(header: Mapping[str, Any]) -> str:
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise NotAllowedError("the token does not name its key")
    return key_id
