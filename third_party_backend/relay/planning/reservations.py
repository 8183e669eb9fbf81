"""Reservations that end: each is closed at the hub by a record of 0 kWh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charging.database.events import WAKE, WRITTEN
from charging.event import EventKind
from charging.time_zone import zone_of_place
from third_party_backend.oicp.records import HubSession
from third_party_backend.relay import planned
from third_party_backend.relay.planning.context import Context, Event
from third_party_backend.relay.planning.sessions import UNANSWERED_SECONDS, empty


def ended(context: Context, events: Sequence[Event]) -> None:
    """Plan the records of reservations that ended."""
    rows = context.connection.execute(
        """
        SELECT r.hub_session_id, e.evse_id, r.identification, r.cpo_partner_session_id,
               r.emp_partner_session_id, r.hub_spelling, d.details ->> 'time_zone',
               d.details ->> 'country', r.created_at, coalesce(r.ended_at, now())
        FROM reservations AS r LEFT JOIN evses AS e USING (charging_point_id, evse_number)
        LEFT JOIN evse_details AS d USING (charging_point_id, evse_number)
        WHERE r.reservation_id = ANY(%s)
          -- one that was used in its own session is closed by that session's record
          AND NOT EXISTS (SELECT 1 FROM hub_sessions AS h
                          WHERE h.hub_session_id = r.hub_session_id
                            AND h.state IN ('asked', 'accepted', 'ended'))
        """,
        [[event.payload["reservation_id"] for event in events]],
    ).fetchall()
    closing = []
    for *facts, zone_name, country, began_at, ended_at in rows:
        session = replace(HubSession(*facts), zone=zone_of_place(zone_name, country))
        closing.append(empty(session, began_at, ended_at))
    planned.once(context.connection, closing)


def expire(context: Context) -> None:
    """End reservations whose time is over, and those that no web worker answered."""
    context.connection.execute(
        f"""
        WITH ended AS (
            UPDATE reservations SET state = 'expired', ended_at = expires_at
            WHERE state = 'reserved' AND expires_at < now()
            RETURNING reservation_id, charging_point_id
        ), happened AS (
            SELECT %s AS kind, charging_point_id, now() AS occurred_at,
                   jsonb_build_object('reservation_id', reservation_id) AS payload
            FROM ended
        ), {WRITTEN} {WAKE}
        """.encode(),
        [EventKind.RESERVATION_ENDED.value],
    )
    context.connection.execute(
        "UPDATE reservations SET state = 'refused'"
        " WHERE state = 'asked' AND created_at < now() - make_interval(secs => %s)",
        [UNANSWERED_SECONDS],
    )
