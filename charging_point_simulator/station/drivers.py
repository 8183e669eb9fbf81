"""What drivers do at a charging point: plug in, present a card, stop, unplug, break something."""

from __future__ import annotations

from collections.abc import Callable

from charging_point_simulator.station import sessions
from charging_point_simulator.station.authorization import Known
from charging_point_simulator.station.car import Car
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.connector import (
    ERROR_CODES,
    Connector,
    Reservation,
    Status,
    Token,
)


class DriverError(Exception):
    """The charging point does not let a driver do that; the message says why."""


def plug(point: ChargingPoint, connector: Connector, car: Car) -> None:
    """Plug a car in; a token that waits for it charges. Raises DriverError."""
    if connector.car is not None:
        raise DriverError(f"a car is plugged into connector {connector.number} already")
    connector.car, connector.held = car, False
    token = connector.presented
    if token is not None and point.is_free(connector):
        # The state goes over Preparing even where the token came first.
        point.refresh(connector)
        sessions.begin(point, connector, token)
    point.refresh(connector)


def unplug(point: ChargingPoint, connector: Connector) -> None:
    """Unplug the car; its session ends, unless the settings say otherwise. Raises DriverError."""
    if connector.car is None:
        raise DriverError(f"no car is plugged into connector {connector.number}")
    if connector.session is not None:
        point.settle(connector)
        if point.settings.stop_on_unplug:
            sessions.end(point, connector, "EVDisconnected")
    connector.car, connector.held = None, False
    point.refresh(connector)


def present(
    point: ChargingPoint,
    connector: Connector,
    token: str,
    on_result: Callable[[str], None] = lambda status: None,
) -> None:
    """Present a card at a connector: it starts a session, or stops the one it started.

    on_result: called with the token's status, Accepted or why it is refused. Raises DriverError.
    """
    session = connector.session
    if session is not None:
        _stop_by_card(point, connector, token)
        on_result("Accepted")
        return
    if not point.is_free(connector):
        raise DriverError(f"connector {connector.number} is {connector.status}")

    def decide(known: Known) -> None:
        status = known.status
        if status == "Accepted" and not kept_for(connector, token, known.parent):
            status = "Reserved for another token"
        if status == "Accepted":
            accept(point, connector, Token(token))
        on_result(status)
        point.changed()

    authorize(point, token, decide)


def _stop_by_card(point: ChargingPoint, connector: Connector, token: str) -> None:
    assert connector.session is not None
    started = connector.session.record.id_tag
    parent, other = (point.cache.get(name) for name in (started, token))
    group = None if other is None else other.parent
    if group is not None and group == point.settings.master_pass_group:
        sessions.end(point, connector, "MasterPass", token)
        return
    same_group = parent is not None and group is not None and parent.parent == group
    if token != started and not same_group:
        raise DriverError(f"connector {connector.number} is charging with another token")
    sessions.end(point, connector, "Local", token)


def stop(point: ChargingPoint, connector: Connector) -> None:
    """End a session with the card that started it; without a card, at the car."""
    session = connector.session
    if session is None:
        raise DriverError(f"connector {connector.number} has no session")
    if session.token.remote:
        # A driver with an app has no card to show: unlocking the car ends it.
        sessions.end(point, connector, "EVDisconnected")
    else:
        sessions.end(point, connector, "Local", session.record.id_tag)


def accept(point: ChargingPoint, connector: Connector, token: Token) -> None:
    """Charge with an accepted token: at once, or when a car comes in time."""
    if connector.status is Status.FAULTED or connector.session is not None:
        return
    if connector.car is not None:
        sessions.begin(point, connector, token)
        return
    connector.presented = token
    point.refresh(connector)

    def timeout() -> None:
        if connector.presented is token:
            connector.presented = None
            point.refresh(connector)
            point.changed()

    point.timers.after(point.settings.connection_timeout_seconds, timeout)
    point.changed()


def kept_for(connector: Connector, token: str, parent: str | None) -> bool:
    """Whether a connector is not reserved, or reserved for a token or its group."""
    kept: Reservation | None = connector.reservation
    if kept is None or kept.token == token:
        return True
    return kept.parent is not None and kept.parent == parent


def authorize(point: ChargingPoint, token: str, on_known: Callable[[Known], None]) -> None:
    """Find out what a token may: from the local list, the central system, or offline."""
    settings, now = point.settings, point.timers.clock.utc()
    listed = point.token_list.entries.get(token) if settings.local_list_enabled else None
    cached = point.cache.get(token) if settings.cache_enabled else None

    def offline() -> None:
        known = listed or cached if settings.authorize_offline else None
        if known is None:
            known = Known("Accepted" if settings.allow_unknown_offline else "Invalid")
        on_known(Known(known.status_at(now), known.parent))

    def answered(known: Known | None) -> None:
        if known is None:
            offline()
            return
        if settings.cache_enabled:
            point.cache.put(token, known)
        on_known(known)

    known = listed or cached
    if settings.authorize_from_list and known and known.status_at(now) == "Accepted":
        on_known(known)
    elif point.online:
        point.calls.send(point.dialect.authorize(token, answered))
    else:
        offline()


def fault(point: ChargingPoint, connector: Connector, code: str) -> None:
    """Break a connector, 0 for the whole charging point: what charges there ends.

    code: one of ERROR_CODES. Raises DriverError for another.
    """
    if code not in ERROR_CODES:
        raise DriverError(f"no error code {code!r}; there are {', '.join(ERROR_CODES)}")
    for each in [connector, *(point.connectors.values() if connector is point.whole else ())]:
        if each.session is not None:
            sessions.end(point, each, "Other")
        each.error_code, each.presented = code, None
        point.refresh(each)


def clear_fault(point: ChargingPoint, connector: Connector) -> None:
    """Repair a connector, 0 for the whole charging point."""
    for each in [connector, *(point.connectors.values() if connector is point.whole else ())]:
        each.error_code = "NoError"
        point.refresh(each)
