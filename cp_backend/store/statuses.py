"""How EVSEs are, as charging points report it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from charging.database import following
from charging.database.connection import AsyncCursor
from charging.database.events import WAKE, WRITTEN
from charging.event import EventKind
from charging.evse import EvseState
from cp_backend.committer import Committer, OnResult
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import StatusReported


class Statuses:
    """Keeps the state of each EVSE."""

    def __init__(self, facts: Committer) -> None:
        self._facts = facts

    def reported(
        self, charging_point_id: str, message: StatusReported, on_result: OnResult[None]
    ) -> None:
        """Note a status, and an event where it is a new one."""
        submission = Submission(charging_point_id, message)
        self._facts.submit(report_statuses, submission, on_result, key=charging_point_id)


async def report_statuses(
    cursor: AsyncCursor, submissions: Sequence[Submission[StatusReported]]
) -> Sequence[None]:
    """Note statuses; those that are new become events."""
    latest = {
        (each.charging_point_id, each.message.evse_number): each.message for each in submissions
    }
    connectors = {
        (each.charging_point_id, each.message.evse_number, each.message.connector_number): (
            each.message
        )
        for each in submissions
        if each.message.connector_number
    }
    if connectors:
        latest |= await _note_connectors(cursor, connectors)
    now = datetime.now(UTC)
    await cursor.execute(
        _REPORT,
        {
            "kind": EventKind.EVSE_STATUS_CHANGED.value,
            "ids": [charging_point_id for charging_point_id, _ in latest],
            "numbers": [evse_number for _, evse_number in latest],
            "states": [status.state.value for status in latest.values()],
            "statuses": [status.reported for status in latest.values()],
            "errors": [status.error_code for status in latest.values()],
            "times": [status.at or now for status in latest.values()],
        },
    )
    await following.finish_availability(cursor, sorted({name for name, _ in latest}))
    return [None] * len(submissions)


async def _note_connectors(
    cursor: AsyncCursor, reported: dict[tuple[str, int, int], StatusReported]
) -> dict[tuple[str, int], StatusReported]:
    """Note how connectors are; return what that makes of their EVSEs.

    An EVSE serves one vehicle at a time: it is as its busiest connector is, and free or out of
    service by the best of those that are not busy.
    """
    now = datetime.now(UTC)
    await cursor.execute(
        """
        INSERT INTO connectors (charging_point_id, evse_number, connector_number, state, status,
                                status_at)
        SELECT * FROM unnest(%s::text[], %s::int[], %s::int[], %s::text[], %s::text[],
                             %s::timestamptz[])
        ON CONFLICT (charging_point_id, evse_number, connector_number) DO UPDATE
        SET state = excluded.state, status = excluded.status, status_at = excluded.status_at
        """,
        [
            *map(list, zip(*reported, strict=True)),
            [status.state.value for status in reported.values()],
            [status.reported for status in reported.values()],
            [status.at or now for status in reported.values()],
        ],
    )
    evses = {(name, number): status for (name, number, _), status in reported.items()}
    await cursor.execute(
        """
        SELECT DISTINCT ON (charging_point_id, evse_number)
               charging_point_id, evse_number, state, status
        FROM connectors
        JOIN unnest(%s::text[], %s::int[]) AS t (charging_point_id, evse_number)
            USING (charging_point_id, evse_number)
        ORDER BY charging_point_id, evse_number, array_position(%s::text[], state)
        """,
        [*map(list, zip(*evses, strict=True)), _FIRST],
    )
    return {
        (name, number): replace(evses[name, number], state=EvseState(state), reported=status)
        async for name, number, state, status in cursor
    }


_FIRST = [
    state.value
    for state in (
        EvseState.OCCUPIED,
        EvseState.RESERVED,
        EvseState.AVAILABLE,
        EvseState.UNAVAILABLE,
        EvseState.FAULTED,
        EvseState.UNKNOWN,
    )
]

_REPORT = f"""
WITH reported AS (
    SELECT * FROM unnest(%(ids)s::text[], %(numbers)s::int[], %(states)s::text[],
                         %(statuses)s::text[], %(errors)s::text[], %(times)s::timestamptz[])
    AS t (charging_point_id, evse_number, state, status, error_code, status_at)
), before AS (
    SELECT evses.* FROM evses JOIN reported USING (charging_point_id, evse_number)
), noted AS (
    INSERT INTO evses (charging_point_id, evse_number, state, status, error_code, status_at)
    SELECT * FROM reported ORDER BY charging_point_id, evse_number
    ON CONFLICT (charging_point_id, evse_number) DO UPDATE
    -- a word that nobody knows changes nothing of what is known
    SET state = CASE excluded.state WHEN 'unknown' THEN evses.state ELSE excluded.state END,
        status = excluded.status, error_code = excluded.error_code,
        status_at = excluded.status_at
), happened AS (
    SELECT %(kind)s AS kind, reported.charging_point_id,
           jsonb_build_object('evse_number', reported.evse_number, 'state',
                              CASE reported.state WHEN 'unknown'
                                  THEN coalesce(before.state, 'unknown') ELSE reported.state END,
                              'status', reported.status, 'error_code', reported.error_code)
               AS payload,
           reported.status_at AS occurred_at
    FROM reported LEFT JOIN before USING (charging_point_id, evse_number)
    WHERE before.status IS DISTINCT FROM reported.status
), changed AS (
    INSERT INTO state_history (charging_point_id, evse_number, state, status, error_code,
                               changed_at)
    SELECT charging_point_id, reported.evse_number,
           CASE reported.state WHEN 'unknown'
               THEN coalesce(before.state, 'unknown') ELSE reported.state END,
           reported.status, reported.error_code, reported.status_at
    FROM reported LEFT JOIN before USING (charging_point_id, evse_number)
    WHERE (before.status, before.error_code) IS DISTINCT FROM (reported.status, reported.error_code)
), {WRITTEN} {WAKE}
""".encode()
