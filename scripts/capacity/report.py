"""The report of a capacity run: a page with a table, and a picture beside it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.capacity import picture
from scripts.capacity.machine import Watch, describe
from scripts.capacity.stages import Result
from scripts.capacity.targets import Target

Say = Callable[[str], None]


def targets(result: Result) -> list[Target]:
    """Return the rows of the report, each with what was measured."""
    books = result.books
    pace = max((drain["most"] / drain["pace"] for drain in result.drain), default=None)
    return [
        Target(
            f"{result.charging_points:,} authenticated, booted charging points held for"
            f" {result.seconds:.0f} s, heartbeats 300 s, pings 60 s: dropped",
            result.dropped + (result.charging_points - result.held),
            0,
            None,
            "",
        ),
        Target("all server processes together, PSS", result.server_memory, 350e6, 170e6, "MB"),
        Target("the simulator's processes, PSS", result.crowd_memory, 500e6, None, "MB"),
        Target("steady server CPU", result.steady_cpu, 0.2, 0.1, "% of a core"),
        Target(
            "connect, authenticate and boot all",
            result.connect_seconds,
            60,
            25,
            "s",
        ),
        Target("… failures", result.connect_failures, 0, None, ""),
        Target("all at once (storm): all back", result.storm_seconds, 90, 30, "s"),
        Target("… lost for good", result.storm_lost, 0, None, ""),
        Target(
            "MeterValues (8 sampled values) decoded, validated and committed",
            result.readings_a_second,
            5_000,
            12_000,
            "a second",
            at_least=True,
        ),
        Target(
            "bytes in the database per reading of 8 sampled values, indexes included",
            result.reading_bytes,
            300,
            150,
            "",
        ),
        Target("server CPU per Heartbeat", result.cpu_a_heartbeat, 50e-6, 25e-6, "µs"),
        Target(
            "a rolling replacement of every node under load: acknowledged and lost",
            None if books is None or not result.rolled else books.lost,
            0,
            None,
            "",
        ),
        Target("… most closes in a second", pace, 2, None, "× the set pace"),
    ]


def write(document: Path, result: Result, watch: Watch, note: str) -> list[Target]:
    """Write the page and its picture; return the targets that are missed. Raises OSError.

    note: what a reader should know about this run, or nothing.
    """
    rows = targets(result)
    missed = [target for target in rows if not target.met]
    image = document.with_suffix(".svg")
    picture.draw(image, watch)
    document.write_text(_page(result, rows, missed, image.name, note))
    return missed


def _page(result: Result, rows: list[Target], missed: list[Target], image: str, note: str) -> str:
    command = f"make capacity CHARGING_POINTS={result.charging_points} SECONDS={result.seconds:.0f}"
    if result.share_201:
        command += f" ARGS='--share-201 {result.share_201:g}'"
    return "\n".join(
        [
            "# Capacity",
            "",
            (
                f"One run of `{command}` on {datetime.now(UTC):%Y-%m-%d}; every figure is from it."
                f" The machine: {describe()}. PostgreSQL, {result.processes} nodes and the"
                " simulator shared it, and other work may have too: times and rates are at most"
                " what they could be, CPU is counted in seconds of CPU and not of the clock."
                " `make compare-peers` holds a node against other servers"
                " ([comparison](capacity-peers.md))."
            ),
            "",
            *([note, ""] if note else []),
            "| What | Target | Beyond it | Measured | |",
            "|---|---|---|---|---|",
            *(target.row() for target in rows),
            "",
            _conclusion(missed),
            "",
            f"![connections, CPU and memory over time]({image})",
            "",
            "## How it was spent",
            "",
            *_spent(result),
            "",
            "## Times as the charging points saw them",
            "",
            (
                "In milliseconds, from the call to its answer; `handshake` from the first packet to"
                " the 101, `online` from losing the connection (or first trying) to being booted."
            ),
            "",
            *_times(result),
            "",
            "## The books",
            "",
            *_books(result),
            "",
            "## Replacing the nodes",
            "",
            *_drains(result),
            "",
        ]
    )


def _conclusion(missed: list[Target]) -> str:
    if not missed:
        return "Every target is met."
    return "Missed: " + "; ".join(f"{t.what} ({t.verdict.replace('*', '')})" for t in missed) + "."


def _spent(result: Result) -> list[str]:
    def shares(cores: dict[str, float]) -> str:
        most = max(cores, key=lambda name: cores[name], default="")
        listed = ", ".join(f"{name} {100 * share:.1f}%" for name, share in cores.items())
        return f"{listed} of a core; most: {most}"

    lines = [
        (
            f"- Nodes without a connection: {result.empty_memory / 1e6:.0f} MB in all. With all:"
            f" {result.server_memory / 1e6:.0f} MB, which is"
            f" {(result.server_memory - result.empty_memory) / max(1, result.held) / 1024:.2f} KiB"
            " a charging point, OCPP state included."
        ),
        f"- While all connected: {shares(result.connect_shares)}.",
        f"- In the quiet: {shares(result.steady_shares)}.",
        (
            f"- Under MeterValues: {shares(result.reading_shares)}."
            f" {result.committed_a_second:,.0f} rows a second were counted in the database,"
            f" {1e6 * result.cpu_a_reading:.0f} µs of server CPU each."
        ),
        f"- In the storm: {shares(result.storm_shares)}.",
    ]
    if result.cpu_a_heartbeat is not None:
        lines.append(f"- {result.heartbeats:,} heartbeats were weighed, beyond those of the quiet.")
    for stage, report in result.reports.items():
        unusual = {
            name: n
            for name, n in report["counts"].items()
            if not name.startswith(("acknowledged", "books", "came online", "pings"))
        }
        if unusual:
            listed = ", ".join(f"{name}: {n}" for name, n in sorted(unusual.items()))
            lines.append(f"- Counted by the charging points during `{stage}`: {listed}.")
    return lines


def _times(result: Result) -> list[str]:
    lines = ["| Stage | What | Count | p50 | p95 | p99 | max |", "|---|---|---|---|---|---|---|"]
    for stage, report in result.reports.items():
        for name, times in report["times_ms"].items():
            lines.append(
                f"| {stage} | {name} | {times['count']:,} | "
                + " | ".join(_ms(times[key]) for key in ("p50", "p95", "p99", "max"))
                + " |"
            )
    return lines


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _books(result: Result) -> list[str]:
    books = result.books
    if books is None:
        return ["The run did not come so far."]
    values: list[tuple[str, Any, Any]] = [
        ("sessions ended", books.sessions, books.sessions_recorded),
        ("readings", books.readings, books.readings_recorded),
        ("energy in kWh", books.energy_wh / 1000, books.energy_recorded_wh / 1000),
    ]
    return [
        (
            "What the charging points heard acknowledged, through storm and replacement, against"
            " what is in the database:"
        ),
        "",
        "| | acknowledged | in the database |",
        "|---|---|---|",
        *(f"| {name} | {reported:,} | {there:,} |" for name, reported, there in values),
        "",
        f"Lost: {books.lost}. Too many: {books.too_many}.",
    ]


def _drains(result: Result) -> list[str]:
    if not result.drain:
        return ["The run did not come so far."]
    return [
        (
            "Each node was told to stop (SIGTERM), drained onto the others, and was replaced, while"
            " readings came in."
        ),
        "",
        "| Node | Connections | Set pace, a second | Most closed in a second | Seconds | Dropped |",
        "|---|---|---|---|---|---|",
        *(
            f"| {number + 1} | {d['connections']:,.0f} | {d['pace']:,.0f} | {d['most']:,.0f} |"
            f" {d['seconds']:.1f} | {d['dropped']:.0f} |"
            for number, d in enumerate(result.drain)
        ),
    ]
