"""What the hub's requests read and write."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from charging.command import COMMANDS_CHANNEL, CommandKind, Outcome
from charging.event import EVENTS_CHANNEL, EventKind
from charging.identity import evse_id_key, new_hub_token
from charging.session import Unstarted
from third_party_backend.oicp.messages import RemoteStart, RemoteStop, provider_key
from third_party_backend.oicp.status import StatusCode, of_evse_status

Connection = psycopg.Connection[Any]

PLUG_IN_SECONDS = 60
"""How long an EVSE is kept for whoever was let start there and has yet to plug in."""
_STARTS = 0x564E4A
"""The advisory locks of remote starts, one for each EVSE."""
POOL_TIMEOUT_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Asked:
    """A command is on its way; its answer becomes the hub's."""

    command_id: int


@dataclass(frozen=True, slots=True)
class Decided:
    """The answer is known without asking the charging point."""

    status_code: StatusCode
    info: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """An EVSE, and what stands against using it now.

    in_use: a session charges, or one was asked for just now. reservation_*: of the one that holds it, if any does.
    """

    charging_point_id: str
    evse_number: int
    roaming: bool
    status: str | None
    whole_status: str | None
    in_use: bool
    online: bool
    details: dict[str, Any] | None
    reservation_session_id: str | None
    reservation_provider_id: str | None
    reservation_identification: dict[str, Any] | None
    reservation_id_tag: str | None

    def reserved_for(self, provider_id: str, identification: Any, session_id: str) -> bool:
        """Return whether the reservation that holds it is this contract's."""
        if self.reservation_provider_id is None or (
            provider_key(self.reservation_provider_id) != provider_key(provider_id)
        ):
            return False
        return (
            self.reservation_session_id == session_id
            or self.reservation_identification == identification
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """The same request was answered before; this was the answer."""

    answer: dict[str, Any]


class Store:
    """The web's way to the database, shared by all threads of a worker.

    Every method raises psycopg.Error (psycopg_pool.PoolTimeout is one) when the database
    cannot be reached.
    """

    def __init__(self, url: str, threads: int, presence_timeout: float) -> None:
        self._presence = timedelta(seconds=presence_timeout)
        self.pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            min_size=1,
            # A waiting remote start holds no connection, so few are enough for many threads.
            max_size=min(8, threads + 1),
            open=True,
            timeout=POOL_TIMEOUT_SECONDS,
            kwargs={
                "connect_timeout": 3,
                "application_name": "third-party-backend",
                "options": "-c statement_timeout=3s -c timezone=UTC",
            },
            check=ConnectionPool.check_connection,
        )

    def close(self) -> None:
        """Let go of all connections."""
        self.pool.close()

    def ping(self) -> None:
        """Ask the database whether it is there."""
        with self.pool.connection() as connection:
            connection.execute("SELECT 1")

    def begin_remote_start(
        self, request: RemoteStart, cpo_partner_session_id: str, seconds: float
    ) -> Asked | Decided | Stored:
        """Write down who wants to charge where, then queue the command; or say why not.

        The hub's session is committed before the charging point hears anything, in the same
        transaction as the command. A repeated request starts nothing twice.
        """
        with self.pool.connection() as connection:
            # Of two drivers at one EVSE, and of a request and its repetition, the second sees the first.
            connection.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))",
                [_STARTS, evse_id_key(request.evse_id)],
            )
            known = connection.execute(
                "SELECT provider_id, start_answer, start_command_id FROM hub_sessions"
                " WHERE hub_session_id = %s",
                [request.session_id],
            ).fetchone()
            if known is not None:
                return _again(request, known)
            place = self.place(connection, request.evse_id)
            if place is None:
                return Decided(StatusCode.UNKNOWN_EVSE)
            ours = place.reserved_for(
                request.provider_id, request.identification, request.session_id
            )
            refusal = why_not_start(place, reserved=ours)
            if refusal is not None:
                return refusal
            charging_point_id, evse_number = place.charging_point_id, place.evse_number
            # The charging point keeps a reserved EVSE for the token of its reservation.
            id_tag = (place.reservation_id_tag if ours else None) or new_hub_token()
            inserted = connection.execute(
                """
                INSERT INTO hub_sessions (
                    hub_session_id, provider_id, evse_id, charging_point_id, evse_number,
                    identification, id_tag, cpo_partner_session_id, emp_partner_session_id
                ) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING
                """,
                [
                    request.session_id,
                    request.provider_id,
                    request.evse_id,
                    charging_point_id,
                    evse_number,
                    Jsonb(request.identification),
                    id_tag,
                    cpo_partner_session_id,
                    request.emp_partner_session_id,
                ],
            )
            if inserted.rowcount == 0:
                # Its twin came between our look and our insert, and has committed by now; or
                # another start is using the same reservation.
                known = connection.execute(
                    "SELECT provider_id, start_answer, start_command_id FROM hub_sessions"
                    " WHERE hub_session_id = %s",
                    [request.session_id],
                ).fetchone()
                if known is None:
                    return Decided(StatusCode.EVSE_IN_USE, "the reservation is being used")
                return _again(request, known)
            command_id = queue(
                connection,
                charging_point_id,
                CommandKind.REMOTE_START,
                {"evse_number": evse_number, "id_tag": id_tag},
                seconds,
            )
            connection.execute(
                "UPDATE hub_sessions SET start_command_id = %s WHERE hub_session_id = %s",
                [command_id, request.session_id],
            )
            return Asked(command_id)

    def finish_remote_start(self, session_id: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Keep the answer of a remote start; return the first one, should there be one already.

        Once refused, the session's token starts nothing: a charging point that carries out the
        start all the same is stopped by the node that hears of it.
        """
        state = "accepted" if answer["Result"] else "refused"
        with self.pool.connection() as connection:
            connection.execute(
                "UPDATE hub_sessions SET start_answer = %s, state = %s"
                " WHERE hub_session_id = %s AND start_answer IS NULL",
                [Jsonb(answer), state, session_id],
            )
            row = connection.execute(
                "SELECT start_answer FROM hub_sessions WHERE hub_session_id = %s", [session_id]
            ).fetchone()
            assert row is not None
            first: dict[str, Any] = row[0]
            if not first["Result"]:
                self._stop_what_started(connection, session_id)
            return first

    def begin_remote_stop(self, request: RemoteStop, seconds: float) -> Asked | Decided:
        """Queue the stop of a hub's session, or say why not."""
        with self.pool.connection() as connection:
            row = connection.execute(
                """
                SELECT h.provider_id, h.state, h.charging_point_id, h.session_id, s.state
                FROM hub_sessions AS h LEFT JOIN sessions AS s USING (session_id)
                WHERE h.hub_session_id = %s FOR UPDATE OF h
                """,
                [request.session_id],
            ).fetchone()
            if row is None:
                return Decided(StatusCode.SESSION_INVALID, "no such session")
            provider_id, state, charging_point_id, session_id, session_state = row
            if provider_key(provider_id) != provider_key(request.provider_id):
                return Decided(StatusCode.NOT_AUTHORIZED, "the session is another provider's")
            if state in ("refused", "ended") or session_state == "ended":
                return Decided(StatusCode.SESSION_INVALID, "the session has ended")
            if session_id is None:
                # Started, but no car was plugged in: from now on none will charge on it.
                connection.execute(
                    "UPDATE hub_sessions SET state = 'ended', ended_at = now()"
                    " WHERE hub_session_id = %s",
                    [request.session_id],
                )
                tell(
                    connection,
                    EventKind.HUB_SESSION_CLOSED,
                    charging_point_id,
                    {"hub_session_id": request.session_id, "why": Unstarted.STOPPED.value},
                )
                return Decided(StatusCode.SUCCESS)
            if not self.is_online(connection, charging_point_id):
                return Decided(StatusCode.NO_COMMUNICATION, "the charging point is offline")
            return Asked(
                queue(
                    connection,
                    charging_point_id,
                    CommandKind.REMOTE_STOP,
                    {"session_id": session_id},
                    seconds,
                )
            )

    def answer_of(self, command_id: int) -> tuple[Outcome, str] | None:
        """Return the outcome and detail of a command, None while it has none."""
        with self.pool.connection() as connection:
            row = connection.execute(
                "SELECT state, outcome, detail FROM commands WHERE command_id = %s", [command_id]
            ).fetchone()
        return _outcome(row)

    def give_up(self, command_id: int) -> tuple[Outcome, str]:
        """Wait for a command no longer; return its outcome, should it have come just now."""
        with self.pool.connection() as connection:
            connection.execute(
                "UPDATE commands SET state = 'expired'"
                " WHERE command_id = %s AND state IN ('queued', 'sent')",
                [command_id],
            )
            row = connection.execute(
                "SELECT state, outcome, detail FROM commands WHERE command_id = %s", [command_id]
            ).fetchone()
        return _outcome(row) or (Outcome.TIMEOUT, "no answer in time")

    def partner_sessions(self, session_id: str) -> tuple[str | None, str | None]:
        """Return our and the provider's own session ids of a hub's session."""
        with self.pool.connection() as connection:
            row = connection.execute(
                "SELECT cpo_partner_session_id, emp_partner_session_id FROM hub_sessions"
                " WHERE hub_session_id = %s",
                [session_id],
            ).fetchone()
        return (row[0], row[1]) if row else (None, None)

    def place(self, connection: Connection, evse_id: str) -> Place | None:
        """Look up an EVSE by any spelling of its id."""
        row = connection.execute(
            """
            SELECT e.charging_point_id, e.evse_number, e.roaming, e.status, whole.status,
                   EXISTS (SELECT 1 FROM sessions AS s
                           WHERE s.charging_point_id = e.charging_point_id
                             AND s.evse_number = e.evse_number AND s.state = 'charging')
                   OR EXISTS (SELECT 1 FROM hub_sessions AS h
                              WHERE h.charging_point_id = e.charging_point_id
                                AND h.evse_number = e.evse_number AND h.session_id IS NULL
                                AND h.state IN ('asked', 'accepted')
                                AND h.created_at > now() - make_interval(secs => %s)),
                   EXISTS (SELECT 1 FROM connections AS c JOIN nodes AS n USING (node_id)
                           WHERE c.charging_point_id = e.charging_point_id
                             AND n.heartbeat_at > now() - %s),
                   d.details, r.hub_session_id, r.provider_id, r.identification, r.id_tag
            FROM evses AS e
            LEFT JOIN evse_details AS d USING (charging_point_id, evse_number)
            LEFT JOIN evses AS whole ON whole.charging_point_id = e.charging_point_id
                                    AND whole.evse_number = 0
            LEFT JOIN LATERAL (
                SELECT * FROM reservations AS r
                WHERE r.charging_point_id = e.charging_point_id AND r.evse_number = e.evse_number
                  AND r.state IN ('asked', 'reserved') AND r.expires_at > now()
                ORDER BY r.reservation_id DESC LIMIT 1) AS r ON true
            WHERE e.evse_id_key = %s
            """,
            [PLUG_IN_SECONDS, self._presence, evse_id_key(evse_id)],
        ).fetchone()
        return None if row is None else Place(*row)

    def is_online(self, connection: Connection, charging_point_id: str) -> bool:
        """Return whether a living node holds the charging point's socket."""
        row = connection.execute(
            "SELECT 1 FROM connections JOIN nodes USING (node_id)"
            " WHERE charging_point_id = %s AND heartbeat_at > now() - %s",
            [charging_point_id, self._presence],
        ).fetchone()
        return row is not None

    def _stop_what_started(self, connection: Connection, session_id: str) -> None:
        """Stop a session that began while its start was being given up."""
        row = connection.execute(
            """
            SELECT h.charging_point_id, h.session_id
            FROM hub_sessions AS h JOIN sessions AS s USING (session_id)
            WHERE h.hub_session_id = %s AND s.state = 'charging'
            """,
            [session_id],
        ).fetchone()
        if row is not None:
            queue(connection, row[0], CommandKind.REMOTE_STOP, {"session_id": row[1]}, 30)


def _again(request: RemoteStart, known: tuple[Any, ...]) -> Asked | Decided | Stored:
    provider_id, answer, command_id = known
    if provider_key(provider_id) != provider_key(request.provider_id):
        return Decided(StatusCode.NOT_AUTHORIZED, "the session is another provider's")
    return Stored(answer) if answer is not None else Asked(command_id)


def why_not_start(place: Place, *, reserved: bool) -> Decided | None:
    """Return what stands against a start. reserved: it is held for whoever wants to start."""
    refusal = why_not(place, reserved=reserved)
    if refusal is not None:
        return refusal
    vehicle_first = bool((place.details or {}).get("vehicle_first"))
    if vehicle_first and place.status in ("Available", "Reserved"):
        return Decided(StatusCode.NO_VEHICLE, "connect the vehicle first")
    return None


def why_not(place: Place, *, reserved: bool) -> Decided | None:
    """Return what stands against using an EVSE at all."""
    if not place.roaming:
        return Decided(StatusCode.NO_ROAMING)
    if not place.online:
        return Decided(StatusCode.NO_COMMUNICATION, "the charging point is offline")
    # What the charging point says of itself as a whole holds for all its EVSEs.
    for reported in (place.whole_status, place.status):
        code = of_evse_status(reported)
        if code is StatusCode.EVSE_RESERVED and reserved:
            continue
        if code is not StatusCode.SUCCESS:
            return Decided(code)
    if place.in_use:
        return Decided(StatusCode.EVSE_IN_USE)
    if place.reservation_provider_id is not None and not reserved:
        return Decided(StatusCode.EVSE_RESERVED)
    return None


def tell(
    connection: Connection, kind: EventKind, charging_point_id: str, payload: dict[str, Any]
) -> None:
    """Write an event for the outbox, in the transaction of what it tells of."""
    connection.execute(
        "INSERT INTO events (kind, charging_point_id, payload, occurred_at)"
        " VALUES (%s, %s, %s, now())",
        [kind.value, charging_point_id, Jsonb(payload)],
    )
    connection.execute("SELECT pg_notify(%s, '')", [EVENTS_CHANNEL])


def queue(
    connection: Connection,
    charging_point_id: str,
    kind: CommandKind,
    arguments: dict[str, Any],
    seconds: float,
) -> int:
    """Queue a command that is answered within so many seconds; return its id."""
    row = connection.execute(
        "INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline)"
        " VALUES (%s, %s, %s, 'hub', now() + %s) RETURNING command_id",
        [charging_point_id, kind.value, Jsonb(arguments), timedelta(seconds=seconds)],
    ).fetchone()
    connection.execute("SELECT pg_notify(%s, %s)", [COMMANDS_CHANNEL, charging_point_id])
    assert row is not None
    command_id: int = row[0]
    return command_id


def _outcome(row: tuple[Any, ...] | None) -> tuple[Outcome, str] | None:
    if row is None or row[0] == "expired":
        return Outcome.TIMEOUT, "no answer in time"
    return (Outcome(row[1]), row[2]) if row[0] == "answered" else None


def new_partner_session_id() -> str:
    """Return an id of ours for a session; 36 characters, the hub allows 250."""
    return str(uuid.uuid4())
