"""AuthorizeRemoteReservationStart and …Stop: an EVSE is kept for a provider's driver."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from third_party_backend.oicp.messages import ReservationStart, ReservationStop, code_of, read
from third_party_backend.routes.answering import begin, end, log_answer
from third_party_backend.services import services

blueprint = Blueprint(
    "reservation", __name__, url_prefix="/api/oicp/reservation/v11/providers/<provider_id>"
)


@blueprint.post("/reservation-start-request")
def start(provider_id: str) -> Response:
    """Keep an EVSE for a provider's driver."""
    message = read(ReservationStart, request.get_data(), provider_id)
    wanted = message.reservation(services().settings.reservation_minutes)
    answer = begin(services().reservations, wanted)
    code = code_of(answer)
    services().metrics.count("Reservations", code)
    log_answer(
        "reservation start", wanted.hub_session_id, message.provider_id, message.evse_id, code
    )
    return jsonify(answer)


@blueprint.post("/reservation-stop-request")
def stop(provider_id: str) -> Response:
    """Keep it no longer."""
    message = read(ReservationStop, request.get_data(), provider_id)
    answer = end(services().reservations, message.end_request())
    log_answer(
        "reservation stop",
        message.hub_session_id,
        message.provider_id,
        message.evse_id,
        code_of(answer),
    )
    return jsonify(answer)
