"""An EVSE that a partner's driver wants to use, and what stands against it."""

from __future__ import annotations

from dataclasses import dataclass

from charging.database.connection import Connection
from charging.database.presence import is_online, online
from charging.evse import EvseFacts, EvseState, refuse_reservation, refuse_start
from charging.identity import evse_id_key
from charging.master_data import RESERVATION_SERVICE
from charging.refusal import Refusal
from third_party_backend.partners.terms import Json, Refused, Request, provider_key

JUST_NOW_SECONDS = 60
"""How long a second start of the same driver is taken for a slip."""
LOST_STOP_SECONDS = 60
"""An EVSE that reports so long after a session's start that it is available has lost its stop."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The reservation that holds an EVSE."""

    hub_session_id: str
    provider_id: str
    identification: Json
    id_tag: str

    def is_for(self, request: Request) -> bool:
        """Return whether it is held for whoever makes a request: the same session or contract."""
        return provider_key(self.provider_id) == provider_key(request.provider_id) and (
            self.hub_session_id == request.hub_session_id
            or self.identification == request.identification
        )


@dataclass(frozen=True, slots=True)
class Awaited:
    """A start that was asked for and whose vehicle has yet to come. just_now: a minute ago."""

    provider_id: str
    identification: Json
    just_now: bool

    def keeps_out(self, request: Request) -> bool:
        """Return whether it stands against a request. A driver may ask again for himself."""
        same = (
            provider_key(self.provider_id) == provider_key(request.provider_id)
            and self.identification == request.identification
        )
        return self.just_now or not same


@dataclass(frozen=True, slots=True)
class Evse:
    """An EVSE as it is now.

    state, whole_state: its own, and that of the charging point as a whole. charging: a session
    charges there. details: as `charging.master_data.details` has them, None before the operator
    filled them in.
    """

    charging_point_id: str
    evse_number: int
    evse_id: str
    roaming: bool
    state: str
    whole_state: str
    charging: bool
    online: bool
    details: Json | None
    awaited: Awaited | None
    reservation: Reservation | None


@dataclass(frozen=True, slots=True)
class Evses:
    """Looks EVSEs up.

    presence_seconds: of a node's silence after which its charging points count as offline.
    start_seconds: how long an accepted start waits for its vehicle.
    """

    presence_seconds: float
    start_seconds: float

    def find(self, connection: Connection, evse_id: str) -> Evse | None:
        """Look up an EVSE by any spelling of its id."""
        row = connection.execute(
            f"""
            SELECT e.charging_point_id, e.evse_number, e.evse_id, e.roaming, e.state,
                   coalesce(whole.state, %s),
                   EXISTS (SELECT 1 FROM sessions AS s
                           WHERE s.charging_point_id = e.charging_point_id
                             AND s.evse_number = e.evse_number AND s.state = 'charging'
                             -- its stop was lost: the charging point says that nobody is there
                             AND NOT (e.state = 'available' AND coalesce(e.status_at
                                 > s.started_at + make_interval(secs => %s), false))),
                   {is_online("e.charging_point_id", self.presence_seconds)},
                   d.details, w.provider_id, w.identification, w.just_now,
                   r.hub_session_id, r.provider_id, r.identification, r.id_tag
            FROM evses AS e
            LEFT JOIN evse_details AS d USING (charging_point_id, evse_number)
            LEFT JOIN evses AS whole ON whole.charging_point_id = e.charging_point_id
                                    AND whole.evse_number = 0
            LEFT JOIN LATERAL (
                SELECT h.provider_id, h.identification,
                       h.created_at > now() - make_interval(secs => %s) AS just_now
                FROM hub_sessions AS h
                WHERE h.charging_point_id = e.charging_point_id AND h.evse_number = e.evse_number
                  AND h.session_id IS NULL AND h.state IN ('asked', 'accepted')
                  AND h.created_at > now() - make_interval(secs =>
                      CASE h.state WHEN 'asked' THEN %s ELSE %s END)
                ORDER BY h.created_at DESC LIMIT 1) AS w ON true
            LEFT JOIN LATERAL (
                SELECT * FROM reservations AS r
                WHERE r.charging_point_id = e.charging_point_id AND r.evse_number = e.evse_number
                  AND r.state IN ('asked', 'reserved') AND r.expires_at > now()
                ORDER BY r.reservation_id DESC LIMIT 1) AS r ON true
            WHERE e.evse_id_key = %s
            """.encode(),
            [
                EvseState.UNKNOWN.value,
                LOST_STOP_SECONDS,
                JUST_NOW_SECONDS,
                JUST_NOW_SECONDS,
                self.start_seconds,
                evse_id_key(evse_id),
            ],
        ).fetchone()
        if row is None:
            return None
        awaited = Awaited(*row[9:12]) if row[9] is not None else None
        reservation = Reservation(*row[12:]) if row[12] is not None else None
        return Evse(*(*row[:9], awaited, reservation))

    def online(self, connection: Connection, charging_point_id: str) -> bool:
        """Return whether a living node holds a charging point's socket."""
        return online(connection, charging_point_id, self.presence_seconds)


def why_not_start(evse: Evse, request: Request, *, reserved: bool) -> Refused | None:
    """Return what stands against a start. reserved: the EVSE is held for this very driver."""
    return _refused(refuse_start(_facts(evse, request, reserved=reserved)))


def why_not_reserve(evse: Evse, request: Request) -> Refused | None:
    """Return what stands against a reservation."""
    return _refused(refuse_reservation(_facts(evse, request, reserved=False)))


def _facts(evse: Evse, request: Request, *, reserved: bool) -> EvseFacts:
    details = evse.details or {}
    services = details.get("value_added_services")
    return EvseFacts(
        roaming=evse.roaming,
        online=evse.online,
        state=EvseState(evse.state),
        whole=EvseState(evse.whole_state),
        in_use=evse.charging or (evse.awaited is not None and evse.awaited.keeps_out(request)),
        reserved=evse.reservation is not None,
        reserved_for_asker=reserved,
        vehicle_first=bool(details.get("vehicle_first")),
        takes_reservations=services is None or RESERVATION_SERVICE in services,
    )


def _refused(refusal: Refusal | None) -> Refused | None:
    return None if refusal is None else Refused(refusal, _DETAILS.get(refusal, ""))


_DETAILS = {
    Refusal.OFFLINE: "the charging point is offline",
    Refusal.NO_VEHICLE: "connect the vehicle first",
    Refusal.NOT_OFFERED: "it takes no reservations",
}
