"""Sessions of the hub's drivers: notifications while they go on, one record at their end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from charging.database.connection import Connection
from charging.database.events import WAKE, WRITTEN
from charging.delivery import Queue
from charging.event import EventKind
from charging.evse import EvseState
from charging.hub_session import NothingCharged
from charging.plausibility import (
    CLOCK_TOLERANCE,
    Reported,
    why_not_begun,
    why_not_plausible,
)
from charging.session import StopCause
from charging.time_zone import zone_of_place
from third_party_backend.oicp import catalogue, records
from third_party_backend.oicp.records import Charged, HubSession, RecordError
from third_party_backend.relay import planned
from third_party_backend.relay.database import Json
from third_party_backend.relay.planned import Planned
from third_party_backend.relay.planning.context import BATCH, Context, Event
from third_party_backend.settings import Settings

UNANSWERED_SECONDS = 60
"""After this a start that no web worker answered (it died) starts nothing."""
OFFLINE_START_SECONDS = 86_400
"""How much longer a start is waited for at a charging point that is offline."""
CATCH_UP_SECONDS = 300
"""How long a charging point that is back may take to report what happened while it was offline."""

# What HubSession is made of, of a row `h` of hub_sessions; `e` is its EVSE, `d` that one's details.
_HUB_SESSION = """
h.hub_session_id, coalesce(h.evse_id, e.evse_id), h.identification, h.cpo_partner_session_id,
h.emp_partner_session_id, h.hub_spelling, h.partner_product_id,
coalesce(d.details ->> 'time_zone', nullif(p.time_zone, 'UTC')), d.details ->> 'country'
"""
_HUB_SESSION_COLUMNS = 9
_PLACE = """
LEFT JOIN evses AS e ON e.charging_point_id = h.charging_point_id
    AND e.evse_number = h.evse_number
LEFT JOIN evse_details AS d ON d.charging_point_id = h.charging_point_id
    AND d.evse_number = h.evse_number
LEFT JOIN charging_points AS p ON p.charging_point_id = h.charging_point_id
"""

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """A session of ours that is the hub's too.

    ended_at and after: None while it charges. authorized_at: None where it began with a card, which
    may have been asked about later. found_right: an operator did, whatever is implausible about it.
    """

    hub: HubSession
    session_id: int
    started_at: datetime
    meter_start_wh: int
    ended_at: datetime | None
    meter_stop_wh: int | None
    stop_cause: str | None
    doubts: list[str]
    authorized_at: datetime | None
    found_right: bool
    details: Json


def started(context: Context, events: Sequence[Event]) -> None:
    """Plan the Start notifications of sessions, which from now on keep their EVSE's name."""
    session_ids = [event.payload["session_id"] for event in events]
    context.connection.execute(
        "UPDATE hub_sessions AS h SET evse_id = e.evse_id FROM evses AS e"
        " WHERE h.session_id = ANY(%s) AND h.evse_id IS NULL"
        " AND e.charging_point_id = h.charging_point_id AND e.evse_number = h.evse_number",
        [session_ids],
    )
    begun = _begun(context.connection, session_ids)
    now = datetime.now(UTC)
    operator_id = context.settings.operator_id
    starts = [start(session, now, operator_id) for session in begun]
    planned.once(context.connection, [each for each in starts if each is not None])


def start(session: Begun, now: datetime, operator_id: str) -> Planned | None:
    """Write a session's Start; parked where it cannot be written.

    None where its time cannot be: its record will say so to an operator, once.
    """
    name = session.hub.hub_session_id
    implausible = why_not_begun(session.started_at, session.authorized_at)
    if session.started_at > now + CLOCK_TOLERANCE or (implausible and not session.found_right):
        log.warning("no start", extra={"hub_session": name, "why": implausible or "future"})
        return None
    try:
        payload = records.start_notification(
            session.hub, operator_id, session.started_at, session.meter_start_wh
        )
    except RecordError as error:
        return parked(Queue.NOTIFICATION, f"{name}/start", name, error)
    due_at = max(now, session.started_at)
    return Planned(Queue.NOTIFICATION, f"{name}/start", name, payload, due_at)


def ended(context: Context, events: Sequence[Event]) -> None:
    """Plan the End notifications and the charge detail records of sessions."""
    connection, settings = context.connection, context.settings
    session_ids = [event.payload["session_id"] for event in events]
    park_unwanted(connection, session_ids)
    sessions = _begun(connection, session_ids)
    if not sessions:
        return
    readings, signed = _readings(connection, [session.session_id for session in sessions])
    now = datetime.now(UTC)
    last: list[Planned] = []
    for session in sessions:
        assert session.ended_at is not None
        assert session.meter_stop_wh is not None
        messages = ending(
            session,
            readings.get(session.session_id, []),
            signed.get(session.session_id, []),
            now,
            settings,
        )
        # A Start that is there stays; one whose session was found right only now goes first.
        begin = start(session, now, settings.operator_id)
        if begin is not None and not any(message.parked for message in messages):
            last.append(begin)
        last += messages
    planned.drop_notifications(
        connection,
        [session.hub.hub_session_id for session in sessions],
        "the session has ended",
        "%/progress",
    )
    planned.once(connection, last)


def ending(
    session: Begun,
    readings_wh: list[int],
    signed: list[tuple[str, str]],
    now: datetime,
    settings: Settings,
) -> list[Planned]:
    """Write a session's End, or Error, and its record; the record alone, parked, if it is wrong.

    signed: (begin, between or end; text), in order.
    """
    assert session.ended_at is not None
    assert session.meter_stop_wh is not None
    hub, operator_id = session.hub, settings.operator_id
    name = hub.hub_session_id
    cause = StopCause(session.stop_cause or StopCause.OTHER)
    try:
        charged = Charged(
            session.started_at,
            session.meter_start_wh,
            session.ended_at,
            session.meter_stop_wh,
            cause,
            readings_wh,
            records.signed_values(
                signed, demanded=session.details.get("calibration_law") == "External"
            ),
            catalogue.verification(session.details),
        )
        due_at = records.due(charged, now)
        record = records.charge_detail_record(hub, charged)
        _check_plausible(session, settings.power_margin)
        if cause.broken_off:
            kind = "error"
            info = f"it ended by {cause.value}".replace("_", " ")
            notification = records.error_notification(hub, operator_id, info, critical=True)
        else:
            kind = "end"
            notification = records.end_notification(hub, operator_id, charged)
    except RecordError as error:
        return [parked(Queue.CHARGE_DETAIL_RECORD, name, name, error, bills=True)]
    return [
        Planned(Queue.NOTIFICATION, f"{name}/{kind}", name, notification, due_at),
        Planned(Queue.CHARGE_DETAIL_RECORD, name, name, record, due_at, bills=True),
    ]


def _check_plausible(session: Begun, power_margin: float) -> None:
    assert session.ended_at is not None
    assert session.meter_stop_wh is not None
    if session.found_right:
        return
    power_kw = session.details.get("power_kw")
    reported = Reported(
        session.started_at,
        session.ended_at,
        session.meter_start_wh,
        session.meter_stop_wh,
        session.authorized_at,
        None if power_kw is None else float(power_kw),
        tuple(session.doubts),
    )
    if (why := why_not_plausible(reported, power_margin)) is not None:
        raise RecordError(why)


def park_unwanted(connection: Connection, session_ids: Sequence[int]) -> None:
    """Park sessions that charged with a start that was refused or over: nobody is billed for them.

    Those that are bound to the hub's session, and those that came when its token was used up.
    """
    rows = connection.execute(
        """
        SELECT DISTINCT ON (s.session_id) h.hub_session_id, h.session_id IS NOT NULL, h.state,
               s.session_id, s.charging_point_id, s.meter_stop_wh - s.meter_start_wh
        FROM sessions AS s
        JOIN hub_sessions AS h ON h.session_id = s.session_id AND h.state = 'refused'
            OR (h.id_tag = s.id_tag AND h.charging_point_id = s.charging_point_id
                AND h.origin = 'remote' AND h.session_id IS DISTINCT FROM s.session_id
                AND s.id_tag LIKE 'HUB%%')
        WHERE s.session_id = ANY(%s) AND s.meter_stop_wh > s.meter_start_wh
          AND NOT EXISTS (SELECT 1 FROM hub_sessions AS b
                          WHERE b.session_id = s.session_id AND b.state <> 'refused')
        ORDER BY s.session_id, h.created_at DESC
        """,
        [list(session_ids)],
    ).fetchall()
    unwanted = []
    for name, bound, state, session_id, charging_point_id, energy_wh in rows:
        reason = (
            f"session {session_id} at {charging_point_id} charged {records.kwh(energy_wh)} kWh with"
            f" a start that was {state if state == 'refused' else 'over'} for the hub; proposal:"
            " settle it with the provider, then drop this"
        )
        key = name if bound else f"{name}/late/{session_id}"
        unwanted.append(
            Planned(Queue.CHARGE_DETAIL_RECORD, key, name, None, parked=reason, bills=bound)
        )
        log.error("record not written", extra={"hub_session": name, "error": reason})
    planned.once(connection, unwanted)


def faulted(context: Context, events: Sequence[Event]) -> None:
    """Plan an Error for each session that charges at an EVSE that reports a fault."""
    # A service of the version before writes the reported status only: the database translates it.
    fault = EvseState.FAULTED.value
    faults = [event for event in events if event.payload.get("state", fault) == fault]
    if not faults:
        return
    causes: dict[int, str] = dict(
        context.connection.execute(
            """
            SELECT DISTINCT ON (s.session_id) s.session_id, t.error_code
            FROM unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[])
                AS t (charging_point_id, evse_number, error_code, state, status)
            JOIN sessions AS s ON s.charging_point_id = t.charging_point_id
                AND s.state = 'charging' AND t.evse_number IN (0, s.evse_number)
            WHERE coalesce(t.state, evse_state_of(t.status)) = %s
            ORDER BY s.session_id
            """,
            [
                [event.charging_point_id for event in faults],
                [event.payload["evse_number"] for event in faults],
                [event.payload.get("error_code", "") for event in faults],
                [event.payload.get("state") for event in faults],
                [event.payload.get("status") for event in faults],
                fault,
            ],
        ).fetchall()
    )
    errors = []
    for session in _begun(context.connection, list(causes)):
        name = session.hub.hub_session_id
        info = f"the EVSE reports a fault: {causes[session.session_id]}"
        try:
            payload = records.error_notification(
                session.hub, context.settings.operator_id, info, critical=True
            )
        except RecordError as error:
            log.warning("no notification", extra={"hub_session": name, "error": str(error)})
            continue
        errors.append(Planned(Queue.NOTIFICATION, f"{name}/error", name, payload))
    planned.once(context.connection, errors)


def closed(context: Context, events: Sequence[Event]) -> None:
    """Plan the records of sessions that ended before anything could be charged."""
    reasons = {event.payload["hub_session_id"]: event.payload["why"] for event in events}
    records_of_nothing = []
    for row in context.connection.execute(
        f"""
        SELECT {_HUB_SESSION}, (
                   SELECT min(o.evse_id) FROM evses AS o
                   WHERE o.charging_point_id = h.charging_point_id AND o.roaming),
               h.created_at, coalesce(h.ended_at, now())
        FROM hub_sessions AS h {_PLACE}
        WHERE h.hub_session_id = ANY(%s)
        """.encode(),
        [list(reasons)],
    ).fetchall():
        session = _hub_session(row)
        some_evse_id, began_at, ended_at = row[_HUB_SESSION_COLUMNS:]
        if session.evse_id is None:
            session = replace(session, evse_id=some_evse_id)
        record = empty(session, began_at, ended_at)
        name = session.hub_session_id
        if reasons[name] == NothingCharged.NO_VEHICLE and record.payload is not None:
            notification = records.error_notification(
                session,
                context.settings.operator_id,
                "no vehicle was connected in time",
                critical=False,
            )
            records_of_nothing.append(
                Planned(Queue.NOTIFICATION, f"{name}/error", name, notification)
            )
        records_of_nothing.append(record)
    planned.once(context.connection, records_of_nothing)


def empty(session: HubSession, began_at: datetime, ended_at: datetime) -> Planned:
    """Write the record of a session in which nothing was charged; parked if it cannot be."""
    queue, name = Queue.CHARGE_DETAIL_RECORD, session.hub_session_id
    try:
        record = records.empty_record(session, began_at, ended_at)
    except RecordError as error:
        return parked(queue, name, name, error)
    return Planned(queue, name, name, record)


def close_unstarted(context: Context) -> None:
    """End sessions whose vehicle never came, and starts that no web worker answered."""
    start_timeout = context.settings.start_timeout
    context.connection.execute(
        f"""
        WITH closed AS (
            UPDATE hub_sessions AS h SET state = 'ended', ended_at = now()
            WHERE session_id IS NULL AND state = 'accepted'
              AND created_at < now() - make_interval(secs => %s)
              -- one that is offline may have begun, and reports it when it is back: in its time
              AND (EXISTS (SELECT 1 FROM connections AS c
                           WHERE c.charging_point_id = h.charging_point_id
                             AND (c.connected_at <= h.created_at
                                  OR c.connected_at < now() - make_interval(secs => %s)))
                   OR created_at < now() - make_interval(secs => %s))
            RETURNING hub_session_id, charging_point_id
        ), happened AS (
            SELECT %s AS kind, charging_point_id, now() AS occurred_at,
                   jsonb_build_object('hub_session_id', hub_session_id, 'why', %s::text) AS payload
            FROM closed
        ), {WRITTEN} {WAKE}
        """.encode(),
        [
            start_timeout,
            CATCH_UP_SECONDS,
            start_timeout + OFFLINE_START_SECONDS,
            EventKind.HUB_SESSION_CLOSED.value,
            NothingCharged.NO_VEHICLE.value,
        ],
    )
    context.connection.execute(
        "UPDATE hub_sessions SET state = 'refused' WHERE session_id IS NULL"
        " AND state = 'asked' AND created_at < now() - make_interval(secs => %s)",
        [UNANSWERED_SECONDS],
    )


def progress(context: Context) -> None:
    """Plan how far sessions are whose last notification is long enough ago."""
    rows = context.connection.execute(
        f"""
        SELECT {_HUB_SESSION}, s.started_at, s.meter_start_wh, m.sampled_at, m.energy_wh
        FROM hub_sessions AS h {_PLACE}
        JOIN sessions AS s USING (session_id)
        JOIN deliveries AS begun ON begun.queue = 'notification'
            AND begun.key = h.hub_session_id || '/start' AND begun.state = 'delivered'
        LEFT JOIN deliveries AS last ON last.queue = 'notification'
            AND last.key = h.hub_session_id || '/progress'
        CROSS JOIN LATERAL (
            SELECT sampled_at, energy_wh FROM meter_values AS m
            WHERE m.session_id = s.session_id AND m.charging_point_id = s.charging_point_id
              AND m.energy_wh IS NOT NULL AND m.sampled_at <= now()
            ORDER BY m.sampled_at DESC LIMIT 1) AS m
        WHERE h.state = 'accepted' AND s.state = 'charging'
          AND coalesce(h.evse_id, e.evse_id) IS NOT NULL
          AND coalesce(last.state, 'delivered') IN ('delivered', 'dropped')
          AND coalesce(last.settled_at, begun.settled_at)
              < now() - make_interval(secs => %s)
          AND m.sampled_at
              > coalesce((last.payload ->> %s)::timestamptz, s.started_at)
        LIMIT %s
        """.encode(),
        [context.settings.progress_interval, records.PROGRESS_AT, BATCH],
    ).fetchall()
    notifications = []
    for row in rows:
        session, facts = _hub_session(row), row[_HUB_SESSION_COLUMNS:]
        name = session.hub_session_id
        try:
            payload = records.progress_notification(session, context.settings.operator_id, *facts)
        except RecordError as error:
            log.debug("no progress", extra={"hub_session": name, "error": str(error)})
            continue
        notifications.append(Planned(Queue.NOTIFICATION, f"{name}/progress", name, payload))
    planned.progress(context.connection, notifications)


def parked(
    queue: Queue, key: str, hub_session_id: str, error: RecordError, *, bills: bool = False
) -> Planned:
    """Return a delivery that waits for an operator, since it must not be sent as it is."""
    log.error("record not written", extra={"hub_session": hub_session_id, "error": str(error)})
    return Planned(queue, key, hub_session_id, None, parked=str(error), bills=bills)


def _begun(connection: Connection, session_ids: Sequence[int]) -> list[Begun]:
    """Return those of our sessions that are the hub's, in order.

    Not those whose start was refused to the hub, though they may have begun at that very moment.
    """
    if not session_ids:
        return []
    rows = connection.execute(
        f"""
        SELECT {_HUB_SESSION}, s.session_id, s.started_at, s.meter_start_wh,
               s.ended_at, s.meter_stop_wh, s.stop_cause, s.doubts,
               CASE WHEN h.origin = 'remote' THEN h.created_at END,
               h.found_right, coalesce(d.details, '{{}}')
        FROM sessions AS s
        JOIN hub_sessions AS h USING (session_id) {_PLACE}
        WHERE s.session_id = ANY(%s) AND h.state <> 'refused' ORDER BY s.session_id
        """.encode(),
        [list(session_ids)],
    ).fetchall()
    return [Begun(_hub_session(row), *row[_HUB_SESSION_COLUMNS:]) for row in rows]


def _hub_session(row: Sequence[Any]) -> HubSession:
    """Read the columns that begin a row: _HUB_SESSION."""
    *facts, zone_name, country = row[:_HUB_SESSION_COLUMNS]
    return replace(HubSession(*facts), zone=zone_of_place(zone_name, country))


def _readings(
    connection: Connection, session_ids: Sequence[int]
) -> tuple[dict[int, list[int]], dict[int, list[tuple[str, str]]]]:
    """Return the registers that were read in sessions, in Wh, and the signed readings, in order.

    Only what the session's own charging point sent counts, whatever the rows say.
    """
    registers: dict[int, list[int]] = {}
    signed: dict[int, list[tuple[str, str]]] = {}
    for session_id, energy_wh in connection.execute(
        "SELECT session_id, meter_values.energy_wh FROM meter_values"
        " JOIN sessions USING (session_id, charging_point_id)"
        " WHERE session_id = ANY(%s) AND meter_values.energy_wh IS NOT NULL"
        " ORDER BY session_id, sampled_at",
        [list(session_ids)],
    ):
        registers.setdefault(session_id, []).append(energy_wh)
    for session_id, samples in connection.execute(
        "SELECT session_id, signed FROM meter_values"
        " JOIN sessions USING (session_id, charging_point_id)"
        " CROSS JOIN LATERAL signed_readings(sampled_values) AS signed"
        " WHERE session_id = ANY(%s) AND signed IS NOT NULL"
        " ORDER BY session_id, sampled_at",
        [list(session_ids)],
    ):
        for sample in samples:
            signed.setdefault(session_id, []).append((sample["moment"], sample["value"]))
    return registers, signed
