"""Counts refused handshakes in memory, and writes the counts now and then.

Anybody who reaches the port can be refused as often as it likes: what is counted between two
writes has a bound in all and one for each address.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from charging.database import handshakes
from charging.database.connection import AsyncCursor
from charging.database.handshakes import CountedRefusal
from cp_backend.committer import Committer

FLUSH_SECONDS = 2.0
MAX_PLACES = 2_000
"""Causes, paths and addresses counted between two writes; further ones are passed over."""
MAX_PATHS_OF_AN_ADDRESS = 20
"""Further ones of one address are counted together, at the path `OTHER_PATHS`."""
OTHER_PATHS = "…"
MAX_TEXT = 200

log = logging.getLogger(__name__)

_Place = tuple[str, str, str]


class RefusedHandshakes:
    """What was refused since the last write. lookups: writes it; no billing fact waits behind it.

    Lossy: what has not been written when the process is killed is lost.
    """

    def __init__(self, lookups: Committer) -> None:
        self._lookups = lookups
        self._counts: dict[_Place, tuple[int, str]] = {}
        self._paths: dict[str, int] = {}

    def note(self, cause: str, path: str, address: str, detail: str = "") -> None:
        """Count one. path: without its query; detail: what the client says it is, or offers."""
        place = cause, _printable(path), address
        if place not in self._counts:
            paths = self._paths.get(address, 0)
            if paths >= MAX_PATHS_OF_AN_ADDRESS:
                place = cause, OTHER_PATHS, address
            else:
                self._paths[address] = paths + 1
        count, _ = self._counts.get(place, (0, ""))
        if count or len(self._counts) < MAX_PLACES:
            self._counts[place] = count + 1, _printable(detail)

    async def flush(self) -> None:
        """Write what has been counted since the last time."""
        counts, self._counts, self._paths = self._counts, {}, {}
        if not counts:
            return
        try:
            await self._lookups.ask(
                _record, [CountedRefusal(*place, a, count) for place, (count, a) in counts.items()]
            )
        except Exception as error:  # noqa: BLE001 - the database may be away
            log.debug("refused handshakes not written", extra={"error": str(error)[:300]})
            for place, (count, detail) in self._counts.items():
                counts[place] = counts.get(place, (0, ""))[0] + count, detail
            self._counts = dict(list(counts.items())[:MAX_PLACES])

    async def run(self) -> None:
        """Write now and then until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()


async def _record(cursor: AsyncCursor, batches: Sequence[list[CountedRefusal]]) -> list[None]:
    for batch in batches:
        await handshakes.record(cursor, batch)
    return [None] * len(batches)


def _printable(text: str) -> str:
    """Return a text from outside as a row may hold it."""
    return "".join(c if c.isprintable() else "�" for c in text[:MAX_TEXT])
