"""What a charging point says → what we do; one module a subject, one table as routing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cp_backend.handlers.authorization import on_token_presented
from cp_backend.handlers.boot import on_booted, on_heartbeat
from cp_backend.handlers.data_transfer import on_data_transferred
from cp_backend.handlers.desk import Desk, Reply
from cp_backend.handlers.sessions import on_meter_read, on_session_ended, on_session_started
from cp_backend.handlers.status import on_status_reported
from cp_backend.ocpp import vocabulary as said

__all__ = ["HANDLERS", "Desk", "Reply"]

# Any: each handler takes the one type of message under whose name it stands.
HANDLERS: dict[type, Callable[[Desk, str, Any, Reply], None]] = {
    said.Booted: on_booted,
    said.DataTransferred: on_data_transferred,
    said.HeartbeatReceived: on_heartbeat,
    said.MeterRead: on_meter_read,
    said.SessionEnded: on_session_ended,
    said.SessionStarted: on_session_started,
    said.StatusReported: on_status_reported,
    said.TokenPresented: on_token_presented,
}
