"""Counters and times of a crowd, small enough to send every second, exact enough to report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

PERCENTILES = (50, 95, 99, 100)
# A time is kept with five significant bits: at most 3% off, and few hundred kinds of times.
_BITS = 5


class Figures:
    """What a process of the crowd has counted since `take`.

    counts: events by name. times: by name, microseconds (rounded) → how often.
    closed: seconds since the epoch → connections that the backend closed in that second.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.times: dict[str, Counter[int]] = {}
        self.closed: Counter[int] = Counter()

    def count(self, name: str) -> None:
        """Count an event."""
        self.counts[name] += 1

    def time(self, name: str, seconds: float) -> None:
        """Note how long something took."""
        microseconds = int(seconds * 1e6)
        shift = max(0, microseconds.bit_length() - _BITS)
        rounded = (microseconds >> shift) << shift
        times = self.times.get(name)
        if times is None:
            times = self.times[name] = Counter()
        times[rounded] += 1

    def take(self) -> dict[str, Any]:
        """Return everything since the last time as JSON values, and begin anew."""
        taken = {
            "counts": dict(self.counts),
            "times": {name: list(times.items()) for name, times in self.times.items()},
            "closed": list(self.closed.items()),
        }
        self.counts.clear()
        self.times.clear()
        self.closed.clear()
        return taken

    def add(self, taken: Mapping[str, Any]) -> None:
        """Add what another took."""
        self.counts.update(taken["counts"])
        for name, times in taken["times"].items():
            self.times.setdefault(name, Counter()).update(dict(map(tuple, times)))
        self.closed.update(dict(map(tuple, taken["closed"])))


def percentiles(times: Mapping[int, int] | Iterable[tuple[int, int]]) -> dict[str, float]:
    """Return count and percentiles, in milliseconds, of times as `Figures` keeps them."""
    ordered = sorted(dict(times).items())
    total = sum(n for _, n in ordered)
    result: dict[str, float] = {"count": total}
    for percentile in PERCENTILES:
        rank, seen = max(1, -(-total * percentile // 100)), 0
        for microseconds, n in ordered:
            seen += n
            if seen >= rank:
                result["max" if percentile == 100 else f"p{percentile}"] = microseconds / 1000
                break
    return result
