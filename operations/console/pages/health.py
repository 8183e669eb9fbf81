"""Whether the console is alive, and whether it can serve."""

from __future__ import annotations

import psycopg
from flask import Blueprint, Response
from psycopg_pool import PoolTimeout

from operations.console.services import connection

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> Response:
    """Answer that the process is alive."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/ready")
def ready() -> Response:
    """Answer whether the database answers too."""
    try:
        connection().execute("SELECT 1")
    except (psycopg.Error, PoolTimeout):
        return Response("not ready\n", status=503, mimetype="text/plain")
    return Response("ok\n", mimetype="text/plain")
