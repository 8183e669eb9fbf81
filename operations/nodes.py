"""The nodes that hold charging points' connections, and what they tell of themselves."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from operations.output import show, show_json, table

Connection = psycopg.Connection[Any]

STALE_SECONDS = 15
"""A node that was silent for longer takes its presence with it."""
WATCH_SECONDS = 2.0

_EMPTY = "no nodes: no charging-point-backend runs on this database"


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's options; it has one action only."""
    parser.description = (
        "Show the nodes: connections, messages a second, latencies, queues, event-loop lag."
        " A node tells its figures every few seconds."
    )
    parser.add_argument("--watch", action="store_true", help="show them anew until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=show_nodes)


def show_nodes(connection: Connection, options: argparse.Namespace) -> None:
    """Show all nodes, once or until interrupted."""
    connection.autocommit = True  # each look is a new one
    if not options.watch:
        nodes = _read(connection)
        if options.json:
            show_json(nodes)
        else:
            show(_rows(nodes), as_json=False, title=_title(nodes), empty=_EMPTY)
        return
    try:
        _watch(connection, as_json=options.json)
    except KeyboardInterrupt:
        return


def _watch(connection: Connection, *, as_json: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else 250)
    if as_json or not console.is_terminal:
        while True:
            nodes = _read(connection)
            if as_json:
                show_json(nodes)
            else:
                console.print(_view(nodes))
            sys.stdout.flush()
            time.sleep(WATCH_SECONDS)
    with Live(_view(_read(connection)), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_SECONDS)
            live.update(_view(_read(connection)), refresh=True)


def _read(connection: Connection) -> list[dict[str, Any]]:
    return (
        connection.cursor(row_factory=dict_row)
        .execute(
            """
            SELECT node_id AS node, address, process_id AS process, started_at, heartbeat_at,
                   CASE WHEN heartbeat_at < now() - make_interval(secs => %s) THEN 'silent'
                        WHEN draining THEN 'draining' ELSE 'serving' END AS state,
                   figures
            FROM nodes ORDER BY started_at, node_id
            """,
            [STALE_SECONDS],
        )
        .fetchall()
    )


def _rows(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for node in nodes:
        figures = node["figures"]
        rates = figures.get("rates", {})
        rows.append(
            {
                "node": str(node["node"])[:8],
                "process": node["process"],
                "address": node["address"],
                "state": node["state"],
                "connections": figures.get("Connections"),
                "handshakes_/s": rates.get("HandshakesAccepted"),
                "refused_/s": rates.get("HandshakesRefused"),
                "in_flight": figures.get("HandshakesInFlight"),
                "closed_/s": rates.get("ConnectionsClosed"),
                "messages_/s": rates.get("MessagesReceived"),
                "call_p50_ms": figures.get("CallLatencyP50"),
                "call_p99_ms": figures.get("CallLatencyP99"),
                "queue": figures.get("LaneDepth"),
                "batch_p50": figures.get("CommitBatchSizeP50"),
                "commit_p50_ms": figures.get("CommitLatencyP50"),
                "lag_p99_ms": figures.get("EventLoopLagP99"),
            }
        )
    return rows


def _title(nodes: list[dict[str, Any]]) -> str:
    total = sum(node["figures"].get("Connections", 0) for node in nodes)
    return f"{len(nodes)} nodes, {total:.0f} connections"


def _view(nodes: list[dict[str, Any]]) -> Group | str:
    if not nodes:
        return _EMPTY
    return Group(table(_rows(nodes), title=_title(nodes)), _details(nodes))


def _details(nodes: list[dict[str, Any]]) -> Table:
    """Messages by action, refusals and ends by cause: of all nodes, since each began."""
    total: Counter[str] = Counter()
    for node in nodes:
        total.update(node["figures"].get("detail", {}))
    rows = [
        {"what": name.partition(":")[0], "which": name.partition(":")[2], "since_start": count}
        for name, count in sorted(total.items())
    ]
    empty = {"what": "nothing yet", "which": None, "since_start": None}
    return table(rows or [empty], title="By action and cause")
