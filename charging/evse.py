"""An EVSE: how it is, and whether a partner's driver may use it now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from charging.refusal import Refusal


class EvseState(StrEnum):
    """How an EVSE is. What the charging point itself reported stands beside it in the database.

    The node turns the words of each OCPP version into these. 1.6 tells all of them apart but
    `occupied`, with which 2.x sums up whatever goes on while a vehicle is connected.
    """

    UNKNOWN = "unknown"
    """It has reported nothing yet, or a word that we do not know."""
    AVAILABLE = "available"
    PREPARING = "preparing"
    """A vehicle is connected or a card was shown; nothing charges yet."""
    CHARGING = "charging"
    SUSPENDED_BY_VEHICLE = "suspended_by_vehicle"
    SUSPENDED_BY_STATION = "suspended_by_station"
    FINISHING = "finishing"
    """Its session has ended; the vehicle is still connected."""
    OCCUPIED = "occupied"
    """A vehicle is connected; whether it charges only our own sessions tell."""
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    """It was switched off."""
    FAULTED = "faulted"

    @property
    def out_of_service(self) -> bool:
        """Whether nobody can charge there until somebody has seen to it."""
        return self in (EvseState.UNAVAILABLE, EvseState.FAULTED)

    @property
    def in_use(self) -> bool:
        """Whether the charging point itself says that somebody else is using it."""
        return self in _IN_USE


_IN_USE = frozenset(
    {
        EvseState.CHARGING,
        EvseState.SUSPENDED_BY_VEHICLE,
        EvseState.SUSPENDED_BY_STATION,
        EvseState.FINISHING,
    }
)

FREE = frozenset({EvseState.AVAILABLE, EvseState.PREPARING, EvseState.RESERVED})
"""Where a driver could still begin: a card shown while none is like this ends a session."""


@dataclass(frozen=True, slots=True)
class EvseFacts:
    """What is known of an EVSE at the moment at which a partner's driver asks for it."""

    roaming: bool
    """It is offered to partners."""
    online: bool
    """A living node holds the charging point's socket."""
    state: EvseState
    whole: EvseState
    """Of the charging point as a whole: when it is out of service, so are all its EVSEs."""
    in_use: bool
    """A session charges there, or was let start so lately that the vehicle may yet come."""
    reserved: bool = False
    """A reservation holds it."""
    reserved_for_asker: bool = False
    """… and it is that of whoever asks."""
    vehicle_first: bool = False
    """The charging point starts only with a vehicle connected."""
    takes_reservations: bool = True


def refuse_start(evse: EvseFacts) -> Refusal | None:
    """Return why a session cannot be started at an EVSE, None if it can."""
    refusal = _refuse_use(evse)
    if refusal is not None:
        return refusal
    if evse.vehicle_first and evse.state in (EvseState.AVAILABLE, EvseState.RESERVED):
        return Refusal.NO_VEHICLE
    return None


def refuse_reservation(evse: EvseFacts) -> Refusal | None:
    """Return why an EVSE cannot be reserved, None if it can."""
    refusal = _refuse_use(evse)
    if refusal is not None:
        return refusal
    return None if evse.takes_reservations else Refusal.NOT_OFFERED


def _refuse_use(evse: EvseFacts) -> Refusal | None:
    if not evse.roaming:
        return Refusal.NOT_ROAMING
    if not evse.online:
        return Refusal.OFFLINE
    for state in (evse.whole, evse.state):
        if state is EvseState.RESERVED and not evse.reserved_for_asker:
            return Refusal.RESERVED
        if state.out_of_service:
            return Refusal.OUT_OF_SERVICE
        if state.in_use:
            return Refusal.IN_USE
    if evse.in_use:
        return Refusal.IN_USE
    if evse.reserved and not evse.reserved_for_asker:
        return Refusal.RESERVED
    # One that is unknown, or where a vehicle waits, is left to the charging point to decide.
    return None


def shown_state(state: EvseState, whole: EvseState, *, absent: bool) -> EvseState:
    """Return the state of an EVSE that drivers are shown.

    whole: of the charging point as a whole, which can take all its EVSEs out of service.
    absent: it has been offline for longer than the grace period.
    """
    if EvseState.FAULTED in (state, whole):
        return EvseState.FAULTED
    if absent or EvseState.UNAVAILABLE in (state, whole):
        return EvseState.UNAVAILABLE
    return state
