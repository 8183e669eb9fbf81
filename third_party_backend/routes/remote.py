"""AuthorizeRemoteStart and AuthorizeRemoteStop: a driver's app starts and ends a session."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from charging.service.telemetry import Metrics
from third_party_backend.answers import Answers
from third_party_backend.oicp.messages import RemoteStart, RemoteStop, acknowledgment, read
from third_party_backend.oicp.status import of_outcome
from third_party_backend.settings import Settings
from third_party_backend.store import Asked, Decided, Store, Stored, new_partner_session_id

blueprint = Blueprint(
    "remote",
    __name__,
    url_prefix="/api/oicp/charging/v21/providers/<provider_id>/authorize-remote",
)

log = logging.getLogger(__name__)


@blueprint.post("/start")
def start(provider_id: str) -> Response:
    """Start a session at an EVSE on behalf of a provider's driver."""
    store: Store = current_app.extensions["store"]
    settings: Settings = current_app.extensions["settings"]
    started = time.perf_counter()
    message = read(RemoteStart, request.get_json(force=True, silent=True), provider_id)
    partner_session_id = new_partner_session_id()
    begun = store.begin_remote_start(message, partner_session_id, settings.answer_timeout)
    match begun:
        case Stored(answer):
            pass
        case Decided(code, info):
            answer = acknowledgment(
                code,
                info,
                session_id=message.session_id,
                emp_partner_session_id=message.emp_partner_session_id,
            )
        case Asked(command_id):
            answers: Answers = current_app.extensions["answers"]
            # What the look-ups took is not the charging point's any more.
            left = settings.answer_timeout - (time.perf_counter() - started)
            outcome, detail = answers.wait(command_id, max(0, left))
            ours, theirs = store.partner_sessions(message.session_id)
            answer = store.finish_remote_start(
                message.session_id,
                acknowledgment(
                    of_outcome(outcome),
                    detail,
                    session_id=message.session_id,
                    cpo_partner_session_id=ours,
                    emp_partner_session_id=theirs,
                ),
            )
    metrics: Metrics = current_app.extensions["metrics"]
    metrics.count("RemoteStarts", answer["StatusCode"]["Code"])
    metrics.sample("RemoteStartLatency", (time.perf_counter() - started) * 1000)
    _log("remote start", message, answer)
    return jsonify(answer)


@blueprint.post("/stop")
def stop(provider_id: str) -> Response:
    """End a session that this provider's driver started."""
    store: Store = current_app.extensions["store"]
    settings: Settings = current_app.extensions["settings"]
    message = read(RemoteStop, request.get_json(force=True, silent=True), provider_id)
    begun = store.begin_remote_stop(message, settings.answer_timeout)
    if isinstance(begun, Decided):
        code, info = begun.status_code, begun.info
    else:
        answers: Answers = current_app.extensions["answers"]
        outcome, info = answers.wait(begun.command_id, settings.answer_timeout)
        code = of_outcome(outcome)
    ours, theirs = store.partner_sessions(message.session_id)
    answer = acknowledgment(
        code,
        info,
        session_id=message.session_id,
        cpo_partner_session_id=ours,
        emp_partner_session_id=theirs,
    )
    current_app.extensions["metrics"].count("RemoteStops", code.value)
    _log("remote stop", message, answer)
    return jsonify(answer)


def _log(event: str, message: RemoteStart | RemoteStop, answer: dict[str, Any]) -> None:
    log.info(
        event,
        extra={
            "hub_session": message.session_id,
            "provider": message.provider_id,
            "evse": message.evse_id,
            "code": answer["StatusCode"]["Code"],
        },
    )
