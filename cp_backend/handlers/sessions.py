"""Sessions begin, are metered, and end. Each is answered only after its commit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from charging.authorization import Authorization
from cp_backend.handlers.desk import Desk, Reply, after_commit, or_fail
from cp_backend.ocpp.vocabulary import (
    MeterRead,
    Noted,
    SessionEnded,
    SessionEndedAnswer,
    SessionStarted,
    SessionStartedAnswer,
)

log = logging.getLogger(__name__)


def on_session_started(
    desk: Desk, charging_point_id: str, said: SessionStarted, reply: Reply
) -> None:
    """Begin a session. One whose token may not charge is kept too: energy may have flowed."""

    def answer(started: SessionStartedAnswer) -> SessionStartedAnswer:
        desk.metrics.count("SessionsStarted")
        log.info(
            "session started",
            extra={
                "charging_point": charging_point_id,
                "session": started.session_id,
                "authorization": started.authorization.status.value,
            },
        )
        return started

    told = after_commit(reply, answer)

    def committed(result: SessionStartedAnswer | Exception) -> None:
        if isinstance(result, Exception) or not desk.roaming.may_ask(
            result.authorization, said.id_tag
        ):
            told(result)
        else:
            _ask_hub(desk, charging_point_id, said.id_tag, result, told)

    desk.store.session_started(charging_point_id, said, or_fail(reply, committed))


def _ask_hub(
    desk: Desk,
    charging_point_id: str,
    id_tag: str,
    started: SessionStartedAnswer,
    told: Callable[[Any], None],
) -> None:
    """Ask the hub about a card that a session began with unasked; the session is kept already."""

    def answered(authorization: Authorization | Exception) -> None:
        if isinstance(authorization, Exception):
            told(authorization)
            return
        final = SessionStartedAnswer(started.session_id, authorization)
        if not authorization.accepted:
            told(final)
            return
        # What it is answered now is what it must be answered again.
        desk.store.session_accepted(
            started.session_id,
            lambda result: told(result if isinstance(result, Exception) else final),
        )

    desk.roaming.ask(charging_point_id, id_tag, answered, started.session_id)


def on_meter_read(desk: Desk, charging_point_id: str, said: MeterRead, reply: Reply) -> None:
    """Keep meter readings at their own times."""
    desk.store.meter_read(charging_point_id, said, after_commit(reply, lambda _: _NOTED))


def on_session_ended(desk: Desk, charging_point_id: str, said: SessionEnded, reply: Reply) -> None:
    """End a session."""

    def answer(ended: SessionEndedAnswer) -> SessionEndedAnswer:
        desk.metrics.count("SessionsEnded")
        log.info(
            "session ended",
            extra={"charging_point": charging_point_id, "session": said.session_id},
        )
        return ended

    desk.store.session_ended(charging_point_id, said, after_commit(reply, answer))


_NOTED = Noted()
