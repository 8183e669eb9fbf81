"""Tables that people fill in, as CSV or JSON: read as a whole, every fault named by its place."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

REQUIRED = object()
"""Stands as the default of a column that must be filled in."""

MAX_FAULTS = 100
"""How many faults are worth telling at once."""


class TableError(ValueError):
    """A file is not a table of the kind that was asked for; nothing of it was taken."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. read: from the cell to the value, raises ValueError saying what is expected."""

    name: str
    read: Callable[[Any], Any]
    default: Any = REQUIRED


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a row. row: as a spreadsheet counts, the heading is 1; in JSON from 1."""

    row: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.column}: {self.message}"


Row = dict[str, Any]


def read_table(text: str, columns: Sequence[Column]) -> tuple[list[tuple[int, Row]], list[Fault]]:
    """Read CSV with a heading, or a JSON list of objects; return (row number, values), faults.

    Empty cells, null and absent members mean the column's default. Raises TableError for what
    is neither.
    """
    rows: list[tuple[int, Row]] = []
    faults: list[Fault] = []
    known = {column.name for column in columns}
    for number, cells in _json(text) if text.lstrip()[:1] in ("[", "{") else _csv(text, known):
        values: Row = {}
        faults.extend(
            Fault(number, str(name), "there is no such column") for name in cells.keys() - known
        )
        for column in columns:
            cell = cells.get(column.name)
            if isinstance(cell, str):
                cell = cell.strip()
            if cell is None or cell == "" or cell == []:
                if column.default is REQUIRED:
                    faults.append(Fault(number, column.name, "must be filled in"))
                values[column.name] = column.default
                continue
            try:
                values[column.name] = column.read(cell)
            except ValueError as error:
                faults.append(Fault(number, column.name, str(error)))
        rows.append((number, values))
    if not rows:
        raise TableError("there are no rows in it")
    return rows, faults


def _csv(text: str, known: set[str]) -> list[tuple[int, Mapping[str, Any]]]:
    # Spreadsheets of half the world separate by semicolons, and begin with a byte order mark.
    text = text.removeprefix("\ufeff")
    heading = text.split("\n", 1)[0]
    reader = csv.DictReader(
        io.StringIO(text), delimiter=";" if heading.count(";") > heading.count(",") else ","
    )
    names = [name.strip() for name in reader.fieldnames or ()]
    if surplus := sorted(set(names) - known):
        raise TableError(
            f"there is no column {', '.join(map(repr, surplus))}; known: {', '.join(sorted(known))}"
        )
    reader.fieldnames = names
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for record in reader:
        if None in record:
            raise TableError(f"row {len(rows) + 2} has more cells than the heading")
        cells = {name: (cell or "").strip() for name, cell in record.items()}
        rows.append((len(rows) + 2, cells))
    return rows


def _json(text: str) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        document = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise TableError(f"it is no JSON: {error}") from None
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise TableError("a JSON list of objects is expected")
    return list(enumerate(document, 1))


# What stands in cells.


def text(longest: int, pattern: str = ".*", expected: str = "") -> Callable[[Any], str]:
    """Return a reader of text."""
    form = re.compile(pattern)

    def read(cell: Any) -> str:
        value = str(cell).strip()
        if len(value) > longest:
            raise ValueError(f"has {len(value)} characters, {longest} are allowed")
        if not value.isprintable() or not form.fullmatch(value):
            raise ValueError(f"{value!r} is not {expected or 'printable'}")
        return value

    return read


def one_of(*choices: str) -> Callable[[Any], str]:
    """Return a reader of one of a few words, in any case."""
    known = {choice.lower(): choice for choice in choices}

    def read(cell: Any) -> str:
        choice = known.get(str(cell).strip().lower())
        if choice is None:
            raise ValueError(f"{str(cell)!r} is none of: {'; '.join(choices)}")
        return choice

    return read


def list_of(read_one: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """Return a reader of several values: a JSON list, or text separated by ``;`` or ``|``."""

    def read(cell: Any) -> list[Any]:
        parts = cell if isinstance(cell, list) else re.split(r"[;|]", str(cell))
        return list(dict.fromkeys(read_one(part) for part in parts if str(part).strip()))

    return read


def yes_or_no(cell: Any) -> bool:
    """Read yes or no."""
    if isinstance(cell, bool):
        return cell
    word = str(cell).strip().lower()
    if word not in ("yes", "no", "true", "false", "1", "0"):
        raise ValueError(f"{str(cell)!r} is neither yes nor no")
    return word in ("yes", "true", "1")


def decimal(least: str, most: str, places: int) -> Callable[[Any], Decimal]:
    """Return a reader of numbers between two bounds, with so many decimals at most."""
    low, high = Decimal(least), Decimal(most)

    def read(cell: Any) -> Decimal:
        try:
            number = Decimal(str(cell))
        except InvalidOperation:
            raise ValueError(f"{str(cell)!r} is no number") from None
        if not number.is_finite() or not low <= number <= high:
            raise ValueError(f"{cell} is not between {least} and {most}")
        if number != round(number, places):
            raise ValueError(f"{cell} has more than {places} decimals")
        return number

    return read


def whole(least: int, most: int) -> Callable[[Any], int]:
    """Return a reader of whole numbers between two bounds."""
    read_decimal = decimal(str(least), str(most), 0)
    return lambda cell: int(read_decimal(cell))
