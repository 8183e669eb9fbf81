"""Ends that name no session: of a charging point that lost our answer to its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charging.database.connection import AsyncCursor
from charging.session import SessionReference
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import SessionEnded


async def name_sessions(
    cursor: AsyncCursor, ends: Sequence[Submission[SessionEnded]]
) -> Sequence[Submission[SessionEnded]]:
    """Return ends with the session that one without can only mean.

    That is the only session of its charging point that charges and that it fits by time and
    register; or, repeated, the one that it has ended; or the only one whose end is presumed.
    """
    nameless = [place for place, end in enumerate(ends) if end.message.session == _NO_SESSION]
    if not nameless:
        return ends
    messages = [ends[place].message for place in nameless]
    await cursor.execute(
        """
        SELECT t.place::int, coalesce(
            (SELECT max(s.session_id) FROM sessions AS s
             WHERE s.charging_point_id = t.charging_point_id AND s.state = 'charging'
             -- one whose clock was wrong began at an unknown time before its receipt
             HAVING count(*) = 1
                AND bool_and(s.started_at <= t.ended_at OR 'clock' = ANY (s.doubts))
                AND bool_and(t.meter IS NULL OR s.meter_start_wh <= t.meter)),
            (SELECT max(s.session_id) FROM sessions AS s
             WHERE s.charging_point_id = t.charging_point_id AND s.state = 'ended'
               AND s.meter_stop_wh = t.meter
               AND coalesce(s.reported_ended_at, s.ended_at) = coalesce(t.reported_at, t.ended_at)),
            (SELECT max(s.session_id) FROM sessions AS s
             WHERE s.charging_point_id = t.charging_point_id AND s.presumed IS NOT NULL
               AND s.end_final_at IS NULL AND s.started_at <= t.ended_at
               AND (t.meter IS NULL OR t.meter >= s.meter_stop_wh)
             HAVING count(*) = 1))
        FROM unnest(%s::int[], %s::text[], %s::timestamptz[], %s::bigint[], %s::timestamptz[])
            AS t (place, charging_point_id, ended_at, meter, reported_at)
        """,
        [
            nameless,
            [ends[place].charging_point_id for place in nameless],
            [message.ended_at for message in messages],
            [message.meter_stop_wh for message in messages],
            [message.reported_at for message in messages],
        ],
    )
    named = list(ends)
    async for place, session_id in cursor:
        if session_id is not None:
            charging_point_id, message = ends[place]
            session = SessionReference(session_id=session_id)
            named[place] = Submission(charging_point_id, replace(message, session=session))
    return named


_NO_SESSION = SessionReference()
