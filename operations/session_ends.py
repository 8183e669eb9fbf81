"""Ends of sessions that a person has to set: of one that lost its stop, by a fact, or corrected.

Nothing is overwritten: what a session was stands in `session_corrections`, who did it and why in
`audit`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg.rows import class_row

from charging.database import audit, corrections, events
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.events import Event
from charging.database.readings import READINGS
from charging.delivery import Queue
from charging.event import EventKind
from charging.metering import Register
from charging.presumption import Presumption, presumed_end
from charging.session import SessionState, StopCause
from operations.errors import ConflictError, InvalidError, NotFoundError
from operations.sessions import unknown

MAX_ENERGY_WH = 1_000_000
"""More is no session's energy but a register misread."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A session as it is now. at_hub: what has to be done there; empty where nothing has."""

    session: int
    charging_point: str
    started_at: datetime
    ended_at: datetime
    energy_wh: int
    presumed: str | None
    at_hub: str


class _Facts(NamedTuple):
    """What is billed of a session. presumed: a Presumption, None where an end was reported."""

    started_at: datetime
    meter_start_wh: int
    ended_at: datetime | None
    meter_stop_wh: int | None
    presumed: str | None


@dataclass(frozen=True, slots=True)
class _Session:
    session_id: int
    charging_point_id: str
    state: str
    started_at: datetime
    meter_start_wh: int
    ended_at: datetime | None
    meter_stop_wh: int | None
    presumed: str | None
    final: bool
    doubts: list[str]

    @property
    def facts(self) -> _Facts:
        return _Facts(
            self.started_at, self.meter_start_wh, self.ended_at, self.meter_stop_wh, self.presumed
        )


def end(
    connection: Connection,
    session_id: int,
    reason: str,
    *,
    by: Asker,
    at: datetime | None = None,
    register_wh: int | None = None,
) -> Outcome:
    """End a session that charges and whose stop will not come.

    at, register_wh: its end, where they are known; otherwise its last plausible reading. It counts
    at once; a stop that comes after all sets it right. Raises NotFoundError, ConflictError,
    InvalidError.
    """

    def ended(session: _Session) -> _Facts:
        if session.state != SessionState.CHARGING:
            raise ConflictError(
                f"session {session_id} has ended; `sessions correct` changes what it was"
            )
        last = presumed_end(
            Register(session.started_at, session.meter_start_wh),
            _readings(connection, session),
        )
        return session.facts._replace(
            ended_at=at or (last.at if register_wh is None else datetime.now(UTC)),
            meter_stop_wh=last.energy_wh if register_wh is None else register_wh,
            presumed=Presumption.OPERATOR.value,
        )

    return _change(connection, session_id, ended, "end_session", reason, by, {})


def assign(
    connection: Connection,
    fact_id: int,
    session_id: int,
    reason: str,
    *,
    by: Asker,
    at: datetime | None = None,
    register_wh: int | None = None,
) -> Outcome:
    """End a session, or correct its end, by an end that named none or another.

    at, register_wh: where what the fact says of them is missing or wrong. Raises NotFoundError,
    ConflictError, InvalidError.
    """
    with connection.transaction():
        row = connection.execute(
            "SELECT charging_point_id, settled_at, time_of_fact(payload), register_of_fact(payload)"
            " FROM unassigned_facts WHERE fact_id = %s FOR UPDATE",
            [fact_id],
        ).fetchone()
        if row is None:
            raise _no_fact(fact_id)
        charging_point_id, settled_at, fact_at, fact_wh = row
        if settled_at is not None:
            raise ConflictError(f"the fact {fact_id} was settled on {settled_at:%Y-%m-%d}")

        def ended(session: _Session) -> _Facts:
            if session.charging_point_id != charging_point_id:
                raise ConflictError(
                    f"the fact {fact_id} is of {charging_point_id}, session {session_id} of"
                    f" {session.charging_point_id}"
                )
            time, register = at or fact_at, fact_wh if register_wh is None else register_wh
            if time is None or time < session.started_at:
                raise InvalidError("the fact has no time that can be right; say it with --at")
            if register is None:
                raise InvalidError("the fact has no register; say it with --register-wh")
            return session.facts._replace(ended_at=time, meter_stop_wh=register, presumed=None)

        outcome = _change(
            connection, session_id, ended, "assign_fact", reason, by, {"fact": fact_id}
        )
        _settle(connection, fact_id, session_id, reason)
    return outcome


def settle(connection: Connection, fact_id: int, reason: str, *, by: Asker) -> None:
    """Put a fact aside that ends no session. Raises NotFoundError, ConflictError, InvalidError."""
    _check_reason(reason)
    with connection.transaction():
        row = connection.execute(
            "SELECT charging_point_id, settled_at FROM unassigned_facts"
            " WHERE fact_id = %s FOR UPDATE",
            [fact_id],
        ).fetchone()
        if row is None:
            raise _no_fact(fact_id)
        if row[1] is not None:
            raise ConflictError(f"the fact {fact_id} was settled on {row[1]:%Y-%m-%d}")
        _settle(connection, fact_id, None, reason)
        audit.write(connection, by, "settle_fact", row[0], {"fact": fact_id, "reason": reason})


def correct(
    connection: Connection,
    session_id: int,
    reason: str,
    *,
    by: Asker,
    started_at: datetime | None = None,
    meter_start_wh: int | None = None,
    ended_at: datetime | None = None,
    meter_stop_wh: int | None = None,
) -> Outcome:
    """Change what an ended session was, or find it right although its registers are in doubt.

    None: as it is. It counts at once.

    Raises NotFoundError, ConflictError, InvalidError.
    """

    def corrected(session: _Session) -> _Facts:
        if session.state == SessionState.CHARGING:
            raise ConflictError(f"session {session_id} still charges; `sessions end` ends it")
        was = session.facts
        facts = _Facts(
            started_at or was.started_at,
            was.meter_start_wh if meter_start_wh is None else meter_start_wh,
            ended_at or was.ended_at,
            was.meter_stop_wh if meter_stop_wh is None else meter_stop_wh,
            was.presumed,
        )
        if facts == was and not session.doubts:
            raise InvalidError("nothing is different; say what shall be")
        return facts

    with connection.transaction():
        outcome = _change(connection, session_id, corrected, "correct_session", reason, by, {})
        # A person has looked at its registers; that its clock was wrong stays true.
        connection.execute(
            "UPDATE sessions SET doubts = array_remove(ARRAY["
            "CASE WHEN 'clock' = ANY(doubts) THEN 'clock' END], NULL) WHERE session_id = %s",
            [session_id],
        )
    return outcome


def _change(
    connection: Connection,
    session_id: int,
    change: Callable[[_Session], _Facts],
    action: str,
    reason: str,
    by: Asker,
    detail: dict[str, Any],
) -> Outcome:
    """Change a session in one transaction, and have the relay write its record."""
    _check_reason(reason)
    with connection.transaction():
        session = _locked(connection, session_id)
        facts = change(session)
        _check(facts)
        assert facts.ended_at is not None
        connection.execute(
            """
            UPDATE sessions
            SET state = 'ended', started_at = %s, meter_start_wh = %s, ended_at = %s,
                meter_stop_wh = %s, presumed = %s, end_final_at = coalesce(end_final_at, now()),
                stop_cause = coalesce(stop_cause, %s), stop_reason = coalesce(stop_reason, ''),
                stop_received_at = coalesce(stop_received_at, now())
            WHERE session_id = %s
            """,
            [*facts, StopCause.OTHER.value, session_id],
        )
        if session.state == SessionState.CHARGING:
            connection.execute(
                "UPDATE hub_sessions SET state = 'ended', ended_at = now()"
                " WHERE session_id = %s AND state <> 'refused'",
                [session_id],
            )
        else:
            corrections.write(
                connection, session_id, by.person, reason, _json(session), session.final
            )
        # The relay writes the record, or parks a second one where the first may be out.
        ended = Event(
            EventKind.SESSION_ENDED,
            session.charging_point_id,
            {"session_id": session_id},
            facts.ended_at,
        )
        events.write(connection, [ended])
        audit.write(
            connection,
            by,
            action,
            session.charging_point_id,
            {**detail, "session": session_id, "reason": reason},
        )
        return _outcome(connection, session_id)


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidError("say why, for whoever asks later")


def _check(facts: _Facts) -> None:
    """Raise InvalidError where a session cannot have been so."""
    assert facts.ended_at is not None
    assert facts.meter_stop_wh is not None
    if facts.ended_at < facts.started_at:
        raise InvalidError("it would end before it began")
    if facts.ended_at > datetime.now(UTC):
        raise InvalidError("it would end in the future")
    energy_wh = facts.meter_stop_wh - facts.meter_start_wh
    if not 0 <= energy_wh <= MAX_ENERGY_WH:
        raise InvalidError(f"{energy_wh} Wh is no session's energy")


def _locked(connection: Connection, session_id: int) -> _Session:
    with connection.cursor(row_factory=class_row(_Session)) as cursor:
        session = cursor.execute(
            "SELECT session_id, charging_point_id, state, started_at, meter_start_wh, ended_at,"
            " meter_stop_wh, presumed,"
            " state = 'ended' AND (presumed IS NULL OR end_final_at IS NOT NULL) AS final,"
            " doubts"
            " FROM sessions WHERE session_id = %s FOR UPDATE",
            [session_id],
        ).fetchone()
    if session is None:
        raise unknown(session_id)
    return session


def _readings(connection: Connection, session: _Session) -> list[Register]:
    return [
        Register(at, energy_wh)
        for _, at, energy_wh in connection.execute(READINGS.encode(), [[session.session_id]])
    ]


def _json(session: _Session) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in session.facts._asdict().items()
    }


def _settle(connection: Connection, fact_id: int, session_id: int | None, reason: str) -> None:
    connection.execute(
        "UPDATE unassigned_facts SET settled_at = now(), session_id = %s, settled_reason = %s"
        " WHERE fact_id = %s",
        [session_id, reason, fact_id],
    )


def _no_fact(fact_id: int) -> NotFoundError:
    return NotFoundError(f"no fact {fact_id}; `sessions unassigned` shows those there are")


def _outcome(connection: Connection, session_id: int) -> Outcome:
    row = connection.execute(
        """
        SELECT s.charging_point_id, s.started_at, s.ended_at, s.energy_wh, s.presumed,
               h.provider_id, d.state, d.delivery_id, energy_of_record(d.payload)
        FROM sessions AS s
        LEFT JOIN hub_sessions AS h ON h.session_id = s.session_id AND h.state <> 'refused'
        LEFT JOIN deliveries AS d ON d.queue = %s AND d.key = h.hub_session_id
        WHERE s.session_id = %s
        """,
        [Queue.CHARGE_DETAIL_RECORD.value, session_id],
    ).fetchone()
    assert row is not None
    charging_point, started_at, ended_at, energy_wh, presumed, *record = row
    return Outcome(
        session_id,
        charging_point,
        started_at,
        ended_at,
        energy_wh,
        presumed,
        _at_hub(energy_wh, *record),
    )


def _at_hub(
    energy_wh: int,
    provider: str | None,
    state: str | None,
    delivery: int | None,
    recorded_wh: int | None,
) -> str:
    """Return what a person has to do at the hub: it has no way to correct a record."""
    if provider is None or state is None:
        return ""
    if state == "parked":
        return f"`hub requeue {delivery}` writes its record anew"
    if recorded_wh is None or recorded_wh == energy_wh:
        return ""
    difference = f"{energy_wh - recorded_wh:+} Wh"
    return f"its record says {recorded_wh} Wh: settle {difference} with {provider}, outside the hub"
