"""Whether the service lives, and whether it can serve."""

from __future__ import annotations

import psycopg
from flask import Blueprint, Response, current_app

from third_party_backend.store import Store

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> Response:
    """Answer: the process answers."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/ready")
def ready() -> Response:
    """Answer whether the database answers too."""
    store: Store = current_app.extensions["store"]
    try:
        store.ping()
    except psycopg.Error:
        return Response("not ready\n", status=503, mimetype="text/plain")
    return Response("ok\n", mimetype="text/plain")
