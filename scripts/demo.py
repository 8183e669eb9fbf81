"""`make demo`: the whole backend on this machine, 25 charging points, a roaming hub, the proof.

Starts a database, charging-point-backend, third-party-backend with its relay, and a hub that
plays the roaming hub. 25 simulated charging points go through whole sessions: 20 with a card of
ours, 2 with a card that the hub vouches for, 3 started from a driver's app through the hub, one of
them stopped so too. What the charging points say they charged is held against the database, and
what the hub was told and billed against both.
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
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from charging.database.address import state_directory
from charging.database.embedded import EmbeddedServer
from charging.database.migrate import upgrade
from operations import charging_points, tokens
from scripts.programs import Program, ProgramError, free_port
from third_party_hub_simulator.client import Client, ClientError

CHARGING_POINTS = 25
CARDS = (21, 22)
"""Numbers of the charging points at which the hub's card is shown."""
REMOTE = (23, 24, 25)
"""… and of those that are started through the hub."""
TOKEN = "DEMO-TOKEN"  # noqa: S105 - shown to every visitor of the demo
CARD = "04A1B2C3"
PROVIDER = "DE-EMP"
SIMULATED_SECONDS = 1800
PROGRESS_SECONDS = 5
"""Between Progress notifications; 300 at a real hub, too long for a demo."""
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
    except (DemoError, ProgramError, ClientError) as error:
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
    port, third_party_port, hub_port, control_port = (free_port() for _ in range(4))
    environment = {
        "DATABASE_URL": url,
        "THIRD_PARTY_HUB_URL": f"http://127.0.0.1:{hub_port}",
        "THIRD_PARTY_OPERATOR_ID": "DE*VNI",
        "THIRD_PARTY_OPERATOR_NAME": "VNI demo",
        "THIRD_PARTY_PROGRESS_INTERVAL": str(PROGRESS_SECONDS),
    }
    hub = Client(f"http://127.0.0.1:{control_port}")

    def program(*words: object) -> Program:
        name = "relay" if "relay" in words else words[0]
        return Program(list(map(str, words)), directory / f"{name}.log", environment)

    with psycopg.connect(url, autocommit=True) as database:
        credentials = _register(database, directory, environment)
        console.print(
            f"Registered {CHARGING_POINTS} charging points with their EVSEs, and a token."
        )
        with (
            program(
                *("third_party_hub_simulator", "serve", "--port", hub_port),
                *("--control-port", control_port, "--token", CARD, "--provider", PROVIDER),
                *("--operator-url", f"http://127.0.0.1:{third_party_port}"),
                *("--progress-interval", PROGRESS_SECONDS),
            ) as hub_simulator,
            program("cp_backend", "--port", port) as cp_backend,
            program("third_party_backend", "--port", third_party_port) as third_party_backend,
            program("third_party_backend", "relay") as relay,
        ):
            for waited, address in (
                (hub_simulator, control_port),
                (cp_backend, port),
                (third_party_backend, third_party_port),
            ):
                waited.wait_until_ready(f"http://127.0.0.1:{address}/health/ready")
            console.print(f"charging-point-backend is ready on ws://127.0.0.1:{port}")
            console.print(f"third-party-backend is ready on http://127.0.0.1:{third_party_port}")
            console.print(f"the hub is ready on http://127.0.0.1:{hub_port}")
            reports = _charge(hub, directory, credentials, port)
            equal = _compare(database, reports)
            equal &= _compare_with_hub(database, hub)
        codes = {
            "cp_backend": cp_backend.process.returncode,
            "third_party_backend": third_party_backend.process.returncode,
            "relay": relay.process.returncode,
            "third_party_hub_simulator": hub_simulator.process.returncode,
        }
    if any(codes.values()):
        raise DemoError(f"a service did not stop cleanly: {codes}; see {directory}")
    return equal


def _register(database: Connection, directory: Path, environment: dict[str, str]) -> Path:
    """Do what an operator does before charging points come; return their passwords' file."""
    file = directory / "credentials.csv"
    file.touch(mode=0o600)
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        for number in range(1, CHARGING_POINTS + 1):
            name = _charging_point(number)
            options = argparse.Namespace(
                id=name, registration="Accepted", no_password=False, json=True
            )
            printed = _operate(charging_points.register, database, options)
            writer.writerow([name, json.loads(printed)["password"]])
    token = argparse.Namespace(token=TOKEN, expires_at=None, parent=None, note="demo", json=True)
    _operate(tokens.add, database, token)
    table = directory / "evses.csv"
    with table.open("w", newline="") as lines:
        rows = csv.DictWriter(lines, EVSE_COLUMNS)
        rows.writeheader()
        rows.writerows(_evse_row(number) for number in range(1, CHARGING_POINTS + 1))
    importing = Program(
        ["operations", "evses", "import", str(table)], directory / "import.log", environment
    )
    if importing.wait(WAIT_SECONDS):
        raise DemoError(f"the EVSEs were not imported:\n{importing.log_end()}")
    return file


def _charging_point(number: int) -> str:
    return f"DEMO{number:05d}"


def _evse(number: int) -> str:
    return f"DE*VNI*E{number:05d}*1"


EVSE_COLUMNS = (
    *("charging_point", "evse_number", "evse_id", "name", "country", "city", "street"),
    *("house_number", "postal_code", "latitude", "longitude", "plugs", "power_type", "power_kw"),
    "hotline",
)


def _evse_row(number: int) -> dict[str, Any]:
    """Return what drivers of other providers are to know of an EVSE."""
    return {
        "charging_point": _charging_point(number),
        "evse_number": 1,
        "evse_id": _evse(number),
        "name": f"Demo {number}",
        "country": "DEU",
        "city": "Berlin",
        "street": "Unter den Linden",
        "house_number": number,
        "postal_code": "10117",
        "latitude": "52.516667",
        "longitude": f"13.38{number:04d}",
        "plugs": "Type 2 Outlet",
        "power_type": "AC_3_PHASE",
        "power_kw": 22,
        "hotline": "+4930123456",
    }


def _operate(operation: Any, database: Connection, options: argparse.Namespace) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        operation(database, options)
    return printed.getvalue()


def _charge(hub: Client, directory: Path, credentials: Path, port: int) -> list[dict[str, Any]]:
    """Let the charging points charge; return the simulators' reports."""
    reports = [directory / f"{name}-report.json" for name in ("fleet", "cards", "remote")]

    def words(report: Path, first: int, count: int, *more: str) -> list[str]:
        return [
            *("charging_point_simulator", "charge", "--plain", "--port", str(port)),
            *("--credentials", str(credentials), "--identity-prefix", "DEMO"),
            *("--duration", str(SIMULATED_SECONDS), "--report", str(report)),
            *("--first", str(first), "--charging-points", str(count), *more),
        ]

    _until(
        lambda: hub.get("/figures")["evses"] == CHARGING_POINTS, "the hub was not told of the EVSEs"
    )
    with (
        Program(
            words(reports[1], CARDS[0], len(CARDS), "--id-tag", CARD), directory / "cards.log"
        ) as cards,
        Program(
            words(reports[2], REMOTE[0], len(REMOTE), "--wait-for-remote"), directory / "remote.log"
        ) as remote,
    ):
        # In the foreground, so that a terminal shows the charging points live.
        local = words(reports[0], 1, CARDS[0] - 1, "--id-tag", TOKEN)
        fleet = subprocess.Popen([sys.executable, "-m", *local])
        try:
            _drive(hub)
            codes = [fleet.wait(WAIT_SECONDS)]
        except subprocess.TimeoutExpired:
            raise DemoError("the charging points did not finish in time") from None
        finally:
            if fleet.poll() is None:
                fleet.terminate()
                fleet.wait()
        codes += [program.wait(WAIT_SECONDS) for program in (cards, remote)]
    if any(codes):
        raise DemoError(f"charging points failed; see {directory}")
    return [json.loads(file.read_text()) for file in reports]


def _drive(hub: Client) -> None:
    """Be drivers of another provider: start by app, and stop one session so too."""
    sessions = []
    for number in REMOTE:
        evse = _evse(number)
        _until(
            partial(_has_status, hub, evse, "Available"),
            f"the hub was not told that {evse} is available",
        )
        answer = hub.post("/start", evse_id=evse, provider_id=PROVIDER)
        if answer["code"] != "000":
            raise DemoError(f"the remote start was refused: {answer}")
        sessions.append(answer["session"])
        console.print(f"A driver's app started {evse} through the hub: {answer['ms']:.0f} ms")
    last = sessions[-1]
    _until(
        lambda: any(
            notification["type"] == "Progress"
            for notification in hub.get(f"/sessions/{last}")["notifications"]
        ),
        "the hub was not told that the session goes on",
    )
    answer = hub.post("/stop", session_id=last)
    if answer["code"] != "000":
        raise DemoError(f"the remote stop was refused: {answer}")
    console.print(f"… and stopped {_evse(REMOTE[-1])} again: {answer['ms']:.0f} ms")


def _has_status(hub: Client, evse: str, status: str) -> bool:
    return any(row["evse"] == evse and row["status"] == status for row in hub.get("/evses"))


def _until(look: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise DemoError(complaint)
        time.sleep(0.1)


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
        "SELECT count(*) FROM hub_sessions WHERE session_id IS NOT NULL"
        " AND identification ? 'RemoteIdentification'",
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
    figures.append(("sessions whose energy differs", 0, len(wrong)))
    return _print(
        "What the charging points say, and what the database holds",
        ("charging points", "database"),
        figures,
    )


def _compare_with_hub(database: Connection, hub: Client) -> bool:
    """Hold what the hub was told and billed against the database; print both."""
    # The last record follows its session within ten seconds, the last status within five.
    with contextlib.suppress(DemoError):
        _until(lambda: _is_told(hub), "")
    sessions = {session["session"]: session for session in hub.get("/sessions")}
    kept = database.execute(
        "SELECT hub_session_id, evse_id, energy_wh FROM hub_sessions JOIN sessions"
        " USING (session_id) WHERE sessions.state = 'ended' ORDER BY evse_id"
    ).fetchall()
    table = Table(title="The hub's own table of sessions")
    for column in ("EVSE", "begun by", "notified", "CDR, Wh", "database, Wh", "equal"):
        table.add_column(column, justify="right" if "Wh" in column else "left")
    differ = 0
    for session_id, evse_id, energy_wh in kept:
        session = sessions.pop(session_id, None) or {"origin": "?", "notifications": []}
        billed = session.get("energy_wh")
        differ += billed != energy_wh
        kinds = [notification["type"] for notification in session["notifications"]]
        table.add_row(
            evse_id,
            {"rfid": "card", "remote": "app"}.get(session["origin"], session["origin"]),
            " ".join(kinds),
            "none" if billed is None else f"{billed:,}",
            f"{energy_wh:,}",
            "yes" if billed == energy_wh else "NO",
        )
    for session in sessions.values():
        table.add_row(session["evse"], session["origin"], "", "", "no such session", "NO")
    console.print(table)
    told = hub.get("/figures")
    for violation in hub.get("/violations")[:10]:
        console.print(f"a rule of the hub was broken: {violation}", style="red", markup=False)
    figures = [
        ("sessions", told["sessions"], len(kept)),
        ("charge detail records", told["cdrs"], len(kept)),
        ("energy, Wh", told["energy_wh"], sum(energy for _, _, energy in kept)),
        ("EVSEs", told["evses"], CHARGING_POINTS),
        ("rules broken", told["violations"], 0),
    ]
    equal = _print("What the hub holds, and what the database holds", ("hub", "database"), figures)
    return equal and not sessions and not differ


def _is_told(hub: Client) -> bool:
    figures = hub.get("/figures")
    return bool(figures["sessions_open"] == 0 and figures["sessions"] > 0)


def _print(title: str, sides: tuple[str, str], figures: list[tuple[str, int, int]]) -> bool:
    table = Table(title=title)
    table.add_column("figure")
    for side in sides:
        table.add_column(side, justify="right")
    table.add_column("equal", justify="center")
    for name, one, other in figures:
        table.add_row(name, f"{one:,}", f"{other:,}", "yes" if one == other else "NO")
    console.print(table)
    return all(one == other for _, one, other in figures)


if __name__ == "__main__":
    sys.exit(main())
