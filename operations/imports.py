"""Taking large tables into a database that charging points are writing to at the same time.

A table is looked through whole before anything is written, so a fault in row 59,999 leaves
everything as it was. Then it is written in parts, each a short transaction that locks its rows in
one order, because a charging point's message waits for a row that an import holds: one transaction
for 60,000 EVSEs stopped a running node for 25 seconds, a part of PART_ROWS takes some
milliseconds. What is written is never half a row. An import that was interrupted is completed by
importing the same file again: rows that are there already cost nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import psycopg

from charging.database.connection import Connection
from charging.tables import Fault, TableError
from operations.errors import ConflictError, InvalidError

PART_ROWS = 200
_LOCK = 0x564E4B
_TRIES = 5
_PAUSE_SECONDS = 0.05

T = TypeVar("T")


def read(
    text: str, reader: Callable[[str], tuple[list[tuple[int, T]], list[Fault]]]
) -> tuple[list[tuple[int, T]], list[Fault]]:
    """Return a table's rows and what is wrong with them. Raises InvalidError for no table."""
    try:
        return reader(text)
    except TableError as error:
        raise InvalidError(str(error)) from None


@contextmanager
def exclusively(connection: Connection) -> Iterator[None]:
    """Hold the lock of all imports. Raises ConflictError while another one runs."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
    if row is None or not row[0]:
        raise ConflictError("another import is running; start this one when it has ended")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def in_parts(
    connection: Connection, rows: Sequence[T], write: Callable[[Sequence[T]], None]
) -> None:
    """Write rows part by part, each in a transaction; once more where a deadlock undid it.

    connection: in autocommit, since an open transaction would hold all locks until its end.
    """
    for start in range(0, len(rows), PART_ROWS):
        part = rows[start : start + PART_ROWS]
        for attempt in range(_TRIES):
            try:
                with connection.transaction():
                    write(part)
                break
            except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                if attempt + 1 == _TRIES:
                    raise
                time.sleep(random.uniform(0, _PAUSE_SECONDS * 2**attempt))  # noqa: S311 - jitter
