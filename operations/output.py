"""What operations print: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

Row = Mapping[str, Any]


class OperationError(Exception):
    """Something cannot be done; the message is one sentence for the operator."""


def show(rows: Sequence[Row], *, as_json: bool, title: str, empty: str) -> None:
    """Print rows that all have the same keys. empty: said instead of a table without rows."""
    if as_json:
        show_json([dict(row) for row in rows])
        return
    if not rows:
        print(empty)
        return
    # As wide as it needs where nobody watches: a pipe must not lose columns.
    Console(width=None if sys.stdout.isatty() else 250).print(table(rows, title=title))


def table(rows: Sequence[Row], *, title: str) -> Table:
    """Return a table of rows, at least one, that all have the same keys."""
    result = Table(title=title, title_justify="left", header_style="bold")
    for name in rows[0]:
        numbers = all(isinstance(row[name], int | float | None) for row in rows)
        result.add_column(name.replace("_", " "), justify="right" if numbers else "left")
    for row in rows:
        result.add_row(*(_cell(value) for value in row.values()))
    return result


def show_json(document: Any) -> None:
    """Print one JSON document; times as ISO 8601 UTC."""
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
