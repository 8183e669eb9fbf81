"""A session's energy from its registers: what is shown while it runs, what may be billed.

Energy is integer Wh. Registers are of the meter's whole life, but some charging points count the
readings of a session from 0 and only its start and stop for life; some registers run backwards;
some show one absurd value and are right again in the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

MAX_POWER_W = 1_000_000
"""More than any charging point gives: what would need more is no reading but a glitch."""

SLACK_WH = 50_000
"""Registers are told in steps, and times may be those of receipt: so much may come at once."""

_MOST_A_STOP_ADDS_WH = 24 * MAX_POWER_W
"""A session's time may be unknown, where its clock was wrong: that of a day at most is taken."""


@dataclass(frozen=True, slots=True)
class Register:
    """A meter's register at a time. at: aware."""

    at: datetime
    energy_wh: int


@dataclass(frozen=True, slots=True)
class SessionEnergy:
    """energy_wh: charged so far, or at its end. glitches: registers that were passed over.

    relative: its readings count from 0. proposal_wh: of a session whose register ran backwards,
    which bills 0 until a person has looked: what its readings add up to, None otherwise.
    """

    energy_wh: int
    glitches: tuple[Register, ...] = ()
    relative: bool = False
    proposal_wh: int | None = None


def measure_session(
    start: Register, readings: Sequence[Register], stop: Register | None = None
) -> SessionEnergy:
    """Return a session's energy.

    readings: in any order; times before the start and after the stop are passed over. The stop's
    register is billed whatever the readings say; they only propose where it cannot be.
    """
    in_time = sorted(
        (r for r in readings if r.at >= start.at and (stop is None or r.at <= stop.at)),
        key=lambda r: (r.at, r.energy_wh),
    )
    relative = _are_relative(start, in_time)
    sound, glitches = _without_glitches(
        [Register(start.at, 0) if relative else start, *in_time], last=None if relative else stop
    )
    read_wh = sum(max(0, later.energy_wh - earlier.energy_wh) for earlier, later in pairwise(sound))
    if stop is None:
        return SessionEnergy(read_wh, glitches, relative)
    energy_wh = stop.energy_wh - start.energy_wh
    if energy_wh < 0:
        return SessionEnergy(0, glitches, relative, proposal_wh=read_wh)
    return SessionEnergy(energy_wh, glitches, relative)


def can_be_stop(start: Register, stop: Register) -> bool:
    """Return whether a session can have ended at a register; one below its start is no glitch."""
    most = max(_reachable_wh(start, stop), _MOST_A_STOP_ADDS_WH)
    return stop.energy_wh - start.energy_wh <= most


def _are_relative(start: Register, readings: Sequence[Register]) -> bool:
    """Return whether readings count from 0: all below the start, none below the one before."""
    if not readings or start.energy_wh <= 0:
        return False
    first = readings[0]
    return (
        all(r.energy_wh < start.energy_wh for r in readings)
        and all(a.energy_wh <= b.energy_wh for a, b in pairwise(readings))
        and 0 <= first.energy_wh <= _reachable_wh(start, first)
    )


def _reachable_wh(earlier: Register, later: Register) -> float:
    """Return how much can have been charged between two registers."""
    hours: float = max(later.at - earlier.at, timedelta()) / timedelta(hours=1)
    return hours * MAX_POWER_W + SLACK_WH


def _without_glitches(
    registers: Sequence[Register], last: Register | None
) -> tuple[list[Register], tuple[Register, ...]]:
    """Return registers without those of one reading that its neighbours contradict.

    The first is the session's start and stays. last: the register at the stop, if there is one.
    """
    sound, glitches = [registers[0]], []
    for place in range(1, len(registers)):
        this, before = registers[place], sound[-1]
        after = registers[place + 1] if place + 1 < len(registers) else last
        dip = this.energy_wh < before.energy_wh and (
            after is None or after.energy_wh >= before.energy_wh
        )
        jump = this.energy_wh - before.energy_wh > _reachable_wh(before, this)
        peak = after is not None and before.energy_wh <= after.energy_wh < this.energy_wh
        if dip or jump or peak:
            glitches.append(this)
        else:
            sound.append(this)
    return sound, tuple(glitches)
