"""An EVSE that a partner's driver wants to use, and what stands against it."""

from __future__ import annotations

from dataclasses import dataclass

from charging.database.connection import Connection
from charging.database.presence import is_online
from charging.identity import evse_id_key
from third_party_backend.partners.terms import Json, Refusal, Refused, Request, provider_key

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

    status, whole_status: reported of it, of the charging point as a whole; None before it
    reported any. in_use: a session charges, or one was asked for just now. details: as
    `charging.evse.details` has them, None before the operator filled them in.
    """

    charging_point_id: str
    evse_number: int
    roaming: bool
    status: str | None
    whole_status: str | None
    in_use: bool
    online: bool
    details: Json | None
    reservation: Reservation | None


def find(connection: Connection, evse_id: str, presence_seconds: float) -> Evse | None:
    """Look up an EVSE by any spelling of its id."""
    row = connection.execute(
        f"""
        SELECT e.charging_point_id, e.evse_number, e.roaming, e.status, whole.status,
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
        [PLUG_IN_SECONDS, evse_id_key(evse_id)],
    ).fetchone()
    if row is None:
        return None
    reservation = Reservation(*row[8:]) if row[8] is not None else None
    return Evse(*(*row[:8], reservation))


def why_not_start(evse: Evse, *, reserved: bool) -> Refused | None:
    """Return what stands against a start. reserved: the EVSE is held for this very driver."""
    if refused := why_not_use(evse, reserved=reserved):
        return refused
    vehicle_first = bool((evse.details or {}).get("vehicle_first"))
    if vehicle_first and evse.status in ("Available", "Reserved"):
        return Refused(Refusal.NO_VEHICLE, "connect the vehicle first")
    return None


def why_not_reserve(evse: Evse) -> Refused | None:
    """Return what stands against a reservation."""
    if refused := why_not_use(evse, reserved=False):
        return refused
    if evse.details and "Reservation" not in evse.details["value_added_services"]:
        return Refused(Refusal.NOT_OFFERED, "it takes no reservations")
    return None


def why_not_use(evse: Evse, *, reserved: bool) -> Refused | None:
    """Return what stands against using an EVSE at all."""
    if not evse.roaming:
        return Refused(Refusal.NOT_FOR_ROAMING)
    if not evse.online:
        return Refused(Refusal.OFFLINE, "the charging point is offline")
    # What the charging point reports of itself as a whole holds for all its EVSEs.
    for status in (evse.whole_status, evse.status):
        refusal = _of_status(status)
        if refusal is not None and not (refusal is Refusal.RESERVED and reserved):
            return Refused(refusal)
    if evse.in_use:
        return Refused(Refusal.IN_USE)
    if evse.reservation is not None and not reserved:
        return Refused(Refusal.RESERVED)
    return None


def _of_status(status: str | None) -> Refusal | None:
    """Return what a status in OCPP's words stands against; one that is not known, nothing."""
    match status:
        case "Reserved":
            return Refusal.RESERVED
        case "Faulted" | "Unavailable":
            return Refusal.OUT_OF_SERVICE
        case "Charging" | "SuspendedEV" | "SuspendedEVSE" | "Finishing" | "Occupied":
            return Refusal.IN_USE
        case _:
            return None
