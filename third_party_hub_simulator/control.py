"""The control interface: a person or a test looks, starts, stops and orders misbehaviour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException

from third_party_hub_simulator.books import Books
from third_party_hub_simulator.driver import Driver, DriverError
from third_party_hub_simulator.faults import Kind
from third_party_hub_simulator.hub import Hub
from third_party_hub_simulator.messages import Json, Operation

blueprint = Blueprint("control", __name__)

_EXTENSION = "hub_simulator"


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the interface controls."""

    hub: Hub
    driver: Driver


def create_app(hub: Hub, driver: Driver) -> Flask:
    """Return the application that the command line calls."""
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions[_EXTENSION] = _Parts(hub, driver)
    app.register_blueprint(blueprint)
    return app


def _parts() -> _Parts:
    parts: _Parts = current_app.extensions[_EXTENSION]
    return parts


def _wanted() -> Json:
    """Return the members of the request's JSON object; none where there is no object."""
    body = request.get_json(force=True, silent=True)
    return body if isinstance(body, dict) else {}


@blueprint.errorhandler(Exception)
def on_error(error: Exception) -> Any:
    """Answer 400 with the reason where the request is at fault."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, (DriverError, ValueError, TypeError, KeyError)):
        return jsonify({"error": str(error)}), 400
    raise error


@blueprint.get("/health/live")
@blueprint.get("/health/ready")
def live() -> Response:
    """Answer that it runs."""
    return Response("ok\n", mimetype="text/plain")


# A driver of a provider. The members of each request are the arguments of the driver's method.


@blueprint.post("/start")
def start() -> Response:
    """Start a session remotely."""
    return jsonify(_parts().driver.start(**_wanted()))


@blueprint.post("/stop")
def stop() -> Response:
    """Stop one remotely."""
    return jsonify(_parts().driver.stop(**_wanted()))


@blueprint.post("/reserve")
def reserve() -> Response:
    """Reserve an EVSE."""
    return jsonify(_parts().driver.reserve(**_wanted()))


@blueprint.post("/cancel")
def cancel() -> Response:
    """Cancel a reservation."""
    return jsonify(_parts().driver.cancel(**_wanted()))


# What the hub knows.


@blueprint.get("/sessions")
def sessions() -> Response:
    """List all sessions."""
    hub = _parts().hub
    with hub.lock:
        return jsonify([session.as_json() for session in hub.books.sessions.values()])


@blueprint.get("/sessions/<session_id>")
def session(session_id: str) -> Response:
    """Show one session."""
    hub = _parts().hub
    with hub.lock:
        found = hub.books.session(session_id)
        if found is None:
            raise DriverError(f"no session {session_id}")
        return jsonify(found.as_json())


@blueprint.get("/evses")
def evses() -> Response:
    """List EVSEs with their status and the products that they have."""
    hub = _parts().hub
    with hub.lock:
        return jsonify([_evse(hub.books, name) for name in hub.books.evses])


def _evse(books: Books, name: str) -> Json:
    status, status_at = books.statuses.get(name, (None, None))
    products = {
        product
        for (evse, _), of_provider in books.prices.items()
        if evse == name
        for product in of_provider
    }
    return {
        "evse": books.evses[name]["EvseID"],
        "status": status,
        "status_at": None if status_at is None else _text(status_at),
        "products": sorted(products),
        "record": books.evses[name],
    }


@blueprint.get("/statuses")
def statuses() -> Response:
    """List all changes of status, oldest first."""
    hub = _parts().hub
    with hub.lock:
        return jsonify(
            [
                {"at": _text(at), "evse": evse, "status": status}
                for at, evse, status in hub.books.status_changes
            ]
        )


@blueprint.get("/calls")
def calls() -> Response:
    """List the latest calls, by `?operation=` those of one operation."""
    return jsonify(_parts().hub.calls(request.args.get("operation")))


@blueprint.get("/violations")
def violations() -> Response:
    """List the rules that were broken, oldest first."""
    hub = _parts().hub
    with hub.lock:
        return jsonify(hub.books.violations_as_json())


@blueprint.get("/figures")
def figures() -> Response:
    """Show counts and percentiles."""
    return jsonify(_parts().hub.figures())


# Misbehaviour.


@blueprint.get("/faults")
def faults() -> Response:
    """List the faults in force."""
    return jsonify(_parts().hub.faults.list())


@blueprint.post("/faults")
def add_fault() -> Response:
    """Put a fault in force. Members: kind, operation and the other fields of `Fault`."""
    wanted = _wanted()
    operation = wanted.pop("operation", None)
    fault = _parts().hub.faults.add(
        Kind(wanted.pop("kind")),
        operation=Operation(operation) if operation else None,
        **wanted,
    )
    return jsonify(fault.as_json())


@blueprint.delete("/faults")
def clear_faults() -> Response:
    """Take all faults out of force, by `?number=` one."""
    number = request.args.get("number", type=int)
    return jsonify({"cleared": _parts().hub.faults.clear(number)})


# Cards that the hub authorizes.


@blueprint.get("/tokens")
def tokens() -> Response:
    """List the cards."""
    hub = _parts().hub
    with hub.lock:
        return jsonify(
            [
                {"uid": token.uid, "provider_id": token.provider_id, "stops": token.stops}
                for token in hub.books.tokens.values()
            ]
        )


@blueprint.post("/tokens")
def add_token() -> Response:
    """Add a card. Members: the fields of `Token`."""
    token = _wanted()
    hub = _parts().hub
    with hub.lock:
        hub.books.record("token", token=token)
    return jsonify(token)


@blueprint.delete("/tokens/<uid>")
def remove_token(uid: str) -> Response:
    """Remove a card."""
    hub = _parts().hub
    with hub.lock:
        hub.books.record("token_removed", uid=uid)
    return jsonify({"removed": uid})


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
