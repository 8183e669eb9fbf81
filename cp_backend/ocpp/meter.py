"""The energy register among the sampled values of one reading, in whichever way it is told.

Source: OCPP 1.6 section 7.43 SampledValue (a value without a measurand is the energy register, in
Wh; without a location it is the outlet's), and what charging points make of it. Without I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN
from typing import Any

from cp_backend.ocpp.spellings import UNITS_OF_ENERGY, read_written

MAX_REGISTER_WH = 10**10
"""Beyond this (10 GWh) a register is noise, and its sum would not fit the database for long."""

ENERGY_REGISTER = "Energy.Active.Import.Register"

# Of two registers in one reading the one that belongs to its end counts.
_CONTEXTS = {
    "Transaction.End": 0,
    "Sample.Periodic": 1,
    "Sample.Clock": 1,
    "Trigger": 1,
    "Other": 2,
    "Interruption.End": 2,
    "Interruption.Begin": 2,
    "Transaction.Begin": 3,
}
_USUAL_CONTEXT = 1  # the standard's default is Sample.Periodic
_UNKNOWN_CONTEXT = 2
_LOCATIONS = {"Outlet": 0, "Cable": 1, "Body": 1, "EV": 2}
_PHASES = {
    **dict.fromkeys(("L1", "L1-N", "1", "A", "R", "U", "P1", "L1N"), 0),
    **dict.fromkeys(("L2", "L2-N", "2", "B", "S", "V", "P2", "L2N"), 1),
    **dict.fromkeys(("L3", "L3-N", "3", "C", "T", "W", "P3", "L3N"), 2),
}
# Between two phases or on the neutral there is no register; all words else are of the whole meter.
_NO_PHASES = frozenset({"L1-L2", "L2-L3", "L3-L1", "N"})
_LETTERS = re.compile(r"[^a-z]")


def read_register_wh(samples: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the energy register of a reading in Wh, None without one.

    samples: sampled values of OCPP 1.6. Transaction.End comes before Sample.*, these before
    Transaction.Begin; the whole meter before its phases; of phases their sum.
    """
    best: int | None = None
    best_rank = (99, 99, 99)
    phases: dict[tuple[int, int], list[int | None]] = {}
    for sample in samples:
        # Here and not in _place: most samples are of something else, for each message.
        if sample.get("measurand", ENERGY_REGISTER) != ENERGY_REGISTER:
            continue
        place = _place(sample)
        if place is None:
            continue
        context, location, phase = place
        if phase is None and (context, location, 0) >= best_rank:
            continue
        energy = _energy_wh(sample["value"], str(sample.get("unit") or "Wh"))
        if energy is None:
            continue
        if phase is None:
            best, best_rank = energy, (context, location, 0)
        else:
            of_phases = phases.setdefault((context, location), [None, None, None])
            if of_phases[phase] is None:
                of_phases[phase] = energy
    if best is not None or not phases:
        return best
    return sum(energy for energy in phases[min(phases)] if energy is not None)


def _place(sample: Mapping[str, Any]) -> tuple[int, int, int | None] | None:
    """Return the rank of a register's context and location and its phase, None for no register."""
    if sample.get("format", "Raw") != "Raw":
        return None
    location = _LOCATIONS.get(sample.get("location", "Outlet"))
    if location is None:
        return None
    context = sample.get("context")
    rank = _USUAL_CONTEXT if context is None else _CONTEXTS.get(context, _UNKNOWN_CONTEXT)
    phase = sample.get("phase")
    if phase is None:
        return rank, location, None
    return None if phase in _NO_PHASES else (rank, location, _PHASES.get(phase.upper()))


def _energy_wh(text: str, unit: str) -> int | None:
    """Read a register; rounded half to even.

    A unit that is no energy unit is no energy register, whatever the measurand is called.
    """
    if unit == "Wh" and text.isascii() and text.isdigit() and len(text) < 11:
        return int(text)  # nearly all there is
    factor = UNITS_OF_ENERGY.get(_LETTERS.sub("", unit.lower()))
    if factor is None:
        return None
    written = read_written(text, whole=factor == 1)
    if written is None:
        return None
    factor = UNITS_OF_ENERGY[written.unit] if written.unit else factor
    try:
        number = written.number * factor
        if not abs(number) <= MAX_REGISTER_WH:  # not a number, too
            return None
        return int(number.to_integral_value(ROUND_HALF_EVEN))
    except (ArithmeticError, ValueError):  # the sample itself is kept as it came
        return None
