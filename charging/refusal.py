"""Why something that a partner's driver asks for is not done, in no partner's words.

`third_party_backend/oicp` turns a refusal into the hub's status code.
"""

from __future__ import annotations

from enum import StrEnum

from charging.command import Outcome


class Refusal(StrEnum):
    """Why a start, a stop, a reservation or a cancellation is refused."""

    EVSE_UNKNOWN = "evse_unknown"
    """No EVSE of ours has that name."""
    NOT_ROAMING = "not_roaming"
    """The EVSE is ours and not offered to partners."""
    OFFLINE = "offline"
    """The charging point is not connected, or did not answer in time."""
    OUT_OF_SERVICE = "out_of_service"
    """The EVSE is faulted or was switched off."""
    IN_USE = "in_use"
    """A session charges there, or another start was asked for just now."""
    RESERVED = "reserved"
    """It is kept for somebody else."""
    NO_VEHICLE = "no_vehicle"
    """The charging point starts only with a vehicle connected, and none is."""
    NOT_OFFERED = "not_offered"
    """The charging point does not do such a thing at all."""
    REJECTED = "rejected"
    """The charging point answered no, or with an error."""
    SESSION_UNKNOWN = "session_unknown"
    """There is no session, or no reservation, of that name."""
    SESSION_ENDED = "session_ended"
    """The session, or the reservation, has ended."""
    OTHER_PROVIDER = "other_provider"
    """The session, or the reservation, is another provider's."""


def refusal_of(outcome: Outcome) -> Refusal | None:
    """Return what the outcome of a command is to whoever asked for it; None for accepted."""
    return _OF_OUTCOME[outcome]


_OF_OUTCOME = {
    Outcome.ACCEPTED: None,
    Outcome.SCHEDULED: None,
    Outcome.REBOOT_REQUIRED: None,
    Outcome.INVALID: Refusal.NOT_OFFERED,
    Outcome.REJECTED: Refusal.REJECTED,
    Outcome.FAILED: Refusal.REJECTED,
    Outcome.OFFLINE: Refusal.OFFLINE,
    Outcome.TIMEOUT: Refusal.OFFLINE,
    Outcome.OCCUPIED: Refusal.IN_USE,
    Outcome.OUT_OF_SERVICE: Refusal.OUT_OF_SERVICE,
    Outcome.NOT_OFFERED: Refusal.NOT_OFFERED,
}
