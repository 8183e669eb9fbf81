"""A charging point reports the status of an EVSE."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from charging.clock import judge_time
from cp_backend.context import Context
from cp_backend.handlers.reply import Reply, after_commit
from cp_backend.vocabulary import Noted, StatusReported


def on_status_reported(
    context: Context, charging_point_id: str, message: StatusReported, reply: Reply[Noted]
) -> None:
    """Keep it as the current state of its EVSE."""
    on_result = after_commit(reply, _noted)
    context.store.statuses.reported(charging_point_id, judged_status(message), on_result)


def judged_status(message: StatusReported) -> StatusReported:
    """Return a status with the time of receipt where its own cannot be.

    By it an EVSE that is free is told from one whose session goes on.
    """
    if message.at is None:
        return message
    judged = judge_time(message.at, datetime.now(UTC))
    return replace(message, at=judged.at) if judged.doubtful else message


def _noted(_: None) -> Noted:
    return Noted()
