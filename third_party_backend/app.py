"""The Flask application factory."""

from __future__ import annotations

import logging

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from third_party_backend.access import Access
from third_party_backend.incoming import MAX_BODY_BYTES
from third_party_backend.oicp.messages import MessageError, acknowledgment
from third_party_backend.oicp.status import StatusCode
from third_party_backend.routes import health, remote, reservation
from third_party_backend.services import Services
from third_party_backend.settings import Settings

log = logging.getLogger(__name__)


def create_app(settings: Settings, database_url: str) -> Flask:
    """Return the application of one worker process. Its `services(app)` are to be closed."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    services = Services.open(settings, database_url)
    services.attach(app)
    Access(settings, services.metrics).guard(app)
    for routes in (health, remote, reservation):
        app.register_blueprint(routes.blueprint)
    app.register_error_handler(MessageError, _on_message_error)
    app.register_error_handler(Exception, _on_error)
    return app


def _on_message_error(error: MessageError) -> Response:
    """Answer as the hub expects it whatever happened: HTTP 200 and an Acknowledgment."""
    log.warning("message refused", extra={"code": error.status_code.value})
    return jsonify(acknowledgment(error.status_code, error.info))


def _on_error(error: Exception) -> Response | HTTPException:
    if isinstance(error, HTTPException):
        return error  # a path or a method that is none of OICP's
    log.error("request failed", exc_info=error)
    return jsonify(acknowledgment(StatusCode.SYSTEM_ERROR))
