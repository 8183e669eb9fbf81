"""Plots as SVG made here; each stands beside a table with the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from markupsafe import Markup

WIDTH, HEIGHT = 640, 200
_LEFT, _BOTTOM, _TOP, _RIGHT = 64, 24, 8, 8


def energy(points: Sequence[tuple[datetime, int]], start_wh: int) -> Markup | None:
    """Return the energy of a session over time, from its register readings in Wh.

    None where there are fewer than two readings: there is nothing to draw.
    """
    return _plot([(at, max(0, wh - start_wh) / 1000) for at, wh in points], "energy", "kWh")


def power(points: Sequence[tuple[datetime, int]]) -> Markup | None:
    """Return the mean power between the register readings of a session, in Wh.

    None where there are fewer than two readings: there is nothing to draw.
    """
    steps: list[tuple[datetime, float]] = []
    for (before, wh_before), (at, wh) in pairwise(points):
        seconds = (at - before).total_seconds()
        if seconds > 0:
            kilowatts = max(0, wh - wh_before) * 3.6 / seconds
            steps += [(before, kilowatts), (at, kilowatts)]
    return _plot(steps, "power", "kW")


def _plot(points: Sequence[tuple[datetime, float]], what: str, unit: str) -> Markup | None:
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    first, last = points[0][0], points[-1][0]
    span = (last - first).total_seconds()
    most = max(max(value for _, value in points), 0.001)
    shown = " ".join(
        f"{_LEFT + (WIDTH - _LEFT - _RIGHT) * (at - first).total_seconds() / span:.1f},"
        f"{_TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - value / most):.1f}"
        for at, value in points
    )
    bottom = HEIGHT - _BOTTOM
    return Markup(
        '<svg class="plot" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
        '<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>'
        '<line class="axis" x1="{left}" y1="{top}" x2="{left}" y2="{bottom}"/>'
        '<text x="{label}" y="{topmost}" text-anchor="end">{most} {unit}</text>'
        '<text x="{label}" y="{bottom}" text-anchor="end">0</text>'
        '<text x="{left}" y="{foot}">0 min</text>'
        '<text x="{right}" y="{foot}" text-anchor="end">{minutes} min</text>'
        '<polyline class="line" points="{shown}"/></svg>'
    ).format(
        width=WIDTH,
        height=HEIGHT,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        top=_TOP,
        topmost=_TOP + 10,
        bottom=bottom,
        foot=HEIGHT - 6,
        label=_LEFT - 6,
        most=f"{most:.2f}",
        unit=unit,
        minutes=f"{span / 60:.0f}",
        shown=shown,
        title=f"{what.capitalize()} over {span / 60:.0f} minutes, up to {most:.2f} {unit}",
    )
