"""A charging point reports the status of an EVSE."""

from __future__ import annotations

from cp_backend.context import Context
from cp_backend.handlers.reply import Reply, after_commit
from cp_backend.vocabulary import Noted, StatusReported


def on_status_reported(
    context: Context, charging_point_id: str, message: StatusReported, reply: Reply[Noted]
) -> None:
    """Keep it as the current state of its EVSE."""
    on_result = after_commit(reply, _noted)
    context.store.statuses.reported(charging_point_id, message, on_result)


def _noted(_: None) -> Noted:
    return Noted()
