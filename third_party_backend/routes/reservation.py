"""AuthorizeRemoteReservationStart and …Stop: an EVSE is kept for a provider's driver."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from charging.command import Outcome
from charging.service.telemetry import Metrics
from third_party_backend.answers import Answers
from third_party_backend.oicp.messages import (
    ReservationStart,
    ReservationStop,
    acknowledgment,
    read,
)
from third_party_backend.oicp.status import StatusCode, of_reservation
from third_party_backend.reservations import Reservations
from third_party_backend.settings import Settings
from third_party_backend.store import Asked, Decided, Stored

blueprint = Blueprint(
    "reservation", __name__, url_prefix="/api/oicp/reservation/v11/providers/<provider_id>"
)

log = logging.getLogger(__name__)


@blueprint.post("/reservation-start-request")
def start(provider_id: str) -> Response:
    """Keep an EVSE for a provider's driver."""
    reservations: Reservations = current_app.extensions["reservations"]
    settings: Settings = current_app.extensions["settings"]
    message = read(ReservationStart, request.get_json(force=True, silent=True), provider_id)
    session_id = message.session_id or str(uuid.uuid4())
    minutes = message.duration_minutes or settings.reservation_minutes
    begun = reservations.begin(message, session_id, minutes, settings.answer_timeout)
    match begun:
        case Stored(answer):
            pass
        case Decided(code, info):
            answer = acknowledgment(
                code,
                info,
                session_id=session_id,
                emp_partner_session_id=message.emp_partner_session_id,
            )
        case Asked(command_id):
            answers: Answers = current_app.extensions["answers"]
            outcome, detail = answers.wait(command_id, settings.answer_timeout)
            ours, theirs = reservations.partner_sessions(session_id)
            answer = reservations.finish(
                session_id,
                acknowledgment(
                    of_reservation(outcome),
                    detail,
                    session_id=session_id,
                    cpo_partner_session_id=ours,
                    emp_partner_session_id=theirs,
                ),
                outcome,
            )
    _log("reservation start", session_id, message, answer)
    return jsonify(answer)


@blueprint.post("/reservation-stop-request")
def stop(provider_id: str) -> Response:
    """Keep it no longer."""
    reservations: Reservations = current_app.extensions["reservations"]
    settings: Settings = current_app.extensions["settings"]
    message = read(ReservationStop, request.get_json(force=True, silent=True), provider_id)
    begun = reservations.begin_cancel(message, settings.answer_timeout)
    if isinstance(begun, Decided):
        code, info = begun.status_code, begun.info
    else:
        answers: Answers = current_app.extensions["answers"]
        outcome, info = answers.wait(begun.command_id, settings.answer_timeout)
        code = of_reservation(outcome)
        if outcome is Outcome.REJECTED:
            # It knows of no such reservation (any more), which is what was wanted.
            code, info = StatusCode.SUCCESS, ""
        if code is StatusCode.SUCCESS:
            reservations.cancelled(message.session_id)
    ours, theirs = reservations.partner_sessions(message.session_id)
    answer = acknowledgment(
        code,
        info,
        session_id=message.session_id,
        cpo_partner_session_id=ours,
        emp_partner_session_id=theirs,
    )
    _log("reservation stop", message.session_id, message, answer)
    return jsonify(answer)


def _log(
    event: str,
    session_id: str,
    message: ReservationStart | ReservationStop,
    answer: dict[str, Any],
) -> None:
    metrics: Metrics = current_app.extensions["metrics"]
    code = answer["StatusCode"]["Code"]
    if event == "reservation start":
        metrics.count("Reservations", code)
    log.info(
        event,
        extra={
            "hub_session": session_id,
            "provider": message.provider_id,
            "evse": message.evse_id,
            "code": code,
        },
    )
