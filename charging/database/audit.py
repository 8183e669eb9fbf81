"""Who did what: a row written in the transaction of what was done, and never changed.

No other module writes to `audit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from charging.database.connection import Connection

_WRITE = b"""
INSERT INTO audit (person, program, action, subject, detail) VALUES (%s, %s, %s, %s, %s)
"""

_READ = b"""
SELECT audit_id, at, person, program, action, subject, detail FROM audit
WHERE (%(subject)s::text IS NULL OR subject = %(subject)s)
  AND (%(before)s::bigint IS NULL OR audit_id < %(before)s)
ORDER BY audit_id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever does something. person: an operator's name, or a partner's id; program: with what."""

    person: str
    program: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was done. subject: what it was done to, such as a charging point's id."""

    audit_id: int
    at: datetime
    by: Asker
    action: str
    subject: str
    detail: dict[str, Any]


def write(
    connection: Connection, by: Asker, action: str, subject: str, detail: Mapping[str, Any]
) -> None:
    """Note what somebody does, in the transaction that does it. detail: JSON, without secrets."""
    connection.execute(_WRITE, [by.person, by.program, action, subject, Jsonb(dict(detail))])


def read(
    connection: Connection, *, subject: str | None = None, before: int | None = None, limit: int
) -> list[Entry]:
    """Return what was done, the newest first. before: an audit_id, for the next page."""
    rows = connection.execute(_READ, {"subject": subject, "before": before, "limit": limit})
    return [
        Entry(number, at, Asker(person, program), action, of, detail)
        for number, at, person, program, action, of, detail in rows
    ]
