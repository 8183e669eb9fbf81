"""OCPP 2.x: charging profiles. Source: OCPP 2.0.1 part 2, ChargingProfileType."""

from __future__ import annotations

from charging.intents import Profile, ProfilePurpose, Recurrency
from cp_backend.ocpp.times import write_time
from cp_backend.vocabulary import JsonObject

PURPOSES = {
    ProfilePurpose.WHOLE: "ChargingStationMaxProfile",
    ProfilePurpose.DEFAULT: "TxDefaultProfile",
    ProfilePurpose.SESSION: "TxProfile",
}
_RECURRENCIES = {Recurrency.DAILY: "Daily", Recurrency.WEEKLY: "Weekly"}


def write_profile(profile: Profile, session: str | None) -> JsonObject:
    """Write a profile. session: the charging point's own name of the one that it is for."""
    if profile.recurrency is not None:
        kind = "Recurring"
    else:
        kind = "Relative" if profile.starts_at is None else "Absolute"
    schedule = {
        "id": profile.profile_id,
        "startSchedule": None if profile.starts_at is None else write_time(profile.starts_at),
        "duration": profile.duration_seconds,
        "chargingRateUnit": profile.unit.value,
        "chargingSchedulePeriod": [
            _present(
                {
                    "startPeriod": period.start_seconds,
                    "limit": period.limit,
                    "numberPhases": period.phases,
                }
            )
            for period in profile.periods
        ],
        "minChargingRate": profile.minimum_rate,
    }
    return _present(
        {
            "id": profile.profile_id,
            "stackLevel": profile.stack_level,
            "chargingProfilePurpose": PURPOSES[profile.purpose],
            "chargingProfileKind": kind,
            "recurrencyKind": (
                None if profile.recurrency is None else _RECURRENCIES[profile.recurrency]
            ),
            "validFrom": None if profile.valid_from is None else write_time(profile.valid_from),
            "validTo": None if profile.valid_to is None else write_time(profile.valid_to),
            "chargingSchedule": [_present(schedule)],
            "transactionId": session,
        }
    )


def _present(members: JsonObject) -> JsonObject:
    return {name: value for name, value in members.items() if value is not None}
