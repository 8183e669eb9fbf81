"""An EVSE that a partner's driver wants to use, and what stands against it."""

from __future__ import annotations

from dataclasses import dataclass

from charging.database.connection import Connection
from charging.database.presence import is_online
from charging.evse import EvseFacts, EvseState, refuse_reservation, refuse_start
from charging.identity import evse_id_key
from charging.master_data import RESERVATION_SERVICE
from charging.refusal import Refusal
from third_party_backend.partners.terms import Json, Refused, Request, provider_key

PLUG_IN_SECONDS = 60
"""How long an EVSE is kept for whoever may start there and has yet to plug in."""


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
class Evse:
    """An EVSE as it is now.

    state, whole_state: its own, and that of the charging point as a whole. in_use: a session charges, or one was asked for just now. details: as
    `charging.master_data.details` has them, None before the operator filled them in.
    """

    charging_point_id: str
    evse_number: int
    roaming: bool
    state: str
    whole_state: str
    in_use: bool
    online: bool
    details: Json | None
    reservation: Reservation | None


def find(connection: Connection, evse_id: str, presence_seconds: float) -> Evse | None:
    """Look up an EVSE by any spelling of its id."""
    row = connection.execute(
        f"""
        SELECT e.charging_point_id, e.evse_number, e.roaming, e.state, coalesce(whole.state, %s),
               EXISTS (SELECT 1 FROM sessions AS s
                       WHERE s.charging_point_id = e.charging_point_id
                         AND s.evse_number = e.evse_number AND s.state = 'charging')
               OR EXISTS (SELECT 1 FROM hub_sessions AS h
                          WHERE h.charging_point_id = e.charging_point_id
                            AND h.evse_number = e.evse_number AND h.session_id IS NULL
                            AND h.state IN ('asked', 'accepted')
                            AND h.created_at > now() - make_interval(secs => %s)),
               {is_online("e.charging_point_id", presence_seconds)},
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
        """.encode(),
        [EvseState.UNKNOWN.value, PLUG_IN_SECONDS, evse_id_key(evse_id)],
    ).fetchone()
    if row is None:
        return None
    reservation = Reservation(*row[8:]) if row[8] is not None else None
    return Evse(*(*row[:8], reservation))


def why_not_start(evse: Evse, *, reserved: bool) -> Refused | None:
    """Return what stands against a start. reserved: the EVSE is held for this very driver."""
    return _refused(refuse_start(_facts(evse, reserved=reserved)))


def why_not_reserve(evse: Evse) -> Refused | None:
    """Return what stands against a reservation."""
    return _refused(refuse_reservation(_facts(evse, reserved=False)))


def _facts(evse: Evse, *, reserved: bool) -> EvseFacts:
    details = evse.details or {}
    services = details.get("value_added_services")
    return EvseFacts(
        roaming=evse.roaming,
        online=evse.online,
        state=EvseState(evse.state),
        whole=EvseState(evse.whole_state),
        in_use=evse.in_use,
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
