"""What our own cards pay: tariffs with prices by time of day, and what a session costs by one.

Prices are Decimals without tax, energy is integer Wh, time integer seconds, and amounts are
integers in the currency's smallest unit. The cost of a session is the sum of its steps, so whoever
has them can add them up again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from itertools import pairwise

from charging.metering import Register, measure_session
from charging.standard_codes import minor_digits

DEFAULT = "default"
"""The tariff of a card that has none of its own."""
DAY_MINUTES = 24 * 60
_TRANSITIONS = timedelta(minutes=15)
"""Clocks are put forward and back at quarters of an hour, in every zone."""
_STEP = Decimal("0.000001")


class What(StrEnum):
    """What a step of a cost is for."""

    ENERGY = "energy"
    """quantity: Wh; price: per kWh."""
    TIME = "time"
    """While it charged. quantity: s; price: per minute."""
    IDLE = "idle"
    """After it had charged, beyond what is free. quantity: s; price: per minute."""
    SESSION = "session"
    """quantity: 1; price: of each session."""


_PER = {What.ENERGY: 1000, What.TIME: 60, What.IDLE: 60, What.SESSION: 1}


@dataclass(frozen=True, slots=True)
class Period:
    """Prices that hold at a time of day.

    days: 0 is Monday; of the day on which it begins. begin, end: minutes of the day where it is
    charged; where end is not after begin, it goes on until that minute of the next day.
    """

    name: str
    days: frozenset[int]
    begin: int
    end: int
    per_kwh: Decimal
    per_minute: Decimal
    idle_per_minute: Decimal

    def holds(self, weekday: int, minute: int) -> bool:
        """Return whether it holds at a minute of a day."""
        if self.begin < self.end:
            return weekday in self.days and self.begin <= minute < self.end
        return (weekday in self.days and minute >= self.begin) or (
            (weekday - 1) % 7 in self.days and minute < self.end
        )


@dataclass(frozen=True, slots=True)
class Tariff:
    """What sessions cost that begin from valid_from on, until there is a later one of its name.

    periods: the first that holds counts; the last holds always.
    """

    name: str
    valid_from: datetime
    currency: str
    tax_percent: Decimal
    session_fee: Decimal
    idle_free_minutes: int
    periods: tuple[Period, ...]

    def period_at(self, local: datetime) -> Period:
        """Return the period that holds at a local time."""
        minute = local.hour * 60 + local.minute
        return next(each for each in self.periods if each.holds(local.weekday(), minute))


@dataclass(frozen=True, slots=True)
class Use:
    """A session as it is billed. readings: in any order; zone: of the place."""

    began: Register
    ended: Register
    zone: tzinfo
    readings: Sequence[Register] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a cost; what says the units. period: its name, empty where there is but one."""

    what: What
    period: str
    quantity: int
    price: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class Cost:
    """net, tax: in the currency's smallest unit."""

    currency: str
    net: int
    tax: int
    steps: tuple[Step, ...]


def cost_of(tariff: Tariff, use: Use) -> Cost:
    """Return what a session costs. One in which nothing was charged costs nothing."""
    steps = list(_steps(tariff, use)) if use.ended.energy_wh > use.began.energy_wh else []
    unit = Decimal(10) ** minor_digits(tariff.currency)
    net = _whole(sum((step.net for step in steps), Decimal()) * unit)
    return Cost(tariff.currency, net, _whole(net * tariff.tax_percent / 100), tuple(steps))


def amount(value: int, currency: str) -> str:
    """Return an amount as people read it: ``12.30 EUR``."""
    digits = minor_digits(currency)
    return f"{Decimal(value).scaleb(-digits):.{digits}f} {currency}"


def _steps(tariff: Tariff, use: Use) -> Iterator[Step]:
    curve = _curve(use)
    charged_at = next(each.at for each in curve if each.energy_wh == use.ended.energy_wh)
    idle_from = charged_at + timedelta(minutes=tariff.idle_free_minutes)
    uses = {period: [0, 0, 0] for period in tariff.periods}
    cuts = _cuts(tariff, use)
    registers = [
        use.began.energy_wh,
        *(_register_at(curve, cut) for cut in cuts[1:-1]),
        use.ended.energy_wh,
    ]
    for (begin, end), (from_wh, to_wh) in zip(pairwise(cuts), pairwise(registers), strict=True):
        used = uses[tariff.period_at(begin.astimezone(use.zone))]
        used[0] += to_wh - from_wh
        used[1] += _seconds(use.began.at, min(end, charged_at))
        used[1] -= _seconds(use.began.at, min(begin, charged_at))
        used[2] += _seconds(idle_from, end) - _seconds(idle_from, begin)
    if tariff.session_fee:
        yield _step(What.SESSION, "", 1, tariff.session_fee)
    for period, (energy_wh, seconds, idle_seconds) in uses.items():
        if energy_wh:
            yield _step(What.ENERGY, period.name, energy_wh, period.per_kwh)
        if seconds and period.per_minute:
            yield _step(What.TIME, period.name, seconds, period.per_minute)
        if idle_seconds and period.idle_per_minute:
            yield _step(What.IDLE, period.name, idle_seconds, period.idle_per_minute)


def _step(what: What, period: str, quantity: int, price: Decimal) -> Step:
    net = (price * quantity / _PER[what]).quantize(_STEP, ROUND_HALF_UP)
    return Step(what, period, quantity, price, net)


def _curve(use: Use) -> list[Register]:
    """Return the register over the session: never falling, from its start to its stop."""
    measured = measure_session(use.began, use.readings, use.ended)
    counts_from = use.began.energy_wh if measured.relative else 0
    curve = [use.began]
    for each in sorted(set(use.readings) - set(measured.glitches), key=_when):
        register = Register(each.at, each.energy_wh + counts_from)
        in_time = curve[-1].at < register.at < use.ended.at
        if in_time and curve[-1].energy_wh <= register.energy_wh <= use.ended.energy_wh:
            curve.append(register)
    return [*curve, use.ended]


def _when(register: Register) -> tuple[datetime, int]:
    return register.at, register.energy_wh


def _register_at(curve: Sequence[Register], at: datetime) -> int:
    """Return what the register showed within a session: on the line between two readings."""
    place = bisect_right(curve, at, key=lambda each: each.at)
    before, after = curve[place - 1], curve[place]
    # In whole microseconds, so that a boundary has the same register on both its sides.
    micro = timedelta(microseconds=1)
    passed, whole = (at - before.at) // micro, (after.at - before.at) // micro
    return before.energy_wh + (after.energy_wh - before.energy_wh) * passed // whole


def _cuts(tariff: Tariff, use: Use) -> list[datetime]:
    """Return the times of a session between which one period holds, its ends included."""
    began, ended = use.began.at, max(use.began.at, use.ended.at)
    minutes = {each for period in tariff.periods for each in (0, period.begin, period.end)}
    day, last = began.astimezone(use.zone).date(), ended.astimezone(use.zone).date()
    cuts = set()
    while day <= last:
        for minute in minutes:
            local = datetime.combine(day, time()) + timedelta(minutes=minute)
            for fold in (0, 1):
                cuts.add(local.replace(tzinfo=use.zone, fold=fold).astimezone(began.tzinfo))
        day += timedelta(days=1)
    cuts |= set(_changes_of_clocks(began, ended, use.zone))
    return [began, *sorted(cut for cut in cuts if began < cut < ended), ended]


def _changes_of_clocks(began: datetime, ended: datetime, zone: tzinfo) -> Iterator[datetime]:
    offset = began.astimezone(zone).utcoffset()
    if offset == ended.astimezone(zone).utcoffset():
        return
    at = began.replace(minute=0, second=0, microsecond=0)
    while at < ended:
        at += _TRANSITIONS
        if (now := at.astimezone(zone).utcoffset()) != offset:
            yield at
            offset = now


def _seconds(since: datetime, until: datetime) -> int:
    return max(timedelta(), until - since) // timedelta(seconds=1)


def _whole(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))
