"""A charging point reports something that is kept for an operator."""

from __future__ import annotations

import logging

from charging.database.messages import Direction
from cp_backend.context import Context
from cp_backend.handlers.reply import Reply, after_commit, or_fail
from cp_backend.handlers.status import judged_status
from cp_backend.store.certificates import Signed
from cp_backend.vocabulary import (
    CertificateRequestAnswer,
    CertificateRequested,
    EventsReported,
    Noted,
    Notice,
)

log = logging.getLogger(__name__)


def on_notice(
    context: Context, charging_point_id: str, message: Notice, reply: Reply[Noted]
) -> None:
    """Keep the report for an operator."""

    def noted(_: None) -> Noted:
        return Noted(message)

    context.store.notices.received(charging_point_id, message, after_commit(reply, noted))


def on_events_reported(
    context: Context, charging_point_id: str, message: EventsReported, reply: Reply[Noted]
) -> None:
    """Keep them; what they tell of connectors is their status."""

    def noted(_: None) -> Noted:
        return Noted()

    results: list[Exception | None] = []
    answer = after_commit(reply, noted)

    def on_result(result: Exception | None) -> None:
        results.append(result)
        if len(results) == len(message.statuses) + 1:
            answer(next((each for each in results if each is not None), None))

    for status in message.statuses:
        context.store.statuses.reported(charging_point_id, judged_status(status), on_result)
    context.store.notices.received(charging_point_id, message.notice, on_result)


def on_certificate_requested(
    context: Context,
    charging_point_id: str,
    message: CertificateRequested,
    reply: Reply[CertificateRequestAnswer],
) -> None:
    """Sign the request where an authority is configured and it names the charging point."""

    def answer(signed: Signed) -> CertificateRequestAnswer:
        context.message_log.note(
            charging_point_id,
            Direction.NODE,
            "decision",
            action="certificate request",
            outcome=f"refused: {signed.refusal}" if signed.refusal else "signed",
        )
        return CertificateRequestAnswer(accepted=not signed.refusal)

    answer_it = after_commit(reply, answer)

    def signed_or_not(result: Signed | Exception) -> None:
        answer_it(result)
        # Not with the request's commit: it must not overtake the answer. One that is lost with
        # the node is asked for again, as OCPP has charging points do.
        if not isinstance(result, Exception) and result.chain is not None:
            context.store.certificates.hand_over(charging_point_id, result.chain, handed_over)

    def handed_over(result: Exception | None) -> None:
        if result is not None:
            log.error(
                "certificate not handed over",
                extra={"charging_point": charging_point_id, "error": str(result)[:300]},
            )

    context.store.certificates.requested(charging_point_id, message, or_fail(reply, signed_or_not))
