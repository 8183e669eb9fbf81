"""`make capacity`: how many charging points this machine's backend holds, and at what cost."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

from charging.database.address import state_directory
from charging.database.connection import Limits, connect
from scripts.capacity import report
from scripts.capacity.books import PREFIX, TOKEN, register
from scripts.capacity.crowd import Crowd, CrowdEndedError
from scripts.capacity.machine import Watch
from scripts.capacity.stages import Backend, Result, Run
from scripts.programs import Program, ProgramError, free_port
from scripts.world import new_database

DEFAULT_CHARGING_POINTS = 100_000
DEFAULT_SECONDS = 300.0
# Of the files a node may open, so many become connections when all nodes but one have to do.
_FILL = 0.94
_SPARE_FILES = 100
_DOCUMENT = Path(__file__).parents[2] / "docs/capacity.md"


def main() -> int:
    """Run the command line; return 0, or 1 when a target is missed at the default size."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended
    if options.charging_points < 100:
        print("capacity: --charging-points must be at least 100", file=sys.stderr)
        return 2
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    directory = state_directory() / "capacity"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    whole = options.charging_points >= DEFAULT_CHARGING_POINTS
    document = options.report or (
        _DOCUMENT if whole and options.seconds >= DEFAULT_SECONDS else directory / "capacity.md"
    )
    try:
        say("starting PostgreSQL")
        with new_database("capacity") as url:
            result, watch = _measure(options, url, directory, say)
    except (CrowdEndedError, ProgramError, OSError) as error:
        print(f"capacity: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped")
        return 130
    missed = report.write(document, result, watch, options.note)
    print(document.read_text())
    say(f"written to {document}")
    for target in missed:
        print(f"capacity: {target.what}: {target.verdict}", file=sys.stderr)
    if not whole:
        # Targets of cost and pace are set for the whole size; losing something is never right.
        missed = [target for target in missed if target.limit == 0 or target.value is None]
    return 1 if missed else 0


def _measure(
    options: argparse.Namespace, url: str, directory: Path, say: report.Say
) -> tuple[Result, Watch]:
    charging_points = options.charging_points
    processes = options.processes or node_count(charging_points)
    result = Result(charging_points, options.seconds, processes)
    result.share_201 = options.share_201
    port = free_port()
    credentials = directory / "credentials.csv"
    words = ["--port", str(port), "--identity-prefix", PREFIX, "--id-tag", TOKEN]
    words += ["--share-201", str(options.share_201)]
    with connect(url, "capacity", Limits(statement=None)) as database:
        register(database, charging_points, credentials)
        say(f"registered {charging_points} charging points")
        with (
            Program(
                ["cp_backend", "--port", str(port), "--processes", str(processes)],
                directory / "cp_backend.log",
                {"DATABASE_URL": url, "CP_BACKEND_DRAIN_TIME": str(options.drain_time)},
            ) as nodes,
            Crowd(
                [*words, "--credentials", str(credentials)],
                charging_points,
                directory / "crowd.log",
            ) as crowd,
        ):
            nodes.wait_until_ready(f"http://127.0.0.1:{port}/health/ready")
            backend = Backend(nodes.process.pid, processes, options.drain_time, database)
            crowd.wait(lambda: len(backend.serving()) == processes, 30)
            say(f"{processes} nodes serve")
            heads = {
                "server": nodes.process.pid,
                "PostgreSQL": _postmaster(),
                "simulator": crowd.process.pid,
            }
            watch = Watch(
                heads,
                {"online": lambda: crowd.online, "acknowledged": lambda: crowd.acknowledged},
            )
            run = Run(result, backend, crowd, watch, heads)
            try:
                run.ramp(say)
                run.hold(say)
                run.heartbeats(say)
                run.readings(say, options.readings_seconds)
                run.storm(say)
                run.roll(say)
                run.settle(say, directory)
            finally:
                watch.stop()
            say("stopping")
    return result, watch


def node_count(charging_points: int) -> int:
    """Return how many nodes hold so many even when one of them drains; at least two."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(2, -(-charging_points // int(_FILL * (files - _SPARE_FILES))) + 1)


def _postmaster() -> int:
    return int((state_directory() / "postgres/postmaster.pid").read_text().split()[0])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.capacity",
        description="Run PostgreSQL, nodes and simulator on this machine; connect, hold, weigh, "
        "storm and drain; write a report. Takes SECONDS and about six minutes more.",
    )
    parser.add_argument("--charging-points", type=int, default=DEFAULT_CHARGING_POINTS)
    parser.add_argument(
        "--seconds", type=float, default=DEFAULT_SECONDS, help="how long all are held"
    )
    parser.add_argument("--processes", type=int, default=0, help="nodes; default: as it takes")
    parser.add_argument(
        "--readings-seconds",
        type=float,
        default=30.0,
        help="how long MeterValues come as fast as they are answered",
    )
    parser.add_argument(
        "--share-201",
        type=float,
        default=0.0,
        help="of the charging points that speak OCPP 2.0.1, 0 to 1 (default: 0)",
    )
    parser.add_argument(
        "--drain-time", type=float, default=20.0, help="seconds over which a node drains"
    )
    parser.add_argument(
        "--report", type=Path, help="default: docs/capacity.md, or var/capacity/ for a smaller run"
    )
    parser.add_argument(
        "--note", default="", help="a sentence for the report: what is particular about this run"
    )
    return parser


if __name__ == "__main__":
    os.environ.pop("DATABASE_URL", None)  # what is measured includes the embedded server
    sys.exit(main())
