"""Readings whose samples are kept whole, put into the form that takes a quarter of the room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from psycopg import sql

from charging.database.connection import Connection
from charging.samples import cut, number_of, pieces_of

BLOCKS = 250
"""Of a table, 2 MB, at once: a transaction of a tenth of a second."""
_MOST_FORMS = 10_000
_OFTEN = 10  # a form that comes less often in a batch is not worth its row


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of a table. whole: readings that stay as they came, such as signed ones."""

    table: str
    compacted: int
    whole: int


def compact(
    connection: Connection, progress: Callable[[str, float], None] = lambda table, share: None
) -> list[Compacted]:
    """Put the samples of all readings into form and values, while services run.

    Each row is compared with what it had before. What was interrupted goes on where it ended, and
    a second run changes nothing. progress: is told the table and which share of it is done.
    """
    connection.execute("SET statement_timeout = 0")
    forms: dict[bytes, int | None] = {}
    done = []
    for table in _tables(connection):
        compacted = whole = start = 0
        while start < (blocks := _blocks(connection, table)):
            with connection.transaction():
                changed, left = _compact(connection, table, start, forms)
            compacted, whole = compacted + changed, whole + left
            start += BLOCKS
            progress(table, min(1.0, start / blocks))
        done.append(Compacted(table, compacted, whole))
    return done


def _tables(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT partition FROM partitions_of('meter_values')")
    return [row[0] for row in rows]


def _blocks(connection: Connection, table: str) -> int:
    row = connection.execute(
        "SELECT pg_relation_size(to_regclass(%s)) / current_setting('block_size')::int", [table]
    ).fetchone()
    # A month that has left meanwhile has none.
    return int((row and row[0]) or 0)


def _compact(
    connection: Connection, table: str, start: int, forms: dict[bytes, int | None]
) -> tuple[int, int]:
    """Compact the rows of some blocks; return how many were, and how many stay whole."""
    rows = connection.execute(
        sql.SQL(
            "SELECT ctid::text, sampled_values::text FROM {} WHERE form_id IS NULL"
            " AND ctid >= %s::tid AND ctid < %s::tid FOR UPDATE SKIP LOCKED"
        ).format(sql.Identifier(table)),
        [f"({start},0)", f"({start + BLOCKS},0)"],
    ).fetchall()
    parts = [cut(samples.encode(), spaced=True) for _, samples in rows]
    often = Counter(part[0] for part in parts if part is not None)
    for form, count in often.items():
        if form not in forms and count >= _OFTEN:
            forms[form] = _learn(connection, form)
    compacted = [
        (row[0], form_id, part[1].decode())
        for row, part in zip(rows, parts, strict=True)
        if part is not None and (form_id := forms.get(part[0])) is not None
    ]
    if not compacted:
        return 0, len(rows)
    changed = connection.execute(
        sql.SQL(
            "UPDATE {} AS m"
            " SET form_id = t.form_id, form_values = t.form_values, sampled_values = NULL"
            " FROM unnest(%s::tid[], %s::bigint[], %s::text[]) AS t (place, form_id, form_values)"
            " WHERE m.ctid = t.place"
            " AND whole_samples(NULL, t.form_id, t.form_values) = m.sampled_values"
        ).format(sql.Identifier(table)),
        list(map(list, zip(*compacted, strict=True))),
    ).rowcount
    return changed, len(rows) - changed


def _learn(connection: Connection, form: bytes) -> int | None:
    number = number_of(form)
    row = connection.execute(
        "SELECT learn_form(%s, %s) WHERE (SELECT count(*) FROM sample_forms) < %s",
        [number, pieces_of(form), _MOST_FORMS],
    ).fetchone()
    return number if row and row[0] else None
