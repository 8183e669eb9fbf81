"""The control interface: a person or a test looks, starts, stops and asks for misbehaviour."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from third_party_hub_simulator.driver import Driver, DriverError
from third_party_hub_simulator.faults import Kind
from third_party_hub_simulator.hub import Hub
from third_party_hub_simulator.messages import Operation


def create_app(hub: Hub, driver: Driver) -> Flask:
    """Return the application that the command line talks to."""
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]

    def asked() -> Any:
        return request.get_json(force=True, silent=True) or {}

    @app.errorhandler(Exception)
    def on_error(error: Exception) -> Any:
        if isinstance(error, HTTPException):
            return error
        if isinstance(error, (DriverError, ValueError, TypeError, KeyError)):
            return jsonify({"error": str(error)}), 400
        raise error

    @app.get("/health/live")
    @app.get("/health/ready")
    def live() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.post("/start")
    def start() -> Response:
        return jsonify(driver.start(**asked()))

    @app.post("/stop")
    def stop() -> Response:
        return jsonify(driver.stop(**asked()))

    @app.post("/reserve")
    def reserve() -> Response:
        return jsonify(driver.reserve(**asked()))

    @app.post("/cancel")
    def cancel() -> Response:
        return jsonify(driver.cancel(**asked()))

    @app.get("/sessions")
    def sessions() -> Response:
        with hub.lock:
            return jsonify([session.as_json() for session in hub.books.sessions.values()])

    @app.get("/sessions/<session_id>")
    def session(session_id: str) -> Response:
        with hub.lock:
            found = hub.books.session(session_id)
            if found is None:
                raise DriverError(f"no session {session_id}")
            return jsonify(found.as_json())

    @app.get("/evses")
    def evses() -> Response:
        with hub.lock:
            books = hub.books
            return jsonify(
                [
                    {
                        "evse": record["EvseID"],
                        "status": books.statuses[name][0] if name in books.statuses else None,
                        "status_at": (
                            books.statuses[name][1].isoformat(timespec="milliseconds")
                            if name in books.statuses
                            else None
                        ),
                        "products": sorted(
                            product
                            for (evse, _), products in books.prices.items()
                            if evse == name
                            for product in products
                        ),
                        "record": record,
                    }
                    for name, record in books.evses.items()
                ]
            )

    @app.get("/statuses")
    def statuses() -> Response:
        with hub.lock:
            return jsonify(
                [
                    {"at": at.isoformat(timespec="milliseconds"), "evse": evse, "status": status}
                    for at, evse, status in hub.books.status_changes
                ]
            )

    @app.get("/calls")
    def calls() -> Response:
        return jsonify(hub.calls(request.args.get("operation")))

    @app.get("/violations")
    def violations() -> Response:
        with hub.lock:
            return jsonify(hub.books.violations_as_json())

    @app.get("/figures")
    def figures() -> Response:
        return jsonify(hub.figures())

    @app.get("/faults")
    def faults() -> Response:
        return jsonify(hub.faults.list())

    @app.post("/faults")
    def add_fault() -> Response:
        wanted = asked()
        operation = wanted.pop("operation", None)
        fault = hub.faults.add(
            Kind(wanted.pop("kind")),
            operation=Operation(operation) if operation else None,
            **wanted,
        )
        return jsonify(fault.as_json())

    @app.delete("/faults")
    def clear_faults() -> Response:
        number = request.args.get("number", type=int)
        return jsonify({"cleared": hub.faults.clear(number)})

    @app.get("/tokens")
    def tokens() -> Response:
        with hub.lock:
            return jsonify(
                [
                    {"uid": t.uid, "provider_id": t.provider_id, "stops": t.stops}
                    for t in hub.books.tokens.values()
                ]
            )

    @app.post("/tokens")
    def add_token() -> Response:
        token = asked()
        with hub.lock:
            hub.books.record("token", token=token)
        return jsonify(token)

    @app.delete("/tokens/<uid>")
    def remove_token(uid: str) -> Response:
        with hub.lock:
            hub.books.record("token_removed", uid=uid)
        return jsonify({"removed": uid})

    return app
