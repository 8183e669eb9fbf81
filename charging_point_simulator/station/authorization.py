"""Which tokens a charging point knows by itself: its local list and its cache.

Source: OCPP 1.6 sections 3.5 and 5.15.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

MAX_LIST_LENGTH = 500
MAX_ENTRIES_A_MESSAGE = 100
_MAX_CACHE = 1_000


@dataclass(frozen=True)
class Known:
    """What is known of a token. status: Accepted, Blocked, Expired, Invalid, ConcurrentTx."""

    status: str
    parent: str | None = None
    expires_at: datetime | None = None

    def status_at(self, now: datetime) -> str:
        """Return its status at a moment."""
        if self.expires_at is not None and now >= self.expires_at:
            return "Expired"
        return self.status


@dataclass
class TokenList:
    """The local list. version: 0 when it is empty."""

    version: int = 0
    entries: dict[str, Known] = field(default_factory=dict)

    def replace(self, version: int, entries: dict[str, Known | None]) -> str:
        """Take a full list; return Accepted or Failed."""
        added = {token: known for token, known in entries.items() if known is not None}
        if len(added) > MAX_LIST_LENGTH or len(entries) > MAX_ENTRIES_A_MESSAGE:
            return "Failed"
        if len(added) < len(entries):
            return "Failed"  # a full list has no entries to remove
        self.version, self.entries = version, added
        return "Accepted"

    def change(self, version: int, entries: dict[str, Known | None]) -> str:
        """Take differences, None to remove; return Accepted, Failed or VersionMismatch."""
        if version <= self.version:
            return "VersionMismatch"
        if len(entries) > MAX_ENTRIES_A_MESSAGE:
            return "Failed"
        changed = {**self.entries}
        for token, known in entries.items():
            if known is None:
                changed.pop(token, None)
            else:
                changed[token] = known
        if len(changed) > MAX_LIST_LENGTH:
            return "Failed"
        self.version, self.entries = version, changed
        return "Accepted"


class TokenCache:
    """What the central system answered about tokens, the latest last."""

    def __init__(self) -> None:
        self._entries: dict[str, Known] = {}

    def put(self, token: str, known: Known) -> None:
        """Remember; the oldest is forgotten when there are too many."""
        self._entries.pop(token, None)
        self._entries[token] = known
        if len(self._entries) > _MAX_CACHE:
            del self._entries[next(iter(self._entries))]

    def get(self, token: str) -> Known | None:
        """Return what is known of a token."""
        return self._entries.get(token)

    def remove(self, token: str) -> None:
        """Forget a token."""
        self._entries.pop(token, None)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
