"""What the hub's requests read and write."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from charging.command import COMMANDS_CHANNEL, CommandKind, Outcome
from charging.identity import evse_id_key
from third_party_backend.oicp.messages import RemoteStart, RemoteStop, provider_key
from third_party_backend.oicp.status import StatusCode, of_evse_status

Connection = psycopg.Connection[Any]

POOL_TIMEOUT_SECONDS = 3.0
# 64 random bits in 16 characters: OCPP 1.6 allows 20, so the hub's GUID does not fit.
_ID_TAG_BYTES = 8


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
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            min_size=1,
            # A waiting remote start holds no connection, so few are enough for many threads.
            max_size=min(8, threads + 1),
            open=True,
            timeout=POOL_TIMEOUT_SECONDS,
            kwargs={
                "connect_timeout": 3,
                "application_name": "third-party-backend",
                "options": "-c statement_timeout=5s -c timezone=UTC",
            },
            check=ConnectionPool.check_connection,
        )

    def close(self) -> None:
        """Let go of all connections."""
        self._pool.close()

    def ping(self) -> None:
        """Ask the database whether it is there."""
        with self._pool.connection() as connection:
            connection.execute("SELECT 1")

    def begin_remote_start(
        self, request: RemoteStart, cpo_partner_session_id: str, seconds: float
    ) -> Asked | Decided | Stored:
        """Write down who wants to charge where, then queue the command; or say why not.

        The hub's session is committed before the charging point hears anything, in the same
        transaction as the command. A repeated request starts nothing twice.
        """
        with self._pool.connection() as connection:
            known = connection.execute(
                "SELECT provider_id, start_answer, start_command_id FROM hub_sessions"
                " WHERE hub_session_id = %s",
                [request.session_id],
            ).fetchone()
            if known is not None:
                return _again(request, known)
            evse = self._evse(connection, request.evse_id)
            refusal = _why_not(evse)
            if refusal is not None:
                return refusal
            assert evse is not None
            charging_point_id, evse_number = evse[:2]
            id_tag = "HUB" + secrets.token_hex(_ID_TAG_BYTES).upper()
            inserted = connection.execute(
                """
                INSERT INTO hub_sessions (
                    hub_session_id, provider_id, evse_id, charging_point_id, evse_number,
                    identification, id_tag, cpo_partner_session_id, emp_partner_session_id
                ) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (hub_session_id) DO NOTHING
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
                # Its twin came between our look and our insert, and has committed by now.
                known = connection.execute(
                    "SELECT provider_id, start_answer, start_command_id FROM hub_sessions"
                    " WHERE hub_session_id = %s",
                    [request.session_id],
                ).fetchone()
                assert known is not None
                return _again(request, known)
            command_id = _queue(
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
        with self._pool.connection() as connection:
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
        with self._pool.connection() as connection:
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
                    "UPDATE hub_sessions SET state = 'refused' WHERE hub_session_id = %s",
                    [request.session_id],
                )
                return Decided(StatusCode.SUCCESS)
            if not self._is_online(connection, charging_point_id):
                return Decided(StatusCode.NO_COMMUNICATION, "the charging point is offline")
            return Asked(
                _queue(
                    connection,
                    charging_point_id,
                    CommandKind.REMOTE_STOP,
                    {"session_id": session_id},
                    seconds,
                )
            )

    def answer_of(self, command_id: int) -> tuple[Outcome, str] | None:
        """Return the outcome and detail of a command, None while it has none."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT state, outcome, detail FROM commands WHERE command_id = %s", [command_id]
            ).fetchone()
        return _outcome(row)

    def give_up(self, command_id: int) -> tuple[Outcome, str]:
        """Wait for a command no longer; return its outcome, should it have come just now."""
        with self._pool.connection() as connection:
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
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT cpo_partner_session_id, emp_partner_session_id FROM hub_sessions"
                " WHERE hub_session_id = %s",
                [session_id],
            ).fetchone()
        return (row[0], row[1]) if row else (None, None)

    def _evse(self, connection: Connection, evse_id: str) -> tuple[Any, ...] | None:
        """Return charging point, EVSE number, roaming, statuses, in use, online of an EVSE."""
        return connection.execute(
            """
            SELECT e.charging_point_id, e.evse_number, e.roaming, e.status, whole.status,
                   EXISTS (SELECT 1 FROM sessions AS s
                           WHERE s.charging_point_id = e.charging_point_id
                             AND s.evse_number = e.evse_number AND s.state = 'charging'),
                   EXISTS (SELECT 1 FROM connections AS c JOIN nodes AS n USING (node_id)
                           WHERE c.charging_point_id = e.charging_point_id
                             AND n.heartbeat_at > now() - %s)
            FROM evses AS e
            LEFT JOIN evses AS whole ON whole.charging_point_id = e.charging_point_id
                                    AND whole.evse_number = 0
            WHERE e.evse_id_key = %s
            """,
            [self._presence, evse_id_key(evse_id)],
        ).fetchone()

    def _is_online(self, connection: Connection, charging_point_id: str) -> bool:
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
            _queue(connection, row[0], CommandKind.REMOTE_STOP, {"session_id": row[1]}, 30)


def _again(request: RemoteStart, known: tuple[Any, ...]) -> Asked | Decided | Stored:
    provider_id, answer, command_id = known
    if provider_key(provider_id) != provider_key(request.provider_id):
        return Decided(StatusCode.NOT_AUTHORIZED, "the session is another provider's")
    return Stored(answer) if answer is not None else Asked(command_id)


def _why_not(evse: tuple[Any, ...] | None) -> Decided | None:
    if evse is None:
        return Decided(StatusCode.UNKNOWN_EVSE)
    _, _, roaming, status, whole_status, in_use, online = evse
    if not roaming:
        return Decided(StatusCode.NO_ROAMING)
    if not online:
        return Decided(StatusCode.NO_COMMUNICATION, "the charging point is offline")
    # What the charging point says of itself as a whole holds for all its EVSEs.
    for reported in (whole_status, status):
        code = of_evse_status(reported)
        if code is not StatusCode.SUCCESS:
            return Decided(code)
    return Decided(StatusCode.EVSE_IN_USE) if in_use else None


def _queue(
    connection: Connection,
    charging_point_id: str,
    kind: CommandKind,
    arguments: dict[str, Any],
    seconds: float,
) -> int:
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
