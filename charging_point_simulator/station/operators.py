"""What an operator's commands do at a charging point.

Each returns at once what is answered; what follows from it happens after the answer is sent
(`ChargingPoint.afterwards`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from charging_point_simulator.station import drivers, sessions
from charging_point_simulator.station.authorization import Known
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.connector import Connector, Reservation, Status, Token
from charging_point_simulator.station.limits import Profile

# The answer must be on its way before the connection goes.
_RESET_AFTER_SECONDS = 0.1
_SOFT_RESET_PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.05


def remote_start(
    point: ChargingPoint,
    number: int | None,
    token: str,
    profile: Profile | None = None,
    *,
    kind: str = "",
    request: int | None = None,
) -> bool:
    """Charge with a token at a connector; without a number, at one that is free.

    profile: holds for that session. kind, request: as in `Token`.
    """
    if not point.options.remote_starts:
        return False
    known = point.token_list.entries.get(token) or point.cache.get(token)
    parent = None if known is None else known.parent
    candidates = (
        [*point.connectors.values()]
        if number is None
        else [c for c in point.connectors.values() if c.number == number]
    )
    free = [
        c
        for c in candidates
        if point.is_free(c) and c.presented is None and drivers.kept_for(c, token, parent)
    ]
    if not free:
        return False
    # One with a car first: that is where the driver stands.
    connector = min(free, key=lambda c: c.car is None)

    def decide(found: Known) -> None:
        if found.status == "Accepted" and connector.presented is None:
            if profile is not None:
                point.profiles.add(replace(profile, connector=connector.number))
            drivers.accept(point, connector, Token(token, True, kind, request))

    if point.settings.authorize_remote_starts:
        point.afterwards.append(lambda: drivers.authorize(point, token, decide))
    else:
        point.afterwards.append(lambda: decide(Known("Accepted")))
    return True


def remote_stop(point: ChargingPoint, transaction: int | str) -> bool:
    """End a session by its number, or by its name."""
    charging = point.sessions()
    for connector in charging:
        session = connector.session
        if session is not None and session.record.transaction_id == transaction:
            point.afterwards.append(partial(_end, point, connector, "Remote"))
            return True
    if any(c.session is not None and c.session.record.transaction_id is None for c in charging):
        # Its start is not answered yet, so this may well be it.
        point.stop_requests.add(transaction)
        return True
    return False


def _end(point: ChargingPoint, connector: Connector, reason: str) -> None:
    if connector.session is not None:
        sessions.end(point, connector, reason)


def reset(point: ChargingPoint, *, hard: bool) -> None:
    """End all sessions and boot: softly once the ends are acknowledged, hard at once."""
    point.boot_reason = "RemoteReset"

    def end_all(reason: str) -> None:
        for connector in point.sessions():
            sessions.end(point, connector, reason)

    def cut() -> None:
        point.stay_away(point.settings.boot_seconds, abrupt=True)
        end_all("HardReset")
        point.restart()

    def gently() -> None:
        end_all("SoftReset")
        _when_delivered(point, point.restart, _SOFT_RESET_PATIENCE_SECONDS)

    point.timers.after(_RESET_AFTER_SECONDS, cut if hard else gently)


def reset_when_idle(point: ChargingPoint) -> None:
    """Boot once nobody charges and all is acknowledged."""
    point.boot_reason = "ScheduledReset"

    def look() -> None:
        if point.sessions():
            point.timers.after(_LOOK_SECONDS, look)
        else:
            _when_delivered(point, point.restart, _SOFT_RESET_PATIENCE_SECONDS)

    point.timers.after(_RESET_AFTER_SECONDS, look)


def end_session(point: ChargingPoint, number: int, reason: str) -> None:
    """End the session at a connector, if there is one, once the answer is on its way."""
    ending = partial(_end, point, point.connectors[number], reason)
    point.timers.after(_RESET_AFTER_SECONDS, ending)


def _when_delivered(point: ChargingPoint, then: Callable[[], None], patience: float) -> None:
    if patience <= 0 or not point.calls.durable_waiting:
        then()
        return
    point.timers.after(
        _LOOK_SECONDS, lambda: _when_delivered(point, then, patience - _LOOK_SECONDS)
    )


def change_availability(point: ChargingPoint, number: int, *, operative: bool) -> str:
    """Put a connector, or all with 0, into or out of service; a session ends first.

    Return Accepted, Rejected or Scheduled. Source: OCPP 1.6 section 5.2.
    """
    if number and number not in point.connectors:
        return "Rejected"
    wanted = point.all_connectors() if number == 0 else [point.connectors[number]]
    scheduled = False
    for connector in wanted:
        later = not operative and connector.session is not None
        scheduled = scheduled or later
        connector.inoperative_next = later
        if not later:
            connector.operative = operative
            if not operative:
                connector.presented = None
    point.afterwards.append(point.refresh_all)
    return "Scheduled" if scheduled else "Accepted"


def unlock(point: ChargingPoint, number: int) -> str:
    """Unlock a connector; its session ends. Return Unlocked or NotSupported."""
    connector = point.connectors.get(number)
    if connector is None:
        return "NotSupported"
    point.afterwards.append(partial(_end, point, connector, "UnlockCommand"))
    return "Unlocked"


def reserve(point: ChargingPoint, number: int, reservation: Reservation) -> str:
    """Keep a connector for a token until it expires. Source: OCPP 1.6 section 5.13."""
    connector = point.connectors.get(number)
    if connector is None or not point.options.reservations:
        return "Rejected"
    kept = connector.reservation
    again = kept is not None and kept.number == reservation.number
    match connector.status:
        case Status.FAULTED | Status.UNAVAILABLE as status:
            return str(status)
        case Status.AVAILABLE:
            pass
        case Status.RESERVED if again:
            pass
        case _:
            return "Occupied"
    connector.reservation = reservation
    point.afterwards.append(lambda: point.refresh(connector))
    left = (reservation.until - point.timers.clock.utc()).total_seconds()
    point.timers.after(left, lambda: _let_go(point, connector, reservation, "Expired"))
    return "Accepted"


def cancel_reservation(point: ChargingPoint, reservation: int) -> bool:
    """Free a connector that was reserved."""
    for connector in point.connectors.values():
        kept = connector.reservation
        if kept is not None and kept.number == reservation:
            point.afterwards.append(partial(_let_go, point, connector, kept))
            return True
    return False


def _let_go(
    point: ChargingPoint, connector: Connector, reservation: Reservation, how: str = ""
) -> None:
    if connector.reservation is reservation:
        connector.reservation = None
        if how:
            point.calls.send(*point.dialect.reservation_ended(reservation, how))
        point.refresh(connector)


def session_start(point: ChargingPoint, number: int) -> datetime | None:
    """Return when the session at a connector began."""
    connector = point.connectors.get(number)
    return None if connector is None or connector.session is None else connector.session.started_at
