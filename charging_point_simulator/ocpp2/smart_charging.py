"""Charging profiles. Source: OCPP 2.0.1 part 2, section K; of 2.1: K21 and K28."""

from __future__ import annotations

from dataclasses import replace

from charging_point_simulator.ocpp2.context import (
    Command,
    Context,
    Payload,
    constant,
)
from charging_point_simulator.station.calls import CallError
from charging_point_simulator.station.car import PHASES
from charging_point_simulator.station.limits import MAX_PROFILES, Period, Profile, Purpose
from charging_point_simulator.station.timers import write_time
from charging_point_simulator.unversioned import composite_periods, read_optional_time

_PURPOSES = {
    "ChargingStationExternalConstraints": Purpose.CHARGING_POINT,
    "ChargingStationMaxProfile": Purpose.CHARGING_POINT,
    "TxDefaultProfile": Purpose.DEFAULT,
    "TxProfile": Purpose.SESSION,
}


def read_profile(payload: Payload, evse: int) -> Profile:
    """Read a charging profile that has passed its schema; its first schedule is followed.

    Raises CallError.
    """
    schedule = payload["chargingSchedule"][0]
    purpose = _PURPOSES.get(payload["chargingProfilePurpose"])
    if purpose is None:
        raise CallError("NotSupported", f"{payload['chargingProfilePurpose']} profiles")
    return Profile(
        payload["id"],
        evse,
        payload["stackLevel"],
        purpose,
        payload["chargingProfileKind"],
        schedule["chargingRateUnit"],
        tuple(
            Period(
                period["startPeriod"], period.get("limit", 0), period.get("numberPhases", PHASES)
            )
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
            evse = context.evse(profile.connector)
            session = None if evse is None else evse.session
            # K01.FR.03: a TxProfile names its transaction.
            return session is not None and profile.transaction == session.record.transaction_id
    return True


def set_charging_profile(context: Context, payload: Payload) -> Payload:
    """Install a profile; it holds at once."""
    written, evse = payload["chargingProfile"], payload["evseId"]
    profile = read_profile(written, evse)
    if not _is_acceptable(context, profile):
        return {"status": "Rejected"}
    context.point.profiles.add(profile)
    context.profiles[profile.number] = (evse, written)
    context.point.afterwards.append(context.point.refresh_limits)
    return {"status": "Accepted"}


def clear_charging_profile(context: Context, payload: Payload) -> Payload:
    """Remove the profiles that match."""
    criteria = payload.get("chargingProfileCriteria", {})
    purpose = criteria.get("chargingProfilePurpose")
    removed = context.point.profiles.clear(
        payload.get("chargingProfileId"),
        criteria.get("evseId"),
        None if purpose is None else _PURPOSES.get(purpose, purpose),
        criteria.get("stackLevel"),
    )
    context.point.afterwards.append(context.point.refresh_limits)
    return {"status": "Accepted" if removed else "Unknown"}


def get_charging_profiles(context: Context, payload: Payload) -> Payload:
    """Report the profiles that match, a message an EVSE."""
    installed = context.point.profiles.numbers()
    criteria = payload["chargingProfile"]
    by_evse: dict[int, list[Payload]] = {}
    for number, (evse, written) in sorted(context.profiles.items()):
        if (
            number in installed
            and payload.get("evseId") in (None, evse)
            and number in criteria.get("chargingProfileId", [number])
            and criteria.get("stackLevel") in (None, written["stackLevel"])
            and criteria.get("chargingProfilePurpose") in (None, written["chargingProfilePurpose"])
            and "CSO" in criteria.get("chargingLimitSource", ["CSO"])
        ):
            by_evse.setdefault(evse, []).append(written)
    if not by_evse:
        return {"status": "NoProfiles"}
    for place, (evse, found) in enumerate(by_evse.items()):
        report = {
            "requestId": payload["requestId"],
            "chargingLimitSource": "CSO",
            "evseId": evse,
            "chargingProfile": found,
            "tbc": place + 1 < len(by_evse),
        }
        context.afterwards(constant("ReportChargingProfiles", report))
    return {"status": "Accepted"}


def get_composite_schedule(context: Context, payload: Payload) -> Payload:
    """Return what an EVSE may give from now on, as far as it is known."""
    point, number = context.point, payload["evseId"]
    if number and number not in point.connectors:
        return {"status": "Rejected"}
    unit, periods = composite_periods(context, number, payload)
    return {
        "status": "Accepted",
        "schedule": {
            "evseId": number,
            "duration": payload["duration"],
            "scheduleStart": write_time(context.now),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": periods,
        },
    }


def update_dynamic_schedule(context: Context, payload: Payload) -> Payload:
    """Change the limit of a dynamic profile that is installed. Source: 2.1, K28."""
    number = payload["chargingProfileId"]
    if number not in context.point.profiles.numbers():
        return {"status": "Rejected"}
    evse, written = context.profiles[number]
    limit = payload["scheduleUpdate"].get("limit")
    if written["chargingProfileKind"] != "Dynamic" or limit is None:
        return {"status": "Rejected"}
    profile = read_profile(written, evse)
    period = replace(profile.periods[0], limit=limit)
    context.point.profiles.add(replace(profile, periods=(period,)))
    context.point.afterwards.append(context.point.refresh_limits)
    return {"status": "Accepted"}


def use_priority_charging(context: Context, payload: Payload) -> Payload:
    """Charge with priority; no profile for it is ever installed here. Source: 2.1, K21."""
    if context.by_transaction(payload["transactionId"]) is None:
        return {"status": "Rejected"}
    return {"status": "NoProfile"}


COMMANDS: dict[str, Command] = {
    "ClearChargingProfile": clear_charging_profile,
    "GetChargingProfiles": get_charging_profiles,
    "GetCompositeSchedule": get_composite_schedule,
    "SetChargingProfile": set_charging_profile,
}
COMMANDS_V21: dict[str, Command] = {
    "UpdateDynamicSchedule": update_dynamic_schedule,
    "UsePriorityCharging": use_priority_charging,
}
