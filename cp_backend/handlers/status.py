"""A charging point reports the status of a connector."""

from __future__ import annotations

from cp_backend.handlers.desk import Desk, Reply, after_commit
from cp_backend.ocpp.vocabulary import Noted, StatusReported


def on_status_reported(
    desk: Desk, charging_point_id: str, said: StatusReported, reply: Reply
) -> None:
    """Note it."""
    desk.store.status_reported(charging_point_id, said, after_commit(reply, lambda _: Noted()))
