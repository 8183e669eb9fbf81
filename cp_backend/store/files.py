"""Files that charging points fetch and send."""

from __future__ import annotations

from collections.abc import Sequence

from charging.database import files
from charging.database.connection import AsyncCursor
from charging.database.files import Link, Received
from cp_backend.committer import Committer, OnResult


class Files:
    """Looks links up and notes what has come."""

    def __init__(self, lookups: Committer, facts: Committer) -> None:
        self._lookups = lookups
        self._facts = facts

    def use(self, link: str, on_result: OnResult[Link | None]) -> None:
        """Count a use of a link; None: it does not exist, has expired or was used up."""
        self._lookups.submit(use_links, link, on_result, key=link)

    def received(self, file: Received, on_result: OnResult[None]) -> None:
        """Note a file that has come."""
        self._facts.submit(receive_files, file, on_result, key=file.charging_point_id)


async def use_links(cursor: AsyncCursor, links: Sequence[str]) -> Sequence[Link | None]:
    """Count uses, several of the same link at once as one."""
    found = await files.use(cursor, links)
    return [found.get(link) for link in links]


async def receive_files(cursor: AsyncCursor, received: Sequence[Received]) -> Sequence[None]:
    """Note files that have come."""
    await files.receive(cursor, received)
    return [None] * len(received)
