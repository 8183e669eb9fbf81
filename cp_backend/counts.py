"""Counts in memory by key, written to the database soon after.

The first of a quiet time is written soon, what follows within some seconds together. Lossy: what
has not been written when the process is killed is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from charging.database.connection import AsyncCursor
from cp_backend.committer import Committer

Key = TypeVar("Key")
Detail = TypeVar("Detail")
Row = TypeVar("Row")

log = logging.getLogger(__name__)


class Counts(Generic[Key, Detail, Row]):
    """How often each key was noted since the last write, with the detail of the last time.

    lookups: writes them; no billing fact waits behind them. record: writes rows; row: makes one of
    key, count and detail. most: keys between two writes, further ones are passed over; seconds:
    between two writes; first_seconds: from what is noted to the first.
    """

    def __init__(
        self,
        lookups: Committer,
        record: Callable[[AsyncCursor, Sequence[Row]], Awaitable[None]],
        row: Callable[[Key, int, Detail], Row],
        *,
        most: int,
        seconds: float,
        first_seconds: float = 0,
    ) -> None:
        self._lookups = lookups
        self._record = record
        self._row = row
        self._most = most
        self._seconds = seconds
        self._first_seconds = first_seconds
        self._counts: dict[Key, tuple[int, Detail]] = {}
        self._noted = asyncio.Event()

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, key: Key) -> bool:
        return key in self._counts

    def add(self, key: Key, detail: Detail) -> None:
        """Count one."""
        known = self._counts.get(key)
        if known is not None:
            self._counts[key] = known[0] + 1, detail
        elif len(self._counts) < self._most:
            self._counts[key] = 1, detail
            self._noted.set()

    async def flush(self) -> None:
        """Write what has been counted since the last time; keep it where that fails."""
        counts, self._counts = self._counts, {}
        self._noted.clear()
        if not counts:
            return
        rows = [self._row(key, count, detail) for key, (count, detail) in counts.items()]
        try:
            await self._lookups.ask(self._write, rows)
        except Exception as error:  # noqa: BLE001 - the database may be away
            log.debug("counts not written", extra={"error": str(error)[:300]})
            for key, (count, detail) in self._counts.items():
                counts[key] = counts.get(key, (0, detail))[0] + count, detail
            self._counts = dict(list(counts.items())[: self._most])
            self._noted.set()

    async def run(self) -> None:
        """Write until cancelled, and once more then."""
        try:
            while True:
                await self._noted.wait()
                await asyncio.sleep(self._first_seconds)
                await self.flush()
                await asyncio.sleep(self._seconds)
        finally:
            await self.flush()

    async def _write(self, cursor: AsyncCursor, batches: Sequence[Sequence[Row]]) -> list[None]:
        for rows in batches:
            await self._record(cursor, rows)
        return [None] * len(batches)
