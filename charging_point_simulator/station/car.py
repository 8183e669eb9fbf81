"""How a car charges: power rises, stays, and tapers off as the battery fills."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

RAMP_SECONDS = 30.0
TAPER_FROM = 0.8
VOLTAGE_V = 230.0
PHASES = 3
_STEP_SECONDS = 10.0


@dataclass
class Car:
    """A car at a charging point. state_of_charge from 0 to 1; power in W, energy in Wh.

    speed: how many times faster than a real car it charges. Its power is so many times a real
    car's, and its session so many times shorter, so that energy stays the integral of power.
    """

    battery_wh: float
    state_of_charge: float
    max_power_w: float
    speed: float = 1.0
    elapsed_s: float = 0.0

    @property
    def full(self) -> bool:
        """Whether it takes nothing any more."""
        return self.state_of_charge >= 1

    def power_w(self, limit_w: float = math.inf) -> float:
        """Return what it draws at this moment where `limit_w` is offered."""
        if self.full:
            return 0.0
        ramp = min(1.0, self.elapsed_s / RAMP_SECONDS)
        taper = min(1.0, max(0.03, (1 - self.state_of_charge) / (1 - TAPER_FROM)))
        return min(self.max_power_w * ramp * taper * self.speed, max(0.0, limit_w))

    def charge(self, seconds: float, limit_w: float = math.inf) -> float:
        """Charge for so many seconds; return the energy taken, in Wh (not rounded)."""
        taken = 0.0
        left = seconds * self.speed
        while left > 0:
            step = min(left, _STEP_SECONDS)
            before = self.power_w(limit_w)
            self.elapsed_s += step
            energy = (before + self.power_w(limit_w)) / 2 * step / self.speed / 3600
            energy = min(energy, (1 - self.state_of_charge) * self.battery_wh)
            self.state_of_charge = min(1.0, self.state_of_charge + energy / self.battery_wh)
            taken += energy
            left -= step
        return taken


def any_car(chance: random.Random, speed: float = 1.0) -> Car:
    """Return a plausible car that has come to charge."""
    return Car(
        battery_wh=chance.choice((40_000, 58_000, 77_000, 95_000)),
        state_of_charge=chance.uniform(0.1, 0.7),
        max_power_w=chance.choice((3_700, 7_400, 11_000, 22_000)),
        speed=speed,
    )


def current_a(power_w: float) -> float:
    """Return the current on each of three phases."""
    return power_w / (PHASES * VOLTAGE_V)
