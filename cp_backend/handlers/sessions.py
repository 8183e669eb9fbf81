"""Sessions begin, are metered, and end. Each is answered only after its commit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from charging.authorization import Authorization
from charging.clock import judge_time
from charging.token import Token
from cp_backend.context import Context
from cp_backend.handlers.decisions import Shown, note_decision
from cp_backend.handlers.reply import Reply, after_commit, or_fail
from cp_backend.vocabulary import (
    MeterRead,
    Noted,
    Reading,
    SessionEnded,
    SessionEndedAnswer,
    SessionPhase,
    SessionReported,
    SessionReportedAnswer,
    SessionStarted,
    SessionStartedAnswer,
)

log = logging.getLogger(__name__)


def on_session_started(
    context: Context,
    charging_point_id: str,
    message: SessionStarted,
    reply: Reply[SessionStartedAnswer],
) -> None:
    """Begin a session. One whose token may not charge is kept too: energy may have flowed."""

    def answer(started: SessionStartedAnswer) -> SessionStartedAnswer:
        context.metrics.count("SessionsStarted")
        log.info(
            "session started",
            extra={
                "charging_point": charging_point_id,
                "session": started.session_id,
                "authorization": started.authorization.decision.value,
            },
        )
        note_decision(context, charging_point_id, message.token, Shown.START, started.authorization)
        return started

    judged = judge_time(message.started_at, datetime.now(UTC))
    if judged.doubtful:
        message = replace(message, started_at=judged.at, reported_at=judged.reported)
    on_result = after_commit(reply, answer)

    def committed(result: SessionStartedAnswer | Exception) -> None:
        if isinstance(result, Exception) or not context.hub.may_ask(
            result.authorization, message.token
        ):
            on_result(result)
        else:
            _ask_hub(context, charging_point_id, message.token, result, reply, on_result)

    context.store.sessions.started(charging_point_id, message, or_fail(reply, committed))


def _ask_hub(
    context: Context,
    charging_point_id: str,
    token: Token,
    started: SessionStartedAnswer,
    reply: Reply[Any],
    on_result: Callable[[SessionStartedAnswer | Exception], None],
) -> None:
    """Ask the hub about a card that a session began with unasked; the session is kept already."""

    def answered(authorization: Authorization | Exception) -> None:
        if isinstance(authorization, Exception):
            on_result(authorization)
            return
        final = SessionStartedAnswer(started.session_id, authorization)
        if not authorization.accepted:
            on_result(final)
            return
        # What it is answered now is what it must be answered again.
        context.store.sessions.accepted(
            charging_point_id,
            started.session_id,
            lambda result: on_result(result if isinstance(result, Exception) else final),
        )

    context.hub.ask(charging_point_id, token, or_fail(reply, answered), started.session_id)


def on_meter_read(
    context: Context, charging_point_id: str, message: MeterRead, reply: Reply[Noted]
) -> None:
    """Keep meter readings at their own times."""
    readings = _judged(message.readings)
    if readings is not message.readings:
        message = replace(message, readings=readings)
    context.store.readings.read(charging_point_id, message, after_commit(reply, _noted))


def _judged(readings: list[Reading]) -> list[Reading]:
    """Return readings with the time of receipt where their own cannot be; the same if all can."""
    received_at = datetime.now(UTC)
    times = [judge_time(reading.sampled_at, received_at) for reading in readings]
    if not any(time.doubtful for time in times):
        return readings
    return [
        replace(reading, sampled_at=time.at, reported_at=time.reported)
        if time.doubtful
        else reading
        for reading, time in zip(readings, times, strict=True)
    ]


def on_session_ended(
    context: Context,
    charging_point_id: str,
    message: SessionEnded,
    reply: Reply[SessionEndedAnswer],
) -> None:
    """End a session."""

    def answer(ended: SessionEndedAnswer) -> SessionEndedAnswer:
        context.metrics.count("SessionsEnded")
        log.info(
            "session ended",
            extra={"charging_point": charging_point_id, "session": message.session.session_id},
        )
        if message.token is not None and ended.authorization is not None:
            note_decision(
                context, charging_point_id, message.token, Shown.STOP, ended.authorization
            )
        return ended

    judged = judge_time(message.ended_at, datetime.now(UTC))
    if judged.doubtful:
        message = replace(message, ended_at=judged.at, reported_at=judged.reported)
    readings = _judged(message.readings)
    if readings is not message.readings:
        message = replace(message, readings=readings)
    context.store.sessions.ended(charging_point_id, message, after_commit(reply, answer))


def on_session_reported(
    context: Context,
    charging_point_id: str,
    message: SessionReported,
    reply: Reply[SessionReportedAnswer],
) -> None:
    """Begin, meter or end a session that the charging point named itself, as it is reported."""

    def answer(reported: SessionReportedAnswer) -> SessionReportedAnswer:
        if message.phase is not SessionPhase.UPDATED:
            started = message.phase is SessionPhase.STARTED
            context.metrics.count("SessionsStarted" if started else "SessionsEnded")
            log.info(
                "session started" if started else "session ended",
                extra={"charging_point": charging_point_id, "session": reported.session_id},
            )
        token = message.token or message.stop_token
        if token is not None and reported.authorization is not None:
            shown = Shown.START if message.token is not None else Shown.STOP
            note_decision(context, charging_point_id, token, shown, reported.authorization)
        return reported

    judged = judge_time(message.at, datetime.now(UTC))
    if judged.doubtful:
        message = replace(message, at=judged.at, reported_at=judged.reported)
    readings = _judged(message.readings)
    if readings is not message.readings:
        message = replace(message, readings=readings)
    on_result = after_commit(reply, answer)

    def committed(result: SessionReportedAnswer | Exception) -> None:
        token = message.token
        if (
            isinstance(result, Exception)
            or not result.may_ask
            or token is None
            or result.session_id is None
            or result.authorization is None
            or not context.hub.may_ask(result.authorization, token)
        ):
            on_result(result)
            return

        def answered(started: SessionStartedAnswer | Exception) -> None:
            if isinstance(started, Exception):
                on_result(started)
            else:
                on_result(SessionReportedAnswer(started.session_id, started.authorization))

        begun = SessionStartedAnswer(result.session_id, result.authorization)
        _ask_hub(context, charging_point_id, token, begun, reply, answered)

    context.store.station_sessions.reported(charging_point_id, message, or_fail(reply, committed))


_NOTED = Noted()


def _noted(_: None) -> Noted:
    return _NOTED
