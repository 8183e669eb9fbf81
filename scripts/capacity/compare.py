"""`make compare-peers`: our node and other servers, the same client, the same messages, one run."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from charging.database.address import state_directory
from charging.database.connection import Limits, connect
from scripts.capacity.books import PREFIX, TOKEN, register
from scripts.capacity.crowd import Crowd, CrowdEndedError
from scripts.capacity.machine import cpu_seconds, describe, memory_bytes
from scripts.capacity.targets import Target
from scripts.programs import Program, ProgramError, free_port
from scripts.world import new_database

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/capacity-peers.md"
REQUIREMENTS = ROOT / "requirements/peers.txt"
OURS = "a node"
CANONICAL = "PyPI `ocpp` on `websockets`"
PEERS = {
    CANONICAL: "ocpp_central_system.py",
    "`websockets`, its asyncio server": "websockets_server.py",
    "`aiohttp`": "aiohttp_server.py",
    "`picows` on uvloop": "picows_server.py",
}
# How many send MeterValues, each as fast as it is answered.
CHARGING = 200
_START_SECONDS = 30.0
_CONNECT_SECONDS = 300.0
_SETTLE_SECONDS = 3.0


@dataclass
class Cost:
    """What a server costs. Memory in bytes a connection, CPU in seconds a message or handshake."""

    name: str
    memory: float = 0.0
    handshakes_a_second: float = 0.0
    cpu_a_handshake: float = 0.0
    cpu_a_heartbeat: float = 0.0
    cpu_a_reading: float = 0.0
    readings_a_second: float = 0.0


def main() -> int:
    """Run the command line; return 0, or 1 when a target is missed."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = state_directory() / "compare"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        python = _environment(state_directory() / "peers")
        costs = [_weigh_ours(options, directory)]
        for name, script in PEERS.items():
            costs.append(_weigh_peer(name, script, python, options, directory))
    except (CrowdEndedError, ProgramError, OSError, subprocess.CalledProcessError) as error:
        print(f"compare-peers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped")
        return 130
    rows = _targets(costs)
    document = options.report or DOCUMENT
    document.write_text(_page(costs, rows, options))
    print(document.read_text())
    missed = [row for row in rows if not row.met]
    for row in missed:
        print(f"compare-peers: {row.what}: {row.verdict}", file=sys.stderr)
    return 1 if missed else 0


def _weigh_ours(options: argparse.Namespace, directory: Path) -> Cost:
    """Weigh a node with its database: it authenticates, checks and stores what it hears."""
    port = free_port()
    credentials = directory / "credentials.csv"
    with new_database("compare") as url:
        with connect(url, "capacity", Limits(statement=None)) as database:
            register(database, options.connections, credentials)
        with Program(
            ["cp_backend", "--port", str(port)],
            directory / "node.log",
            {"DATABASE_URL": url, "CP_BACKEND_LOG_LEVEL": "WARNING"},
        ) as program:
            program.wait_until_ready(f"http://127.0.0.1:{port}/health/ready")
            words = ["--credentials", str(credentials)]
            return _weigh(OURS, program.process.pid, port, words, options, directory)


def _weigh_peer(
    name: str, script: str, python: Path, options: argparse.Namespace, directory: Path
) -> Cost:
    port = free_port()
    with (
        (directory / f"{script}.log").open("wb") as log,
        _running([str(python), str(ROOT / "scripts/capacity/peers" / script), str(port)], log) as p,
    ):
        _wait_for(port, p, name)
        return _weigh(name, p.pid, port, [], options, directory)


def _weigh(
    name: str,
    server: int,
    port: int,
    words: list[str],
    options: argparse.Namespace,
    directory: Path,
) -> Cost:
    cost = Cost(name)
    words = [*words, "--port", str(port), "--identity-prefix", PREFIX, "--id-tag", TOKEN]
    with Crowd(words, options.connections, directory / "crowd.log") as crowd:
        empty, used, began = memory_bytes(server), cpu_seconds(server), time.monotonic()
        crowd.tell("connect", options.connections / 10_000)
        if crowd.all_online(_CONNECT_SECONDS) is None:
            raise CrowdEndedError(f"{name}: only {crowd.online} came online")
        cost.handshakes_a_second = options.connections / (time.monotonic() - began)
        cost.cpu_a_handshake = (cpu_seconds(server) - used) / options.connections
        time.sleep(_SETTLE_SECONDS)
        cost.memory = (memory_bytes(server) - empty) / options.connections
        idle = _idle_cpu(server)
        cost.cpu_a_heartbeat = _weigh_heartbeats(crowd, server, idle, options.seconds)
        cost.cpu_a_reading, cost.readings_a_second = _weigh_readings(
            crowd, server, idle, options.seconds
        )
    print(
        f"{name}: {cost.memory / 1024:.2f} KiB a connection, {1e6 * cost.cpu_a_heartbeat:.0f} µs a"
        f" Heartbeat, {1e6 * cost.cpu_a_reading:.0f} µs a MeterValues,"
        f" {cost.handshakes_a_second:.0f} handshakes/s",
        flush=True,
    )
    return cost


def _idle_cpu(server: int) -> float:
    before = cpu_seconds(server)
    time.sleep(_SETTLE_SECONDS)
    return (cpu_seconds(server) - before) / _SETTLE_SECONDS


def _weigh_heartbeats(crowd: Crowd, server: int, idle: float, seconds: float) -> float:
    crowd.report()
    used, began = cpu_seconds(server), time.monotonic()
    count = 0
    while time.monotonic() - began < seconds:
        # A thousand a second, which the slowest can answer.
        crowd.tell("heartbeat", crowd.charging_points / 1_000)
        time.sleep(crowd.charging_points / 1_000 + 1)
        count += crowd.report()["times_ms"].get("Heartbeat", {}).get("count", 0)
    lasted = time.monotonic() - began
    return (cpu_seconds(server) - used - idle * lasted) / max(1, count)


def _weigh_readings(crowd: Crowd, server: int, idle: float, seconds: float) -> tuple[float, float]:
    crowd.tell("charge", CHARGING, 0)
    time.sleep(_SETTLE_SECONDS)
    before, used, began = crowd.acknowledged, cpu_seconds(server), time.monotonic()
    time.sleep(seconds)
    count, spent = crowd.acknowledged - before, cpu_seconds(server) - used
    lasted = time.monotonic() - began
    return (spent - idle * lasted) / max(1, count), count / lasted


def _targets(costs: list[Cost]) -> list[Target]:
    ours = costs[0]
    canonical = next(cost for cost in costs if cost.name == CANONICAL)
    return [
        Target(
            "memory per idle connection against PyPI `ocpp`",
            ours.memory / canonical.memory,
            1 / 8,
            1 / 20,
            "ratio",
        ),
        Target(
            "CPU per MeterValues against PyPI `ocpp`, which stores nothing",
            ours.cpu_a_reading / canonical.cpu_a_reading,
            1 / 5,
            1 / 12,
            "ratio",
        ),
    ]


def _page(costs: list[Cost], rows: list[Target], options: argparse.Namespace) -> str:
    ours = costs[0]
    lines = [
        "# A node and other servers",
        "",
        (
            f"One run of `make compare-peers` on {datetime.now(UTC):%Y-%m-%d}; every figure is"
            f" from it. The machine: {describe()}. Each server was one process, met by the same"
            f" simulator with the same messages: {options.connections:,} connections, a Heartbeat"
            f" from each at a thousand a second, then MeterValues of eight sampled values from"
            f" {CHARGING} of them, each as fast as it is answered. No client offers compression."
            " The node authenticates, holds everything against the official schemas and commits"
            " readings to PostgreSQL before it answers, whose own CPU is not counted; the others"
            " keep nothing, and only `ocpp` checks what it hears."
        ),
        "",
        *([options.note, ""] if options.note else []),
        "| What | Target | Beyond it | Measured | |",
        "|---|---|---|---|---|",
        *(row.row() for row in rows),
        "",
        (
            "Server CPU and memory (PSS above the empty server's), and in parentheses how many"
            " times the node's:"
        ),
        "",
        (
            "| Server | KiB a connection | µs a Heartbeat | µs a MeterValues | MeterValues/s"
            " | µs a handshake with boot | handshakes/s |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        cells = [
            _cell(cost.memory / 1024, ours.memory / 1024),
            _cell(1e6 * cost.cpu_a_heartbeat, 1e6 * ours.cpu_a_heartbeat),
            _cell(1e6 * cost.cpu_a_reading, 1e6 * ours.cpu_a_reading),
            f"{cost.readings_a_second:,.0f}",
            _cell(1e6 * cost.cpu_a_handshake, 1e6 * ours.cpu_a_handshake),
            f"{cost.handshakes_a_second:,.0f}",
        ]
        lines.append(f"| {cost.name} | " + " | ".join(cells) + " |")
    versions = [
        line.split(" ")[0]
        for line in REQUIREMENTS.read_text().splitlines()
        if line.startswith(("aiohttp=", "ocpp=", "picows=", "websockets=", "uvloop="))
    ]
    lines += ["", f"Versions: {', '.join(versions)}; Python {sys.version.split()[0]}.", ""]
    return "\n".join(lines)


def _cell(value: float, ours: float) -> str:
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return digits if value == ours or ours <= 0 else f"{digits} ({value / ours:.1f}×)"


def _environment(directory: Path) -> Path:
    """Make the peers' virtual environment, or find it made; return its Python."""
    python = directory / "bin/python"
    made_of = directory / "requirements.txt"
    if not made_of.exists() or made_of.read_text() != REQUIREMENTS.read_text():
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run(
            [str(ROOT / "scripts/setup.sh"), str(REQUIREMENTS)],
            check=True,
            env={**os.environ, "PYTHON3": sys.executable, "VENV": str(directory)},
        )
        shutil.copy(REQUIREMENTS, made_of)
    return python


@contextlib.contextmanager
def _running(words: list[str], log: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ProgramError(f"{name} ended at once; its log is in var/compare")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ProgramError(f"{name} does not listen")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.capacity.compare",
        description="Hold a node against other servers; takes about five minutes.",
    )
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="how long each kind of message is weighed"
    )
    parser.add_argument("--report", type=Path, help=f"default: docs/{DOCUMENT.name}")
    parser.add_argument(
        "--note", default="", help="a sentence for the report: what is particular about this run"
    )
    return parser


if __name__ == "__main__":
    os.environ.pop("DATABASE_URL", None)
    sys.exit(main())
