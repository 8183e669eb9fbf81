"""Charging profiles: how much power a connector may give at a moment, and from then on.

Source: OCPP 1.6 section 3.13 and 7.8 to 7.13; 2.0.1 section K has the same rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from charging_point_simulator.station.car import PHASES, VOLTAGE_V

MAX_STACK_LEVEL = 10
MAX_PERIODS = 50
MAX_PROFILES = 20
_DAY_SECONDS = 86_400
_RECURRENCE_SECONDS = {"Daily": _DAY_SECONDS, "Weekly": 7 * _DAY_SECONDS}


class Purpose(StrEnum):
    """What a profile is for, in the words of 1.6."""

    CHARGING_POINT = "ChargePointMaxProfile"
    DEFAULT = "TxDefaultProfile"
    SESSION = "TxProfile"


@dataclass(frozen=True)
class Period:
    """From `start_s` after the schedule's start: a limit in the schedule's unit."""

    start_s: int
    limit: float
    phases: int = PHASES


@dataclass(frozen=True)
class Profile:
    """A charging profile at a connector; 0 is the whole charging point.

    kind: Absolute, Recurring or Relative. unit: A (a phase) or W. start: of the schedule;
    without one it begins with the session. recurrency: Daily or Weekly.
    """

    number: int
    connector: int
    stack_level: int
    purpose: Purpose
    kind: str
    unit: str
    periods: tuple[Period, ...]
    transaction: int | str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    start: datetime | None = None
    duration_s: int | None = None
    recurrency: str | None = None

    @property
    def sound(self) -> bool:
        """Whether its periods and stack level are ones that a charging point can hold."""
        starts = [period.start_s for period in self.periods]
        ordered = starts[:1] == [0] and starts == sorted(set(starts))
        return ordered and len(starts) <= MAX_PERIODS and 0 <= self.stack_level <= MAX_STACK_LEVEL

    def period(self, now: datetime, session_start: datetime | None) -> Period | None:
        """Return the period that holds at a moment, None when the profile says nothing."""
        if self.valid_from is not None and now < self.valid_from:
            return None
        if self.valid_to is not None and now >= self.valid_to:
            return None
        elapsed = self._elapsed(now, session_start)
        if elapsed is None or elapsed < 0:
            return None
        if self.duration_s is not None and elapsed >= self.duration_s:
            return None
        found = [period for period in self.periods if period.start_s <= elapsed]
        return found[-1] if found else None

    def limit_w(self, now: datetime, session_start: datetime | None) -> float | None:
        """Return the limit in W at a moment, None when the profile says nothing."""
        period = self.period(now, session_start)
        if period is None:
            return None
        return period.limit * (VOLTAGE_V * period.phases if self.unit == "A" else 1)

    def changes(
        self, now: datetime, until: datetime, session_start: datetime | None
    ) -> Iterable[datetime]:
        """Yield the moments between two others at which the limit may change."""
        yield from (
            t for t in (self.valid_from, self.valid_to) if t is not None and now < t <= until
        )
        start = self._start(now, session_start)
        if start is None:
            return
        cycle = _RECURRENCE_SECONDS.get(self.recurrency or "") if self.kind == "Recurring" else None
        offsets = [period.start_s for period in self.periods]
        offsets += [] if self.duration_s is None else [self.duration_s]
        while start <= until:
            for offset in offsets:
                moment = start + timedelta(seconds=offset)
                if now < moment <= until:
                    yield moment
            if cycle is None:
                return
            start += timedelta(seconds=cycle)

    def _start(self, now: datetime, session_start: datetime | None) -> datetime | None:
        """Return the start of the schedule, or of its cycle, that holds now."""
        if self.kind == "Relative" or self.start is None:
            return session_start
        if self.kind != "Recurring":
            return self.start
        cycle = _RECURRENCE_SECONDS.get(self.recurrency or "", _DAY_SECONDS)
        since = (now - self.start).total_seconds()
        return self.start + timedelta(seconds=since // cycle * cycle) if since >= 0 else self.start

    def _elapsed(self, now: datetime, session_start: datetime | None) -> float | None:
        start = self._start(now, session_start)
        return None if start is None else (now - start).total_seconds()


class Profiles:
    """The profiles of a charging point."""

    def __init__(self) -> None:
        self._profiles: list[Profile] = []

    def __len__(self) -> int:
        return len(self._profiles)

    def numbers(self) -> set[int]:
        """Return the numbers of all."""
        return {profile.number for profile in self._profiles}

    def add(self, profile: Profile) -> None:
        """Install a profile; one of its number, or of its place in the stack, is replaced."""
        self._profiles = [*self._others(profile), profile]

    def has_room(self, profile: Profile, most: int) -> bool:
        """Whether a profile may be added where there may be so many."""
        return len(self._others(profile)) < most

    def _others(self, profile: Profile) -> list[Profile]:
        place = (profile.connector, profile.purpose, profile.stack_level)
        return [
            p
            for p in self._profiles
            if p.number != profile.number and (p.connector, p.purpose, p.stack_level) != place
        ]

    def clear(
        self,
        number: int | None = None,
        connector: int | None = None,
        purpose: str | None = None,
        stack_level: int | None = None,
    ) -> int:
        """Remove those that match all that is given; return how many."""
        wanted = (number, connector, purpose, stack_level)
        kept = [
            p
            for p in self._profiles
            if any(
                want is not None and want != have
                for want, have in zip(
                    wanted, (p.number, p.connector, p.purpose, p.stack_level), strict=True
                )
            )
        ]
        removed = len(self._profiles) - len(kept)
        self._profiles = kept
        return removed

    def end_session(self, connector: int) -> None:
        """Remove what held for a connector's session only."""
        self.clear(connector=connector, purpose=Purpose.SESSION)

    def limit_w(
        self, connector: int, now: datetime, session_start: datetime | None, sharing: int = 1
    ) -> float:
        """Return what a connector may give, in W; infinite without a limit.

        sharing: how many connectors share the limit of the whole charging point.
        """
        limits = [math.inf]
        whole = self._topmost((Purpose.CHARGING_POINT,), 0, now, session_start)
        if whole is not None:
            limits.append(whole / max(1, sharing))
        own = None
        if session_start is not None:
            own = self._topmost((Purpose.SESSION,), connector, now, session_start)
        if own is None:
            own = self._topmost((Purpose.DEFAULT,), connector, now, session_start)
        if own is not None:
            limits.append(own)
        return min(limits)

    def _topmost(
        self,
        purposes: Sequence[Purpose],
        connector: int,
        now: datetime,
        session_start: datetime | None,
    ) -> float | None:
        """Return the limit of the highest stack level that says something.

        A profile of the connector itself goes before one of the whole charging point.
        """
        ordered = sorted(
            (p for p in self._profiles if p.purpose in purposes and p.connector in (0, connector)),
            key=lambda p: (p.stack_level, p.connector != 0),
            reverse=True,
        )
        for profile in ordered:
            limit = profile.limit_w(now, session_start)
            if limit is not None:
                return limit
        return None

    def next_change(self, now: datetime, session_starts: Iterable[datetime]) -> datetime | None:
        """Return when a limit may change next, within the day."""
        until = now + timedelta(seconds=_DAY_SECONDS)
        starts: list[datetime | None] = [*session_starts]
        moments = [
            moment
            for profile in self._profiles
            for start in starts
            for moment in profile.changes(now, until, start)
        ]
        return min(moments, default=None)

    def composite(
        self,
        connector: int,
        now: datetime,
        duration_s: int,
        session_start: datetime | None,
        most_w: float,
    ) -> list[tuple[int, float]]:
        """Return (seconds from now, limit in W), a pair for each change, the first at 0."""
        until = now + timedelta(seconds=duration_s)
        moments = {now} | {
            moment
            for profile in self._profiles
            for moment in profile.changes(now, until, session_start or now)
            if moment < until
        }
        schedule: list[tuple[int, float]] = []
        for moment in sorted(moments):
            limit = min(most_w, self.limit_w(connector, moment, session_start or now))
            if not schedule or schedule[-1][1] != limit:
                schedule.append((round((moment - now).total_seconds()), limit))
        return schedule
