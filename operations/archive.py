"""Archives: rows of a partition that leaves, as Parquet files in a store, and read back from it.

A file is `archive/<table>/date=<first day of its rows>/part-<number>.parquet`: DuckDB, Athena and
Spark take the folders for a partitioned table. DuckDB writes and reads them, with nothing that it
would load from elsewhere.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from psycopg import sql

from charging.database.connection import Connection
from charging.database.retention import ArchivedFile, Leaving, Rule
from charging.service.file_store import CHUNK_BYTES, FileStore
from operations.errors import OperationError

FILE_ROWS = 500_000
"""Of a file: some 20 MB of readings, and a tenth of a gigabyte on the way to it."""

_DUCKDB_TYPES = {
    "text": "VARCHAR",
    "jsonb": "VARCHAR",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "timestamptz": "TIMESTAMPTZ",
}
# What follows stands in every column's text, so that no two rows have the same.
_SEPARATOR = "\x1f"
_NULL = "\x1eN"


class ArchiveError(OperationError):
    """What was read back from the archive is not what was written, or the archive failed."""


def write(
    connection: Connection,
    leaving: Leaving,
    rule: Rule,
    store: FileStore,
    *,
    file_rows: int = FILE_ROWS,
    progress: Callable[[int], None] = lambda rows: None,
) -> list[ArchivedFile]:
    """Write a partition's rows into the store; return its files.

    rule: of its table, which is archived. A file that is there already is written anew. progress:
    is told the rows so far. Raises OSError of the store.
    """
    columns = rule.columns or {}
    files: list[ArchivedFile] = []
    rows = 0
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        csv, parquet = Path(folder, "rows.csv"), Path(folder, "rows.parquet")
        for count in _csv_files(connection, leaving.partition, rule, csv, file_rows):
            _to_parquet(csv, parquet, columns)
            key = f"{_folder(leaving)}/part-{len(files) + 1:04}.parquet"
            files.append(ArchivedFile(key, count, parquet.stat().st_size, _sha256(parquet)))
            store.write(key, _chunks(parquet))
            rows += count
            progress(rows)
    return files


def checksum(connection: Connection, partition: str, rule: Rule) -> tuple[int, int]:
    """Return a partition's number of rows, and the sum of their hashes."""
    columns = rule.columns or {}
    statement = sql.SQL(
        "SELECT count(*), coalesce(sum(('x' || left(md5({}), 15))::bit(60)::bigint), 0) FROM {}"
    ).format(
        sql.SQL("concat_ws({}, {})").format(
            sql.Literal(_SEPARATOR),
            sql.SQL(", ").join(
                sql.SQL("coalesce({}, {})").format(
                    _as_text(_read(name, rule), kind), sql.Literal(_NULL)
                )
                for name, kind in columns.items()
            ),
        ),
        sql.Identifier(partition),
    )
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def read_back(files: list[ArchivedFile], columns: Mapping[str, str], store: FileStore) -> int:
    """Read files back from the store; return the sum of the hashes of all their rows.

    Raises ArchiveError where a file is not what was written, OSError of the store.
    """
    texts = ", ".join(
        f"coalesce({_duckdb_text(name, kind)}, '{_NULL}')" for name, kind in columns.items()
    )
    total = 0
    with tempfile.TemporaryDirectory(prefix="archive-") as folder, _duckdb() as database:
        parquet = Path(folder, "rows.parquet")
        for file in files:
            with parquet.open("wb") as target:
                for part in store.read(file.key):
                    target.write(part)
            if _sha256(parquet) != file.sha256:
                raise ArchiveError(f"{file.key} is not what was written")
            found = database.execute(
                f"SELECT count(*), coalesce(sum(('0x' || left(md5(concat_ws('{_SEPARATOR}',"
                f" {texts})), 15))::BIGINT::HUGEINT), 0) FROM read_parquet(?)",
                [str(parquet)],
            ).fetchone()
            assert found is not None
            if found[0] != file.rows:
                raise ArchiveError(f"{file.key} has {found[0]} rows, {file.rows} were written")
            total += int(found[1])
    return total


def _folder(leaving: Leaving) -> str:
    # The first partition begins nowhere; Athena counts its folders from here.
    day = leaving.from_time.date().isoformat() if leaving.from_time else "1970-01-01"
    return f"archive/{leaving.table_name}/date={day}"


def _csv_files(
    connection: Connection, partition: str, rule: Rule, csv: Path, file_rows: int
) -> Iterator[int]:
    """Write the rows into a file of CSV, again and again; give its number of rows each time."""
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv)").format(
        sql.SQL(", ").join(_read(name, rule) for name in rule.columns or {}),
        sql.Identifier(partition),
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        # PostgreSQL sends a row at a time, whatever line ends its texts have.
        rows = iter(copy)
        row = next(rows, None)
        while row is not None:
            count = 0
            with csv.open("wb") as target:
                while row is not None and count < file_rows:
                    target.write(row)
                    count += 1
                    row = next(rows, None)
            yield count


def _to_parquet(csv: Path, parquet: Path, columns: Mapping[str, str]) -> None:
    types = {name: _DUCKDB_TYPES[kind] for name, kind in columns.items()}
    with _duckdb() as database:
        database.execute(
            "COPY (SELECT * FROM read_csv($csv, auto_detect = false, header = false, delim = ',',"
            " quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false,"
            f" max_line_size = 2000000, columns = {types})) TO '{parquet}'"
            " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 50000)",
            {"csv": str(csv)},
        )


def _duckdb() -> Any:
    """Return a DuckDB of one thread and little memory, which loads nothing."""
    # Here, since no other command of an operator needs it, and it takes long to load.
    import duckdb

    return duckdb.connect(
        config={
            "threads": "1",
            "memory_limit": "512MB",
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )


def _read(name: str, rule: Rule) -> sql.Composable:
    """Return the SQL of what is archived as a column."""
    return sql.SQL(rule.read_as[name]) if name in rule.read_as else sql.Identifier(name)


def _as_text(column: sql.Composable, kind: str) -> sql.Composable:
    if kind == "timestamptz":
        return sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint::text").format(column)
    return sql.SQL("{}::text").format(column)


def _duckdb_text(name: str, kind: str) -> str:
    return f"epoch_us({name})::VARCHAR" if kind == "timestamptz" else f"{name}::VARCHAR"


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while part := source.read(CHUNK_BYTES):
            yield part


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
