"""Counts how charging points deviate from the standard."""

from __future__ import annotations

from collections.abc import Sequence

from charging.database import deviations
from charging.database.deviations import Counted
from cp_backend.committer import Committer
from cp_backend.counts import Counts
from cp_backend.ocpp.repair import Repair

FLUSH_SECONDS = 1.0
FIRST_FLUSH_SECONDS = 0.5
MAX_PLACES = 20_000
"""Places of charging points that are counted between two writes; further ones are passed over."""

_Place = tuple[str, str, str, str]


class DeviationCounter(Counts[_Place, str, Counted]):
    """Deviations by charging point, action, path and repair, each with a sample."""

    def __init__(self, lookups: Committer) -> None:
        super().__init__(
            lookups,
            deviations.record,
            lambda place, count, sample: Counted(*place, count, sample),
            most=MAX_PLACES,
            seconds=FLUSH_SECONDS,
            # The charging point's own row may be on its way: a boot can be the first of it.
            first_seconds=FIRST_FLUSH_SECONDS,
        )

    def note(self, charging_point_id: str, action: str, repairs: Sequence[Repair]) -> None:
        """Count what was repaired in one message."""
        for repair in repairs:
            self.add((charging_point_id, action, repair.path, repair.kind.value), repair.sample)
