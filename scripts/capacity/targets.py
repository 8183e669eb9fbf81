"""What of a run is good enough, and what would be better still."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One row of the report. value: None where it could not be measured, which is a miss.

    limit and beyond are bounds of value: from above, or with at_least from below.
    """

    what: str
    value: float | None
    limit: float
    beyond: float | None
    unit: str
    at_least: bool = False
    note: str = ""

    def _within(self, bound: float | None) -> bool:
        if self.value is None or bound is None:
            return False
        return self.value >= bound if self.at_least else self.value <= bound

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self._within(self.limit)

    @property
    def verdict(self) -> str:
        """Say how it went: by how much it was missed, or whether it is beyond the target."""
        if self.value is None:
            return "**missed**: not reached at all"
        if not self.met:
            by = abs(self.value - self.limit)
            return f"**missed** by {show(by, self.unit)}"
        return "beyond it" if self._within(self.beyond) else "met"

    def row(self) -> str:
        """Return the row of a Markdown table."""
        sign = "≥" if self.at_least else "≤"
        if self.limit == 0:
            sign = ""
        target = f"{sign} {show(self.limit, self.unit)}".strip()
        beyond = "" if self.beyond is None else f"{sign} {show(self.beyond, self.unit)}".strip()
        value = "–" if self.value is None else show(self.value, self.unit)
        note = f" ({self.note})" if self.note else ""
        return f"| {self.what} | {target} | {beyond} | {value}{note} | {self.verdict} |"


def show(value: float, unit: str) -> str:
    """Write a value with its unit, to three digits where it has more."""
    writer = _WRITERS.get(unit)
    return f"{_digits(value)} {unit}".strip() if writer is None else writer(value)


def _digits(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


_WRITERS: Mapping[str, Callable[[float], str]] = {
    "MB": lambda v: f"{v / 1e6:,.0f} MB",
    "% of a core": lambda v: f"{100 * v:.3g}% of a core",
    "µs": lambda v: f"{v * 1e6:.3g} µs",
    "ratio": lambda v: f"1/{1 / v:.3g}" if v else "0",
    "× the set pace": lambda v: f"{v:.3g}× the set pace",
}
