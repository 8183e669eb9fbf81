"""`operations nodes`: the nodes and their figures, once or live."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table

from charging.database.connection import Connection
from operations import nodes
from operations.command_line.output import console, records, show, show_json, table
from operations.nodes import Node

WATCH_SECONDS = 2.0

_EMPTY = "no nodes: no charging-point-backend runs on this database"


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's options; it has one action only."""
    parser.description = (
        "Show the nodes: connections, messages a second, latencies, queues, event-loop lag."
        " A node writes its figures every few seconds."
    )
    parser.add_argument("--watch", action="store_true", help="show them anew until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=show_nodes)


def show_nodes(connection: Connection, options: argparse.Namespace) -> None:
    """Show all nodes, once or until interrupted."""
    if options.watch:
        try:
            _watch(connection, as_json=options.json)
        except KeyboardInterrupt:
            return
    found = nodes.list_all(connection)
    if options.json:
        show_json(records(found))
    else:
        show(_rows(found), as_json=False, title=_title(found), empty=_EMPTY)


def _watch(connection: Connection, *, as_json: bool) -> None:
    screen = console()
    if as_json or not screen.is_terminal:
        while True:
            found = nodes.list_all(connection)
            if as_json:
                show_json(records(found))
            else:
                screen.print(_view(found))
            sys.stdout.flush()
            time.sleep(WATCH_SECONDS)
    with Live(_view(nodes.list_all(connection)), console=screen, auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_SECONDS)
            live.update(_view(nodes.list_all(connection)), refresh=True)


def _rows(found: Sequence[Node]) -> list[dict[str, Any]]:
    rows = []
    for node in found:
        figures = node.figures
        rates = figures.get("rates", {})
        rows.append(
            {
                "node": str(node.node)[:8],
                "process": node.process,
                "address": node.address,
                "state": node.state,
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


def _title(found: Sequence[Node]) -> str:
    total = sum(node.figures.get("Connections", 0) for node in found)
    return f"{len(found)} nodes, {total:.0f} connections"


def _view(found: Sequence[Node]) -> Group | str:
    if not found:
        return _EMPTY
    return Group(table(_rows(found), title=_title(found)), _details(found))


def _details(found: Sequence[Node]) -> Table:
    """Messages by action, refusals and ends by cause: of all nodes, since each began."""
    total: Counter[str] = Counter()
    for node in found:
        total.update(node.figures.get("detail", {}))
    rows = [
        {"what": name.partition(":")[0], "which": name.partition(":")[2], "since_start": count}
        for name, count in sorted(total.items())
    ]
    empty = {"what": "nothing yet", "which": None, "since_start": None}
    return table(rows or [empty], title="By action and cause")
