"""Maintenance: the partitions to come are made, and what need not be kept any longer leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from charging.database import retention
from charging.database.connection import Connection
from charging.database.retention import ArchivedFile, Leaving, Rule
from charging.service.file_store import FileStore
from charging.service.telemetry import Metrics
from operations import archive
from operations.archive import ArchiveError
from operations.errors import ConflictError, InvalidError

NAMESPACE = "VNI/Operations"
METRICS = {"DataMaintained": "Count", "RowsArchived": "Count", "RowsDeleted": "Count"}
"""Metrics of maintenance: that it was done, and how many rows have left."""

_LOCK_TRIES = 30


@dataclass(frozen=True, slots=True)
class Left:
    """What has left a table. partition: None where rows were deleted. files: in the archive."""

    table: str
    rows: int
    partition: str | None = None
    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """A month that `maintain` would take off its table. archived: its rows are kept."""

    table: str
    days: int
    partition: str
    archived: bool


def due(connection: Connection, *, days: Mapping[str, int] | None = None) -> list[Due]:
    """Return the partitions that `maintain` would take away. Raises InvalidError."""
    return [
        Due(rule.table, rule.days, month.partition, rule.columns is not None)
        for rule in _rules(days)
        if rule.key is None
        for month in retention.due(connection, rule)
    ]


def maintain(
    connection: Connection,
    store: FileStore,
    *,
    days: Mapping[str, int] | None = None,
    file_rows: int = archive.FILE_ROWS,
    progress: Callable[[str], None] = lambda sentence: None,
) -> list[Left]:
    """Make the partitions to come, archive and drop old ones, delete old rows; return what left.

    days: to keep, by table, where it is not the rule's own number. What was interrupted goes on
    where it ended. Raises InvalidError, ConflictError where somebody else is at it, ArchiveError.
    """
    rules = _rules(days)
    # A month of readings takes longer than any statement of a person.
    connection.execute("SET statement_timeout = 0")
    if not retention.hold_the_turn(connection):
        raise ConflictError("maintenance is under way already, by another program")
    retention.make_partitions(connection)
    for rule in rules:
        if rule.key is None:
            for month in retention.due(connection, rule):
                progress(f"{month.partition}: leaves {rule.table}")
                _let_leave(connection, rule, month.partition)
    by_table = {rule.table: rule for rule in rules}
    left = [
        _end(connection, leaving, by_table[leaving.table_name], store, file_rows, progress)
        for leaving in retention.leaving(connection)
    ]
    deleted = [
        Left(rule.table, _delete(connection, rule, progress))
        for rule in rules
        if rule.key is not None
    ]
    return left + [each for each in deleted if each.rows]


def metrics_document(left: Sequence[Left], environment: str) -> dict[str, Any]:
    """Return what has left in CloudWatch's embedded metric format."""
    metrics = Metrics(NAMESPACE, METRICS)
    archived = sum(each.rows for each in left if each.files)
    metrics.count("DataMaintained")
    metrics.count("RowsArchived", amount=archived)
    metrics.count("RowsDeleted", amount=sum(each.rows for each in left) - archived)
    return metrics.document({"Environment": environment, "Service": "operations"})


def _rules(days: Mapping[str, int] | None) -> list[Rule]:
    try:
        return retention.rules(days)
    except ValueError as error:
        raise InvalidError(str(error)) from None


def _let_leave(connection: Connection, rule: Rule, partition: str) -> None:
    """Take a month off its table, again where statements that read the table go on for seconds."""
    for tried in range(1, _LOCK_TRIES + 1):
        try:
            retention.let_leave(connection, rule, partition)
        except psycopg.errors.LockNotAvailable:
            if tried == _LOCK_TRIES:
                raise
        else:
            return


def _end(
    connection: Connection,
    leaving: Leaving,
    rule: Rule,
    store: FileStore,
    file_rows: int,
    progress: Callable[[str], None],
) -> Left:
    """Archive a partition that has left, read it back, and drop it."""
    files: list[ArchivedFile] = []
    if leaving.kept:
        assert rule.columns is not None
        rows, checksum = archive.checksum(connection, leaving.partition, rule)

        def told(done: int) -> None:
            progress(f"{leaving.partition}: {done:,} of {rows:,} rows archived")

        try:
            files = archive.write(
                connection, leaving, rule, store, file_rows=file_rows, progress=told
            )
            retention.note_files(connection, leaving.partition, files, rows, checksum)
            found = archive.read_back(files, rule.columns, store)
        except OSError as error:
            raise ArchiveError(f"{leaving.partition}: the archive failed: {error}") from error
        if found != checksum:
            raise ArchiveError(
                f"{leaving.partition}: what was read back from the archive are other rows than"
                " those that left; nothing was dropped"
            )
        retention.note_verified(connection, leaving.partition)
        progress(f"{leaving.partition}: read back from the archive")
    else:
        rows = retention.count(connection, leaving.partition)
    retention.drop(connection, leaving.partition)
    return Left(
        leaving.table_name,
        rows,
        leaving.partition,
        len(files),
        sum(file.bytes for file in files),
    )


def _delete(connection: Connection, rule: Rule, progress: Callable[[str], None]) -> int:
    total = 0
    while deleted := retention.delete_batch(connection, rule):
        total += deleted
        progress(f"{rule.table}: {total:,} rows deleted")
        if deleted < retention.BATCH_ROWS:
            break
    return total
