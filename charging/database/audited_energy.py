"""What an audit of the energy looks at, read from the database (`charging.energy_audit`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from charging.database.connection import Connection
from charging.delivery import Queue
from charging.energy_audit import (
    POWER_MARGIN,
    Evse,
    Fact,
    Payer,
    Record,
    Session,
    counted_wh,
    why_implausible,
)
from charging.metering import Register, measure_session
from charging.register_balance import Span

_SESSIONS = """
SELECT s.session_id, s.charging_point_id, s.evse_number, s.started_at, s.meter_start_wh,
       s.ended_at, s.meter_stop_wh,
       s.state = 'ended' AND (s.presumed IS NULL OR s.end_final_at IS NOT NULL), s.presumed,
       s.doubts,
       CASE WHEN h.hub_session_id IS NOT NULL THEN 'hub'
            WHEN s.start_decision <> 'accepted' THEN 'nobody'
            WHEN s.id_tag = '' THEN 'free'
            WHEN card.id_tag IS NOT NULL THEN 'card'
            ELSE 'nobody' END,
       coalesce(h.found_right, false) OR booked.wh IS NOT NULL, h.provider_id,
       d.delivery_id, d.state, energy_of_record(d.payload), d.doubtful, d.reason,
       (SELECT min(o.delivery_id) FROM deliveries AS o
        WHERE o.queue = %(records)s AND o.hub_session_id = h.hub_session_id
          AND o.key <> o.hub_session_id AND o.state = 'parked'),
       (e.details ->> 'power_kw')::float,
       (SELECT count(*) FROM session_corrections AS c
        WHERE c.session_id = s.session_id AND c.was_final),
       booked.wh,
       NOT EXISTS (SELECT 1 FROM tariffs) OR EXISTS (
           SELECT 1 FROM tariffs AS f
           WHERE f.name = coalesce(card.tariff, 'default') AND f.valid_from <= s.started_at),
       -- before the first that came nothing is missing where that is the start
       CASE WHEN s.sequences <> '{{}}' THEN trim('{{}}' FROM (int4multirange(int4range(
           CASE WHEN 'start' = ANY (s.doubts) THEN 0 ELSE lower(s.sequences) END,
           upper(s.sequences))) - s.sequences)::text) ELSE '' END
FROM sessions AS s
LEFT JOIN tokens AS card ON card.id_tag = s.id_tag
LEFT JOIN LATERAL (
    SELECT sum(b.energy_wh)::bigint AS wh FROM bill_entries AS b
    WHERE b.session_id = s.session_id) AS booked ON true
LEFT JOIN hub_sessions AS h ON h.session_id = s.session_id AND h.state <> 'refused'
LEFT JOIN deliveries AS d ON d.queue = %(records)s AND d.key = h.hub_session_id
LEFT JOIN evse_details AS e ON e.charging_point_id = s.charging_point_id
    AND e.evse_number = s.evse_number
WHERE {chosen}
ORDER BY s.charging_point_id, s.evse_number, s.started_at, s.session_id
"""
_IN_TIME = """
((s.ended_at >= %(since)s AND s.ended_at < %(until)s)
 OR (s.state = 'charging' AND s.started_at < %(until)s))
AND (%(name)s::text IS NULL OR s.charging_point_id = %(name)s)
"""


def sessions(
    connection: Connection,
    since: datetime,
    until: datetime,
    charging_point: str | None = None,
    power_margin: float = POWER_MARGIN,
) -> list[Session]:
    """Return the sessions that ended between two times, and those that charge since before."""
    values = {"since": since, "until": until, "name": charging_point}
    return _sessions(connection, _IN_TIME, values, power_margin)


def of_numbers(
    connection: Connection, session_ids: Sequence[int], power_margin: float = POWER_MARGIN
) -> list[Session]:
    """Return sessions by their numbers."""
    chosen = "s.session_id = ANY(%(sessions)s)"
    return _sessions(connection, chosen, {"sessions": list(session_ids)}, power_margin)


def evses(
    connection: Connection,
    since: datetime,
    until: datetime,
    charging_point: str | None = None,
    power_margin: float = POWER_MARGIN,
) -> list[Evse]:
    """Return the EVSEs at which something was charged, with what an audit needs of each."""
    found = sessions(connection, since, until, charging_point, power_margin)
    groups = [
        tuple(group)
        for _, group in groupby(found, key=lambda each: (each.charging_point, each.evse))
    ]
    formers = _formers(connection, [group[0].session for group in groups], power_margin)
    lasts = _last_registers(connection, [group[-1] for group in groups], until)
    prices = _prices(connection, sorted({group[0].charging_point for group in groups}))
    return [
        Evse(
            group[0].charging_point,
            group[0].evse,
            group,
            formers.get(group[0].session),
            lasts.get(group[-1].session),
            prices.get((group[0].charging_point, group[0].evse), prices.get(None)),
        )
        for group in groups
    ]


def facts(
    connection: Connection,
    since: datetime,
    until: datetime,
    charging_point: str | None = None,
) -> list[Fact]:
    """Return the ends without a session that came between two times and wait for a person."""
    return [
        Fact(*row)
        for row in connection.execute(
            "SELECT fact_id, charging_point_id, register_of_fact(payload), time_of_fact(payload),"
            " received_at FROM unassigned_facts WHERE settled_at IS NULL AND received_at >= %s"
            " AND received_at < %s AND (%s::text IS NULL OR charging_point_id = %s)"
            " ORDER BY fact_id",
            [since, until, charging_point, charging_point],
        )
    ]


def _sessions(
    connection: Connection, chosen: str, values: dict[str, Any], power_margin: float
) -> list[Session]:
    found = [
        replace(_session(*row), power_margin=power_margin)
        for row in connection.execute(
            _SESSIONS.format(chosen=chosen).encode(),
            {"records": Queue.CHARGE_DETAIL_RECORD.value, **values},
        )
    ]
    # The others are billed by their registers whatever their readings say.
    unclear = [each.session for each in found if _is_unclear(each)]
    readings = _readings(connection, unclear)
    return [
        replace(each, readings=tuple(readings[each.session])) if each.session in readings else each
        for each in found
    ]


def _session(*row: Any) -> Session:
    delivery, state, energy_wh, doubtful, reason, besides = row[13:19]
    power_kw, corrected, booked_wh, has_tariff, missing = row[19:]
    record = None
    if delivery is not None:
        record = Record(delivery, state, energy_wh, doubtful, reason, besides)
    doubts, payer, found_right, provider = row[9:13]
    number, name, evse, began, start_wh, ended, stop_wh, final, presumed = row[:9]
    return Session(
        number,
        name,
        evse,
        began,
        start_wh,
        ended,
        stop_wh,
        final,
        presumed,
        tuple(doubts),
        Payer(payer),
        found_right,
        provider,
        record,
        power_kw,
        corrected,
        booked_wh=booked_wh,
        has_tariff=has_tariff,
        missing=missing,
    )


def _is_unclear(session: Session) -> bool:
    return (
        session.meter_stop_wh is None
        or session.meter_stop_wh < session.meter_start_wh
        or why_implausible(session) is not None
    )


def _readings(connection: Connection, session_ids: Sequence[int]) -> dict[int, list[Register]]:
    if not session_ids:
        return {}
    readings: dict[int, list[Register]] = defaultdict(list)
    for session_id, at, energy_wh in connection.execute(
        "SELECT m.session_id, m.sampled_at, m.energy_wh FROM meter_values AS m"
        " JOIN sessions USING (session_id, charging_point_id)"
        " WHERE m.session_id = ANY(%s) AND m.energy_wh IS NOT NULL",
        [list(session_ids)],
    ):
        readings[session_id].append(Register(at, energy_wh))
    return readings


def _formers(
    connection: Connection, session_ids: Sequence[int], power_margin: float
) -> dict[int, Span]:
    """Return the session before each at its EVSE, as what it has of the register."""
    if not session_ids:
        return {}
    before: dict[int, int] = {
        row[0]: row[1]
        for row in connection.execute(
            """
            SELECT s.session_id, f.session_id
            FROM sessions AS s
            CROSS JOIN LATERAL (
                SELECT session_id FROM sessions AS f
                WHERE f.charging_point_id = s.charging_point_id
                  AND f.evse_number = s.evse_number AND f.state = 'ended'
                  AND (f.started_at, f.session_id) < (s.started_at, s.session_id)
                ORDER BY f.started_at DESC, f.session_id DESC LIMIT 1) AS f
            WHERE s.session_id = ANY(%s)
            """,
            [list(session_ids)],
        )
    }
    spans = {
        each.session: Span(each.session, each.started_at, each.meter_start_wh, counted_wh(each))
        for each in of_numbers(connection, list(before.values()), power_margin)
    }
    return {session_id: spans[former] for session_id, former in before.items()}


def _last_registers(
    connection: Connection, newest: Sequence[Session], until: datetime
) -> dict[int, int]:
    """Return what the registers show after the newest sessions of their EVSEs.

    By later readings, whatever session they name; only where no other session follows, since its
    start shows it better.
    """
    by_number = {each.session: each for each in newest}
    readings: dict[int, list[Register]] = defaultdict(list)
    for session_id, at, energy_wh in connection.execute(
        """
        SELECT s.session_id, m.sampled_at, m.energy_wh
        FROM sessions AS s
        JOIN meter_values AS m ON m.charging_point_id = s.charging_point_id
            AND m.evse_number = s.evse_number AND m.energy_wh IS NOT NULL
            AND m.sampled_at > coalesce(s.ended_at, s.started_at) AND m.sampled_at < %s
            AND (s.state = 'ended' OR m.session_id IS DISTINCT FROM s.session_id)
        WHERE s.session_id = ANY(%s) AND NOT EXISTS (
            SELECT 1 FROM sessions AS f
            WHERE f.charging_point_id = s.charging_point_id AND f.evse_number = s.evse_number
              AND (f.started_at, f.session_id) > (s.started_at, s.session_id))
        """,
        [until, list(by_number)],
    ):
        readings[session_id].append(Register(at, energy_wh))
    lasts = {}
    for session_id, registers in readings.items():
        session = by_number[session_id]
        stop_wh = session.meter_start_wh + counted_wh(session)
        end = Register(session.ended_at or session.started_at, stop_wh)
        after = measure_session(end, [r for r in registers if r.energy_wh >= stop_wh])
        if not after.relative:
            lasts[session_id] = stop_wh + after.energy_wh
    return lasts


def _prices(
    connection: Connection, charging_points: Sequence[str]
) -> dict[tuple[str, int] | None, tuple[Decimal, str]]:
    """Return what a kWh costs at EVSEs that have a price for all providers.

    None: what it costs cards of our own by the tariff that most of them have.
    """
    prices: dict[tuple[str, int] | None, tuple[Decimal, str]] = {}
    for details in connection.execute(
        "SELECT details FROM tariffs WHERE name = 'default' AND valid_from <= now()"
        " ORDER BY valid_from DESC LIMIT 1"
    ):
        prices[None] = (Decimal(details[0]["periods"][-1]["per_kwh"]), details[0]["currency"])
    for charging_point, evse, price, currency in connection.execute(
        """
        SELECT DISTINCT ON (e.charging_point_id, e.evse_number) e.charging_point_id, e.evse_number,
               (p.details ->> 'price')::numeric, p.details ->> 'currency'
        FROM evse_details AS e
        JOIN price_products AS p ON e.details -> 'prices' ? p.product_id AND p.provider_id = '*'
        WHERE e.charging_point_id = ANY(%s) AND p.details ->> 'unit' = 'KILOWATT_HOUR'
        ORDER BY e.charging_point_id, e.evse_number, p.product_id
        """,
        [list(charging_points)],
    ):
        prices[charging_point, evse] = (price, currency)
    return prices
