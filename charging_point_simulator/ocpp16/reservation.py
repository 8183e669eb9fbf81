"""Reservations. Source: OCPP 1.6 sections 5.1 and 5.13."""

from __future__ import annotations

from charging_point_simulator.ocpp16.context import Command, Context, Payload
from charging_point_simulator.station import operators
from charging_point_simulator.station.connector import Reservation
from charging_point_simulator.unversioned import read_time


def reserve_now(context: Context, payload: Payload) -> Payload:
    """Keep a connector for a token."""
    reservation = Reservation(
        payload["reservationId"],
        payload["idTag"],
        payload.get("parentIdTag"),
        read_time(payload["expiryDate"]),
    )
    return {"status": operators.reserve(context.point, payload["connectorId"], reservation)}


def cancel_reservation(context: Context, payload: Payload) -> Payload:
    """Free a connector."""
    found = operators.cancel_reservation(context.point, payload["reservationId"])
    return {"status": "Accepted" if found else "Rejected"}


COMMANDS: dict[str, Command] = {
    "CancelReservation": cancel_reservation,
    "ReserveNow": reserve_now,
}
