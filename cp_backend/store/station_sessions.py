"""Sessions that charging points name themselves and report event by event (OCPP 2.x).

The charging point's own name of a session is its key, so a report can come in any order, late, or
again. Each place of a report among those of its session is noted: a gap is a report that never
came, and stands on the audit's list until it is filled. What begins and ends a session is billed
by the same statements as in `sessions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from charging.authorization import Authorization, Decision
from charging.command import CommandKind
from charging.database.connection import AsyncCursor
from charging.event import EventKind
from charging.session import SessionReference, SessionState
from charging.token import Token, token_of
from cp_backend.committer import Committer, OnResult
from cp_backend.store.authorizations import decide_over, decide_without_token
from cp_backend.store.finished import finish_starts
from cp_backend.store.presumed_ends import presume_superseded
from cp_backend.store.readings import Readings
from cp_backend.store.sessions import (
    ChangedSession,
    Sessions,
    first_answer,
    settle_with_hub,
    write_events,
)
from cp_backend.store.terms import Submission
from cp_backend.store.unassigned import keep_unassigned
from cp_backend.vocabulary import (
    MeterRead,
    SessionEnded,
    SessionPhase,
    SessionReported,
    SessionReportedAnswer,
)

Report = Submission[SessionReported]


class StationSessions:
    """Begins, meters and ends sessions as they are reported.

    admit_unknown: tokens that are not registered may charge.
    """

    def __init__(
        self, facts: Committer, sessions: Sessions, readings: Readings, *, admit_unknown: bool
    ) -> None:
        self._facts = facts
        self._sessions = sessions
        self._readings = readings
        self._admit_unknown = admit_unknown

    def reported(
        self,
        charging_point_id: str,
        message: SessionReported,
        on_result: OnResult[SessionReportedAnswer],
    ) -> None:
        """Keep a report."""
        submission = Submission(charging_point_id, message)
        self._facts.submit(self.report_sessions, submission, on_result, key=charging_point_id)

    async def report_sessions(
        self, cursor: AsyncCursor, reports: Sequence[Report]
    ) -> Sequence[SessionReportedAnswer]:
        """Keep reports; several of one session in their order, each after the one before."""
        answers: dict[int, SessionReportedAnswer] = {}
        for places in _rounds(reports):
            found = await self._report(cursor, [reports[place] for place in places])
            answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(reports))]

    async def _report(
        self, cursor: AsyncCursor, reports: Sequence[Report]
    ) -> list[SessionReportedAnswer]:
        """Keep at most one report of each session."""
        named = [place for place, each in enumerate(reports) if _name(each) is not None]
        nameless = [each for each in reports if _name(each) is None]
        if nameless:
            await keep_unassigned(
                cursor, [Submission(each.charging_point_id, each.message.raw) for each in nameless]
            )
        tokens = await _tokens(cursor, reports)
        authorizations = await self._authorize(cursor, reports, tokens)
        known = await _note(cursor, reports, named)
        missing = [place for place in named if place not in known]
        if missing:
            known |= await _begin(cursor, reports, missing, tokens, authorizations)
        await _complete(cursor, reports, known, tokens, authorizations)
        await self._readings.keep(cursor, _reads(reports, known))
        ended = await self._end(cursor, reports, known)
        return [
            _answer(known.get(place), tokens[place], authorizations[place], ended.get(place))
            for place in range(len(reports))
        ]

    async def _authorize(
        self, cursor: AsyncCursor, reports: Sequence[Report], tokens: Sequence[Token | None]
    ) -> list[Authorization | None]:
        """Decide over the tokens that were shown, to begin or, while it goes on, to end.

        What an end was shown with is decided over where it ends the session.
        """
        authorizations: list[Authorization | None] = [None] * len(reports)
        for begin in (True, False):
            shown: list[Submission[Token]] = []
            places: list[int] = []
            for place, report in enumerate(reports):
                ends = report.message.phase is SessionPhase.ENDED
                token = tokens[place] if begin else report.message.stop_token
                if token is not None and not (ends and not begin):
                    shown.append(Submission(report.charging_point_id, token))
                    places.append(place)
            if not shown:
                continue
            decided = await decide_over(
                cursor, shown, begin=begin, end=not begin, admit_unknown=self._admit_unknown
            )
            await decide_without_token(cursor, shown, decided)
            for place, authorization in zip(places, decided, strict=True):
                authorizations[place] = authorization
        return authorizations

    async def _end(
        self, cursor: AsyncCursor, reports: Sequence[Report], known: dict[int, _Known]
    ) -> dict[int, Authorization | None]:
        """End sessions; return the decision over the token that each was ended with."""
        places = [place for place in known if reports[place].message.phase is SessionPhase.ENDED]
        if not places:
            return {}
        answers = await self._sessions.end_sessions(
            cursor, [_end_of(reports[place], known[place]) for place in places]
        )
        return {place: answer.authorization for place, answer in zip(places, answers, strict=True)}


class _Known(NamedTuple):
    """A session as it was before a report. begun: its start was reported. new: just inserted."""

    session_id: int
    evse_number: int
    id_tag: str
    start_decision: str
    state: str
    begun: bool
    without_register: bool
    new: bool = False


def _name(report: Report) -> str | None:
    return report.message.session.station_session


def _rounds(reports: Sequence[Report]) -> list[list[int]]:
    """Return the places of reports, in each list at most one of a session, in their order."""
    if len({(each.charging_point_id, _name(each)) for each in reports}) == len(reports):
        return [list(range(len(reports)))]
    rounds: list[list[int]] = []
    counts: dict[tuple[str, str | None], int] = {}
    for place in sorted(range(len(reports)), key=lambda place: _sequence(reports[place])):
        key = reports[place].charging_point_id, _name(reports[place])
        count = counts[key] = counts.get(key, -1) + 1
        if count == len(rounds):
            rounds.append([])
        rounds[count].append(place)
    return rounds


def _sequence(report: Report) -> int:
    return -1 if report.message.sequence is None else report.message.sequence


async def _tokens(cursor: AsyncCursor, reports: Sequence[Report]) -> list[Token | None]:
    """Return the tokens that sessions began with: that reported, or that of the remote start."""
    tokens = [each.message.token for each in reports]
    asked = {
        place: each.message.command_id
        for place, each in enumerate(reports)
        if each.message.command_id is not None
        and (tokens[place] is None or not tokens[place].value)  # type: ignore[union-attr]
    }
    if asked:
        await cursor.execute(
            "SELECT command_id, charging_point_id, arguments ->> 'id_tag' FROM commands"
            " WHERE command_id = ANY(%s) AND kind = %s AND arguments ? 'id_tag'",
            [list(asked.values()), CommandKind.REMOTE_START.value],
        )
        found = {(row[0], row[1]): row[2] async for row in cursor}
        for place, command_id in asked.items():
            value = found.get((command_id, reports[place].charging_point_id))
            if value is not None:
                tokens[place] = token_of(value)
    return tokens


async def _note(
    cursor: AsyncCursor, reports: Sequence[Report], places: Sequence[int]
) -> dict[int, _Known]:
    """Note the places of reports in sessions that are known; return those sessions."""
    if not places:
        return {}
    await cursor.execute(
        """
        UPDATE sessions AS s
        SET sequences = CASE WHEN t.sequence IS NULL THEN s.sequences
                             ELSE s.sequences
                                  + int4multirange(int4range(t.sequence, t.sequence, '[]')) END
        FROM unnest(%b::int[], %b::text[], %b::text[], %s::int[])
            AS t (place, charging_point_id, station_session, sequence)
        WHERE s.charging_point_id = t.charging_point_id
          AND s.station_session = t.station_session
        RETURNING t.place, s.session_id, s.evse_number, s.id_tag, s.start_decision, s.state,
                  NOT 'start' = ANY (s.doubts),
                  'start_register' = ANY (s.doubts) AND s.meter_start_wh = 0
        """,
        [
            list(places),
            [reports[place].charging_point_id for place in places],
            [_name(reports[place]) for place in places],
            [reports[place].message.sequence for place in places],
        ],
    )
    return {row[0]: _Known(*row[1:]) async for row in cursor}


async def _begin(
    cursor: AsyncCursor,
    reports: Sequence[Report],
    places: Sequence[int],
    tokens: Sequence[Token | None],
    authorizations: Sequence[Authorization | None],
) -> dict[int, _Known]:
    """Insert sessions of which nothing was known, whichever report of them comes first."""
    starts = [reports[place] for place in places]
    await cursor.execute(
        _INSERT,
        {
            "ids": [each.charging_point_id for each in starts],
            "names": [_name(each) for each in starts],
            "numbers": [each.message.evse_number or 0 for each in starts],
            "connectors": [each.message.connector_number for each in starts],
            "tags": [_value(tokens[place]) for place in places],
            "decisions": [_decision(tokens[place], authorizations[place]) for place in places],
            "times": [each.message.at for each in starts],
            "meters": [_start_register(each.message) for each in starts],
            "last_meters": [each.message.last_register_wh for each in starts],
            "reported": [each.message.reported_at for each in starts],
            "begun": [each.message.phase is SessionPhase.STARTED for each in starts],
            "sequences": [each.message.sequence for each in starts],
        },
    )
    new = {(row[0], row[1]): row[2] async for row in cursor}
    known: dict[int, _Known] = {}
    for place, report in zip(places, starts, strict=True):
        session_id = new.get((report.charging_point_id, str(_name(report))))
        if session_id is not None:
            known[place] = _Known(
                session_id,
                report.message.evse_number or 0,
                _value(tokens[place]),
                _decision(tokens[place], authorizations[place]),
                SessionState.CHARGING.value,
                report.message.phase is SessionPhase.STARTED,
                without_register=False,
                new=True,
            )
    changed = [_changed(reports[place], each) for place, each in known.items()]
    await _settle(cursor, changed)
    begun = [_changed(reports[place], each) for place, each in known.items() if each.begun]
    if begun:
        await write_events(cursor, EventKind.SESSION_STARTED, sorted(begun))
        await presume_superseded(cursor, [each.session_id for each in begun])
    others = [place for place in places if place not in known]  # another node was first
    return known | await _note(cursor, reports, others)


# A start without a register begins where the last session at its EVSE ended.
_INSERT = """
INSERT INTO sessions (charging_point_id, station_session, evse_number, connector_number, id_tag,
                      state, started_at, meter_start_wh, start_decision, reported_started_at,
                      sequences, doubts)
SELECT charging_point_id, station_session, evse_number, connector_number, id_tag, 'charging',
       started_at,
       coalesce(meter, (
           SELECT b.meter_stop_wh FROM sessions AS b
           WHERE b.charging_point_id = t.charging_point_id AND b.evse_number = t.evse_number
             AND t.evse_number > 0 AND b.state = 'ended'
           ORDER BY b.session_id DESC LIMIT 1), last_meter, 0),
       start_decision, reported_at,
       CASE WHEN sequence IS NULL THEN '{}'::int4multirange
            ELSE int4multirange(int4range(sequence, sequence, '[]')) END,
       array_remove(ARRAY[CASE WHEN reported_at IS NOT NULL THEN 'clock' END,
                          CASE WHEN NOT begun THEN 'start' END,
                          CASE WHEN meter IS NULL THEN 'start_register' END], NULL)
FROM unnest(%(ids)s::text[], %(names)s::text[], %(numbers)s::int[], %(connectors)s::int[],
            %(tags)s::text[], %(decisions)s::text[], %(times)s::timestamptz[],
            %(meters)s::bigint[], %(last_meters)s::bigint[], %(reported)s::timestamptz[],
            %(begun)s::boolean[], %(sequences)s::int[])
    AS t (charging_point_id, station_session, evse_number, connector_number, id_tag,
          start_decision, started_at, meter, last_meter, reported_at, begun, sequence)
ON CONFLICT (charging_point_id, station_session) WHERE station_session IS NOT NULL DO NOTHING
RETURNING charging_point_id, station_session, session_id
"""


def _start_register(message: SessionReported) -> int | None:
    """Return the register with which a session that nothing was known of began, None: unknown."""
    if message.phase is SessionPhase.ENDED and len(message.readings) < 2:
        return None  # the register of its end
    return message.first_register_wh


def _value(token: Token | None) -> str:
    return "" if token is None else token.value


def _decision(token: Token | None, authorization: Authorization | None) -> str:
    if token is None or authorization is None:
        return Decision.UNKNOWN.value  # until it is shown
    return authorization.decision.value


def _changed(report: Report, session: _Known) -> ChangedSession:
    message = report.message
    return ChangedSession(
        session.session_id,
        report.charging_point_id,
        message.at,
        session.id_tag,
        session.evse_number or message.evse_number or 0,
    )


async def _settle(cursor: AsyncCursor, sessions: Sequence[ChangedSession]) -> None:
    """Let follow what follows when a session's token is known."""
    with_token = sorted(each for each in sessions if each.token)
    if with_token:
        await settle_with_hub(cursor, [each.session_id for each in with_token if each.concerns_hub])
        await finish_starts(cursor, with_token)


class _Addition(NamedTuple):
    """What a report adds to a session that was known; None adds nothing."""

    session_id: int
    evse_number: int | None
    connector_number: int | None
    id_tag: str | None
    start_decision: str | None
    started_at: object
    reported_at: object
    meter_start_wh: int | None
    begins: bool


async def _complete(
    cursor: AsyncCursor,
    reports: Sequence[Report],
    known: dict[int, _Known],
    tokens: Sequence[Token | None],
    authorizations: Sequence[Authorization | None],
) -> None:
    """Add to sessions what only this report tells: a late start, the EVSE, the token."""
    additions = []
    begun: list[ChangedSession] = []
    ended: list[ChangedSession] = []
    paid: list[ChangedSession] = []
    for place, session in known.items():
        report, token = reports[place], tokens[place]
        addition = _addition(report.message, session, token, authorizations[place])
        if addition is None:
            continue
        additions.append(addition)
        changed = _changed(report, session)._replace(token=addition.id_tag or session.id_tag)
        if addition.begins:
            begun.append(changed)
            if session.state == SessionState.ENDED:
                ended.append(changed)
        if addition.id_tag or addition.begins:
            paid.append(changed)
    if not additions:
        return
    await cursor.execute(_ADD, list(map(list, zip(*additions, strict=True))))
    await _settle(cursor, paid)
    if begun:
        await write_events(cursor, EventKind.SESSION_STARTED, sorted(begun))
        await presume_superseded(cursor, [each.session_id for each in begun])
    if ended:  # now that it is known whose it was
        await cursor.execute(
            "UPDATE hub_sessions SET state = 'ended', ended_at = now()"
            " WHERE session_id = ANY(%s) AND state <> 'refused'",
            [[each.session_id for each in ended]],
        )
        await write_events(cursor, EventKind.SESSION_ENDED, sorted(ended))


def _addition(
    message: SessionReported,
    session: _Known,
    token: Token | None,
    authorization: Authorization | None,
) -> _Addition | None:
    if session.new:
        return None
    begins = message.phase is SessionPhase.STARTED and not session.begun
    evse = message.evse_number if not session.evse_number else None
    shown = token is not None and bool(token.value) and not session.id_tag
    register = message.first_register_wh if begins or session.without_register else None
    if not (begins or evse or shown or register is not None):
        return None
    return _Addition(
        session.session_id,
        evse or None,
        message.connector_number,
        _value(token) if shown else None,
        _decision(token, authorization) if token is not None and (shown or begins) else None,
        message.at if begins else None,
        message.reported_at if begins else None,
        register,
        begins,
    )


_ADD = """
UPDATE sessions AS s
SET evse_number = coalesce(t.evse_number, s.evse_number),
    connector_number = coalesce(s.connector_number, t.connector_number),
    id_tag = coalesce(t.id_tag, s.id_tag),
    start_decision = coalesce(t.start_decision, s.start_decision),
    started_at = coalesce(t.started_at, s.started_at),
    reported_started_at = CASE WHEN t.begins THEN t.reported_at ELSE s.reported_started_at END,
    meter_start_wh = coalesce(t.meter_start_wh, s.meter_start_wh),
    doubts = CASE
        WHEN NOT t.begins THEN s.doubts
        WHEN t.meter_start_wh IS NULL THEN array_remove(s.doubts, 'start')
        ELSE array_remove(array_remove(s.doubts, 'start'), 'start_register') END
FROM unnest(%s::int[], %s::int[], %s::int[], %s::text[], %s::text[], %s::timestamptz[],
            %s::timestamptz[], %s::bigint[], %s::boolean[])
    AS t (session_id, evse_number, connector_number, id_tag, start_decision, started_at,
          reported_at, meter_start_wh, begins)
WHERE s.session_id = t.session_id
"""


def _reads(reports: Sequence[Report], known: dict[int, _Known]) -> list[Submission[MeterRead]]:
    """Return the readings of what is no end; those of an end are kept with it."""
    return [
        Submission(
            reports[place].charging_point_id,
            MeterRead(
                session.evse_number or reports[place].message.evse_number or 0,
                SessionReference(session_id=session.session_id),
                reports[place].message.readings,
            ),
        )
        for place, session in known.items()
        if reports[place].message.readings
        and reports[place].message.phase is not SessionPhase.ENDED
    ]


def _end_of(report: Report, session: _Known) -> Submission[SessionEnded]:
    message = report.message
    return Submission(
        report.charging_point_id,
        SessionEnded(
            SessionReference(session.session_id, message.session.station_session),
            message.at,
            message.last_register_wh,
            message.cause,
            message.reported_cause,
            message.stop_token,
            message.readings,
            message.raw,
            message.reported_at,
        ),
    )


def _answer(
    session: _Known | None,
    token: Token | None,
    now: Authorization | None,
    ended: Authorization | None,
) -> SessionReportedAnswer:
    """Return the answer to a report; a repeated one gets what the first was answered."""
    if session is None:
        return SessionReportedAnswer(None, now)
    if token is None or now is None or session.new or token.value != session.id_tag:
        return SessionReportedAnswer(session.session_id, now or ended, may_ask=token is not None)
    return SessionReportedAnswer(
        session.session_id, first_answer(session.start_decision, now), may_ask=True
    )
