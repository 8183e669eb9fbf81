"""What operations print: a table for people, JSON for programs.

What comes from the database came from outside, from charging points not least: it is printed as it
is, never read as markup, and no control character of it reaches the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from operations.plain_text import plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = Mapping[str, Any]

WIDTH_WITHOUT_TERMINAL = 250
"""Columns where the output is no terminal: a pipe must not lose any."""

_MEASURED_WIDTH = 10_000


def print_text(sentence: str) -> None:
    """Print a sentence."""
    print(plain(sentence))


def print_error(complaint: str) -> None:
    """Print on standard error what is wrong; its lines stay lines."""
    print("\n".join(map(plain, complaint.split("\n"))), file=sys.stderr)


def records(things: Sequence[DataclassInstance]) -> list[dict[str, Any]]:
    """Return the back office's results as rows by field."""
    return [asdict(thing) for thing in things]


def show(rows: Sequence[Row], *, as_json: bool, title: str, empty: str) -> None:
    r"""Print rows that all have the same keys. empty: printed instead of a table without rows.

    A table that is wider than the terminal would fold or cut every cell: then each row is a block
    of lines, as `psql` does it with ``\x auto``.
    """
    if as_json:
        show_json([dict(row) for row in rows])
        return
    if not rows:
        print(empty)
        return
    screen, whole = console(), table(rows, title=title)
    options = screen.options.update(max_width=_MEASURED_WIDTH)
    if Measurement.get(screen, options, whole).maximum <= screen.width:
        screen.print(whole)
        return
    print_text(title)
    for row in rows:
        print()
        show_fields(row)


def show_fields(row: Row) -> None:
    """Print one thing, a field a line; what has no value is left out. Objects are JSON."""
    for name, value in row.items():
        if value is not None:
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else None
            print_text(f"{name.replace('_', ' '):>{max(map(len, row))}}  {text or _cell(value)}")


def console() -> Console:
    """Return the console to print tables on."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)


def table(rows: Sequence[Row], *, title: str) -> Table:
    """Return a table of rows, at least one, that all have the same keys."""
    result = Table(title=Text(plain(title)), title_justify="left", header_style="bold")
    for name in rows[0]:
        numbers = all(isinstance(row[name], int | float | None) for row in rows)
        result.add_column(Text(name.replace("_", " ")), justify="right" if numbers else "left")
    for row in rows:
        result.add_row(*(Text(plain(_cell(value))) for value in row.values()))
    return result


def show_json(document: Any) -> None:
    """Print one JSON document; times as ISO 8601 UTC, other characters than ASCII escaped."""
    print(json.dumps(document, indent=2, default=_as_json))


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    return str(value)
