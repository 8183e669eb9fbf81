"""What the hub knows, as tables for a person."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from third_party_hub_simulator.client import Client
from third_party_hub_simulator.messages import Json

_WIDTH = None if sys.stdout.isatty() else 160
_COLUMNS = {
    "sessions": (
        *("session", "origin", "provider", "evse", "code", "round_trip_ms", "notifications"),
        *("energy_wh", "seconds_to_cdr", "cdr_copies", "open"),
    ),
    "evses": ("evse", "status", "status_at", "products"),
    "calls": ("at", "operation", "http", "code", "fault", "ms"),
}


def show_answer(answered: Json, *, as_json: bool) -> int:
    """Print what the operator answered; return 0 if it agreed, else 1."""
    if as_json:
        print(json.dumps(answered))
    else:
        status = (answered["answer"] or {}).get("StatusCode") or {}
        words = [status.get("Description"), status.get("AdditionalInfo"), answered["error"]]
        reason = "; ".join(word for word in words if word)
        print(f"session {answered['session']}")
        print(f"{answered['code'] or 'no answer'} {reason} ({answered['ms']:.0f} ms)")
    return 0 if answered["code"] == "000" else 1


def show_page(client: Client, page: str, *, as_json: bool) -> None:
    """Print a page of the control interface."""
    found = client.get(f"/{page}")
    if as_json:
        print(json.dumps(found))
    elif page == "figures":
        show_list([{"figure": n, "value": v} for n, v in found.items()], page, as_json=False)
    else:
        show_list([_short(row) for row in found], page, as_json=False)


def show_list(rows: list[Json], title: str, *, as_json: bool) -> None:
    """Print rows of one kind."""
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        print(f"no {title}")
        return
    columns = _COLUMNS.get(title, tuple(rows[0]))
    table = Table(title=f"{len(rows)} {title}", title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    Console(width=_WIDTH, highlight=False, markup=False).print(table)


def _short(row: Json) -> Json:
    kinds = [notification["type"] for notification in row.get("notifications", [])]
    return {**row, "notifications": " ".join(kinds)}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(member)}" for name, member in value.items())
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else str(value)
