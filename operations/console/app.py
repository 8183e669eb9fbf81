"""The Flask application factory of the console."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from flask import Flask, Response, render_template, request
from psycopg_pool import PoolTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from operations.api import app as api
from operations.api.openapi import PREFIX
from operations.console import access, formats, services
from operations.console.pages import (
    audit,
    charging_points,
    commands,
    health,
    hub,
    jobs,
    now,
    people,
    sessions,
    signing_in,
    tokens,
)
from operations.console.services import Services
from operations.console.settings import Settings
from operations.errors import ConflictError, ExistsError, NotFoundError, OperationError
from operations.people import NotAllowedError, TooManyTriesError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MAX_REQUEST_BYTES = 2 * 1024 * 1024

# No script, style or picture but our own files; no page of ours inside another's.
# Source: Content Security Policy Level 3; OWASP Secure Headers.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_NOTICES = {
    "registered": "The charging point is registered.",
    "saved": "Saved.",
    "added": "The card may charge now.",
    "blocked": "The card is blocked.",
    "unblocked": "The card may charge again.",
    "requeued": "It is sent again.",
    "dropped": "It is given up.",
    "settled": "It is put aside.",
    "signed-out": "You are signed out.",
}
_STATUS = {
    NotFoundError: 404,
    ConflictError: 409,
    ExistsError: 409,
    NotAllowedError: 403,
    TooManyTriesError: 429,
}

log = logging.getLogger(__name__)


def create_app(settings: Settings, database_url: str) -> Flask:
    """Return the application of a process. Its `services(app)` are to be closed."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    found = Services(settings, database_url)
    found.attach(app)
    # An application of its own: no cookie counts there, and no page is an answer.
    mounted: dict[str, WSGIApplication] = {PREFIX: api.create_app(found.pool, found.answers)}
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, mounted)  # type: ignore[method-assign]
    access.guard(app)
    formats.add_to(app)
    app.teardown_appcontext(services.release)
    app.after_request(_finish)
    app.context_processor(_for_templates)
    for pages in (
        audit,
        charging_points,
        commands,
        health,
        hub,
        jobs,
        now,
        people,
        sessions,
        signing_in,
        tokens,
    ):
        app.register_blueprint(pages.blueprint)
    app.register_error_handler(OperationError, _on_operation_error)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(psycopg.Error, _on_database_error)
    app.register_error_handler(PoolTimeout, _on_database_error)
    return app


def new_key() -> str:
    """Return a key that makes a form's second sending the same command as its first."""
    return secrets.token_urlsafe(16)


def _for_templates() -> dict[str, Any]:
    from flask import g

    return {
        "me": g.signed_in.person if g.get("signed_in") else None,
        "form_token": g.signed_in.form_token if g.get("signed_in") else "",
        "may": access.may,
        "new_key": new_key,
        "notice": _NOTICES.get(request.args.get("notice", "")),
        "label": formats.label,
    }


def _finish(response: Response) -> Response:
    response.headers.extend(_HEADERS)
    settings = services.services().settings
    if settings.oidc_sign_out:
        # The form that signs out leads there, and a policy counts where a form is led on to.
        elsewhere = urlsplit(settings.oidc_sign_out)
        response.headers["Content-Security-Policy"] = _HEADERS["Content-Security-Policy"].replace(
            "form-action 'self'", f"form-action 'self' {elsewhere.scheme}://{elsewhere.netloc}"
        )
    if settings.secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if request.endpoint == "static":
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response
    # What somebody saw is not for the next one at that screen.
    response.headers["Cache-Control"] = "no-store"
    if request.headers.get("X-Fragment") and response.status_code == 200:
        response.headers["Cache-Control"] = "no-cache, private"
        response.add_etag()
        response.make_conditional(request)
    return response


def _page(status: int, sentence: str) -> tuple[str, int]:
    return render_template("error.html", status=status, sentence=sentence), status


def _on_operation_error(error: OperationError) -> tuple[str, int]:
    return _page(_STATUS.get(type(error), 400), str(error))


def _on_http_error(error: HTTPException) -> tuple[str, int] | HTTPException:
    if error.code is None or error.code < 400:
        return error
    return _page(error.code, error.description or "")


def _on_database_error(error: Exception) -> tuple[str, int]:
    if isinstance(error, psycopg.DataError):
        # What was sent cannot be kept by it, such as NUL or a number too large.
        return _page(400, "The database cannot hold that; look at what was typed.")
    log.error("page failed", exc_info=error, extra={"path": request.path})
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return _page(403, "The console has no right to that at the database; a shell has.")
    if isinstance(error, psycopg.errors.QueryCanceled):
        return _page(503, "The database took too long; narrow what you look for, or try again.")
    if isinstance(error, (psycopg.OperationalError, PoolTimeout)):
        return _page(503, "The database cannot be reached; try again in a moment.")
    return _page(500, "Something went wrong; the log has it.")
