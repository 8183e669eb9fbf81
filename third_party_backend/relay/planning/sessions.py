"""Sessions of the hub's drivers: notifications while they go on, one record at their end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from charging.database.connection import Connection
from charging.database.events import WAKE, WRITTEN
from charging.delivery import Queue
from charging.event import EventKind
from charging.evse import EvseState
from charging.hub_session import NothingCharged
from charging.session import StopCause
from third_party_backend.oicp import records
from third_party_backend.oicp.records import Charged, HubSession, RecordError
from third_party_backend.relay import planned
from third_party_backend.relay.planned import Planned
from third_party_backend.relay.planning.context import BATCH, Context, Event

UNANSWERED_SECONDS = 60
"""After this a start that no web worker answered (it died) starts nothing."""
OFFLINE_START_SECONDS = 86_400
"""How much longer a start is waited for at a charging point that is offline."""

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """A session of ours that is the hub's too. ended_at and after: None while it charges."""

    hub: HubSession
    session_id: int
    started_at: datetime
    meter_start_wh: int
    ended_at: datetime | None
    meter_stop_wh: int | None
    stop_cause: str | None


def started(context: Context, events: Sequence[Event]) -> None:
    """Plan the Start notifications of sessions."""
    begun = _begun(context.connection, [event.payload["session_id"] for event in events])
    operator_id = context.settings.operator_id
    planned.once(context.connection, [start(session, operator_id) for session in begun])


def start(session: Begun, operator_id: str) -> Planned:
    """Write a session's Start; parked where it must not be sent."""
    name = session.hub.hub_session_id
    try:
        payload = records.start_notification(
            session.hub, operator_id, session.started_at, session.meter_start_wh
        )
    except RecordError as error:
        return parked(Queue.NOTIFICATION, f"{name}/start", name, error)
    return Planned(Queue.NOTIFICATION, f"{name}/start", name, payload)


def ended(context: Context, events: Sequence[Event]) -> None:
    """Plan the End notifications and the charge detail records of sessions."""
    connection = context.connection
    sessions = _begun(connection, [event.payload["session_id"] for event in events])
    if not sessions:
        return
    readings, signed = _readings(connection, [session.session_id for session in sessions])
    now = datetime.now(UTC)
    last: list[Planned] = []
    for session in sessions:
        assert session.ended_at is not None
        assert session.meter_stop_wh is not None
        charged = Charged(
            session.started_at,
            session.meter_start_wh,
            session.ended_at,
            session.meter_stop_wh,
            StopCause(session.stop_cause or StopCause.OTHER),
            readings.get(session.session_id, []),
            signed.get(session.session_id, []),
        )
        last += ending(session.hub, charged, now, context.settings.operator_id)
    planned.drop_notifications(
        connection,
        [session.hub.hub_session_id for session in sessions],
        "the session has ended",
        "%/progress",
    )
    planned.once(connection, last)


def ending(session: HubSession, charged: Charged, now: datetime, operator_id: str) -> list[Planned]:
    """Write a session's End, or Error, and its record; the record alone, parked, if it is wrong."""
    name = session.hub_session_id
    try:
        due_at = records.due(charged, now)
        record = records.charge_detail_record(session, charged)
        if charged.stop_cause.broken_off:
            kind = "error"
            notification = records.error_notification(
                session,
                operator_id,
                f"it ended by {charged.stop_cause.value}".replace("_", " "),
                critical=True,
            )
        else:
            kind = "end"
            notification = records.end_notification(session, operator_id, charged)
    except RecordError as error:
        return [parked(Queue.CHARGE_DETAIL_RECORD, name, name, error)]
    return [
        Planned(Queue.NOTIFICATION, f"{name}/{kind}", name, notification, due_at),
        Planned(Queue.CHARGE_DETAIL_RECORD, name, name, record, due_at),
    ]


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
    for name, *facts in context.connection.execute(
        """
        SELECT h.hub_session_id,
               coalesce(e.evse_id, h.evse_id, (
                   SELECT min(o.evse_id) FROM evses AS o
                   WHERE o.charging_point_id = h.charging_point_id AND o.roaming)),
               h.identification, h.cpo_partner_session_id, h.emp_partner_session_id,
               h.created_at, coalesce(h.ended_at, now())
        FROM hub_sessions AS h LEFT JOIN evses AS e USING (charging_point_id, evse_number)
        WHERE h.hub_session_id = ANY(%s)
        """,
        [list(reasons)],
    ).fetchall():
        record = empty(name, *facts)
        if reasons[name] == NothingCharged.NO_VEHICLE and record.payload is not None:
            session = HubSession(name, *facts[:4])
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


def empty(
    hub_session_id: str,
    evse_id: str | None,
    identification: Any,
    cpo_partner_session_id: str,
    emp_partner_session_id: str | None,
    began_at: datetime,
    ended_at: datetime,
) -> Planned:
    """Write the record of a session in which nothing was charged; parked if it cannot be."""
    session = HubSession(
        hub_session_id, evse_id, identification, cpo_partner_session_id, emp_partner_session_id
    )
    queue = Queue.CHARGE_DETAIL_RECORD
    try:
        record = records.empty_record(session, began_at, ended_at)
    except RecordError as error:
        return parked(queue, hub_session_id, hub_session_id, error)
    return Planned(queue, hub_session_id, hub_session_id, record)


def close_unstarted(context: Context) -> None:
    """End sessions whose vehicle never came, and starts that no web worker answered."""
    start_timeout = context.settings.start_timeout
    context.connection.execute(
        f"""
        WITH closed AS (
            UPDATE hub_sessions AS h SET state = 'ended', ended_at = now()
            WHERE session_id IS NULL AND state = 'accepted'
              AND created_at < now() - make_interval(secs => %s)
              -- one that is offline may have begun, and reports it when it is back
              AND (EXISTS (SELECT 1 FROM connections AS c
                           WHERE c.charging_point_id = h.charging_point_id)
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
        """
        SELECT h.hub_session_id, e.evse_id, h.identification, h.cpo_partner_session_id,
               h.emp_partner_session_id, s.started_at, s.meter_start_wh, m.sampled_at,
               m.energy_wh
        FROM hub_sessions AS h
        JOIN sessions AS s USING (session_id)
        JOIN deliveries AS begun ON begun.queue = 'notification'
            AND begun.key = h.hub_session_id || '/start' AND begun.state = 'delivered'
        LEFT JOIN deliveries AS last ON last.queue = 'notification'
            AND last.key = h.hub_session_id || '/progress'
        LEFT JOIN evses AS e ON e.charging_point_id = h.charging_point_id
            AND e.evse_number = h.evse_number
        CROSS JOIN LATERAL (
            SELECT sampled_at, energy_wh FROM meter_values AS m
            WHERE m.session_id = s.session_id AND m.charging_point_id = s.charging_point_id
              AND m.energy_wh IS NOT NULL
            ORDER BY m.sampled_at DESC LIMIT 1) AS m
        WHERE h.state = 'accepted' AND s.state = 'charging' AND e.evse_id IS NOT NULL
          AND coalesce(last.state, 'delivered') IN ('delivered', 'dropped')
          AND coalesce(last.settled_at, begun.settled_at)
              < now() - make_interval(secs => %s)
          AND m.sampled_at
              > coalesce((last.payload ->> %s)::timestamptz, s.started_at)
        LIMIT %s
        """,
        [context.settings.progress_interval, records.PROGRESS_AT, BATCH],
    ).fetchall()
    notifications = []
    for name, evse_id, identification, ours, theirs, *facts in rows:
        session = HubSession(name, evse_id, identification, ours, theirs)
        try:
            payload = records.progress_notification(session, context.settings.operator_id, *facts)
        except RecordError as error:
            log.debug("no progress", extra={"hub_session": name, "error": str(error)})
            continue
        notifications.append(Planned(Queue.NOTIFICATION, f"{name}/progress", name, payload))
    planned.progress(context.connection, notifications)


def parked(queue: Queue, key: str, hub_session_id: str, error: RecordError) -> Planned:
    """Return a delivery that waits for an operator, since it must not be sent as it is."""
    log.error("record not written", extra={"hub_session": hub_session_id, "error": str(error)})
    return Planned(queue, key, hub_session_id, None, parked=str(error))


def _begun(connection: Connection, session_ids: Sequence[int]) -> list[Begun]:
    """Return those of our sessions that are the hub's, in order.

    Not those whose start was refused to the hub, though they may have begun at that very moment.
    """
    if not session_ids:
        return []
    rows = connection.execute(
        """
        SELECT h.hub_session_id, e.evse_id, h.identification, h.cpo_partner_session_id,
               h.emp_partner_session_id, s.session_id, s.started_at, s.meter_start_wh,
               s.ended_at, s.meter_stop_wh, s.stop_cause
        FROM sessions AS s
        JOIN hub_sessions AS h USING (session_id)
        LEFT JOIN evses AS e ON e.charging_point_id = h.charging_point_id
            AND e.evse_number = h.evse_number
        WHERE s.session_id = ANY(%s) AND h.state <> 'refused' ORDER BY s.session_id
        """,
        [list(session_ids)],
    ).fetchall()
    return [Begun(HubSession(*row[:5]), *row[5:]) for row in rows]


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
    return registers, {name: records.signed_values(found) for name, found in signed.items()}
