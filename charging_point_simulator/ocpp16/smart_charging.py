"""Charging profiles. Source: OCPP 1.6 sections 3.13, 5.5, 5.7 and 5.16."""

from __future__ import annotations

from charging_point_simulator.ocpp16.context import (
    Command,
    Context,
    Payload,
)
from charging_point_simulator.station.car import PHASES
from charging_point_simulator.station.limits import MAX_PROFILES, Period, Profile, Purpose
from charging_point_simulator.station.timers import write_time
from charging_point_simulator.unversioned import composite_periods, read_optional_time


def read_profile(payload: Payload, connector: int) -> Profile:
    """Read a charging profile that has passed its schema. Raises CallError."""
    schedule = payload["chargingSchedule"]
    return Profile(
        payload["chargingProfileId"],
        connector,
        payload["stackLevel"],
        Purpose(payload["chargingProfilePurpose"]),
        payload["chargingProfileKind"],
        schedule["chargingRateUnit"],
        tuple(
            Period(period["startPeriod"], period["limit"], period.get("numberPhases", PHASES))
            for period in schedule["chargingSchedulePeriod"]
        ),
        payload.get("transactionId"),
        read_optional_time(payload.get("validFrom")),
        read_optional_time(payload.get("validTo")),
        read_optional_time(schedule.get("startSchedule")),
        schedule.get("duration"),
        payload.get("recurrencyKind"),
    )


def _is_acceptable(context: Context, profile: Profile) -> bool:
    point = context.point
    if profile.connector and profile.connector not in point.connectors:
        return False
    if not profile.sound or not point.profiles.has_room(profile, MAX_PROFILES):
        return False
    match profile.purpose:
        case Purpose.CHARGING_POINT:
            return profile.connector == 0 and profile.kind != "Relative"
        case Purpose.SESSION:
            connector = point.connectors.get(profile.connector)
            session = None if connector is None else connector.session
            return session is not None and profile.transaction in (
                None,
                session.record.transaction_id,
            )
    return True


def set_charging_profile(context: Context, payload: Payload) -> Payload:
    """Install a profile; it holds at once."""
    profile = read_profile(payload["csChargingProfiles"], payload["connectorId"])
    if not _is_acceptable(context, profile):
        return {"status": "Rejected"}
    context.point.profiles.add(profile)
    context.point.afterwards.append(context.point.refresh_limits)
    return {"status": "Accepted"}


def clear_charging_profile(context: Context, payload: Payload) -> Payload:
    """Remove the profiles that match."""
    removed = context.point.profiles.clear(
        payload.get("id"),
        payload.get("connectorId"),
        payload.get("chargingProfilePurpose"),
        payload.get("stackLevel"),
    )
    context.point.afterwards.append(context.point.refresh_limits)
    return {"status": "Accepted" if removed else "Unknown"}


def get_composite_schedule(context: Context, payload: Payload) -> Payload:
    """Return what a connector may give from now on, as far as it is known."""
    point, number = context.point, payload["connectorId"]
    if number and number not in point.connectors:
        return {"status": "Rejected"}
    unit, periods = composite_periods(context, number, payload)
    return {
        "status": "Accepted",
        "connectorId": number,
        "scheduleStart": write_time(context.now),
        "chargingSchedule": {
            "duration": payload["duration"],
            "startSchedule": write_time(context.now),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": periods,
        },
    }


COMMANDS: dict[str, Command] = {
    "ClearChargingProfile": clear_charging_profile,
    "GetCompositeSchedule": get_composite_schedule,
    "SetChargingProfile": set_charging_profile,
}
