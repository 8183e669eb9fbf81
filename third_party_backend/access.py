"""Who may call: the hub alone, by its source address and, where wanted, its certificate.

The firewall in front has the same rule; this one holds without it, and logs who was refused.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import ssl
from urllib.parse import unquote

from flask import Flask, Request, Response, request

from charging.service.proxies import client_address
from charging.service.telemetry import Metrics
from third_party_backend.settings import Settings

# Of the load balancer in front (AWS's Application Load Balancer, mutual TLS).
CERTIFICATE_HEADERS = ("X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf")
SUBJECT_HEADER = "X-Amzn-Mtls-Clientcert-Subject"

log = logging.getLogger(__name__)


class Access:
    """Refuses callers other than the hub; only health paths are open to all."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._networks = settings.networks()
        self._hops = settings.forwarded_hops
        self._metrics = metrics
        wanted = settings.client_certificate.strip()
        plain = wanted.replace(":", "").lower()
        self._fingerprint = plain if re.fullmatch(r"[0-9a-f]{64}", plain) else ""
        self._subject = "" if self._fingerprint else wanted

    def guard(self, app: Flask) -> None:
        """Check every request of an application first."""
        app.before_request(self._check)

    def _check(self) -> Response | None:
        if not request.path.startswith("/api/"):
            return None
        address = self._address(request)
        why = self._why_not(request, address)
        if why is None:
            return None
        self._metrics.count("CallersRefused", why)
        log.warning(
            "caller refused", extra={"address": address, "why": why, "path": request.path[:200]}
        )
        return Response("forbidden\n", status=403, mimetype="text/plain")

    def _address(self, request: Request) -> str | None:
        """Return the caller's address as the outermost trusted proxy saw it, None if none did."""
        return client_address(
            request.remote_addr,
            request.headers.getlist("X-Forwarded-For"),
            self._hops,
            fall_back=False,
        )

    def _why_not(self, request: Request, address: str | None) -> str | None:
        if self._networks:
            try:
                caller = ipaddress.ip_address((address or "").strip("[]"))
            except ValueError:
                return "address unknown"
            mapped = getattr(caller, "ipv4_mapped", None)
            if not any((mapped or caller) in network for network in self._networks):
                return "address"
        if self._fingerprint and self._fingerprint != _fingerprint(request):
            return "certificate"
        if self._subject and self._subject != request.headers.get(SUBJECT_HEADER):
            return "certificate"
        return None


def _fingerprint(request: Request) -> str | None:
    """Return the SHA-256 of the client's certificate, which comes percent-encoded as PEM."""
    for name in CERTIFICATE_HEADERS:
        pem = unquote(request.headers.get(name, ""))
        found = re.search(
            r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL
        )
        if found:
            try:
                return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest()
            except ValueError:
                return None
    return None
