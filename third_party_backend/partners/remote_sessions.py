"""Sessions that partners' drivers start and stop from afar."""

from __future__ import annotations

from charging.command import CommandKind, Outcome
from charging.database import events
from charging.database.connection import Connection
from charging.event import EventKind
from charging.hub_session import HubSessionState, NothingCharged
from charging.identity import new_hub_token
from charging.refusal import Refusal, refusal_of
from third_party_backend.partners.evses import Evse, why_not_start
from third_party_backend.partners.requests import Planned, Requests, Row
from third_party_backend.partners.terms import (
    Asked,
    Done,
    Json,
    References,
    Refused,
    Request,
)


class RemoteSessions(Requests):
    """Rows of `hub_sessions`."""

    table = "hub_sessions"
    command = CommandKind.REMOTE_START
    accepted_state = HubSessionState.ACCEPTED
    called = "session"

    def _plan(self, request: Request, evse: Evse) -> Planned | Refused:
        reservation = evse.reservation
        if reservation is not None and not reservation.is_for(request):
            reservation = None
        refused = why_not_start(evse, request, reserved=reservation is not None)
        if refused is not None:
            return refused
        # The charging point keeps a reserved EVSE for the token of its reservation.
        id_tag = new_hub_token() if reservation is None else reservation.id_tag
        return Planned(id_tag, {"evse_id": evse.evse_id, "partner_product_id": request.product_id})

    def _is_used(self, connection: Connection, request: Request) -> bool:
        # A reservation may become its session; one that is over has its record, or will.
        row = connection.execute(
            "SELECT 1 FROM reservations WHERE hub_session_id = %s"
            " AND state IN ('used', 'cancelled', 'expired')",
            [request.hub_session_id],
        ).fetchone()
        return row is not None

    def _arguments(self, row: Row) -> Json:
        return {"evse_number": row["evse_number"], "id_tag": row["id_tag"]}

    def _decide(self, connection: Connection, row: Row, outcome: Outcome) -> Refusal | None:
        """Return how a start is answered.

        A session that began with the start's own token proves that the charging point carried it
        out, whatever became of its answer. One that was stopped meanwhile stays stopped: its token
        starts nothing any more, and what is started with it is stopped by its node.
        """
        if row["session_id"] is not None:
            return None
        if row["state"] == HubSessionState.ENDED:
            return Refusal.SESSION_ENDED
        refusal = refusal_of(outcome)
        if row["state"] == HubSessionState.REFUSED and refusal is None:
            return Refusal.OFFLINE
        return refusal

    def _end(
        self, connection: Connection, row: Row, references: References, seconds: float
    ) -> Asked | Refused | Done:
        session_id = row["session_id"]
        if row["state"] in (HubSessionState.REFUSED, HubSessionState.ENDED) or (
            session_id is not None and not _is_charging(connection, session_id)
        ):
            return Refused(Refusal.SESSION_ENDED, "the session has ended", references)
        if session_id is None:
            # No vehicle was connected: from now on none will charge on it.
            connection.execute(
                "UPDATE hub_sessions SET state = 'ended', ended_at = now()"
                " WHERE hub_session_id = %s",
                [row["hub_session_id"]],
            )
            if row["start_answer"] is None:
                # The start is not answered yet, and will be refused: it needs no record.
                return Done(references)
            payload = {"hub_session_id": row["hub_session_id"], "why": NothingCharged.STOPPED.value}
            events.write(
                connection,
                [events.Event(EventKind.HUB_SESSION_CLOSED, row["charging_point_id"], payload)],
            )
            return Done(references)
        if not self._evses.online(connection, row["charging_point_id"]):
            return Refused(Refusal.OFFLINE, "the charging point is offline", references)
        command_id = self._queue(
            connection, row, CommandKind.REMOTE_STOP, {"session_id": session_id}, seconds
        )
        return Asked(command_id, references)


def _is_charging(connection: Connection, session_id: int) -> bool:
    row = connection.execute(
        "SELECT 1 FROM sessions WHERE session_id = %s AND state = 'charging'", [session_id]
    ).fetchone()
    return row is not None
