"""The stages of a capacity run, each measured: ramp, hold, heartbeats, readings, storm, drain."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charging.database.connection import Connection
from charging.database.presence import node_state
from scripts.capacity.books import Books, compare
from scripts.capacity.crowd import Crowd
from scripts.capacity.machine import (
    Watch,
    children,
    cpu_seconds,
    machine_cpu_seconds,
    memory_bytes,
)

PATIENCE_SECONDS = 240.0
# Heartbeats a second in the stage that weighs them: far above the usual, far below the limit.
HEARTBEATS_A_SECOND = 4_000
WARM_UP_SECONDS = 3.0
# While nodes are replaced, each of those who charge sends a reading so often.
ROLLING_INTERVAL_SECONDS = 5.0
CHARGING_SHARE = 0.05
OTHER_WORK = "everything else on the machine"
"""The kernel's work for the sockets included, where it is nobody's."""

Say = Callable[[str], None]


@dataclass
class Backend:
    """The nodes of a run: their parent's process, and a connection to their database."""

    supervisor: int
    processes: int
    drain_seconds: float
    database: Connection

    def nodes(self) -> list[int]:
        """Return the process ids of the nodes."""
        return children(self.supervisor)

    def serving(self) -> set[int]:
        """Return the process ids of the nodes that serve."""
        rows = self.database.execute(
            f"SELECT process_id FROM nodes WHERE {node_state()} = 'serving'".encode()
        )
        return {row[0] for row in rows}

    def connections_of(self, process_id: int) -> int:
        """Return how many connections a node holds, as the database has it."""
        row = self.database.execute(
            "SELECT count(*) FROM connections JOIN nodes USING (node_id) WHERE process_id = %s",
            [process_id],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def readings(self) -> int:
        """Return how many readings are committed."""
        row = self.database.execute("SELECT count(*) FROM meter_values").fetchone()
        assert row is not None
        return int(row[0])

    def bytes_a_reading(self) -> float | None:
        """Return what a committed reading takes in the database, indexes included."""
        row = self.database.execute(
            "SELECT sum(pg_total_relation_size(inhrelid)) / nullif((SELECT count(*) FROM"
            " meter_values), 0) FROM pg_inherits WHERE inhparent = 'meter_values'::regclass"
        ).fetchone()
        return None if row is None or row[0] is None else float(row[0])


@dataclass
class Result:
    """What a run has measured. CPU in seconds or parts of a core, memory in bytes."""

    charging_points: int
    seconds: float
    processes: int
    share_201: float = 0.0
    """Of the charging points that speak OCPP 2.0.1; the others speak 1.6."""
    empty_memory: int = 0
    """Of the nodes without a connection."""
    connect_seconds: float | None = None
    connect_failures: int = 0
    connect_shares: dict[str, float] = field(default_factory=dict)
    server_memory: int = 0
    crowd_memory: int = 0
    dropped: int = 0
    held: int = 0
    """Online at the end of the hold."""
    steady_cpu: float = 0.0
    steady_shares: dict[str, float] = field(default_factory=dict)
    cpu_a_heartbeat: float | None = None
    heartbeats: int = 0
    readings_a_second: float | None = None
    committed_a_second: float = 0.0
    cpu_a_reading: float = 0.0
    reading_bytes: float | None = None
    reading_shares: dict[str, float] = field(default_factory=dict)
    storm_seconds: float | None = None
    storm_lost: int = 0
    storm_shares: dict[str, float] = field(default_factory=dict)
    drain: list[dict[str, float]] = field(default_factory=list)
    """For each node: connections, pace, most closed in a second, seconds."""
    rolled: bool = False
    books: Books | None = None
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)


class Run:
    """Takes a crowd and a backend through the stages."""

    def __init__(
        self, result: Result, backend: Backend, crowd: Crowd, watch: Watch, heads: dict[str, int]
    ) -> None:
        self.result = result
        self.backend = backend
        self.crowd = crowd
        self.watch = watch
        self._heads = heads

    def ramp(self, say: Say) -> None:
        """Connect everybody, as fast as they are let in."""
        self.watch.mark("connect")
        result, crowd = self.result, self.crowd
        result.empty_memory = memory_bytes(self.backend.supervisor)
        before, began = self._cpu(), time.monotonic()
        crowd.tell("connect", result.charging_points / 8_000)
        result.connect_seconds = crowd.all_online(PATIENCE_SECONDS)
        seconds = time.monotonic() - began
        result.connect_shares = {name: n / seconds for name, n in self._cpu_since(before).items()}
        report = self._report("connect")
        result.connect_failures = sum(_failures(report).values())
        say(f"{crowd.online} online after {result.connect_seconds or PATIENCE_SECONDS:.1f} s")

    def hold(self, say: Say) -> None:
        """Hold everybody, in the quiet of every day."""
        self.watch.mark("hold")
        result = self.result
        before, began = self._cpu(), time.monotonic()
        peak = 0
        while (left := began + result.seconds - time.monotonic()) > 0:
            time.sleep(min(left, 10.0))
            peak = max(peak, memory_bytes(self.backend.supervisor))
        seconds = time.monotonic() - began
        result.steady_shares = {
            name: used / seconds for name, used in self._cpu_since(before).items()
        }
        result.steady_cpu = result.steady_shares["server"]
        result.server_memory = peak
        result.crowd_memory = memory_bytes(self.crowd.process.pid)
        result.held = self.crowd.online
        result.dropped = sum(_dropped(self._report("hold")).values())
        say(
            f"{result.held} held for {seconds:.0f} s, {result.dropped} dropped; nodes"
            f" {peak / 1e6:.0f} MB, {100 * result.steady_cpu:.1f}% of a core"
        )

    def heartbeats(self, say: Say) -> None:
        """Weigh a heartbeat: what many of them cost more than the quiet."""
        self.watch.mark("heartbeats")
        result = self.result
        seconds = max(5.0, result.charging_points / HEARTBEATS_A_SECOND)
        before, began = self._cpu(), time.monotonic()
        self.crowd.tell("heartbeat", seconds)
        time.sleep(seconds + 1.5)  # the crowd counts in ticks, and tells once a second
        lasted = time.monotonic() - began
        used = self._cpu_since(before)["server"] - result.steady_cpu * lasted
        times = self._report("heartbeats")["times_ms"].get("Heartbeat", {})
        # Those of the quiet are in the steady CPU already.
        usual = lasted * result.charging_points / 300
        result.heartbeats = times.get("count", 0)
        if result.heartbeats > 2 * usual:
            result.cpu_a_heartbeat = used / (result.heartbeats - usual)
            say(f"{result.heartbeats} heartbeats, {1e6 * result.cpu_a_heartbeat:.0f} µs each")

    def readings(self, say: Say, measured_seconds: float) -> None:
        """Let some charge, each as fast as it is answered, and measure for so long."""
        self.watch.mark("readings")
        result, crowd = self.result, self.crowd
        crowd.tell("charge", self._charging(), 0)
        time.sleep(WARM_UP_SECONDS)
        self._report("readings, warming up")
        counted = time.monotonic()  # a count is of what is there when it begins
        rows, acknowledged = self.backend.readings(), crowd.acknowledged
        before, began = self._cpu(), time.monotonic()
        time.sleep(measured_seconds)
        count, used = crowd.acknowledged - acknowledged, self._cpu_since(before)
        seconds = time.monotonic() - began
        counted = time.monotonic() - counted
        result.committed_a_second = (self.backend.readings() - rows) / counted
        self._report("readings")
        crowd.tell("charge", self._charging(), ROLLING_INTERVAL_SECONDS)
        result.reading_bytes = self.backend.bytes_a_reading()
        result.reading_shares = {name: n / seconds for name, n in used.items()}
        if count:
            result.readings_a_second = count / seconds
            result.cpu_a_reading = (used["server"] - result.steady_cpu * seconds) / count
        say(
            f"{count / seconds:,.0f} readings a second acknowledged,"
            f" {result.committed_a_second:,.0f} in the database,"
            f" {1e6 * result.cpu_a_reading:.0f} µs of server CPU each"
        )

    def storm(self, say: Say) -> None:
        """Everybody loses the connection and is back at once, boot included."""
        self.watch.mark("storm")
        result, crowd = self.result, self.crowd
        before, began = self._cpu(), time.monotonic()
        back = crowd.came_online + crowd.charging_points
        crowd.tell("storm")
        if crowd.wait(
            lambda: crowd.came_online >= back and crowd.online == crowd.charging_points,
            PATIENCE_SECONDS,
        ):
            result.storm_seconds = time.monotonic() - began
        seconds = time.monotonic() - began
        result.storm_shares = {name: n / seconds for name, n in self._cpu_since(before).items()}
        result.storm_lost = crowd.charging_points - crowd.online
        self._report("storm")
        say(f"all back after {seconds:.1f} s, {result.storm_lost} lost")

    def roll(self, say: Say) -> None:
        """Replace every node, one after the other, while readings come in."""
        result, backend, crowd = self.result, self.backend, self.crowd
        time.sleep(WARM_UP_SECONDS)
        self._report("before the drains")
        for number, node in enumerate(backend.nodes()):
            self.watch.mark(f"drain {number + 1}")
            connections = backend.connections_of(node)
            began = time.monotonic()
            os.kill(node, signal.SIGTERM)
            patience = backend.drain_seconds + 60
            gone = crowd.wait(lambda node=node: node not in backend.nodes(), patience)  # type: ignore[misc]
            drained = time.monotonic() - began
            back = crowd.all_online(PATIENCE_SECONDS)
            whole = crowd.wait(lambda: len(backend.serving()) >= backend.processes, patience)
            time.sleep(1.5)  # the last second of closes is told after it has passed
            report = self._report(f"drain {number + 1}")
            if None in (gone, back, whole):
                say(f"node {number + 1} was not replaced in time")
                return
            pace = max(connections / backend.drain_seconds, 20.0)
            result.drain.append(
                {
                    "connections": connections,
                    "pace": pace,
                    "most": report["most_closed_in_a_second"],
                    "seconds": drained,
                    "dropped": sum(_dropped(report).values()),
                }
            )
            say(
                f"node {number + 1}: {connections} connections closed in {drained:.0f} s, at most"
                f" {report['most_closed_in_a_second']} in a second (pace {pace:.0f})"
            )
        result.rolled = True

    def settle(self, say: Say, directory: Path) -> None:
        """End all sessions and compare the books."""
        self.watch.mark("books")
        crowd = self.crowd
        crowd.tell("stop")
        wanted = self._charging()
        crowd.wait(lambda: crowd.counts.get("acknowledged stop", 0) >= wanted, 90)
        crowd.tell("books", str(directory / "book"))
        processes = len(children(crowd.process.pid))
        crowd.wait(lambda: crowd.counts.get("books written", 0) >= processes, 30)
        books = compare(self.backend.database, sorted(directory.glob("book.*")))
        self.result.books = books
        say(
            f"{books.readings} readings acknowledged, {books.readings_recorded} in the database;"
            f" {books.lost} lost, {books.too_many} too many"
        )

    def _charging(self) -> int:
        return max(1, round(self.result.charging_points * CHARGING_SHARE))

    def _report(self, stage: str) -> dict[str, Any]:
        report = self.crowd.report()
        self.result.reports[stage] = report
        return report

    def _cpu(self) -> dict[str, float]:
        ours = {name: cpu_seconds(head) for name, head in self._heads.items()}
        return ours | {OTHER_WORK: machine_cpu_seconds() - sum(ours.values())}

    def _cpu_since(self, before: dict[str, float]) -> dict[str, float]:
        # Ticks are counted by process and for the machine apart: the rest may seem negative.
        return {name: max(0.0, used - before[name]) for name, used in self._cpu().items()}


def _failures(report: dict[str, Any]) -> dict[str, int]:
    """Return what went wrong in a report, by cause: all but what is counted for its own sake."""
    good = ("acknowledged", "pings", "came online", "calls heard", "books", "closed with 1012")
    return {name: n for name, n in report["counts"].items() if not name.startswith(good)}


def _dropped(report: dict[str, Any]) -> dict[str, int]:
    return {name: n for name, n in report["counts"].items() if name.startswith("dropped")}
