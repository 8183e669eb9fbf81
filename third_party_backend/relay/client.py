"""How we call the hub: mutual TLS, connections that are reused, a deadline on every call."""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import certifi
import httpx
import simplejson
from cryptography import x509

from charging.service.settings import SettingError
from third_party_backend.oicp.calls import Call, Operator
from third_party_backend.oicp.verdicts import Answer, judge, lost
from third_party_backend.settings import Settings, variable

CONNECT_TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 1024 * 1024
_KEEPALIVE_SECONDS = 60.0
_MAX_CONNECTIONS = 20

log = logging.getLogger(__name__)


class HubClient:
    """Calls the hub. Safe for many threads."""

    def __init__(self, settings: Settings) -> None:
        """Raise SettingError for a certificate, key or CA that cannot be used."""
        self.operator = Operator(settings.operator_id, settings.operator_name)
        self._timeout = settings.hub_timeout
        self._client = httpx.Client(
            base_url=settings.hub_url.rstrip("/").removesuffix("/api/oicp") + "/api/oicp",
            verify=tls_context(settings) if settings.hub_url.startswith("https:") else True,
            limits=httpx.Limits(
                max_connections=_MAX_CONNECTIONS, keepalive_expiry=_KEEPALIVE_SECONDS
            ),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            # None are kept: one that cannot be written would spoil each call that follows.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def send(self, call: Call, seconds: float | None = None) -> Answer:
        """Call the hub; never raises for what the hub or the network does.

        seconds: until the answer is here, whole; by default the setting.
        """
        limit = self._timeout if seconds is None else seconds
        deadline = time.monotonic() + limit
        timeout = httpx.Timeout(limit, connect=min(limit, CONNECT_TIMEOUT_SECONDS))
        # Decimal goes as the number it is.
        content = simplejson.dumps(call.body, use_decimal=True)
        try:
            with self._client.stream(
                "POST", call.path, content=content, timeout=timeout
            ) as response:
                text = b""
                for chunk in response.iter_bytes():
                    text += chunk
                    if len(text) > MAX_ANSWER_BYTES:
                        return lost("the answer is longer than any can be", sent=True)
                    if time.monotonic() > deadline:
                        return lost("the answer took too long to come", sent=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return lost(_say(error), sent=False)
        except httpx.HTTPError as error:
            return lost(_say(error), sent=True)
        except Exception as error:  # whatever it is, no thread that sends may end by it
            log.exception("call failed")
            return lost(repr(error), sent=True)
        process_id = response.headers.get("Process-ID")
        return judge(response.status_code, text, response.headers.get("Retry-After"), process_id)


def _say(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return how to speak TLS with the hub. Raises SettingError."""
    name = "hub_ca"
    try:
        context = ssl.create_default_context(cafile=None if settings.hub_ca else certifi.where())
        if _is_pem(settings.hub_ca):
            context.load_verify_locations(cadata=settings.hub_ca)
        elif settings.hub_ca:
            context.load_verify_locations(cafile=settings.hub_ca)
        name = "hub_certificate"
        if settings.hub_certificate:
            with (
                _as_file(settings.hub_certificate) as certificate,
                _as_file(settings.hub_key) as key,
            ):
                context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        raise SettingError(f"{variable(name)}: cannot be used: {error}") from None
    return context


def certificate_days(settings: Settings) -> float | None:
    """Return how many days our certificate at the hub is valid for still; None where there is none.

    Below zero where it is not any more. Raises SettingError.
    """
    text = settings.hub_certificate
    if not text:
        return None
    try:
        pem = text.replace("\\n", "\n").encode() if _is_pem(text) else Path(text).read_bytes()
        end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise SettingError(f"{variable('hub_certificate')}: cannot be used: {error}") from None
    return (end - datetime.now(UTC)).total_seconds() / 86_400


def _is_pem(text: str) -> bool:
    return "-----BEGIN" in text


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """Yield a path; PEM text becomes a file that exists in memory alone.

    A container's disk is read-only, and a key has no business on one anyway.
    """
    if not _is_pem(text):
        yield text
        return
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        # A secret that passed through JSON may have lost its line ends.
        os.write(descriptor, text.replace("\\n", "\n").encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
