"""A session from its start to its end: the messages that concern money, and the meter."""

from __future__ import annotations

from charging_point_simulator.report import SessionRecord
from charging_point_simulator.station.authorization import Known
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.connector import Connector, Session, Token
from charging_point_simulator.station.timers import write_time


def begin(point: ChargingPoint, connector: Connector, token: Token) -> Session:
    """Begin to charge the car that is plugged in."""
    point.settle(connector)
    now = point.timers.timestamp()
    record = SessionRecord(
        point.identity,
        connector.number,
        token.id,
        int(connector.register_wh),
        write_time(now),
        remote=token.remote,
    )
    session = Session(record, now, token)
    if connector.reservation is not None:
        session.reservation, connector.reservation = connector.reservation.number, None
    connector.session, connector.presented, connector.held = session, None, False
    point.report.sessions.append(record)
    point.calls.send(point.dialect.session_started(session))
    point.refresh_limits()
    point.refresh(connector)
    plan_reading(point, connector, session)
    return session


def on_started(point: ChargingPoint, session: Session, number: int | str, known: Known) -> None:
    """Take the central system's answer to a start. number: the session's, whoever gave it."""
    session.record.start_acknowledged = True
    session.record.transaction_id = number
    if point.settings.cache_enabled:
        point.cache.put(session.record.id_tag, known)
    connector = point.connectors[session.record.connector]
    if connector.session is session:
        if known.status != "Accepted" and point.settings.stop_on_invalid:
            end(point, connector, "DeAuthorized")
        elif number in point.stop_requests:
            end(point, connector, "Remote")
    point.stop_requests.discard(number)
    point.changed()


def end(point: ChargingPoint, connector: Connector, reason: str, token: str | None = None) -> None:
    """End a connector's session. token: the one that was presented for it."""
    session = connector.session
    assert session is not None
    point.settle(connector)
    session.stopped_at = point.timers.timestamp()
    session.reason, session.token_stopped = reason, token
    session.record.meter_stop_wh = int(connector.register_wh)
    session.record.stopped_at = write_time(session.stopped_at)
    session.record.stop_reason = reason
    connector.session, connector.held = None, connector.car is not None
    point.profiles.end_session(connector.number)
    point.calls.send(point.dialect.session_ended(session))
    point.save_registers()
    if connector.inoperative_next:
        connector.operative, connector.inoperative_next = False, False
    point.refresh_limits()
    point.refresh(connector)
    point.changed()


def read(point: ChargingPoint, connector: Connector, context: str = "Sample.Periodic") -> None:
    """Report what the meter shows now."""
    point.settle(connector)
    if connector.session is not None:
        connector.session.last_reading = point.timers.clock.monotonic()
    point.calls.send(point.dialect.reading(connector, context))
    point.save_registers()
    point.refresh(connector)


def plan_reading(point: ChargingPoint, connector: Connector, session: Session) -> None:
    """Read the meter an interval from now, and again until the session ends."""
    interval = point.settings.meter_interval_seconds

    def due() -> None:
        if connector.session is not session:
            return
        if point.settings.meter_interval_seconds > 0:
            read(point, connector)
        plan_reading(point, connector, session)

    # Without an interval, look again in a while: it can be set meanwhile.
    point.timers.after(interval if interval > 0 else 1.0, due)


def plan_aligned_readings(point: ChargingPoint) -> None:
    """Read all meters whenever the clock shows a multiple of the interval."""

    def due() -> None:
        if point.settings.aligned_interval_seconds > 0 and point.online:
            for connector in point.connectors.values():
                read(point, connector, "Sample.Clock")
        plan_aligned_readings(point)

    interval = point.settings.aligned_interval_seconds
    if interval <= 0:
        return
    point.timers.after(interval - point.timers.clock.utc().timestamp() % interval, due)
