"""Sessions begin and end: the facts that are billed, and what they change in roaming."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from charging.authorization import Authorization, Decision
from charging.command import CommandKind
from charging.database import commands, events
from charging.database.connection import AsyncCursor
from charging.database.events import Event
from charging.event import EventKind
from charging.token import token_of
from cp_backend.committer import Committer, OnResult
from cp_backend.store.authorizations import (
    decide_over,
    decide_without_token,
    refuse_where_not_offered,
)
from cp_backend.store.finished import finish_starts, finish_stops
from cp_backend.store.nameless_ends import name_sessions
from cp_backend.store.presumed_ends import correct_presumed, presume_superseded
from cp_backend.store.readings import Readings
from cp_backend.store.stop_registers import settle_registers
from cp_backend.store.terms import Submission
from cp_backend.store.unassigned import keep_unassigned
from cp_backend.vocabulary import (
    SessionEnded,
    SessionEndedAnswer,
    SessionStarted,
    SessionStartedAnswer,
)

STOP_COMMAND_SECONDS = 30

Start = Submission[SessionStarted]
End = Submission[SessionEnded]


class Sessions:
    """Begins and ends sessions. admit_unknown: tokens that are not registered may charge."""

    def __init__(
        self, lookups: Committer, facts: Committer, readings: Readings, *, admit_unknown: bool
    ) -> None:
        self._lookups = lookups
        self._facts = facts
        self._readings = readings
        self._admit_unknown = admit_unknown

    def started(
        self,
        charging_point_id: str,
        message: SessionStarted,
        on_result: OnResult[SessionStartedAnswer],
    ) -> None:
        """Begin a session, or find it begun."""
        submission = Submission(charging_point_id, message)
        self._facts.submit(self.start_sessions, submission, on_result, key=charging_point_id)

    def accepted(self, charging_point_id: str, session_id: int, on_result: OnResult[None]) -> None:
        """Note that a session's token may charge after all."""
        self._facts.submit(accept_sessions, session_id, on_result, key=charging_point_id)

    def ended(
        self,
        charging_point_id: str,
        message: SessionEnded,
        on_result: OnResult[SessionEndedAnswer],
    ) -> None:
        """End a session, or find it ended."""
        submission = Submission(charging_point_id, message)
        self._facts.submit(self.end_sessions, submission, on_result, key=charging_point_id)

    async def in_progress(self) -> int:
        """Return how many sessions charge at the moment, on all nodes."""
        return await self._lookups.ask(count_sessions, None)

    async def start_sessions(
        self, cursor: AsyncCursor, starts: Sequence[Start]
    ) -> Sequence[SessionStartedAnswer]:
        """Begin sessions.

        OCPP 1.6 gives a start no key of its own: charging point, EVSE, token, time and meter
        together are it. A repeated start finds the first one's row, and its answer.
        """
        shown = [Submission(start.charging_point_id, start.message.token) for start in starts]
        authorizations = await decide_over(
            cursor, shown, begin=True, end=False, admit_unknown=self._admit_unknown
        )
        await decide_without_token(cursor, shown, authorizations)
        evse_numbers = [start.message.evse_number for start in starts]
        await refuse_where_not_offered(cursor, shown, evse_numbers, authorizations)
        new = await _insert_sessions(cursor, starts, authorizations)
        if new:
            await settle_with_hub(cursor, [s.session_id for s in new if s.concerns_hub])
            await write_events(cursor, EventKind.SESSION_STARTED, new)
            await finish_starts(cursor, new)
            await presume_superseded(cursor, [session.session_id for session in new])
        found = await _find_sessions(cursor, starts)
        return [
            SessionStartedAnswer(each.session_id, first_answer(each.decision, authorization))
            for each, authorization in zip(found, authorizations, strict=True)
        ]

    async def end_sessions(
        self, cursor: AsyncCursor, ends: Sequence[End]
    ) -> Sequence[SessionEndedAnswer]:
        """End sessions.

        A repeated end gets the first one's answer. An end of a session that we do not know, or
        one that contradicts the first, is kept whole for the operator: it is somebody's money.
        """
        ends, registers = await settle_registers(cursor, await name_sessions(cursor, ends))
        authorizations = await self._authorize_ends(cursor, ends)
        new = await _update_sessions(cursor, ends, authorizations, registers)
        if len(new) < len(ends):
            corrected = await correct_presumed(cursor, ends, authorizations)
            new += await _find_ended(cursor, corrected)
        firsts = await _find_ends(cursor, ends)
        strange = [
            end for place, end in enumerate(ends) if place not in firsts or not firsts[place].same
        ]
        if strange:
            await keep_unassigned(
                cursor, [Submission(end.charging_point_id, end.message.raw) for end in strange]
            )
        if new:
            await _end_hub_sessions(cursor, [session.session_id for session in new])
            await write_events(cursor, EventKind.SESSION_ENDED, new)
            await finish_stops(cursor, new)
        evse_numbers = {place: first.evse_number for place, first in firsts.items()}
        await self._readings.keep_of_ends(cursor, ends, evse_numbers)
        return [
            _answer_end(authorization, firsts.get(place))
            for place, authorization in enumerate(authorizations)
        ]

    async def _authorize_ends(
        self, cursor: AsyncCursor, ends: Sequence[End]
    ) -> list[Authorization | None]:
        """Decide over the tokens that ends were shown with; None where there was none."""
        shown = [
            (place, Submission(end.charging_point_id, token))
            for place, end in enumerate(ends)
            if (token := end.message.token) is not None
        ]
        authorizations: list[Authorization | None] = [None] * len(ends)
        if not shown:
            return authorizations
        decided = await decide_over(
            cursor,
            [submission for _, submission in shown],
            begin=False,
            end=True,
            admit_unknown=self._admit_unknown,
        )
        for (place, _), authorization in zip(shown, decided, strict=True):
            authorizations[place] = authorization
        return authorizations


class ChangedSession(NamedTuple):
    """A session that has begun, or ended, in this transaction; at: when."""

    session_id: int
    charging_point_id: str
    at: datetime
    token: str
    evse_number: int

    @property
    def concerns_hub(self) -> bool:
        """Whether a session of the hub may have to do with it."""
        return token_of(self.token).concerns_hub


class _Found(NamedTuple):
    session_id: int
    decision: str


class _FirstEnd(NamedTuple):
    """The end that a session has. same: it is what is reported again; decision: over its token."""

    decision: str | None
    same: bool
    evse_number: int


def first_answer(decision: str, now: Authorization) -> Authorization:
    """Return what the first start of a session was answered."""
    first = Decision(decision)
    if first is Decision.UNKNOWN and now.decision is not Decision.UNKNOWN:
        first = Decision.REFUSED  # the hub has not to be asked any more
    return now.as_before(first)


def _answer_end(now: Authorization | None, first: _FirstEnd | None) -> SessionEndedAnswer:
    if now is None:
        return SessionEndedAnswer(None)
    if first is None:
        return SessionEndedAnswer(now)
    if first.decision is None:
        return SessionEndedAnswer(None)
    return SessionEndedAnswer(now.as_before(Decision(first.decision)))


# Starts.


async def _insert_sessions(
    cursor: AsyncCursor, starts: Sequence[Start], authorizations: Sequence[Authorization]
) -> list[ChangedSession]:
    """Insert sessions that are not there yet; return those, by number.

    One without a register begins at the last that is known of its EVSE.
    """
    await cursor.execute(
        """
        INSERT INTO sessions (charging_point_id, evse_number, id_tag, state, started_at,
                              meter_start_wh, start_decision, reported_started_at,
                              reported_meter_start, doubts)
        SELECT charging_point_id, evse_number, id_tag, 'charging', started_at,
               coalesce(meter_start_wh, (
                   SELECT b.meter_stop_wh FROM sessions AS b
                   WHERE b.charging_point_id = t.charging_point_id
                     AND b.evse_number = t.evse_number AND b.state = 'ended'
                   ORDER BY b.session_id DESC LIMIT 1), 0),
               start_decision, reported_at, reported_meter,
               array_remove(ARRAY[CASE WHEN reported_at IS NOT NULL THEN 'clock' END,
                                  CASE WHEN meter_start_wh IS NULL THEN 'start_register' END],
                            NULL)
        FROM unnest(%(ids)s::text[], %(numbers)s::int[], %(tags)s::text[],
                    %(times)s::timestamptz[], %(meters)s::bigint[], %(decisions)s::text[],
                    %(reported)s::timestamptz[], %(reported_meters)s::numeric[])
            AS t (charging_point_id, evse_number, id_tag, started_at, meter_start_wh,
                  start_decision, reported_at, reported_meter)
        ON CONFLICT DO NOTHING
        RETURNING session_id, charging_point_id, started_at, id_tag, evse_number
        """,
        {
            **_start_columns(starts),
            "decisions": [a.decision.value for a in authorizations],
            "reported_meters": [start.message.reported_meter for start in starts],
        },
    )
    return sorted([ChangedSession(*row) async for row in cursor])


async def _find_sessions(cursor: AsyncCursor, starts: Sequence[Start]) -> list[_Found]:
    """Return the sessions that starts began, now or before, in the order of the starts."""
    await cursor.execute(
        """
        SELECT DISTINCT ON (place) session_id, start_decision
        FROM unnest(%(ids)s::text[], %(numbers)s::int[], %(tags)s::text[],
                    %(times)s::timestamptz[], %(meters)s::bigint[], %(reported)s::timestamptz[])
            WITH ORDINALITY AS t (charging_point_id, evse_number, id_tag, at, meter, reported_at,
                                  place)
        JOIN sessions AS s USING (charging_point_id, evse_number, id_tag)
        WHERE coalesce(s.reported_started_at, s.started_at) = coalesce(t.reported_at, t.at)
          -- without a register it is whichever began so: that with the last known one, too
          AND (s.meter_start_wh = t.meter OR t.meter IS NULL)
        -- one that has ended can have had the same facts: a clock without a battery
        ORDER BY place, session_id DESC
        """,
        _start_columns(starts),
    )
    return [_Found(*row) async for row in cursor]


def _start_columns(starts: Sequence[Start]) -> dict[str, Sequence[object]]:
    return {
        "ids": [start.charging_point_id for start in starts],
        "numbers": [start.message.evse_number for start in starts],
        "tags": [start.message.token.value for start in starts],
        "times": [start.message.started_at for start in starts],
        "meters": [start.message.meter_start_wh for start in starts],
        "reported": [start.message.reported_at for start in starts],
    }


async def settle_with_hub(cursor: AsyncCursor, session_ids: Sequence[int]) -> None:
    """Bind sessions to the hub's, end reservations that they use, stop what nobody wants."""
    if not session_ids:
        return
    await cursor.execute(
        """
        UPDATE hub_sessions AS h
        SET session_id = s.session_id, evse_number = coalesce(h.evse_number, s.evse_number)
        FROM sessions AS s
        WHERE s.session_id = ANY(%s) AND h.id_tag = s.id_tag
          AND h.charging_point_id = s.charging_point_id
          AND h.session_id IS NULL AND h.state IN ('asked', 'accepted')
          AND (h.origin = 'remote' OR EXISTS (
              SELECT 1 FROM evses AS e
              WHERE e.charging_point_id = s.charging_point_id
                AND e.evse_number = s.evse_number AND e.roaming))
        """,
        [list(session_ids)],
    )
    await cursor.execute(_USE_RESERVATIONS, [list(session_ids), _RESERVATION_ENDED])
    await cursor.execute(
        _STOP_LATE_STARTS,
        {
            "sessions": list(session_ids),
            "kind": CommandKind.REMOTE_STOP.value,
            "seconds": STOP_COMMAND_SECONDS,
        },
    )


_RESERVATION_ENDED = EventKind.RESERVATION_ENDED.value
_USE_RESERVATIONS = f"""
WITH used AS (
    UPDATE reservations AS r SET state = 'used', ended_at = now()
    FROM sessions AS s
    WHERE s.session_id = ANY(%s) AND r.charging_point_id = s.charging_point_id
      AND r.evse_number = s.evse_number AND r.id_tag = s.id_tag AND r.state = 'reserved'
    RETURNING r.reservation_id, r.charging_point_id
), happened AS (
    SELECT %s AS kind, charging_point_id,
           jsonb_build_object('reservation_id', reservation_id) AS payload, now() AS occurred_at
    FROM used
), {events.WRITTEN} {events.WAKE}
""".encode()

# A remote start that was given up, and which the charging point carried out all the same; or one
# that has been used already.
_STOP_LATE_STARTS = f"""
WITH wanted AS (
    SELECT s.charging_point_id, %(kind)s::text AS kind,
           jsonb_build_object('session_id', s.session_id) AS arguments,
           'late remote start' AS requested_by, %(seconds)s::float AS seconds
    FROM sessions AS s
    JOIN hub_sessions AS h USING (charging_point_id, id_tag)
    WHERE s.session_id = ANY(%(sessions)s) AND h.state IN ('refused', 'ended')
      AND h.origin = 'remote'
      AND NOT EXISTS (SELECT 1 FROM hub_sessions AS b WHERE b.session_id = s.session_id)
), {commands.QUEUED} {commands.WAKE}
""".encode()


async def accept_sessions(cursor: AsyncCursor, session_ids: Sequence[int]) -> Sequence[None]:
    """Note that sessions' tokens may charge, for a charging point that asks again."""
    await cursor.execute(
        "UPDATE sessions SET start_decision = %s WHERE session_id = ANY(%s)",
        [Decision.ACCEPTED.value, list(session_ids)],
    )
    return [None] * len(session_ids)


# Ends.


async def _update_sessions(
    cursor: AsyncCursor,
    ends: Sequence[End],
    authorizations: Sequence[Authorization | None],
    registers: Sequence[int | None],
) -> list[ChangedSession]:
    """End sessions that charge; return those, by number.

    registers: in Wh, of those whose end brings none.
    """
    await cursor.execute(
        """
        UPDATE sessions AS s
        SET state = 'ended', ended_at = t.ended_at, meter_stop_wh = t.meter,
            stop_cause = t.cause, stop_reason = t.reason, stop_id_tag = t.id_tag,
            stop_decision = t.decision, stop_received_at = now(),
            reported_ended_at = t.reported_at, reported_meter_stop = t.reported_meter,
            doubts = s.doubts || array_remove(ARRAY[
                CASE WHEN t.reported_at IS NOT NULL AND NOT 'clock' = ANY (s.doubts)
                     THEN 'clock' END,
                CASE WHEN NOT t.metered THEN 'stop_register' END,
                CASE WHEN t.meter < s.meter_start_wh THEN 'backwards' END], NULL)
        FROM unnest(%(ids)s::text[], %(sessions)s::int[], %(times)s::timestamptz[],
                    %(registers)s::bigint[], %(metered)s::bool[], %(causes)s::text[],
                    %(reasons)s::text[], %(tags)s::text[], %(decisions)s::text[],
                    %(reported)s::timestamptz[], %(reported_meters)s::numeric[])
            AS t (charging_point_id, session_id, ended_at, meter, metered, cause, reason,
                  id_tag, decision, reported_at, reported_meter)
        WHERE s.session_id = t.session_id AND s.charging_point_id = t.charging_point_id
          AND s.state = 'charging'
        RETURNING s.session_id, s.charging_point_id, s.ended_at, s.id_tag, s.evse_number
        """,
        {
            **_end_columns(ends),
            "registers": [
                register if (meter := end.message.meter_stop_wh) is None else meter
                for end, register in zip(ends, registers, strict=True)
            ],
            "metered": [end.message.meter_stop_wh is not None for end in ends],
            "reported_meters": [end.message.reported_meter for end in ends],
            "causes": [end.message.cause.value for end in ends],
            "reasons": [end.message.reported_cause for end in ends],
            "tags": [end.message.token.value if end.message.token else None for end in ends],
            "decisions": [None if a is None else a.decision.value for a in authorizations],
        },
    )
    return sorted([ChangedSession(*row) async for row in cursor])


async def _find_ended(cursor: AsyncCursor, session_ids: Collection[int]) -> list[ChangedSession]:
    if not session_ids:
        return []
    await cursor.execute(
        "SELECT session_id, charging_point_id, ended_at, id_tag, evse_number FROM sessions"
        " WHERE session_id = ANY(%s) ORDER BY session_id",
        [list(session_ids)],
    )
    return [ChangedSession(*row) async for row in cursor]


async def _find_ends(cursor: AsyncCursor, ends: Sequence[End]) -> dict[int, _FirstEnd]:
    """Return the ends that the sessions have, by the place of what is reported."""
    await cursor.execute(
        """
        SELECT t.place::int, s.stop_decision,
               coalesce(s.reported_ended_at, s.ended_at) = coalesce(t.reported_at, t.ended_at)
                   AND (s.meter_stop_wh = t.meter
                        OR (t.meter IS NULL AND 'stop_register' = ANY (s.doubts))),
               s.evse_number
        FROM unnest(%(places)s::int[], %(ids)s::text[], %(sessions)s::int[],
                    %(times)s::timestamptz[], %(meters)s::bigint[], %(reported)s::timestamptz[])
            AS t (place, charging_point_id, session_id, ended_at, meter, reported_at)
        JOIN sessions AS s USING (charging_point_id, session_id)
        """,
        {"places": list(range(len(ends))), **_end_columns(ends)},
    )
    return {row[0]: _FirstEnd(*row[1:]) async for row in cursor}


def _end_columns(ends: Sequence[End]) -> dict[str, Sequence[object]]:
    return {
        "ids": [end.charging_point_id for end in ends],
        "sessions": [end.message.session.session_id for end in ends],
        "times": [end.message.ended_at for end in ends],
        "meters": [end.message.meter_stop_wh for end in ends],
        "reported": [end.message.reported_at for end in ends],
    }


async def _end_hub_sessions(cursor: AsyncCursor, session_ids: Sequence[int]) -> None:
    await cursor.execute(
        "UPDATE hub_sessions SET state = 'ended', ended_at = now()"
        " WHERE session_id = ANY(%s) AND state <> 'refused'",
        [list(session_ids)],
    )


# Both.


async def write_events(
    cursor: AsyncCursor, kind: EventKind, sessions: Sequence[ChangedSession]
) -> None:
    """Record that sessions have begun, or ended."""
    await events.write_async(
        cursor,
        [
            Event(
                kind,
                session.charging_point_id,
                {"session_id": session.session_id},
                session.at,
            )
            for session in sessions
        ],
    )


async def count_sessions(cursor: AsyncCursor, asked: Sequence[None]) -> Sequence[int]:
    """Count the sessions that charge: what a partial index holds."""
    await cursor.execute("SELECT count(*) FROM sessions WHERE state = 'charging'")
    row = await cursor.fetchone()
    assert row is not None
    count: int = row[0]
    return [count] * len(asked)
