"""Ends that nobody reported: presumed, final when no late fact came, corrected by one that did.

While an end is not final the hub gets no record of it, since a record cannot be corrected.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg

from charging.authorization import Authorization
from charging.database import corrections, events
from charging.database.connection import AsyncCursor
from charging.database.events import Event
from charging.database.readings import READINGS
from charging.event import EventKind
from charging.evse import EvseState
from charging.metering import Register
from charging.presumption import Presumption, presumed_end
from charging.session import StopCause
from cp_backend.committer import Committer, DatabaseAwayError
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import SessionEnded

MOST_AT_ONCE = 500
_CHARGING = (
    EvseState.CHARGING,
    EvseState.SUSPENDED_BY_VEHICLE,
    EvseState.SUSPENDED_BY_STATION,
    EvseState.OCCUPIED,
    EvseState.UNKNOWN,
)

log = logging.getLogger(__name__)


class PresumedEnds:
    """Looks now and then for sessions whose stop was lost.

    quiet_seconds: how long a charging point that is back may take to send what it has queued.
    hold_seconds: after so long a presumed end is final. look_seconds: between two looks.
    """

    def __init__(
        self,
        lookups: Committer,
        facts: Committer,
        *,
        quiet_seconds: float,
        hold_seconds: float,
        look_seconds: float,
    ) -> None:
        self._lookups = lookups
        self._facts = facts
        self._quiet_seconds = quiet_seconds
        self._hold_seconds = hold_seconds
        self._look_seconds = look_seconds

    async def run(self) -> None:
        """Look until cancelled. Nodes look side by side: who comes second finds nothing left."""
        while True:
            await asyncio.sleep(self._look_seconds * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                lost = await self._lookups.ask(find_lost, self._quiet_seconds)
                if lost:
                    await self._facts.ask(_presume_each, lost)
                if await self._lookups.ask(count_due, self._hold_seconds):
                    await self._facts.ask(make_final, self._hold_seconds)
            except (DatabaseAwayError, psycopg.Error) as error:
                log.warning("no look for lost stops", extra={"error": str(error)[:300]})


async def presume_superseded(cursor: AsyncCursor, session_ids: Sequence[int]) -> None:
    """End sessions that charge at an EVSE where one of these began later."""
    await cursor.execute(
        """
        SELECT DISTINCT former.session_id, %s::text
        FROM sessions AS new
        JOIN sessions AS former ON former.charging_point_id = new.charging_point_id
            AND former.evse_number = new.evse_number AND former.evse_number > 0
            AND former.state = 'charging' AND former.session_id < new.session_id
            AND former.started_at <= new.started_at
        WHERE new.session_id = ANY(%s)
        """,
        [Presumption.LATER_START.value, list(session_ids)],
    )
    await _presume(cursor, dict(await cursor.fetchall()))


async def find_lost(
    cursor: AsyncCursor, quiet_seconds: Sequence[float]
) -> Sequence[dict[int, str]]:
    """Find sessions that must have ended, each with its Presumption.

    Their charging point is connected, has had time to send what it queued, and has sent no
    reading of them for so long. Another session has begun at their EVSE since; or the EVSE is
    free; or the charging point was restarted and has not reported since that the EVSE charges.
    """
    return [await _find_lost(cursor, quiet) for quiet in quiet_seconds]


async def _find_lost(cursor: AsyncCursor, quiet_seconds: float) -> dict[int, str]:
    await cursor.execute(
        """
        SELECT session_id, why FROM (
            SELECT s.session_id, s.charging_point_id,
                   CASE
                       WHEN EXISTS (
                           SELECT 1 FROM sessions AS later
                           WHERE later.charging_point_id = s.charging_point_id
                             AND later.evse_number = s.evse_number
                             AND later.started_at > s.started_at) THEN %(later_start)s
                       WHEN c.booted_at > s.start_received_at AND NOT (
                           coalesce(e.state, 'unknown') = ANY(%(charging)s)
                           AND e.status_at > c.booted_at - interval '5 minutes') THEN %(restart)s
                       WHEN e.state = 'available' AND e.status_at > s.started_at
                           AND e.status_at < quiet.since THEN %(available)s
                   END AS why,
                   quiet.since
            FROM sessions AS s
            JOIN connections AS k USING (charging_point_id)
            JOIN charging_points AS c USING (charging_point_id)
            LEFT JOIN evses AS e USING (charging_point_id, evse_number)
            CROSS JOIN (SELECT now() - make_interval(secs => %(quiet)s) AS since) AS quiet
            WHERE s.state = 'charging' AND s.evse_number > 0
              AND k.connected_at < quiet.since AND s.start_received_at < quiet.since
              AND coalesce(c.booted_at < quiet.since, true)) AS open
        WHERE why IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM meter_values AS m
            WHERE m.session_id = open.session_id AND m.received_at > open.since
              AND m.charging_point_id = open.charging_point_id)
        ORDER BY session_id LIMIT %(most)s
        """,
        {
            **{f"{why.name.lower()}": why.value for why in Presumption},
            "quiet": quiet_seconds,
            "charging": [state.value for state in _CHARGING],
            "most": MOST_AT_ONCE,
        },
    )
    return {row[0]: row[1] async for row in cursor}


async def _presume_each(cursor: AsyncCursor, found: Sequence[dict[int, str]]) -> Sequence[None]:
    for why in found:
        await _presume(cursor, why)
    return [None] * len(found)


async def count_due(cursor: AsyncCursor, hold_seconds: Sequence[float]) -> Sequence[int]:
    """Count the presumed ends that no late fact has corrected for so long."""
    await cursor.execute(
        "SELECT count(*) FROM sessions WHERE presumed IS NOT NULL AND end_final_at IS NULL"
        " AND stop_received_at < now() - make_interval(secs => %s)",
        [hold_seconds[0]],
    )
    row = await cursor.fetchone()
    assert row is not None
    return [row[0]] * len(hold_seconds)


async def make_final(cursor: AsyncCursor, hold_seconds: Sequence[float]) -> Sequence[None]:
    """Let presumed ends count that no late fact has corrected for so long: the hub is told.

    Readings that came meanwhile count.
    """
    await cursor.execute(
        """
        SELECT session_id, charging_point_id, started_at, meter_start_wh FROM sessions
        WHERE presumed IS NOT NULL AND end_final_at IS NULL
          AND stop_received_at < now() - make_interval(secs => %s)
        ORDER BY session_id LIMIT %s FOR UPDATE SKIP LOCKED
        """,
        [hold_seconds[0], MOST_AT_ONCE],
    )
    open_ends = [_Open(*row) async for row in cursor]
    ends = await _ends_of(cursor, open_ends)
    await cursor.execute(
        """
        UPDATE sessions AS s
        SET ended_at = t.at, meter_stop_wh = t.energy_wh, end_final_at = now()
        FROM unnest(%s::int[], %s::timestamptz[], %s::bigint[]) AS t (session_id, at, energy_wh)
        WHERE s.session_id = t.session_id
        """,
        _columns(ends),
    )
    await events.write_async(
        cursor,
        [
            Event(
                EventKind.SESSION_ENDED,
                each.charging_point_id,
                {"session_id": each.session_id},
                ends[each.session_id].at,
            )
            for each in open_ends
        ],
    )
    return [None] * len(hold_seconds)


async def correct_presumed(
    cursor: AsyncCursor,
    ends: Sequence[Submission[SessionEnded]],
    authorizations: Sequence[Authorization | None],
) -> set[int]:
    """Let reported ends take the place of presumed ones; return the sessions.

    What each was and became is kept. Where it was final already, the relay parks a second record
    beside the first, for a person to settle.
    """
    await cursor.execute(
        _CORRECT,
        {
            "person": "",
            "reason": "its end was reported late",
            "ids": [end.charging_point_id for end in ends],
            "sessions": [end.message.session.session_id for end in ends],
            "times": [end.message.ended_at for end in ends],
            "meters": [end.message.meter_stop_wh for end in ends],
            "reported": [end.message.reported_at for end in ends],
            "causes": [end.message.cause.value for end in ends],
            "reasons": [end.message.reported_cause for end in ends],
            "tags": [end.message.token.value if end.message.token else None for end in ends],
            "decisions": [None if a is None else a.decision.value for a in authorizations],
        },
    )
    return {row[0] async for row in cursor}


_CORRECT = f"""
WITH late AS (
    SELECT DISTINCT ON (session_id) *
    FROM unnest(%(ids)s::text[], %(sessions)s::int[], %(times)s::timestamptz[],
                %(meters)s::bigint[], %(causes)s::text[], %(reasons)s::text[], %(tags)s::text[],
                %(decisions)s::text[], %(reported)s::timestamptz[])
        AS t (charging_point_id, session_id, ended_at, meter, cause, reason, id_tag, decision,
              reported_at)
), before AS (
    SELECT s.session_id, s.end_final_at IS NOT NULL AS was_final,
           {corrections.facts_of("s")} AS facts
    FROM sessions AS s JOIN late USING (charging_point_id, session_id)
    WHERE s.presumed IS NOT NULL FOR UPDATE OF s
), changed AS (
    UPDATE sessions AS s
    SET ended_at = t.ended_at, meter_stop_wh = coalesce(t.meter, s.meter_stop_wh),
        stop_cause = t.cause, stop_reason = t.reason, stop_id_tag = t.id_tag,
        stop_decision = t.decision, stop_received_at = now(), reported_ended_at = t.reported_at,
        presumed = NULL, end_final_at = coalesce(s.end_final_at, now()),
        doubts = s.doubts || array_remove(ARRAY[
            CASE WHEN t.reported_at IS NOT NULL AND NOT 'clock' = ANY (s.doubts) THEN 'clock' END,
            CASE WHEN t.meter IS NULL THEN 'stop_register' END,
            CASE WHEN t.meter < s.meter_start_wh THEN 'backwards' END], NULL)
    FROM late AS t JOIN before AS b USING (session_id)
    WHERE s.session_id = t.session_id
    RETURNING s.session_id, b.facts AS before, {corrections.facts_of("s")} AS after, b.was_final
), {corrections.WRITTEN}
SELECT session_id FROM changed
""".encode()


class _Open(NamedTuple):
    """A session whose end is to be presumed."""

    session_id: int
    charging_point_id: str
    started_at: datetime
    meter_start_wh: int


async def _presume(cursor: AsyncCursor, why: Mapping[int, str]) -> None:
    """End sessions at their last plausible register. why: a Presumption, by session."""
    if not why:
        return
    await cursor.execute(
        "SELECT session_id, charging_point_id, started_at, meter_start_wh FROM sessions"
        " WHERE session_id = ANY(%s) AND state = 'charging'"
        " ORDER BY session_id FOR UPDATE SKIP LOCKED",
        [list(why)],
    )
    open_sessions = [_Open(*row) async for row in cursor]
    ends = await _ends_of(cursor, open_sessions)
    await cursor.execute(
        """
        UPDATE sessions AS s
        SET state = 'ended', ended_at = t.at, meter_stop_wh = t.energy_wh, stop_cause = %s,
            stop_reason = '', stop_received_at = now(), presumed = t.presumed
        FROM unnest(%s::int[], %s::timestamptz[], %s::bigint[], %s::text[])
            AS t (session_id, at, energy_wh, presumed)
        WHERE s.session_id = t.session_id
        """,
        [StopCause.OTHER.value, *_columns(ends), [why[session_id] for session_id in ends]],
    )
    await cursor.execute(
        "UPDATE hub_sessions SET state = 'ended', ended_at = now()"
        " WHERE session_id = ANY(%s) AND state <> 'refused'",
        [list(ends)],
    )
    for each in open_sessions:
        log.warning(
            "end of a session presumed",
            extra={
                "charging_point": each.charging_point_id,
                "session": each.session_id,
                "why": why[each.session_id],
            },
        )


async def _ends_of(cursor: AsyncCursor, sessions: Sequence[_Open]) -> dict[int, Register]:
    """Return the last plausible register of each session."""
    await cursor.execute(
        READINGS.encode(),
        [[each.session_id for each in sessions]],
    )
    readings: dict[int, list[Register]] = {}
    async for session_id, at, energy_wh in cursor:
        readings.setdefault(session_id, []).append(Register(at, energy_wh))
    return {
        each.session_id: presumed_end(
            Register(each.started_at, each.meter_start_wh), readings.get(each.session_id, [])
        )
        for each in sessions
    }


def _columns(ends: Mapping[int, Register]) -> list[list[object]]:
    return [
        list(ends),
        [end.at for end in ends.values()],
        [end.energy_wh for end in ends.values()],
    ]
