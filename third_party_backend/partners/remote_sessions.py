"""Sessions that partners' drivers start and stop from afar."""

from __future__ import annotations

from charging.command import CommandKind, Outcome
from charging.database import events
from charging.database.connection import Connection
from charging.database.presence import online
from charging.event import EventKind
from charging.hub_session import HubSessionState, NothingCharged
from charging.identity import new_hub_token
from charging.refusal import Refusal
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

STOP_LATE_SECONDS = 30
"""How long a charging point that carried out a refused start can be made to stop."""


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
        refused = why_not_start(evse, reserved=reservation is not None)
        if refused is not None:
            return refused
        # The charging point keeps a reserved EVSE for the token of its reservation.
        id_tag = new_hub_token() if reservation is None else reservation.id_tag
        return Planned(id_tag, {"evse_id": request.evse_id})

    def _arguments(self, row: Row) -> Json:
        return {"evse_number": row["evse_number"], "id_tag": row["id_tag"]}

    def _answered(self, connection: Connection, row: Row, outcome: Outcome, *, first: bool) -> None:
        """Stop a session that began while its start was given up.

        Once refused, the session's token starts nothing any more: a charging point that carries
        out the start later is stopped by its node.
        """
        del outcome, first
        if (
            row["state"] == HubSessionState.REFUSED
            and row["session_id"] is not None
            and (_is_charging(connection, row["session_id"]))
        ):
            self._queue(
                connection,
                row,
                CommandKind.REMOTE_STOP,
                {"session_id": row["session_id"]},
                STOP_LATE_SECONDS,
            )

    def _end(
        self, connection: Connection, row: Row, references: References, seconds: float
    ) -> Asked | Refused | Done:
        session_id = row["session_id"]
        if row["state"] in (HubSessionState.REFUSED, HubSessionState.ENDED) or (
            session_id is not None and not _is_charging(connection, session_id)
        ):
            return Refused(Refusal.SESSION_ENDED, "the session has ended", references)
        if session_id is None:
            # Accepted, but no vehicle was connected: from now on none will charge on it.
            connection.execute(
                "UPDATE hub_sessions SET state = 'ended', ended_at = now()"
                " WHERE hub_session_id = %s",
                [row["hub_session_id"]],
            )
            payload = {"hub_session_id": row["hub_session_id"], "why": NothingCharged.STOPPED.value}
            events.write(
                connection,
                [events.Event(EventKind.HUB_SESSION_CLOSED, row["charging_point_id"], payload)],
            )
            return Done(references)
        if not online(connection, row["charging_point_id"], self._presence_seconds):
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
