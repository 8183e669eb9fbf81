"""Reports of audits: each has the digest of the one before, and is never changed.

A report that is changed, left out or put in afterwards does not fit its neighbours. No other
module writes to `energy_audits`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg.rows import class_row

from charging.database.connection import Connection, rows

BEGINNING = "0" * 64
"""The digest before the first report."""
_LOCK = 0x564E5041
_COLUMNS = (
    "audit_number, day, charging_point_id, made_at, report, alarms, alarming_wh, previous_digest,"
    " digest, signature, public_key"
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report. report: canonical JSON; digest: of previous_digest and it, SHA-256.

    signature, public_key: Ed25519 over the digest's text, hexadecimal; None where it has none.
    """

    audit_number: int
    day: date
    charging_point_id: str | None
    made_at: datetime
    report: str
    alarms: int
    alarming_wh: int
    previous_digest: str
    digest: str
    signature: str | None
    public_key: str | None


def digest_of(previous_digest: str, report: str) -> str:
    """Return the digest of a report that follows another."""
    return hashlib.sha256(f"{previous_digest}\n{report}".encode()).hexdigest()


def append(
    connection: Connection,
    day: date,
    charging_point_id: str | None,
    made_at: datetime,
    content: Mapping[str, Any],
    *,
    alarms: int,
    alarming_wh: int,
    sign: Callable[[bytes], tuple[str, str]] | None = None,
) -> Report:
    """Add a report at the end of the chain. sign: digest → signature, public key."""
    report = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        newest = rows(
            connection, "SELECT digest FROM energy_audits ORDER BY audit_number DESC LIMIT 1"
        )
        previous = newest[0]["digest"] if newest else BEGINNING
        digest = digest_of(previous, report)
        signature, public_key = sign(digest.encode()) if sign else (None, None)
        with connection.cursor(row_factory=class_row(Report)) as cursor:
            written = cursor.execute(
                f"""
                INSERT INTO energy_audits (day, charging_point_id, made_at, report, alarms,
                                           alarming_wh, previous_digest, digest, signature,
                                           public_key)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING {_COLUMNS}
                """.encode(),
                [
                    *(day, charging_point_id, made_at, report, alarms, alarming_wh),
                    *(previous, digest, signature, public_key),
                ],
            ).fetchone()
        assert written is not None
        return written


def read(connection: Connection, *, day: date | None = None) -> list[Report]:
    """Return reports in the order of the chain: all, or those of a day."""
    with connection.cursor(row_factory=class_row(Report)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM energy_audits WHERE %(day)s::date IS NULL OR day = %(day)s"
            " ORDER BY audit_number".encode(),
            {"day": day},
        ).fetchall()
