"""What the operator calls: one POST path for each operation."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, request

from third_party_hub_simulator.hub import Hub
from third_party_hub_simulator.messages import PATHS, Operation
from third_party_hub_simulator.server import CALLER, Caller

MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""A full load of some ten thousand EVSEs is a large message."""


def create_app(hub: Hub) -> Flask:
    """Return the application that the operator calls."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]

    def take(operation: Operation) -> Any:
        def view(operator_id: str | None = None) -> Response:
            caller: Caller = request.environ[CALLER]
            answer, process_id = hub.take(operation, operator_id, request.get_data(), caller.socket)
            caller.cut = answer.cut
            if isinstance(answer.body, dict):
                response: Response = jsonify(answer.body)
            else:
                response = Response(answer.body or "", mimetype="text/html")
            response.status_code = answer.http or 500
            response.headers["Process-ID"] = process_id
            return response

        return view

    for operation, path in PATHS.items():
        app.add_url_rule(f"/api/oicp{path}", operation.value, take(operation), methods=["POST"])
    return app
