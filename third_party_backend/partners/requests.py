"""What remote sessions and reservations have in common: begun once, answered once, ended.

Whoever asks is written down in the transaction of the command, before the charging point is asked.
A request that is repeated begins nothing twice and gets the answer of the first.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, LiteralString

from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from charging.command import CommandKind, Outcome
from charging.database import commands
from charging.database.connection import Connection
from charging.hub_session import HubSessionState, ReservationState
from charging.identity import evse_id_key
from charging.refusal import Refusal, refusal_of
from third_party_backend.partners import evses
from third_party_backend.partners.evses import Evse
from third_party_backend.partners.terms import (
    Answered,
    Asked,
    Done,
    EndRequest,
    Json,
    References,
    Refused,
    Request,
    provider_key,
)

_REQUESTS = 0x564E4A
"""The advisory locks of requests, one for each EVSE."""
REQUESTED_BY = "hub"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """What a request becomes where nothing stands against it.

    columns: of its row, beside those that every request has.
    """

    id_tag: str
    columns: Row


class Requests(ABC):
    """Requests of partners' drivers that charging points answer, one kind and one table of them.

    Every method raises psycopg.Error (psycopg_pool.PoolTimeout is one) when the database cannot be
    reached.
    """

    table: ClassVar[LiteralString]
    command: ClassVar[CommandKind]
    accepted_state: ClassVar[HubSessionState | ReservationState]

    def __init__(self, pool: ConnectionPool[Connection], presence_seconds: float) -> None:
        self._pool = pool
        self._presence_seconds = presence_seconds

    def begin(self, request: Request, seconds: float) -> Asked | Refused | Answered:
        """Write a request down and queue its command, or say why not.

        seconds: that the charging point has to answer.
        """
        with self._pool.connection() as connection:
            # Of two requests at one EVSE, and of one and its repetition, the second sees the
            # first.
            connection.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))",
                [_REQUESTS, evse_id_key(request.evse_id)],
            )
            if (known := self._find(connection, request.hub_session_id)) is not None:
                return self._again(request, known)
            evse = evses.find(connection, request.evse_id, self._presence_seconds)
            if evse is None:
                return Refused(Refusal.EVSE_UNKNOWN, references=References(None, request.theirs))
            planned = self._plan(request, evse)
            if isinstance(planned, Refused):
                return Refused(planned.refusal, planned.detail, References(None, request.theirs))
            row = self._insert(connection, request, evse, planned)
            if row is None:
                # The same session at another EVSE came between our look and our insert, and has
                # committed by now; or another start is using the same reservation.
                known = self._find(connection, request.hub_session_id)
                if known is None:
                    return Refused(Refusal.IN_USE, "the reservation is being used")
                return self._again(request, known)
            command_id = self._queue(connection, row, self.command, self._arguments(row), seconds)
            connection.execute(
                self._statement("UPDATE {} SET start_command_id = %s WHERE hub_session_id = %s"),
                [command_id, request.hub_session_id],
            )
            return Asked(command_id, _references(row))

    def finish(self, hub_session_id: str, answer: Json, outcome: Outcome) -> Json:
        """Keep the answer of a request; return the first one, should there be one already.

        outcome: of its command.
        """
        refusal = refusal_of(outcome)
        state = self.accepted_state if refusal is None else HubSessionState.REFUSED
        with self._pool.connection() as connection:
            changed = connection.execute(
                self._statement(
                    "UPDATE {} SET start_answer = %s, start_refusal = %s, state = %s"
                    " WHERE hub_session_id = %s AND start_answer IS NULL"
                ),
                [Jsonb(answer), refusal, state, hub_session_id],
            ).rowcount
            row = self._find(connection, hub_session_id)
            assert row is not None
            self._answered(connection, row, outcome, first=bool(changed))
            first: Json = row["start_answer"]
            return first

    def begin_end(self, request: EndRequest, seconds: float) -> Asked | Refused | Done:
        """Queue the command that ends what a request began, or say why not."""
        with self._pool.connection() as connection:
            row = self._find(connection, request.hub_session_id, lock=True)
            if row is None:
                return Refused(Refusal.SESSION_UNKNOWN, f"no such {self.called}")
            references = _references(row)
            if provider_key(row["provider_id"]) != provider_key(request.provider_id):
                return Refused(
                    Refusal.OTHER_PROVIDER,
                    f"the {self.called} is another provider's",
                    references,
                )
            return self._end(connection, row, references, seconds)

    def finish_end(self, hub_session_id: str, outcome: Outcome) -> Outcome:
        """Note the outcome of the command that ends it; return the outcome for whoever asked."""
        del hub_session_id
        return outcome

    called: ClassVar[str]
    """One of them, in sentences."""

    @abstractmethod
    def _plan(self, request: Request, evse: Evse) -> Planned | Refused: ...

    @abstractmethod
    def _arguments(self, row: Row) -> Json:
        """Return the arguments of the command, as CommandKind describes them."""

    @abstractmethod
    def _answered(self, connection: Connection, row: Row, outcome: Outcome, *, first: bool) -> None:
        """Do what follows from an answer. first: it is the one that was kept."""

    @abstractmethod
    def _end(
        self, connection: Connection, row: Row, references: References, seconds: float
    ) -> Asked | Refused | Done: ...

    def _queue(
        self,
        connection: Connection,
        row: Row,
        kind: CommandKind,
        arguments: Json,
        seconds: float,
    ) -> int:
        return commands.queue(
            connection,
            row["charging_point_id"],
            kind,
            arguments,
            requested_by=REQUESTED_BY,
            seconds=seconds,
        )

    def _again(self, request: Request, row: Row) -> Asked | Refused | Answered:
        if provider_key(row["provider_id"]) != provider_key(request.provider_id):
            return Refused(
                Refusal.OTHER_PROVIDER,
                f"the {self.called} is another provider's",
                References(None, request.theirs),
            )
        if row["start_answer"] is not None:
            return Answered(row["start_answer"])
        return Asked(row["start_command_id"], _references(row))

    def _find(
        self, connection: Connection, hub_session_id: str, *, lock: bool = False
    ) -> Row | None:
        statement: LiteralString = "SELECT * FROM {} WHERE hub_session_id = %s"
        if lock:
            statement += " FOR UPDATE"
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(self._statement(statement), [hub_session_id]).fetchone()

    def _insert(
        self, connection: Connection, request: Request, evse: Evse, planned: Planned
    ) -> Row | None:
        values: Row = {
            "hub_session_id": request.hub_session_id,
            "provider_id": request.provider_id,
            "charging_point_id": evse.charging_point_id,
            "evse_number": evse.evse_number,
            "identification": Jsonb(request.identification),
            "id_tag": planned.id_tag,
            "cpo_partner_session_id": str(uuid.uuid4()),
            "emp_partner_session_id": request.theirs,
            **planned.columns,
        }
        statement = sql.SQL(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING RETURNING *"
        ).format(
            sql.Identifier(self.table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Placeholder, values)),
        )
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, values).fetchone()

    def _statement(self, text: LiteralString) -> sql.Composed:
        return sql.SQL(text).format(sql.Identifier(self.table))


def _references(row: Row) -> References:
    return References(row["cpo_partner_session_id"], row["emp_partner_session_id"])
