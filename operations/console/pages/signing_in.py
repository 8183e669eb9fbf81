"""Signing in and out, and what somebody chooses for themselves."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from operations import people
from operations.console import access
from operations.console.services import connection, services
from operations.people import NotAllowedError, TooManyTriesError

blueprint = Blueprint("signing_in", __name__)

_BALANCERS_COOKIES = [f"AWSELBAuthSessionCookie-{part}" for part in range(4)]
"""The load balancer's session, in as many parts as it needs. Source: as of balancer_sign_in."""


@blueprint.get("/sign-in")
def form() -> ResponseReturnValue:
    """Ask for name and password, unless the load balancer has said who it is."""
    if vouched := access.vouched_for():
        people.forget_old(connection())
        cookie = people.sign_in_vouched(
            connection(), vouched.name, vouched.role, address=access.address()
        )
        # Lax: this request comes by way of the provider's site, and the next one with it.
        return _led_on(request.args.get("next", ""), cookie, "Lax")
    return render_template("sign_in.html", wanted=request.args.get("next", ""), name="", error="")


@blueprint.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Sign a browser in and lead it where it wanted to go."""
    if services().balancer:
        raise NotAllowedError("people sign in at the load balancer here")
    name, wanted = request.form.get("name", ""), request.form.get("next", "")
    people.forget_old(connection())
    try:
        cookie, _ = people.sign_in(
            connection(), name, request.form.get("password", ""), address=access.address()
        )
    except (NotAllowedError, TooManyTriesError) as error:
        status = 429 if isinstance(error, TooManyTriesError) else 403
        page = render_template("sign_in.html", wanted=wanted, name=name, error=str(error))
        return page, status
    return _led_on(wanted, cookie, "Strict")


def _led_on(wanted: str, cookie: str, same_site: str) -> ResponseReturnValue:
    response = redirect(wanted if _is_ours(wanted) else url_for("now.page"))
    response.set_cookie(
        access.cookie_name(),
        cookie,
        secure=services().settings.secure,
        httponly=True,
        samesite=same_site,
        path="/",
    )
    return response


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """Sign this browser out."""
    people.sign_out(connection(), request.cookies.get(access.cookie_name(), ""))
    elsewhere = services().settings.oidc_sign_out
    response = redirect(elsewhere or url_for("signing_in.form", notice="signed-out"))
    response.delete_cookie(access.cookie_name(), path="/")
    if services().balancer:
        for name in _BALANCERS_COOKIES:
            response.delete_cookie(name, path="/")
    return response


def _is_ours(wanted: str) -> bool:
    """Return whether an address is a path of ours, and not another site's in disguise."""
    parts = urlsplit(wanted)
    return (
        wanted.startswith("/")
        and not wanted.startswith(("//", "/\\"))
        and not parts.scheme
        and not parts.netloc
        and wanted.isprintable()
    )
