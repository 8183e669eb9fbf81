"""Counts how charging points deviate from the standard, and writes the counts now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from charging.database import deviations
from charging.database.connection import AsyncCursor
from charging.database.deviations import Counted
from cp_backend.committer import Committer
from cp_backend.ocpp.repair import Repair

FLUSH_SECONDS = 1.0
MAX_PLACES = 20_000
"""Places of charging points that are counted between two writes; further ones are passed over."""

log = logging.getLogger(__name__)


class DeviationCounter:
    """Counts in memory. lookups: writes the counts; no billing fact waits behind them.

    Lossy: what has not been written when the process is killed is lost.
    """

    def __init__(self, lookups: Committer) -> None:
        self._lookups = lookups
        self._counts: dict[tuple[str, str, str, str], tuple[int, str]] = {}

    def note(self, charging_point_id: str, action: str, repairs: Sequence[Repair]) -> None:
        """Count what was repaired in one message."""
        counts = self._counts
        for repair in repairs:
            key = charging_point_id, action, repair.path, repair.kind.value
            count, sample = counts.get(key, (0, repair.sample))
            if count or len(counts) < MAX_PLACES:
                counts[key] = count + 1, sample

    async def flush(self) -> None:
        """Write what has been counted since the last time."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            await self._lookups.ask(
                _record, [Counted(*key, count, sample) for key, (count, sample) in counts.items()]
            )
        except Exception as error:  # noqa: BLE001 - the database may be away
            log.debug("deviations not written", extra={"error": str(error)[:300]})
            for key, (count, sample) in self._counts.items():
                counts[key] = counts.get(key, (0, sample))[0] + count, sample
            self._counts = counts

    async def run(self) -> None:
        """Write now and then until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()


async def _record(cursor: AsyncCursor, batches: Sequence[list[Counted]]) -> list[None]:
    for batch in batches:
        await deviations.record(cursor, batch)
    return [None] * len(batches)
