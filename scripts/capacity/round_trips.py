"""`make command-latency`: how long a command takes to a charging point and back.

Nodes behind one port, a crowd of charging points, and askers who wait as a console does. First all
stay connected; then charging points move between the nodes all the time. Measured is from before
the command is queued until its asker has the answer, both commits included.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg_pool import ConnectionPool

from charging.command import Outcome
from charging.database import commands
from charging.database.address import state_directory
from charging.database.audit import Asker
from charging.database.commands import Answers
from charging.database.connection import Connection, Limits, connect, parameters
from charging.intents import ReadLocalListVersion
from scripts.capacity.books import PREFIX, TOKEN, register
from scripts.capacity.crowd import Crowd, CrowdEndedError
from scripts.capacity.stages import PATIENCE_SECONDS, Backend
from scripts.programs import Program, ProgramError, free_port
from scripts.world import new_database

CHARGING_POINTS = 10_000
NODES = 3
TARGET_MILLISECONDS = 250.0
_ASKERS = 16
_BY = Asker("measurement", "round trips")
_ANSWER_SECONDS = 15.0
# Of the crowd, so often: 1% a second leaves and comes back, by chance to another node.
_MOVE_SECONDS = 0.5
_MOVE_SHARE = 0.005
# A charging point that has just come is left in peace (CP_BACKEND_SETTLE_TIME), and its node may
# have to look for its commands: what was asked so close to a move says nothing of the way.
_MOVED_SECONDS = 5.0
_TITLES = ("", "asked", "answered", "p50 ms", "p95 ms", "p99 ms", "most ms")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One command. seconds: until its asker had the answer. moved: its charging point had moved."""

    seconds: float
    answered: bool
    moved: bool


class Askers:
    """Threads that ask charging points at a pace and wait for the answers."""

    def __init__(self, url: str, pool: ConnectionPool[Connection], charging_points: int) -> None:
        self._pool = pool
        self._names = [f"{PREFIX}{number:06d}" for number in range(1, charging_points + 1)]
        self._answers = Answers(url, "round trips answers", pool.connection)

    def ask(self, count: int, per_second: float) -> list[RoundTrip]:
        """Ask so many charging points, each another one while there are enough."""
        names = itertools.cycle(random.sample(self._names, len(self._names)))
        began = time.monotonic()
        with ThreadPoolExecutor(_ASKERS) as threads:
            waiting = []
            for place, name in zip(range(count), names, strict=False):
                time.sleep(max(0.0, began + place / per_second - time.monotonic()))
                waiting.append(threads.submit(self._round_trip, name))
            return [each.result() for each in waiting]

    def stop(self) -> None:
        """End the listening."""
        self._answers.stop()

    def _round_trip(self, name: str) -> RoundTrip:
        began = time.perf_counter()
        with self._pool.connection() as connection, connection.transaction():
            command = commands.ask(
                connection, name, ReadLocalListVersion(), by=_BY, seconds=_ANSWER_SECONDS
            )
        result = self._answers.wait(command, _ANSWER_SECONDS)
        seconds = time.perf_counter() - began
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT connected_at > now() - make_interval(secs => %s) FROM connections"
                " WHERE charging_point_id = %s",
                [seconds + _MOVED_SECONDS, name],
            ).fetchone()
        unanswered = (Outcome.OFFLINE, Outcome.TIMEOUT)
        return RoundTrip(seconds, result.outcome not in unanswered, row is None or row[0])


def main() -> int:
    """Run the command line; return 0, or 1 when the target is missed or something fails."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended
    directory = state_directory() / "round-trips"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        with new_database("round_trips") as url:
            return _measure(options, url, directory)
    except (CrowdEndedError, ProgramError, OSError) as error:
        print(f"command-latency: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped")
        return 130


def _measure(options: argparse.Namespace, url: str, directory: Path) -> int:
    port, count = free_port(), options.charging_points
    credentials = directory / "credentials.csv"
    words = ["--port", str(port), "--identity-prefix", PREFIX, "--id-tag", TOKEN]
    words += ["--credentials", str(credentials)]
    with connect(url, "round trips", Limits(statement=None)) as database:
        register(database, count, credentials)
        variables = {"DATABASE_URL": url, "CP_BACKEND_DRAIN_TIME": "2"}
        program = ["cp_backend", "--port", str(port), "--processes", str(options.nodes)]
        with (
            Program(program, directory / "cp_backend.log", variables) as nodes,
            Crowd(words, count, directory / "crowd.log") as crowd,
            _askers(url, count) as askers,
        ):
            nodes.wait_until_ready(f"http://127.0.0.1:{port}/health/ready")
            backend = Backend(nodes.process.pid, options.nodes, 2, database)
            crowd.wait(lambda: len(backend.serving()) == options.nodes, 30)
            crowd.tell("connect", count / 2_000)
            if crowd.all_online(PATIENCE_SECONDS) is None:
                raise CrowdEndedError(f"only {crowd.online} of {count} came online")
            print(f"{count} charging points on {options.nodes} nodes", flush=True)
            askers.ask(options.commands // 10, options.per_second)  # nothing is warm at first
            staying = askers.ask(options.commands, options.per_second)
            with _moving(crowd):
                moving = askers.ask(options.commands, options.per_second)
            return _report(staying, moving)


@contextmanager
def _askers(url: str, charging_points: int) -> Iterator[Askers]:
    pool: ConnectionPool[Connection] = ConnectionPool(
        url, min_size=1, max_size=_ASKERS, kwargs=parameters("round trips"), open=True
    )
    askers = Askers(url, pool, charging_points)
    try:
        yield askers
    finally:
        askers.stop()
        pool.close()


@contextmanager
def _moving(crowd: Crowd) -> Iterator[None]:
    """Let charging points leave and come back all the time."""
    ended = threading.Event()

    def move() -> None:
        while not ended.wait(_MOVE_SECONDS):
            crowd.tell("move", _MOVE_SHARE)

    thread = threading.Thread(target=move, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _report(staying: list[RoundTrip], moving: list[RoundTrip]) -> int:
    rows = [
        _row("all stay connected", staying),
        _row("others move", [each for each in moving if not each.moved]),
        _row("asked as they moved", [each for each in moving if each.moved]),
    ]
    for row in (_TITLES, *rows):
        print(f"{row[0]:<22}" + "".join(f"{cell:>10}" for cell in row[1:]))
    worst = max(_at(_times([e for e in trips if not e.moved]), 0.99) for trips in (staying, moving))
    lost = sum(not each.answered and not each.moved for each in staying + moving)
    print(f"p99 {worst:.0f} ms, at most {TARGET_MILLISECONDS:.0f}; {lost} without an answer")
    return 1 if worst > TARGET_MILLISECONDS or lost else 0


def _row(name: str, trips: list[RoundTrip]) -> tuple[str, ...]:
    times = _times(trips)
    figures = [f"{_at(times, share):.1f}" for share in (0.5, 0.95, 0.99, 1.0)]
    return (name, str(len(trips)), str(len(times)), *figures)


def _times(trips: list[RoundTrip]) -> list[float]:
    """Return the milliseconds of those that were answered, the shortest first."""
    return sorted(each.seconds * 1000 for each in trips if each.answered)


def _at(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.capacity.round_trips",
        description="Run PostgreSQL, nodes and simulator on this machine; ask charging points and "
        "measure until the answer is there, while all stay and while charging points move.",
    )
    parser.add_argument("--charging-points", type=int, default=CHARGING_POINTS)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--commands", type=int, default=2_000, help="in each of the two parts")
    parser.add_argument("--per-second", type=float, default=100.0, help="commands asked")
    return parser


if __name__ == "__main__":
    os.environ.pop("DATABASE_URL", None)  # what is measured includes the embedded server
    sys.exit(main())
