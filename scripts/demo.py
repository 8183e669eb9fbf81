"""`make demo`: the whole backend on this machine, 25 charging points, and the proof.

Starts a database, charging-point-backend and third-party-backend, lets 25 simulated charging
points go through whole sessions, one of them started remotely through the hub's interface, and
holds what the simulator says it charged against what the database holds.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from charging.database.address import state_directory
from charging.database.embedded import EmbeddedServer
from charging.database.migrate import upgrade
from operations import charging_points, evses, tokens
from scripts.programs import Program, ProgramError, free_port

CHARGING_POINTS = 25
REMOTE = f"DEMO{CHARGING_POINTS:05d}"
REMOTE_EVSE = "DE*VNI*E00025*1"
TOKEN = "DEMO-TOKEN"  # noqa: S105 - shown to every visitor of the demo
SIMULATED_SECONDS = 1800
WAIT_SECONDS = 90.0

Connection = psycopg.Connection[Any]

console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


class DemoError(Exception):
    """Something is not as it should be."""


def main() -> int:
    """Run the demo; return 0 when every figure is equal."""
    started = time.monotonic()
    directory = state_directory() / "demo"
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    try:
        console.print("Starting PostgreSQL …")
        with new_database("demo") as url:
            equal = _run(url, directory)
    except (DemoError, ProgramError) as error:
        console.print(f"demo: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    console.print(f"Everything has stopped; {time.monotonic() - started:.0f} s in all.")
    return 0 if equal else 1


@contextlib.contextmanager
def new_database(purpose: str) -> Iterator[str]:
    """Yield the address of a database of the caller's own, gone afterwards."""
    name = f"{purpose}_{os.getpid()}"
    with EmbeddedServer(state_directory() / "postgres") as server_url:
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            url = server_url.replace("/postgres?", f"/{name}?", 1)
            upgrade(url)
            yield url
        finally:
            with psycopg.connect(server_url, autocommit=True) as server:
                server.execute(
                    sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                )


def _run(url: str, directory: Path) -> bool:
    port, third_party_port = free_port(), free_port()
    environment = {"DATABASE_URL": url}
    with psycopg.connect(url, autocommit=True) as database:
        credentials = _register(database, directory)
        console.print(f"Registered {CHARGING_POINTS} charging points, a token and an EVSE.")
        with (
            Program(
                ["cp_backend", "--port", str(port)], directory / "cp_backend.log", environment
            ) as cp_backend,
            Program(
                ["third_party_backend", "--port", str(third_party_port)],
                directory / "third_party_backend.log",
                environment,
            ) as third_party_backend,
        ):
            cp_backend.wait_until_ready(f"http://127.0.0.1:{port}/health/ready")
            third_party_backend.wait_until_ready(
                f"http://127.0.0.1:{third_party_port}/health/ready"
            )
            console.print(f"charging-point-backend is ready on ws://127.0.0.1:{port}")
            console.print(f"third-party-backend is ready on http://127.0.0.1:{third_party_port}")
            reports = _charge(database, directory, credentials, port, third_party_port)
            equal = _compare(database, reports)
        codes = {
            "cp_backend": cp_backend.process.returncode,
            "third_party_backend": third_party_backend.process.returncode,
        }
    if any(codes.values()):
        raise DemoError(f"a service did not stop cleanly: {codes}; see {directory}")
    return equal


def _register(database: Connection, directory: Path) -> Path:
    """Do what an operator does before charging points come; return their passwords' file."""
    file = directory / "credentials.csv"
    file.touch(mode=0o600)
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        for number in range(1, CHARGING_POINTS + 1):
            name = f"DEMO{number:05d}"
            options = argparse.Namespace(
                id=name, registration="Accepted", no_password=False, json=True
            )
            printed = _operate(charging_points.register, database, options)
            writer.writerow([name, json.loads(printed)["password"]])
    token = argparse.Namespace(token=TOKEN, expires_at=None, parent=None, note="demo", json=True)
    _operate(tokens.add, database, token)
    evse = argparse.Namespace(
        charging_point=REMOTE, evse_number=1, evse_id=REMOTE_EVSE, no_roaming=False, json=True
    )
    _operate(evses.set_one, database, evse)
    return file


def _operate(operation: Any, database: Connection, options: argparse.Namespace) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        operation(database, options)
    return printed.getvalue()


def _charge(
    database: Connection, directory: Path, credentials: Path, port: int, third_party_port: int
) -> list[dict[str, Any]]:
    """Let the charging points charge; return the simulators' reports."""
    common = [
        "charging_point_simulator",
        "charge",
        *("--plain", "--port", str(port), "--credentials", str(credentials)),
        *("--identity-prefix", "DEMO", "--duration", str(SIMULATED_SECONDS)),
    ]
    reports = [directory / "report.json", directory / "remote-report.json"]
    with Program(
        [
            *common,
            *("--first", str(CHARGING_POINTS), "--wait-for-remote", "--report", str(reports[1])),
        ],
        directory / "remote_simulator.log",
    ) as remote:
        # In the foreground, so that a terminal shows the charging points live.
        fleet = subprocess.Popen(
            [
                *(sys.executable, "-m", *common, "--id-tag", TOKEN),
                *("--charging-points", str(CHARGING_POINTS - 1), "--report", str(reports[0])),
            ]
        )
        try:
            answer = _start_remotely(database, third_party_port)
            code = fleet.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise DemoError("the charging points did not finish in time") from None
        finally:
            if fleet.poll() is None:
                fleet.terminate()
                fleet.wait()
        remote_code = remote.wait(WAIT_SECONDS)
    console.print(f"The hub's remote start at {REMOTE_EVSE} was answered: {json.dumps(answer)}")
    if code or remote_code:
        raise DemoError(f"charging points failed; see {directory}")
    return [json.loads(file.read_text()) for file in reports]


def _start_remotely(database: Connection, third_party_port: int) -> dict[str, Any]:
    """Be the hub: start a session at an EVSE, as a driver's app would."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not database.execute(
        "SELECT 1 FROM evses JOIN connections USING (charging_point_id)"
        " WHERE evse_id = %s AND status = 'Available'",
        [REMOTE_EVSE],
    ).fetchone():
        if time.monotonic() > deadline:
            raise DemoError(f"{REMOTE} did not come online")
        time.sleep(0.1)
    request = urllib.request.Request(
        f"http://127.0.0.1:{third_party_port}"
        "/api/oicp/charging/v21/providers/DE-EMP/authorize-remote/start",
        data=json.dumps(
            {
                "SessionID": str(uuid.uuid4()),
                "ProviderID": "DE-EMP",
                "EvseID": REMOTE_EVSE,
                "Identification": {"RemoteIdentification": {"EvcoID": "DE-EMP-C00000001-X"}},
            }
        ).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310 - ours
        answer: dict[str, Any] = json.load(response)
    if not answer["Result"]:
        raise DemoError(f"the remote start was refused: {answer}")
    return answer


def _compare(database: Connection, reports: list[dict[str, Any]]) -> bool:
    """Hold the charging points' own account against the database; print both."""
    said = [session for report in reports for session in report["sessions"]]
    figures: list[tuple[str, int, int]] = []

    def figure(name: str, simulated: int, query: str) -> None:
        row = database.execute(query.encode()).fetchone()
        assert row is not None
        figures.append((name, simulated, int(row[0] or 0)))

    figure(
        "charging points",
        sum(report["charging_points"] for report in reports),
        "SELECT count(*) FROM charging_points WHERE boot_status = 'Accepted'",
    )
    figure("sessions", len(said), "SELECT count(*) FROM sessions WHERE state = 'ended'")
    figure(
        "sessions started through the hub",
        sum(session["remote"] for session in said),
        "SELECT count(*) FROM hub_sessions WHERE session_id IS NOT NULL AND state = 'accepted'",
    )
    figure("energy, Wh", sum(s["energy_wh"] for s in said), "SELECT sum(energy_wh) FROM sessions")
    figure(
        "meter values",
        sum(session["meter_values_acknowledged"] for session in said),
        "SELECT count(*) FROM meter_values",
    )
    figure("billing facts of unknown sessions", 0, "SELECT count(*) FROM unassigned_facts")
    recorded = {
        row[0]: row[1]
        for row in database.execute("SELECT session_id, energy_wh FROM sessions").fetchall()
    }
    wrong = [s for s in said if recorded.get(s["transaction_id"]) != s["energy_wh"]]
    table = Table(title="What the charging points say, and what the database holds")
    table.add_column("figure")
    table.add_column("charging points", justify="right")
    table.add_column("database", justify="right")
    table.add_column("equal", justify="center")
    for name, simulated, kept in figures:
        table.add_row(name, f"{simulated:,}", f"{kept:,}", "yes" if simulated == kept else "NO")
    table.add_row(
        "sessions whose energy differs", "0", str(len(wrong)), "yes" if not wrong else "NO"
    )
    console.print(table)
    return not wrong and all(simulated == kept for _, simulated, kept in figures)


if __name__ == "__main__":
    sys.exit(main())
