"""Counts refused handshakes.

Anybody who reaches the port can be refused as often as it likes: what is counted between two
writes has a bound in all and one for each address.
"""

from __future__ import annotations

from charging.database import handshakes
from charging.database.handshakes import CountedRefusal
from cp_backend.committer import Committer
from cp_backend.counts import Counts

FLUSH_SECONDS = 2.0
MAX_PLACES = 2_000
"""Causes, paths and addresses counted between two writes; further ones are passed over."""
MAX_PATHS_OF_AN_ADDRESS = 20
"""Further ones of one address are counted together, at the path `OTHER_PATHS`."""
OTHER_PATHS = "…"
MAX_TEXT = 200

_Place = tuple[str, str, str]


class RefusedHandshakes(Counts[_Place, str, CountedRefusal]):
    """Refusals by cause, path and address, each with what the client said it is."""

    def __init__(self, lookups: Committer) -> None:
        super().__init__(
            lookups,
            handshakes.record,
            lambda place, count, detail: CountedRefusal(*place, detail, count),
            most=MAX_PLACES,
            seconds=FLUSH_SECONDS,
        )
        self._paths: dict[str, int] = {}

    def note(self, cause: str, path: str, address: str, detail: str = "") -> None:
        """Count one. path: without its query; detail: what the client says it is, or offers."""
        if not len(self):
            self._paths.clear()
        place = cause, _printable(path), address
        if place not in self:
            paths = self._paths.get(address, 0)
            if paths >= MAX_PATHS_OF_AN_ADDRESS:
                place = cause, OTHER_PATHS, address
            else:
                self._paths[address] = paths + 1
        self.add(place, _printable(detail))


def _printable(text: str) -> str:
    """Return a text from outside as a row may hold it."""
    return "".join(c if c.isprintable() else "�" for c in text[:MAX_TEXT])
