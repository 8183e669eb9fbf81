"""Facts for the outbox: what happened, in the past tense, recorded with what it changed.

An event row is written in the transaction of the state change it tells of, so neither exists
without the other. The relay of third_party_backend turns events into deliveries and marks them
(`relayed_at`); of one thing it reads them in order of `event_id`.
"""

from __future__ import annotations

from enum import StrEnum

EVENTS_CHANNEL = "events"
"""NOTIFY channel that wakes the relay; the payload is empty."""


class EventKind(StrEnum):
    """What can have happened. The payload (a JSON object) of each:

    - session_started: ``{"session_id": int}``
    - session_ended: ``{"session_id": int}``
    - evse_status_changed: ``{"evse_number": int, "state": str, "status": str, "error_code": str}``,
      an EvseState, and what was reported; a service of the version before leaves the state out
    - evse_changed: ``{"evse_number": int}``, its name, its master data or its place in roaming
    - prices_changed: ``{}``, of no charging point: its id is empty
    - hub_session_closed: ``{"hub_session_id": str, "why": str}``, it ends without a session
    - reservation_ended: ``{"reservation_id": int}``
    """

    SESSION_STARTED = "session_started"
    SESSION_ENDED = "session_ended"
    EVSE_STATUS_CHANGED = "evse_status_changed"
    EVSE_CHANGED = "evse_changed"
    PRICES_CHANGED = "prices_changed"
    HUB_SESSION_CLOSED = "hub_session_closed"
    RESERVATION_ENDED = "reservation_ended"
