"""A session as the roaming hub knows it, and a reservation of the hub's drivers."""

from __future__ import annotations

from enum import StrEnum


class HubSessionState(StrEnum):
    """asked → accepted → ended; or refused, and then no charging point may start with its token."""

    ASKED = "asked"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    ENDED = "ended"


class HubSessionOrigin(StrEnum):
    """Where a session of the hub began."""

    REMOTE = "remote"
    """With a driver's app: the hub asked us."""
    LOCAL = "local"
    """With a card at the charging point: we asked the hub."""


class ReservationState(StrEnum):
    """asked → reserved → used, cancelled or expired; or refused."""

    ASKED = "asked"
    RESERVED = "reserved"
    USED = "used"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUSED = "refused"


class NothingCharged(StrEnum):
    """Why a session that the hub knows ended before anything could be charged."""

    NO_VEHICLE = "no_vehicle"
    """No vehicle was connected in time."""
    STOPPED = "stopped"
    """The driver ended it again."""
    TOO_LATE = "too_late"
    """The hub authorized it when the charging point was no longer waiting."""
