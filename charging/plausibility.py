"""Whether what a charging point reports of a session can be, before anybody is billed for it.

A partner cannot be sent a correction, so what cannot be waits for a person, with the reason and
what could be done about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a charging point's clock may be off."""
LONGEST = timedelta(days=31)
ALLOWANCE_WH = 1000
"""A register that counts whole kWh is off by so much."""
UNKNOWN_POWER_KW = 1000.0
"""Of an EVSE whose power nobody filled in."""
ESTIMATED_START = "start_register"
"""The doubt (`sessions.doubts`) of a session whose register at the start is an estimate."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A session as it was reported. Times are aware, registers in Wh.

    authorized_at: when it was authorized, None where that may be later than its start. power_kw:
    of the EVSE. doubts: as `sessions.doubts` has them.
    """

    started_at: datetime
    ended_at: datetime
    meter_start_wh: int
    meter_stop_wh: int
    authorized_at: datetime | None = None
    power_kw: float | None = None
    doubts: tuple[str, ...] = ()


def why_not_plausible(reported: Reported, power_margin: float) -> str | None:
    """Return why a session cannot be as it was reported, with a proposal; None if it can.

    power_margin: how much more than its power an EVSE may have given on average, such as 1.2.
    """
    early = why_not_begun(reported.started_at, reported.authorized_at)
    if early is not None:
        return early
    duration = reported.ended_at - reported.started_at
    if duration > LONGEST:
        return (
            f"it took {duration.days} days, more than {LONGEST.days};"
            f" proposal: correct its times by what was received when"
        )
    if ESTIMATED_START in reported.doubts:
        return (
            "its register at the start was not reported, and is taken from the session before;"
            f" proposal: bill the {_kwh(_energy_wh(reported))} kWh if nothing charged in between"
        )
    power_kw = reported.power_kw or UNKNOWN_POWER_KW
    hours = max(duration.total_seconds(), 0) / 3600
    most_wh = round(power_kw * 1000 * hours * power_margin) + ALLOWANCE_WH
    if _energy_wh(reported) > most_wh:
        return (
            f"{_kwh(_energy_wh(reported))} kWh in {duration.total_seconds():.0f} s are more than"
            f" {power_kw:g} kW can give; proposal: bill at most {_kwh(most_wh)} kWh, or correct"
            " its registers by its readings"
        )
    return None


def why_not_begun(started_at: datetime, authorized_at: datetime | None) -> str | None:
    """Return why a session cannot have begun when it says; None if it can."""
    if authorized_at is None or started_at >= authorized_at - CLOCK_TOLERANCE:
        return None
    return (
        f"it began at {started_at:%Y-%m-%d %H:%M:%S}, before it was authorized;"
        f" proposal: bill it from {authorized_at:%Y-%m-%d %H:%M:%S} UTC on"
    )


def _energy_wh(reported: Reported) -> int:
    return reported.meter_stop_wh - reported.meter_start_wh


def _kwh(wh: int) -> str:
    return f"{wh / 1000:g}"
