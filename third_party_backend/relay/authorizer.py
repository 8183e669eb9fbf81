"""The authorizer asks the hub about cards that are shown at a charging point.

A driver waits, so questions are asked side by side, at the pace that the hub allows, by the one
process that holds the lock; each question has a deadline. What the hub authorizes becomes a
session of the hub at once, in the transaction of the answer, and binds what the charging point
then starts.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from charging.authorization import AUTHORIZATION_ANSWERS_CHANNEL, AuthorizationKind
from charging.database import events
from charging.database.connection import Connection, Limits, parameters
from charging.delivery import Queue
from charging.event import EventKind
from charging.hub_session import HubSessionState, NothingCharged
from charging.identity import redact, rfid_uid
from charging.service.backoff import Backoff
from charging.service.telemetry import Metrics
from third_party_backend.deadlines import DeadlineConnection
from third_party_backend.oicp.authorizations import (
    HubAuthorization,
    UnusableError,
    is_authorized,
    read_authorization,
)
from third_party_backend.oicp.calls import (
    AUTHORIZE_STARTS_PER_MINUTE,
    AUTHORIZE_STOPS_PER_MINUTE,
    Call,
    authorize_start,
    authorize_stop,
)
from third_party_backend.oicp.identification import of_uid
from third_party_backend.oicp.verdicts import Answer, Verdict
from third_party_backend.relay import planned
from third_party_backend.relay.client import HubClient
from third_party_backend.relay.database import (
    BEAT_SECONDS,
    WORKER,
    keep_connected,
    work_when_locked,
)
from third_party_backend.relay.pacing import Pace
from third_party_backend.relay.planned import Planned

POLL_SECONDS = 1.0
AT_ONCE = 8
"""Questions on their way at the same time."""

_OPEN_SESSION = b"""
INSERT INTO hub_sessions (
    hub_session_id, hub_spelling, provider_id, evse_id, charging_point_id, evse_number,
    identification, id_tag, cpo_partner_session_id, emp_partner_session_id, state, origin,
    stop_id_tags, session_id)
SELECT %(session)s, %(spelling)s, %(provider)s, %(evse)s, %(charging_point)s,
       (SELECT evse_number FROM sessions WHERE session_id = %(ours)s), %(who)s,
       %(id_tag)s, %(partner)s, %(their_partner)s,
       -- one of a start from afar with the same card is there, or the transaction that
       -- asked is somebody's by now: then it is closed below
       CASE WHEN %(in_time)s AND (%(ours)s::int IS NULL OR free.session_id IS NOT NULL)
                 AND (%(ours)s::int IS NOT NULL OR NOT EXISTS (
                     SELECT 1 FROM hub_sessions AS o
                     WHERE o.charging_point_id = %(charging_point)s
                       AND o.id_tag = %(id_tag)s AND o.session_id IS NULL
                       AND o.state IN ('asked', 'accepted')))
            THEN 'accepted' ELSE 'refused' END,
       'local', %(stops)s, CASE WHEN %(in_time)s THEN free.session_id END
FROM (SELECT (SELECT session_id FROM sessions AS s
              WHERE session_id = %(ours)s AND NOT EXISTS (
                  SELECT 1 FROM hub_sessions AS h WHERE h.session_id = s.session_id))
      AS session_id) AS free
RETURNING session_id, state
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """A row of `authorizations`. evse_id: None where it could be any of several.

    hub_session_id: of the session that is to be stopped.
    """

    authorization_id: int
    charging_point_id: str
    id_tag: str
    session_id: int | None
    cpo_partner_session_id: str
    seconds_left: float
    evse_id: str | None
    hub_session_id: str | None


class Authorizer(threading.Thread):
    """Asks the hub one kind of question until stopped. wake: set when somebody asks."""

    def __init__(
        self,
        kind: AuthorizationKind,
        url: str,
        hub: HubClient,
        metrics: Metrics,
        stopped: threading.Event,
        pace: float,
    ) -> None:
        super().__init__(name=kind.value, daemon=True)
        self.wake = threading.Event()
        self._kind = kind
        self._url = url
        self._hub = hub
        self._metrics = metrics
        self._stopped = stopped
        starts = kind is AuthorizationKind.START
        calls = AUTHORIZE_STARTS_PER_MINUTE if starts else AUTHORIZE_STOPS_PER_MINUTE
        self._pace = Pace(calls * pace)

    def run(self) -> None:
        """Ask whenever the questions are ours; survive the database's absence."""
        with (
            ThreadPoolExecutor(AT_ONCE, thread_name_prefix=self._kind.value) as pool,
            ConnectionPool(
                self._url,
                connection_class=DeadlineConnection,
                min_size=0,
                max_size=AT_ONCE,
                timeout=3,
                kwargs={
                    "autocommit": True,
                    **parameters("third-party-backend authorizations", Limits(connect=3)),
                },
                open=True,
            ) as connections,
        ):

            def work(connection: Connection) -> None:
                work_when_locked(
                    connection,
                    self._kind,
                    self._stopped,
                    lambda locked: self._work(locked, pool, connections),
                )

            keep_connected(self._url, self._kind.value, self._stopped, self._metrics, work)

    def _work(
        self,
        connection: Connection,
        pool: ThreadPoolExecutor,
        connections: ConnectionPool[DeadlineConnection],
    ) -> None:
        beaten = 0.0
        room = threading.BoundedSemaphore(AT_ONCE)
        while not self._stopped.is_set():
            self.wake.clear()
            if time.monotonic() - beaten > BEAT_SECONDS:
                _beat(connection, self._kind)
                beaten = time.monotonic()
            room.acquire()
            question = _claim(connection, self._kind)
            if question is None:
                room.release()
                self.wake.wait(POLL_SECONDS)
                continue
            self._pace.wait(self._stopped)
            future = pool.submit(self._ask, question, connections)
            future.add_done_callback(lambda _: room.release())

    def _ask(self, question: Question, connections: ConnectionPool[DeadlineConnection]) -> None:
        started = time.monotonic()
        deadline = started + question.seconds_left
        backoff = Backoff(1.0, first_seconds=1.0)
        try:
            # Longer than anybody waits, if need be: what is authorized too late must be ended.
            answer = self._hub.send(self._call(question))
            while answer.verdict is Verdict.AGAIN:
                pause = backoff.seconds()
                if time.monotonic() + pause >= deadline or self._stopped.wait(pause):
                    break
                self._pace.wait(self._stopped)
                answer = self._hub.send(self._call(question))
            milliseconds = (time.monotonic() - started) * 1000
            self._metrics.count("AuthorizationsAsked", _word(answer))
            self._metrics.sample("AuthorizationLatency", milliseconds)
            log.info(
                "authorization asked",
                extra={
                    "kind": self._kind.value,
                    "charging_point": question.charging_point_id,
                    "token": redact(question.id_tag),
                    "answer": _word(answer),
                    "code": answer.code,
                    "reason": answer.reason,
                    "hub_process": answer.process_id,
                    "milliseconds": round(milliseconds),
                },
            )
            with connections.connection() as connection:
                note_answer(connection, self._kind, question, answer)
        except psycopg.Error as error:
            # Whoever asked gives up at the deadline; the driver tries again.
            log.error("authorization not noted", extra={"error": str(error)[:300]})
        except Exception:
            log.exception("authorization failed")

    def _call(self, question: Question) -> Call:
        uid = rfid_uid(question.id_tag)
        assert uid is not None, "only cards are asked about"
        if self._kind is AuthorizationKind.START:
            return authorize_start(
                self._hub.operator, uid, question.evse_id, question.cpo_partner_session_id
            )
        assert question.hub_session_id is not None
        return authorize_stop(
            self._hub.operator,
            uid,
            question.evse_id,
            question.hub_session_id,
            question.cpo_partner_session_id,
        )


def _word(answer: Answer) -> str:
    if answer.verdict is not Verdict.DONE:
        return "unreachable" if answer.verdict is Verdict.AGAIN else "refused"
    return "authorized" if is_authorized(answer.body) else "not authorized"


def _beat(connection: Connection, kind: AuthorizationKind) -> None:
    """Note that the hub can be asked, and expire questions that nobody waits for any more."""
    connection.execute(
        "INSERT INTO hub_queues (queue, worker, beaten_at) VALUES (%s, %s, now())"
        " ON CONFLICT (queue) DO UPDATE SET worker = excluded.worker, beaten_at = now()",
        [kind.value, WORKER],
    )
    connection.execute(
        "UPDATE authorizations SET state = 'expired' WHERE state = 'asked' AND deadline < now()"
        " AND kind = %s",
        [kind.value],
    )


def _claim(connection: Connection, kind: AuthorizationKind) -> Question | None:
    """Take on the oldest question that somebody still waits for."""
    row = connection.execute(
        """
        WITH claimed AS (
            UPDATE authorizations SET claimed_at = now()
            WHERE authorization_id = (
                SELECT authorization_id FROM authorizations
                WHERE kind = %s AND state = 'asked' AND claimed_at IS NULL AND deadline > now()
                ORDER BY authorization_id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING *
        )
        SELECT a.authorization_id, a.charging_point_id, a.id_tag, a.session_id,
               coalesce(h.cpo_partner_session_id, a.cpo_partner_session_id),
               extract(epoch FROM a.deadline - now())::float,
               CASE WHEN h.hub_session_id IS NOT NULL OR a.session_id IS NOT NULL
                    THEN of_session.evse_id ELSE only_one.evse_id END,
               h.hub_session_id
        FROM claimed AS a
        LEFT JOIN sessions AS s ON s.session_id = a.session_id
        LEFT JOIN hub_sessions AS h ON h.session_id = a.session_id
        LEFT JOIN evses AS of_session ON of_session.charging_point_id = s.charging_point_id
            AND of_session.evse_number = s.evse_number
        -- A card is shown to the charging point, not to one of its EVSEs. An EVSE that we name
        -- must be the one, so it is named only where there is no other.
        LEFT JOIN LATERAL (
            SELECT min(e.evse_id) AS evse_id FROM evses AS e
            WHERE e.charging_point_id = a.charging_point_id AND e.evse_number > 0
            HAVING count(*) = 1 AND bool_and(e.roaming)) AS only_one ON true
        """,
        [kind.value],
    ).fetchone()
    return None if row is None else Question(*row)


def note_answer(
    connection: Connection, kind: AuthorizationKind, question: Question, answer: Answer
) -> None:
    """Store the answer; what the hub authorized too late is ended, so that no provider waits.

    A card whose session cannot be kept is refused: nobody could be billed.
    """
    accepted: bool | None = is_authorized(answer.body)
    detail = answer.reason or answer.code
    if answer.verdict is Verdict.AGAIN:
        accepted = None
    with connection.transaction():
        granted: HubAuthorization | None = None
        if accepted and kind is AuthorizationKind.START:
            try:
                granted = read_authorization(answer.body or {})
                _check_new(connection, granted)
            except UnusableError as error:
                accepted, granted, detail = False, None, str(error)
                _tell_operator(connection, question, detail)
        in_time = connection.execute(
            "UPDATE authorizations SET state = 'answered', accepted = %s, detail = %s,"
            " hub_session_id = %s, answered_at = now()"
            " WHERE authorization_id = %s AND state = 'asked' AND deadline > now()",
            [
                accepted,
                detail,
                granted.hub_session_id if granted else None,
                question.authorization_id,
            ],
        ).rowcount
        if granted is not None:
            _open_session(connection, question, granted, in_time=bool(in_time))
        connection.execute(
            "SELECT pg_notify(%s, %s)",
            [AUTHORIZATION_ANSWERS_CHANNEL, str(question.authorization_id)],
        )


def _check_new(connection: Connection, granted: HubAuthorization) -> None:
    """Raise UnusableError for a session that the hub named before."""
    row = connection.execute(
        "SELECT 1 FROM hub_sessions WHERE hub_session_id = %(name)s"
        " UNION ALL SELECT 1 FROM reservations WHERE hub_session_id = %(name)s"
        " UNION ALL SELECT 1 FROM deliveries WHERE queue = %(records)s AND key = %(name)s",
        {"name": granted.hub_session_id, "records": Queue.CHARGE_DETAIL_RECORD.value},
    ).fetchone()
    if row is not None:
        raise UnusableError(f"its session id {granted.hub_spelling} is that of an earlier one")


def _tell_operator(connection: Connection, question: Question, what: str) -> None:
    log.error(
        "authorization unusable",
        extra={"charging_point": question.charging_point_id, "why": what},
    )
    planned.once(
        connection,
        [
            Planned(
                Queue.CHARGE_DETAIL_RECORD,
                f"authorization/{question.authorization_id}",
                None,
                None,
                parked=f"the hub authorized a card at {question.charging_point_id}, but {what}; the"
                " card was refused; proposal: have the hub mend it, then drop this",
            )
        ],
    )


def _open_session(
    connection: Connection, question: Question, granted: HubAuthorization, *, in_time: bool
) -> None:
    """Write the hub's session; one that nothing can charge on is closed again at once."""
    uid = rfid_uid(question.id_tag)
    assert uid is not None
    if in_time and question.session_id is None:
        # A card that is authorized a second time before it charges: the first session is given up.
        _close(
            connection,
            "h.charging_point_id = %s AND h.id_tag = %s AND h.session_id IS NULL"
            " AND h.state = 'accepted' AND h.origin = 'local'",
            [question.charging_point_id, question.id_tag],
            NothingCharged.STOPPED,
        )
    bound = connection.execute(
        _OPEN_SESSION,
        {
            "session": granted.hub_session_id,
            "spelling": granted.hub_spelling,
            "provider": granted.provider_id,
            "evse": question.evse_id,
            "charging_point": question.charging_point_id,
            "ours": question.session_id,
            "who": Jsonb(of_uid(uid)),
            "id_tag": question.id_tag,
            "partner": question.cpo_partner_session_id,
            "their_partner": granted.emp_partner_session_id,
            "in_time": in_time,
            "stops": granted.uids_to_stop,
        },
    ).fetchone()
    assert bound is not None
    session_id, state = bound
    if state != HubSessionState.ACCEPTED:
        _close(
            connection,
            "h.hub_session_id = %s",
            [granted.hub_session_id],
            NothingCharged.TOO_LATE,
        )
    elif session_id is not None:
        connection.execute(
            "UPDATE sessions SET start_decision = 'accepted' WHERE session_id = %s",
            [session_id],
        )
        # Its start was planned when nobody knew yet that it is the hub's.
        payload = {"session_id": session_id}
        events.write(
            connection,
            [events.Event(EventKind.SESSION_STARTED, question.charging_point_id, payload)],
        )


def _close(
    connection: Connection, which: LiteralString, values: list[object], why: NothingCharged
) -> None:
    """End sessions on which nothing was charged, and have their records written."""
    rows = connection.execute(
        "UPDATE hub_sessions AS h SET state = 'ended', ended_at = now()"
        " WHERE " + which + " RETURNING h.hub_session_id, h.charging_point_id",
        values,
    ).fetchall()
    if rows:
        events.write(
            connection,
            [
                events.Event(
                    EventKind.HUB_SESSION_CLOSED,
                    charging_point_id,
                    {"hub_session_id": name, "why": why.value},
                )
                for name, charging_point_id in rows
            ],
        )
