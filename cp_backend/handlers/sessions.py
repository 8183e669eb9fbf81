"""Sessions begin, are metered, and end. Each is answered only after its commit."""

from __future__ import annotations

import logging

from cp_backend.handlers.desk import Desk, Reply, after_commit
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

    desk.store.session_started(charging_point_id, said, after_commit(reply, answer))


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
