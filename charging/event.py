"""Facts for the outbox: what happened, in the past tense, recorded with what it changed.

An event row is written in the transaction of the state change it tells of, so neither exists
without the other. The relay of third_party_backend reads them in order of `event_id`.
"""

from __future__ import annotations

from enum import StrEnum

EVENTS_CHANNEL = "events"
"""NOTIFY channel that wakes the relay; the payload is empty."""


class EventKind(StrEnum):
    """What can have happened. The payload (a JSON object) of each:

    - session_started: ``{"session_id": int}``
    - session_ended: ``{"session_id": int}``
    - evse_status_changed: ``{"evse_number": int, "status": str, "error_code": str}``
    """

    SESSION_STARTED = "session_started"
    SESSION_ENDED = "session_ended"
    EVSE_STATUS_CHANGED = "evse_status_changed"
