"""How long rows are kept, and how they leave: a table of rules, and what carries them out.

Tables that grow with every session are parted by months. A month leaves as a whole: taken off its
table, written to the archive where its rows are worth it, read back, dropped. Of other tables rows
are deleted in batches. Sessions, bills, records for the hub, audits and who did what are kept.

Nodes make the partitions to come; nobody but `operations maintain` takes any away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from charging.database.connection import AsyncConnection, Connection

MONTHS_AHEAD = 2
LEAST_DAYS = 31
"""Nothing that is kept by a rule may leave earlier: late facts still find their neighbours."""
BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a table's rows are kept. days: after `time`, which is a column, or their month.

    what: its rows, in a person's words. columns: of a table that is archived, name → type of
    PostgreSQL; None: its rows are kept nowhere. read_as: name → SQL of what is archived in its
    place. key: by which rows of a table that is not parted are deleted, in its order, or by_time,
    where an index has that; None: it is parted. only: which rows may go at all, as SQL.
    """

    table: str
    days: int
    what: str
    time: str
    columns: Mapping[str, str] | None = None
    read_as: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    only: str = "true"
    by_time: bool = False


RULES = (
    Rule(
        "meter_values",
        400,
        "readings of meters",
        "sampled_at",
        columns={
            "charging_point_id": "text",
            "evse_number": "integer",
            "session_id": "integer",
            "sampled_at": "timestamptz",
            "energy_wh": "bigint",
            "sampled_values": "jsonb",
            "digest": "bigint",
            "received_at": "timestamptz",
            "reported_at": "timestamptz",
        },
        read_as={"sampled_values": "whole_samples(sampled_values, form_id, form_values)"},
    ),
    Rule(
        "state_history",
        400,
        "states that EVSEs took",
        "received_at",
        columns={
            "history_id": "bigint",
            "charging_point_id": "text",
            "evse_number": "integer",
            "state": "text",
            "status": "text",
            "error_code": "text",
            "changed_at": "timestamptz",
            "received_at": "timestamptz",
        },
    ),
    Rule("events", 90, "events, which the relay has turned into deliveries", "recorded_at"),
    Rule("notices", 400, "reports of charging points: firmware, security, logs", "received_at"),
    Rule(
        "commands",
        400,
        "commands with their answers and progress",
        "queued_at",
        key="command_id",
        only="state NOT IN ('queued', 'sent')",
    ),
    Rule(
        "authorizations", 90, "questions to the hub about cards", "asked_at", key="authorization_id"
    ),
    Rule(
        "deliveries",
        90,
        "what the hub was notified of; records of sessions are kept",
        "settled_at",
        key="delivery_id",
        only="queue = 'notification' AND state IN ('delivered', 'dropped')",
        by_time=True,
    ),
    Rule("jobs", 400, "jobs that have ended, with their charging points", "ended_at", key="job_id"),
    Rule(
        "refused_tokens", 400, "cards that were refused", "last_at", key="refusal_id", by_time=True
    ),
    Rule("refused_handshakes", 90, "connections that were refused", "last_at", key="ctid"),
    Rule(
        "reservations",
        400,
        "reservations that have ended",
        "ended_at",
        key="reservation_id",
    ),
    Rule(
        "unassigned_facts",
        400,
        "facts of no session that have been settled",
        "settled_at",
        key="fact_id",
    ),
)
"""In this order: what is deleted first may be what the next one refers to."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A month of a table. from_time: None for the first, which has all that came before."""

    partition: str
    from_time: datetime | None
    until_time: datetime


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file of an archive. key: in the store of archives."""

    key: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """A partition that has left its table and has not been dropped yet.

    files: where its rows are, once they are; checksum: `row_checksums` of all of them.
    """

    partition: str
    table_name: str
    from_time: datetime | None
    until_time: datetime
    kept: bool
    files: list[dict[str, Any]] | None
    rows: int | None
    checksum: int | None


def rules(days: Mapping[str, int] | None = None) -> list[Rule]:
    """Return the rules, with other numbers of days by table. Raises ValueError."""
    days = dict(days or {})
    found = [replace(rule, days=days.pop(rule.table, rule.days)) for rule in RULES]
    if days:
        known = ", ".join(rule.table for rule in RULES)
        raise ValueError(f"{', '.join(sorted(days))}: no rule; there are rules for {known}")
    for rule in found:
        if rule.days < LEAST_DAYS:
            raise ValueError(f"{rule.table}: keep {LEAST_DAYS} days or more, not {rule.days}")
    return found


async def make_partitions_async(connection: AsyncConnection) -> None:
    """Make the partitions of the months to come."""
    await connection.execute("SELECT make_partitions(%s)", [MONTHS_AHEAD])


def make_partitions(connection: Connection) -> None:
    """Make the partitions of the months to come."""
    connection.execute("SELECT make_partitions(%s)", [MONTHS_AHEAD])


def due(connection: Connection, rule: Rule) -> list[Partition]:
    """Return the months of a parted table whose time is over, the oldest first."""
    with connection.cursor(row_factory=class_row(Partition)) as cursor:
        return cursor.execute(
            "SELECT partition, from_time, until_time FROM partitions_of(%s)"
            " WHERE until_time < now() - %s ORDER BY until_time",
            [rule.table, timedelta(days=rule.days)],
        ).fetchall()


def let_leave(connection: Connection, rule: Rule, partition: str) -> None:
    """Take a month off its table; from here on it is in `leaving`.

    Raises psycopg.errors.LockNotAvailable where somebody has read the table for seconds.
    """
    connection.execute(
        "SELECT let_partition_leave(%s, %s, %s)", [rule.table, partition, rule.columns is not None]
    )


def leaving(connection: Connection) -> list[Leaving]:
    """Return the partitions that have left and are still there, the oldest first."""
    with connection.cursor(row_factory=class_row(Leaving)) as cursor:
        return cursor.execute(
            "SELECT partition, table_name, from_time, until_time, kept, files, rows,"
            " checksum::numeric AS checksum FROM archives"
            " WHERE dropped_at IS NULL ORDER BY until_time, partition"
        ).fetchall()


def note_files(
    connection: Connection, partition: str, files: list[ArchivedFile], rows: int, checksum: int
) -> None:
    """Note where a partition's rows are."""
    kept = [
        {"key": file.key, "rows": file.rows, "bytes": file.bytes, "sha256": file.sha256}
        for file in files
    ]
    connection.execute(
        "UPDATE archives SET files = %s, rows = %s, checksum = %s WHERE partition = %s",
        [Jsonb(kept), rows, checksum, partition],
    )


def note_verified(connection: Connection, partition: str) -> None:
    """Note that a partition's rows were read back from the archive, and are those that left."""
    connection.execute("UPDATE archives SET verified_at = now() WHERE partition = %s", [partition])


def drop(connection: Connection, partition: str) -> None:
    """Drop a partition that has left; its rows are in the archive, or shall be kept nowhere."""
    connection.execute("SELECT drop_partition(%s)", [partition])


def delete_batch(connection: Connection, rule: Rule) -> int:
    """Delete the oldest rows whose time is over, a batch at most; return how many they were."""
    assert rule.key is not None
    statement = sql.SQL(
        "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table}"
        " WHERE {time} < now() - %s AND ({only}) ORDER BY {order} LIMIT %s)"
    ).format(
        table=sql.Identifier(rule.table),
        key=sql.Identifier(rule.key),
        time=sql.Identifier(rule.time),
        order=sql.Identifier(rule.time if rule.by_time else rule.key),
        only=sql.SQL(rule.only),
    )
    return connection.execute(statement, [timedelta(days=rule.days), BATCH_ROWS]).rowcount


def hold_the_turn(connection: Connection) -> bool:
    """Take the turn of maintenance for this connection; return whether nobody else has it."""
    row = connection.execute(
        "SELECT pg_try_advisory_lock(hashtext('operations maintain'))"
    ).fetchone()
    return bool(row and row[0])


def count(connection: Connection, partition: str) -> int:
    """Return how many rows a partition that has left has."""
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(partition))
    ).fetchone()
    assert row is not None
    return int(row[0])


def page_rows() -> list[str]:
    """Return the rules as rows of the table in docs/data.md."""
    return [
        f"| `{rule.table}` | {rule.days} | {_then(rule)} | {rule.what} |"
        for rule in sorted(RULES, key=lambda rule: (rule.key is not None, rule.table))
    ]


def _then(rule: Rule) -> str:
    if rule.key is not None:
        return "rows are deleted"
    return "months are archived" if rule.columns is not None else "months are dropped"
