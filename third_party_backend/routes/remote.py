"""AuthorizeRemoteStart and AuthorizeRemoteStop: a driver's app starts and ends a session."""

from __future__ import annotations

import time

from flask import Blueprint, Response, jsonify, request

from third_party_backend.oicp.messages import RemoteStart, RemoteStop, code_of, read
from third_party_backend.routes.answering import begin, end, log_answer
from third_party_backend.services import services

blueprint = Blueprint(
    "remote",
    __name__,
    url_prefix="/api/oicp/charging/v21/providers/<provider_id>/authorize-remote",
)


@blueprint.post("/start")
def start(provider_id: str) -> Response:
    """Start a session at an EVSE on behalf of a provider's driver."""
    started = time.perf_counter()
    message = read(RemoteStart, request.get_data(), provider_id)
    answer = begin(services().remote_sessions, message.request())
    code = code_of(answer)
    services().metrics.count("RemoteStarts", code)
    services().metrics.sample("RemoteStartLatency", (time.perf_counter() - started) * 1000)
    log_answer("remote start", message.hub_session_id, message.provider_id, message.evse_id, code)
    return jsonify(answer)


@blueprint.post("/stop")
def stop(provider_id: str) -> Response:
    """End a session that this provider's driver started."""
    message = read(RemoteStop, request.get_data(), provider_id)
    answer = end(services().remote_sessions, message.end_request())
    code = code_of(answer)
    services().metrics.count("RemoteStops", code)
    log_answer("remote stop", message.hub_session_id, message.provider_id, message.evse_id, code)
    return jsonify(answer)
