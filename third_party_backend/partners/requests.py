"""What remote sessions and reservations have in common: begun once, answered once, ended.

Whoever asks is written down in the transaction of the command, before the charging point is asked.
A request that is repeated begins nothing twice and gets the answer of the first.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, LiteralString

from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from charging.command import CommandKind, Outcome
from charging.database import commands
from charging.database.connection import Connection
from charging.delivery import Queue
from charging.hub_session import HubSessionOrigin, HubSessionState, ReservationState
from charging.identity import evse_id_key
from charging.refusal import Refusal, refusal_of
from third_party_backend.partners.evses import Evse, Evses
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
_OVER = frozenset(
    {
        HubSessionState.ENDED,
        ReservationState.USED,
        ReservationState.CANCELLED,
        ReservationState.EXPIRED,
    }
)

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

    def __init__(self, pool: ConnectionPool[Connection], evses: Evses) -> None:
        self._pool = pool
        self._evses = evses

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
            theirs = References(None, request.theirs)
            evse = self._evses.find(connection, request.evse_id)
            if (known := self._find(connection, request.hub_session_id)) is not None:
                return self._again(request, evse, known)
            if _has_record(connection, request) or self._is_used(connection, request):
                return Refused(Refusal.SESSION_ENDED, "the session id has been used", theirs)
            if evse is None:
                return Refused(Refusal.EVSE_UNKNOWN, references=theirs)
            planned = self._plan(request, evse)
            if isinstance(planned, Refused):
                return Refused(planned.refusal, planned.detail, theirs)
            row = self._insert(connection, request, evse, planned)
            if row is None:
                # The same session at another EVSE came between our look and our insert, and has
                # committed by now; or another start is using the same reservation.
                known = self._find(connection, request.hub_session_id)
                if known is None:
                    return Refused(Refusal.IN_USE, "the reservation is being used")
                return self._again(request, evse, known)
            command_id = self._queue(connection, row, self.command, self._arguments(row), seconds)
            connection.execute(
                self._statement("UPDATE {} SET start_command_id = %s WHERE hub_session_id = %s"),
                [command_id, request.hub_session_id],
            )
            return Asked(command_id, _references(row))

    def finish(
        self, hub_session_id: str, outcome: Outcome, write: Callable[[Refusal | None], Json]
    ) -> Json:
        """Keep the answer of a request; return the first one, should there be one already.

        outcome: of its command. write: makes the answer, None standing for success.
        """
        with self._pool.connection() as connection:
            row = self._find(connection, hub_session_id, lock=True)
            assert row is not None
            if row["start_answer"] is not None:
                first: Json = row["start_answer"]
                return first
            refusal = self._decide(connection, row, outcome)
            answer = write(refusal)
            state = row["state"]
            if state == HubSessionState.ASKED:
                state = self.accepted_state if refusal is None else HubSessionState.REFUSED
            connection.execute(
                self._statement(
                    "UPDATE {} SET start_answer = %s, start_refusal = %s, state = %s"
                    " WHERE hub_session_id = %s"
                ),
                [Jsonb(answer), refusal, state, hub_session_id],
            )
            self._answered(connection, row, outcome)
            return answer

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
    def _is_used(self, connection: Connection, request: Request) -> bool:
        """Return whether the session's id was another thing's before."""

    def _decide(self, connection: Connection, row: Row, outcome: Outcome) -> Refusal | None:
        """Return how a request is answered whose command ended so; None for accepted."""
        del connection, row
        return refusal_of(outcome)

    def _answered(self, connection: Connection, row: Row, outcome: Outcome) -> None:  # noqa: B027
        """Do what follows from the first answer."""

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

    def _again(self, request: Request, evse: Evse | None, row: Row) -> Asked | Refused | Answered:
        """Answer a session's id that came before. Only the same request is its repetition."""
        theirs = References(None, request.theirs)
        if provider_key(row["provider_id"]) != provider_key(request.provider_id):
            return Refused(
                Refusal.OTHER_PROVIDER, f"the {self.called} is another provider's", theirs
            )
        if row.get("origin") == HubSessionOrigin.LOCAL:
            return Refused(Refusal.SESSION_UNKNOWN, "the session began with a card", theirs)
        place = (row["charging_point_id"], row["evse_number"])
        if evse is None or (evse.charging_point_id, evse.evse_number) != place:
            return Refused(Refusal.SESSION_UNKNOWN, f"the {self.called} is at another EVSE", theirs)
        if row["start_answer"] is None:
            return Asked(row["start_command_id"], _references(row))
        if row["start_refusal"] is None and row["state"] in _OVER:
            return Refused(Refusal.SESSION_ENDED, f"the {self.called} has ended", theirs)
        return Answered(row["start_answer"])

    def _find(
        self, connection: Connection, hub_session_id: str, *, lock: bool = False
    ) -> Row | None:
        statement: LiteralString = "SELECT * FROM {} WHERE hub_session_id = %s"
        if lock:
            statement += " FOR UPDATE"
        with connection.cursor(row_factory=dict_row) as cursor:
            # Not prepared, here and below: a column that a migration adds would change the result.
            return cursor.execute(
                self._statement(statement), [hub_session_id], prepare=False
            ).fetchone()

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
            "hub_spelling": request.hub_spelling,
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
            return cursor.execute(statement, values, prepare=False).fetchone()

    def _statement(self, text: LiteralString) -> sql.Composed:
        return sql.SQL(text).format(sql.Identifier(self.table))


def _has_record(connection: Connection, request: Request) -> bool:
    """Return whether the session has its one charge detail record."""
    row = connection.execute(
        "SELECT 1 FROM deliveries WHERE queue = %s AND key = %s",
        [Queue.CHARGE_DETAIL_RECORD.value, request.hub_session_id],
    ).fetchone()
    return row is not None


def _references(row: Row) -> References:
    return References(row["cpo_partner_session_id"], row["emp_partner_session_id"])
