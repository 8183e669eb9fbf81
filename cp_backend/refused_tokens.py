"""Counts tokens that may not charge in memory, and writes the counts now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from charging.authorization import Authorization
from charging.database import refused_tokens
from charging.database.connection import AsyncCursor
from charging.database.refused_tokens import CountedToken
from charging.token import Token
from cp_backend.committer import Committer

FLUSH_SECONDS = 1.0
MAX_TOKENS = 5_000
"""Counted between two writes; further ones are passed over."""

log = logging.getLogger(__name__)


class RefusedTokens:
    """What was refused since the last write. lookups: writes it; no billing fact waits behind it.

    Lossy: what has not been written when the process is killed is lost.
    """

    def __init__(self, lookups: Committer) -> None:
        self._lookups = lookups
        self._counts: dict[tuple[str, str], tuple[int, Authorization]] = {}

    def note(self, charging_point_id: str, token: Token, authorization: Authorization) -> None:
        """Count one. A token that could not be read counts too, as an empty one."""
        key = token.value, charging_point_id
        count, _ = self._counts.get(key, (0, authorization))
        if count or len(self._counts) < MAX_TOKENS:
            self._counts[key] = count + 1, authorization

    async def flush(self) -> None:
        """Write what has been counted since the last time."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        counted = [
            CountedToken(*key, each.decision.value, each.rule.value, count)
            for key, (count, each) in counts.items()
        ]
        try:
            await self._lookups.ask(_record, counted)
        except Exception as error:  # noqa: BLE001 - the database may be away
            log.debug("refused tokens not written", extra={"error": str(error)[:300]})
            for key, (count, authorization) in self._counts.items():
                counts[key] = counts.get(key, (0, authorization))[0] + count, authorization
            self._counts = dict(list(counts.items())[:MAX_TOKENS])

    async def run(self) -> None:
        """Write now and then until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()


async def _record(cursor: AsyncCursor, batches: Sequence[list[CountedToken]]) -> list[None]:
    for batch in batches:
        await refused_tokens.record(cursor, batch)
    return [None] * len(batches)
