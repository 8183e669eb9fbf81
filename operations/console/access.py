"""Who asks, and whether they may: cookies, roles, and forms that are truly ours.

A form is taken only from a page of ours (Origin and Sec-Fetch-Site, where a browser sends them) and
with the token of the browser that is signed in. Source: OWASP, Cross-Site Request Forgery
Prevention.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, g, redirect, request, url_for
from werkzeug.exceptions import Forbidden

from charging.database.audit import Asker
from charging.service.proxies import client_address
from operations import people
from operations.console.balancer_sign_in import HEADERS, Vouched
from operations.console.services import connection, services
from operations.people import Person, Role

OPEN = frozenset({"signing_in.form", "signing_in.sign_in", "health.live", "health.ready", "static"})
"""Endpoints for people who are not signed in."""

P = ParamSpec("P")
R = TypeVar("R")


def cookie_name() -> str:
    """Return the cookie's name; over TLS one that no other host or path can have set."""
    return "__Host-console" if services().settings.secure else "console"


def vouched_for() -> Vouched | None:
    """Return whom the load balancer has signed in; None where people sign in here.

    Raises NotAllowedError where it has signed in nobody who may come in.
    """
    balancer = services().balancer
    if balancer is None:
        return None
    return balancer.person(*(request.headers.get(name, "") for name in HEADERS))


def guard(app: Flask) -> None:
    """Check every request of an application first."""
    app.before_request(_check)


def _check() -> Response | None:
    g.signed_in = None
    if request.method not in ("GET", "HEAD"):
        _check_origin()
    if request.endpoint in OPEN or request.endpoint is None:
        return None
    cookie = request.cookies.get(cookie_name(), "")
    g.signed_in = people.signed_in(connection(), cookie) if cookie else None
    if (vouched := vouched_for()) and g.signed_in is not None:
        # A cookie is only good together with what the load balancer says now.
        who = g.signed_in.person
        if (who.person, who.role) != (vouched.name, vouched.role):
            g.signed_in = None
    if g.signed_in is None:
        if request.headers.get("X-Fragment"):
            return Response("sign in again\n", status=401, mimetype="text/plain")
        wanted = request.full_path.rstrip("?") if request.method == "GET" else ""
        return redirect(url_for("signing_in.form", next=wanted or None))  # type: ignore[return-value]
    if request.method not in ("GET", "HEAD"):
        token = request.form.get("form_token", "")
        if not hmac.compare_digest(token.encode(), g.signed_in.form_token.encode()):
            raise Forbidden("this form is not from a page of yours; load the page again")
    return None


def _check_origin() -> None:
    site = request.headers.get("Sec-Fetch-Site")
    if site not in (None, "same-origin", "none"):
        raise Forbidden("this form came from another site")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Forbidden("this form came from another site")


def person() -> Person:
    """Return who is signed in."""
    found: Person = g.signed_in.person
    return found


def asker() -> Asker:
    """Return who is signed in, as the audit writes it."""
    return Asker(person().person, "console")


def may(role: str) -> bool:
    """Return whether whoever is signed in may do what a role may."""
    return g.signed_in is not None and person().role.may(Role(role))


def needs(role: Role) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a page be for people of a role, or of one that includes it."""

    def decorate(page: Callable[P, R]) -> Callable[P, R]:
        @wraps(page)
        def checked(*arguments: P.args, **named: P.kwargs) -> R:
            if not may(role):
                raise Forbidden(
                    f"that takes the role {role}; you are {person().role}."
                    " An administrator can change it"
                )
            return page(*arguments, **named)

        return checked

    return decorate


def address() -> str:
    """Return the browser's address, as the outermost trusted proxy saw it."""
    found = client_address(
        request.remote_addr,
        request.headers.getlist("X-Forwarded-For"),
        services().settings.forwarded_hops,
        fall_back=True,
    )
    return found or "unknown"
