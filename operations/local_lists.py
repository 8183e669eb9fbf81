"""Charging points' own lists of tokens: those of ours, so that they charge without a connection.

A list is sent in full once, and then as differences from what the charging point has taken last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from charging.database import local_lists
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.local_lists import LocalList as LocalList
from charging.identity import parse_charging_point_id
from charging.intent_json import read as read_json
from charging.intents import LocalListEntry, SendLocalList
from operations import charging_points, jobs
from operations.errors import InvalidError, valid
from operations.jobs import Pace

MAX_ENTRIES_OF_A_JOB = 2_000_000
"""Each charging point's command holds its list."""
# A version for each part that a list may be sent in; nobody takes fewer entries at once.
_PART = 10


def of(connection: Connection, charging_point: str) -> LocalList | None:
    """Return the list that a charging point has taken last, None where it has taken none.

    Raises InvalidError, NotFoundError.
    """
    name = valid(parse_charging_point_id, charging_point)
    charging_points.check_known(connection, name)
    return local_lists.of(connection, [name]).get(name)


def wanted(connection: Connection) -> list[LocalListEntry]:
    """Return the tokens that may charge, as entries of a list."""
    rows: list[tuple[str, datetime | None, str | None]] = connection.execute(
        "SELECT id_tag, expires_at, parent_id_tag FROM tokens"
        " WHERE NOT blocked AND coalesce(expires_at > now(), true) ORDER BY id_tag"
    ).fetchall()
    return [LocalListEntry(tag, True, expires_at, group) for tag, expires_at, group in rows]


def send(
    connection: Connection,
    names: Sequence[str],
    entries: Sequence[LocalListEntry],
    *,
    by: Asker,
    pace: Pace,
    full: bool = False,
    key: str | None = None,
) -> int:
    """Let charging points have a list; return the job's number.

    full: send it whole, also where differences would do. Charging points that have it already are
    left out. Raises InvalidError where none is left, ConflictError.
    """
    if len({entry.id_tag for entry in entries}) < len(entries):
        raise InvalidError("a token stands twice in the list")
    if any(entry.allowed is None for entry in entries):
        raise InvalidError("a list has no entries to take off")
    if len(entries) * len(names) > MAX_ENTRIES_OF_A_JOB:
        raise InvalidError(
            f"{len(names)} lists of {len(entries)} are too much at once: at most"
            f" {MAX_ENTRIES_OF_A_JOB} entries in all"
        )
    known = local_lists.of(connection, names)
    each: dict[str, dict[str, Any]] = {}
    for name in names:
        intent = _difference(known.get(name), entries, full=full)
        if intent is not None:
            each[name] = intent.arguments()
    if names and not each:
        raise InvalidError("they have this list already; --full sends it again")
    return jobs.start(
        connection, SendLocalList(1, full=True), each, by=by, pace=pace, idempotency_key=key
    )


def _difference(
    known: LocalList | None, entries: Sequence[LocalListEntry], *, full: bool
) -> SendLocalList | None:
    """Return what makes a list of the one that a charging point has; None where it is the same."""
    version = (known.version if known else 0) + 1 + len(entries) // _PART
    whole = tuple(entries)
    if known is None or full:
        return SendLocalList(version, whole)
    before = {e["id_tag"]: read_json(LocalListEntry, e, "") for e in known.entries}
    after = {entry.id_tag: entry for entry in whole}
    changed = [entry for tag, entry in after.items() if before.get(tag) != entry]
    gone = [replace(LocalListEntry(tag), allowed=None) for tag in before if tag not in after]
    if not changed and not gone:
        return None
    if len(changed) + len(gone) >= len(whole):
        return SendLocalList(version, whole)
    version += (len(changed) + len(gone)) // _PART
    return SendLocalList(
        version, (*changed, *gone), full=False, base_version=known.version, whole=whole
    )
