"""How requests of the hub are answered, whatever they ask for."""

from __future__ import annotations

import logging
import time
from typing import Any

from charging.refusal import Refusal
from third_party_backend.oicp.messages import acknowledgment
from third_party_backend.oicp.status import StatusCode, of_outcome, of_refusal
from third_party_backend.partners.requests import Requests
from third_party_backend.partners.terms import Answered, Asked, Done, EndRequest, Refused, Request
from third_party_backend.services import services

Json = dict[str, Any]

log = logging.getLogger(__name__)


def begin(requests: Requests, request: Request) -> Json:
    """Begin what a driver wants; return the Acknowledgment."""
    started = time.monotonic()
    seconds = services().settings.answer_timeout
    begun = requests.begin(request, seconds)
    match begun:
        case Answered(answer):
            return answer
        case Refused():
            return _refusal(request, begun)
        case Asked(command_id, references):
            # What the look-ups took is not the charging point's any more.
            left = max(0.0, seconds - (time.monotonic() - started))
            result = services().answers.wait(command_id, left)

            def write(refusal: Refusal | None) -> Json:
                code = StatusCode.SUCCESS if refusal is None else of_refusal(refusal)
                info = result.detail if code is of_outcome(result.outcome) else ""
                return acknowledgment(code, info, request.hub_spelling, references)

            return requests.finish(request.hub_session_id, result.outcome, write)


def end(requests: Requests, request: EndRequest) -> Json:
    """End what a request began; return the Acknowledgment."""
    seconds = services().settings.answer_timeout
    begun = requests.begin_end(request, seconds)
    match begun:
        case Refused():
            return _refusal(request, begun)
        case Done(references):
            return acknowledgment(StatusCode.SUCCESS, "", request.hub_spelling, references)
        case Asked(command_id, references):
            result = services().answers.wait(command_id, seconds)
            outcome = requests.finish_end(request.hub_session_id, result.outcome)
            code = of_outcome(outcome)
            info = "" if code is StatusCode.SUCCESS else result.detail
            return acknowledgment(code, info, request.hub_spelling, references)


def log_answer(event: str, hub_session_id: str, provider_id: str, evse_id: str, code: str) -> None:
    """Write a line for a request and how it was answered."""
    log.info(
        event,
        extra={
            "hub_session": hub_session_id,
            "provider": provider_id,
            "evse": evse_id,
            "code": code,
        },
    )


def _refusal(request: Request | EndRequest, refused: Refused) -> Json:
    return acknowledgment(
        of_refusal(refused.refusal), refused.detail, request.hub_spelling, refused.references
    )
