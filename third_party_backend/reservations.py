"""Reservations that the hub's drivers make: read and written for its requests."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from charging.command import CommandKind, Outcome
from charging.event import EventKind
from charging.identity import new_hub_token, rfid_uid
from third_party_backend.oicp.messages import ReservationStart, ReservationStop, provider_key
from third_party_backend.oicp.status import StatusCode
from third_party_backend.store import (
    Asked,
    Connection,
    Decided,
    Store,
    Stored,
    queue,
    tell,
    why_not,
)

CANCEL_LATE_SECONDS = 60
"""How long a charging point that took too long is told to forget the reservation."""


class Reservations:
    """As Store: every method raises psycopg.Error when the database cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self, request: ReservationStart, session_id: str, minutes: int, seconds: float
    ) -> Asked | Decided | Stored:
        """Write down who wants an EVSE kept, then queue the command; or say why not.

        session_id: the hub's, or ours where it named none. seconds: for the charging point.
        """
        with self._store.pool.connection() as connection:
            if known := _known(connection, session_id):
                return _again(request, known)
            place = self._store.place(connection, request.evse_id)
            if place is None:
                return Decided(StatusCode.UNKNOWN_EVSE)
            refusal = why_not(place, reserved=False)
            if refusal is not None:
                return refusal
            if place.details and "Reservation" not in place.details["value_added_services"]:
                return Decided(StatusCode.SERVICE_NOT_AVAILABLE, "it takes no reservations")
            expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
            inserted = connection.execute(
                """
                INSERT INTO reservations (
                    hub_session_id, provider_id, charging_point_id, evse_number, identification,
                    id_tag, cpo_partner_session_id, emp_partner_session_id, expires_at
                ) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (hub_session_id) DO NOTHING RETURNING reservation_id, id_tag
                """,
                [
                    session_id,
                    request.provider_id,
                    place.charging_point_id,
                    place.evse_number,
                    Jsonb(request.identification),
                    _id_tag(request.identification),
                    str(uuid.uuid4()),
                    request.emp_partner_session_id,
                    expires_at,
                ],
            ).fetchone()
            if inserted is None:
                # Its twin came between our look and our insert, and has committed by now.
                twin = _known(connection, session_id)
                assert twin is not None
                return _again(request, twin)
            reservation_id, id_tag = inserted
            command_id = queue(
                connection,
                place.charging_point_id,
                CommandKind.RESERVE,
                {
                    "evse_number": place.evse_number,
                    "id_tag": id_tag,
                    "reservation_id": reservation_id,
                    "expires_at": expires_at.isoformat(),
                },
                seconds,
            )
            connection.execute(
                "UPDATE reservations SET start_command_id = %s WHERE reservation_id = %s",
                [command_id, reservation_id],
            )
            return Asked(command_id)

    def finish(self, session_id: str, answer: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
        """Keep the answer; return the first one, should there be one already.

        A charging point that did not answer may have kept the EVSE: it is told to forget it.
        """
        state = "reserved" if answer["Result"] else "refused"
        with self._store.pool.connection() as connection:
            changed = connection.execute(
                "UPDATE reservations SET start_answer = %s, state = %s"
                " WHERE hub_session_id = %s AND start_answer IS NULL"
                " RETURNING reservation_id, charging_point_id",
                [Jsonb(answer), state, session_id],
            ).fetchone()
            if changed is not None and outcome in (Outcome.TIMEOUT, Outcome.OFFLINE):
                queue(
                    connection,
                    changed[1],
                    CommandKind.CANCEL_RESERVATION,
                    {"reservation_id": changed[0]},
                    CANCEL_LATE_SECONDS,
                )
            row = connection.execute(
                "SELECT start_answer FROM reservations WHERE hub_session_id = %s", [session_id]
            ).fetchone()
            assert row is not None
            first: dict[str, Any] = row[0]
            return first

    def begin_cancel(self, request: ReservationStop, seconds: float) -> Asked | Decided:
        """Queue the cancellation of a reservation, or say why not."""
        with self._store.pool.connection() as connection:
            row = connection.execute(
                "SELECT provider_id, state, charging_point_id, reservation_id, expires_at < now()"
                " FROM reservations WHERE hub_session_id = %s FOR UPDATE",
                [request.session_id],
            ).fetchone()
            if row is None:
                return Decided(StatusCode.SESSION_INVALID, "no such reservation")
            provider_id, state, charging_point_id, reservation_id, over = row
            if provider_key(provider_id) != provider_key(request.provider_id):
                return Decided(StatusCode.NOT_AUTHORIZED, "the reservation is another provider's")
            if state == "cancelled":
                return Decided(StatusCode.SUCCESS)  # said again
            if state != "reserved" or over:
                return Decided(StatusCode.SESSION_INVALID, "the reservation has ended")
            if not self._store.is_online(connection, charging_point_id):
                return Decided(StatusCode.NO_COMMUNICATION, "the charging point is offline")
            return Asked(
                queue(
                    connection,
                    charging_point_id,
                    CommandKind.CANCEL_RESERVATION,
                    {"reservation_id": reservation_id},
                    seconds,
                )
            )

    def cancelled(self, session_id: str) -> None:
        """Note that a reservation was cancelled; its charge detail record follows."""
        with self._store.pool.connection() as connection:
            row = connection.execute(
                "UPDATE reservations SET state = 'cancelled', ended_at = now()"
                " WHERE hub_session_id = %s AND state = 'reserved'"
                " RETURNING reservation_id, charging_point_id",
                [session_id],
            ).fetchone()
            if row is not None:
                tell(
                    connection,
                    EventKind.RESERVATION_ENDED,
                    row[1],
                    {"reservation_id": row[0]},
                )

    def partner_sessions(self, session_id: str) -> tuple[str | None, str | None]:
        """Return our and the provider's own session ids of a reservation."""
        with self._store.pool.connection() as connection:
            row = connection.execute(
                "SELECT cpo_partner_session_id, emp_partner_session_id FROM reservations"
                " WHERE hub_session_id = %s",
                [session_id],
            ).fetchone()
        return (row[0], row[1]) if row else (None, None)


def _known(connection: Connection, session_id: str) -> tuple[Any, ...] | None:
    return connection.execute(
        "SELECT provider_id, start_answer, start_command_id FROM reservations"
        " WHERE hub_session_id = %s",
        [session_id],
    ).fetchone()


def _again(request: ReservationStart, known: tuple[Any, ...]) -> Asked | Decided | Stored:
    provider_id, answer, command_id = known
    if provider_key(provider_id) != provider_key(request.provider_id):
        return Decided(StatusCode.NOT_AUTHORIZED, "the reservation is another provider's")
    return Stored(answer) if answer is not None else Asked(command_id)


def _id_tag(identification: dict[str, Any]) -> str:
    """Return the card that a reservation is made for, or else a token of its own."""
    for member in ("RFIDMifareFamilyIdentification", "RFIDIdentification"):
        who = identification.get(member)
        uid = rfid_uid(str(who.get("UID"))) if isinstance(who, dict) else None
        if uid is not None:
            return uid
    return new_hub_token()
