"""How a car charges: power rises, stays, and tapers off as the battery fills."""

from __future__ import annotations

import random
from dataclasses import dataclass

RAMP_SECONDS = 30.0
TAPER_FROM = 0.8
VOLTAGE_V = 230.0
PHASES = 3


@dataclass
class Car:
    """A car at a charging point. state_of_charge from 0 to 1; power in W, energy in Wh."""

    battery_wh: float
    state_of_charge: float
    max_power_w: float
    elapsed_s: float = 0.0

    @property
    def power_w(self) -> float:
        """What it draws at this moment."""
        ramp = min(1.0, self.elapsed_s / RAMP_SECONDS)
        taper = min(1.0, max(0.03, (1 - self.state_of_charge) / (1 - TAPER_FROM)))
        return self.max_power_w * ramp * taper if self.state_of_charge < 1 else 0.0

    @property
    def current_a(self) -> float:
        """The current on each of three phases."""
        return self.power_w / (PHASES * VOLTAGE_V)

    def charge(self, seconds: float) -> float:
        """Charge for a while; return the energy taken, in Wh (not rounded)."""
        taken = 0.0
        while seconds > 0:
            step = min(seconds, 10.0)
            before = self.power_w
            self.elapsed_s += step
            energy = (before + self.power_w) / 2 * step / 3600
            energy = min(energy, (1 - self.state_of_charge) * self.battery_wh)
            self.state_of_charge = min(1.0, self.state_of_charge + energy / self.battery_wh)
            taken += energy
            seconds -= step
        return taken


def any_car(chance: random.Random) -> Car:
    """Return a plausible car that has come to charge."""
    return Car(
        battery_wh=chance.choice((40_000, 58_000, 77_000, 95_000)),
        state_of_charge=chance.uniform(0.1, 0.7),
        max_power_w=chance.choice((3_700, 7_400, 11_000, 22_000)),
    )
