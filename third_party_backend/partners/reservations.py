"""EVSEs that are kept for partners' drivers."""

from __future__ import annotations

from datetime import UTC, datetime

from charging.command import CommandKind, Outcome
from charging.database import events
from charging.database.connection import Connection
from charging.event import EventKind
from charging.hub_session import ReservationState
from charging.identity import new_hub_token
from charging.refusal import Refusal
from third_party_backend.partners.evses import Evse, why_not_reserve
from third_party_backend.partners.requests import Planned, Requests, Row
from third_party_backend.partners.terms import (
    Asked,
    Done,
    Json,
    References,
    Refused,
    Request,
)

CANCEL_LATE_SECONDS = 60
"""How long a charging point that took too long to answer can be made to forget a reservation."""


class Reservations(Requests):
    """Rows of `reservations`."""

    table = "reservations"
    command = CommandKind.RESERVE
    accepted_state = ReservationState.RESERVED
    called = "reservation"

    def finish_end(self, hub_session_id: str, outcome: Outcome) -> Outcome:
        """Note the outcome of a cancellation; a charge detail record follows one that succeeded.

        A charging point that rejects it knows of no such reservation (any more): that is success.
        """
        if outcome not in (Outcome.ACCEPTED, Outcome.REJECTED):
            return outcome
        with self._pool.connection() as connection:
            row = connection.execute(
                "UPDATE reservations SET state = 'cancelled', ended_at = now()"
                " WHERE hub_session_id = %s AND state = 'reserved'"
                " RETURNING charging_point_id, reservation_id",
                [hub_session_id],
            ).fetchone()
            if row is not None:
                payload = {"reservation_id": row[1]}
                events.write(
                    connection, [events.Event(EventKind.RESERVATION_ENDED, row[0], payload)]
                )
        return Outcome.ACCEPTED

    def _plan(self, request: Request, evse: Evse) -> Planned | Refused:
        refused = why_not_reserve(evse, request)
        if refused is not None:
            return refused
        assert request.keep_for is not None
        expires_at = datetime.now(UTC) + request.keep_for
        return Planned(request.uid or new_hub_token(), {"expires_at": expires_at})

    def _arguments(self, row: Row) -> Json:
        return {
            "evse_number": row["evse_number"],
            "id_tag": row["id_tag"],
            "reservation_id": row["reservation_id"],
            "expires_at": row["expires_at"].isoformat(),
        }

    def _is_used(self, connection: Connection, request: Request) -> bool:
        row = connection.execute(
            "SELECT 1 FROM hub_sessions WHERE hub_session_id = %s", [request.hub_session_id]
        ).fetchone()
        return row is not None

    def _answered(self, connection: Connection, row: Row, outcome: Outcome) -> None:
        """Cancel at a charging point that did not answer, since it may have kept the EVSE."""
        if outcome in (Outcome.TIMEOUT, Outcome.OFFLINE):
            self._queue(
                connection,
                row,
                CommandKind.CANCEL_RESERVATION,
                {"reservation_id": row["reservation_id"]},
                CANCEL_LATE_SECONDS,
            )

    def _end(
        self, connection: Connection, row: Row, references: References, seconds: float
    ) -> Asked | Refused | Done:
        if row["state"] == ReservationState.CANCELLED:
            return Done(references)
        if row["state"] != ReservationState.RESERVED or row["expires_at"] < datetime.now(UTC):
            return Refused(Refusal.SESSION_ENDED, "the reservation has ended", references)
        if not self._evses.online(connection, row["charging_point_id"]):
            return Refused(Refusal.OFFLINE, "the charging point is offline", references)
        command_id = self._queue(
            connection,
            row,
            CommandKind.CANCEL_RESERVATION,
            {"reservation_id": row["reservation_id"]},
            seconds,
        )
        return Asked(command_id, references)
