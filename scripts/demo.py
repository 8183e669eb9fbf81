"""`make demo`: the whole backend on this machine, 25 charging points, a roaming hub, the proof.

Starts a database, charging-point-backend, third-party-backend with its relay, and a hub that
plays the roaming hub. 25 simulated charging points go through whole sessions: 20 with a card of
ours, 2 with a card that the hub vouches for, 3 started from a driver's app through the hub, one of
which is stopped from the app too. Meanwhile an operator resets one and limits the power of
another, and one of the hub's cards charges at a charging point that deviates from the standard in
many ways. What the charging points report that they charged is compared with the database, and
what the hub received and was billed with both.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from charging.database import deviations
from charging.database.audit import Asker
from charging.database.connection import Connection, connect
from charging.database.embedded import EmbeddedServerError
from charging.energy_audit import POWER_MARGIN
from charging.intents import Period, Profile, ProfilePurpose, Reset, SetProfile, Unit
from operations import charging_points, commands, energy_audits, evse_states, evses, tokens
from scripts.programs import ProgramError
from scripts.world import Node, World, new_database, new_directory, write_credentials
from third_party_hub_simulator.client import Client, ClientError

CHARGING_POINTS = 25
LIMITED, RESET = 19, 20
"""Numbers of the charging points whose power an operator limits, and that one resets."""
LIMIT_W = 3_000
"""Less than the weakest simulated car draws."""
CARDS = (21, 22)
"""… of those at which the hub's card is shown; the last one deviates from the standard."""
DEVIATIONS = (
    *("no-zone", "number-values", "null-members", "extra-members", "own-reasons"),
    *("long-names", "list-payloads", "stop-transaction-null"),
)
"""… in these ways, of `python -m charging_point_simulator charge --deviations`."""
REMOTE = (23, 24, 25)
"""… and of those that are started through the hub."""
TOKEN = "DEMO-TOKEN"  # noqa: S105 - shown to every visitor of the demo
CARD = "04A1B2C3"
PROVIDER = "DE-EMP"
SIMULATED_SECONDS = 1800
TIME_COMPRESSION = 60
"""The simulator's own: a session is so many times shorter, and its car stronger."""
PROGRESS_SECONDS = 5
"""Between Progress notifications; 300 at a real hub, too long for a demo."""
WAIT_SECONDS = 90.0
BY = Asker("visitor", "demo")

console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


class DemoError(Exception):
    """Something is not as it should be."""


def main() -> int:
    """Run the demo; return 0 when every figure is equal."""
    started = time.monotonic()
    # One that is terminated, or whose terminal closes, stops what it started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    directory = new_directory("demo")
    try:
        console.print("Starting PostgreSQL …")
        with new_database("demo") as url:
            equal = _run(url, directory)
    except (DemoError, ProgramError, ClientError, EmbeddedServerError) as error:
        console.print(f"demo: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    console.print(f"Everything has stopped; {time.monotonic() - started:.0f} s in all.")
    return 0 if equal else 1


def _run(url: str, directory: Path) -> bool:
    with connect(url, "demo") as database:
        with World(url, directory) as world:
            credentials = _register(database, directory)
            console.print(
                f"Registered {CHARGING_POINTS} charging points with their EVSEs, and a token."
            )
            hub = world.run_hub(
                *("--token", CARD, "--provider", PROVIDER, "--progress-interval", PROGRESS_SECONDS)
            )
            node, web = world.run_node(), world.run_web(workers="2")
            world.run_relay(operator_name="VNI demo", progress_interval=str(PROGRESS_SECONDS))
            node.wait_until_ready()
            web.wait_until_ready()
            console.print(f"charging-point-backend is ready on ws://127.0.0.1:{node.port}")
            console.print(f"third-party-backend is ready on {web.url}")
            console.print(f"the hub is ready on {hub.url}")
            reports = _charge(world, node, credentials, database)
            equal = _compare(database, reports)
            equal &= _compare_with_hub(database, hub.control)
            equal &= _has_deviated(database)
            equal &= _balances(database)
        if failed := world.failed():
            raise DemoError(f"a service did not stop cleanly: {failed}; see {directory}")
    return equal


def _register(database: Connection, directory: Path) -> Path:
    """Do what an operator does before charging points come; return their passwords' file."""
    numbers = range(1, CHARGING_POINTS + 1)
    file = directory / "credentials.csv"
    write_credentials(
        file,
        [charging_points.register(database, _charging_point(number), by=BY) for number in numbers],
    )
    tokens.add(database, TOKEN, by=BY, note="demo")
    evses.import_table(database, json.dumps([_evse_row(number) for number in numbers]), by=BY)
    return file


def _charging_point(number: int) -> str:
    return f"DEMO{number:05d}"


def _evse(number: int) -> str:
    return f"DE*VNI*E{number:05d}*1"


def _evse_row(number: int) -> dict[str, Any]:
    """Return what drivers of other providers are shown of an EVSE."""
    return {
        "charging_point": _charging_point(number),
        "evse_number": 1,
        "evse_id": _evse(number),
        "name": f"Demo {number}",
        "country": "DEU",
        "city": "Berlin",
        "street": "Unter den Linden",
        "house_number": str(number),
        "postal_code": "10117",
        "latitude": "52.516667",
        "longitude": f"13.38{number:04d}",
        "plugs": ["Type 2 Outlet"],
        "power_type": "AC_3_PHASE",
        "power_kw": 22,
        "hotline": "+4930123456",
    }


def _charge(
    world: World, node: Node, credentials: Path, database: Connection
) -> list[dict[str, Any]]:
    """Let the charging points charge, and an operator work; return the simulators' reports."""
    hub = world.hub.control

    def words(first: int, count: int, *more: object) -> list[object]:
        return [
            *("--credentials", credentials, "--identity-prefix", "DEMO"),
            *("--state-directory", world.directory / "registers"),
            *("--first", first, "--charging-points", count),
            *(more if "--duration" in more else ("--duration", SIMULATED_SECONDS, *more)),
        ]

    _until(lambda: hub.get("/figures")["evses"] == CHARGING_POINTS, "the hub did not get the EVSEs")
    deviate = [word for name in DEVIATIONS for word in ("--deviate", name)]
    # Slower than the others, so that their power is that of a car.
    slow = ("--id-tag", TOKEN, "--time-compression", 2, "--duration", 60)
    others = [
        world.charge(node, *words(CARDS[0], 1, "--id-tag", CARD)),
        world.charge(node, *words(CARDS[1], 1, "--id-tag", CARD, *deviate)),
        world.charge(node, *words(LIMITED, 1, *slow, "--meter-values-interval", 2)),
        world.charge(node, *words(RESET, 1, *slow, "--meter-values-interval", 2, "--sessions", 2)),
    ]
    remote = world.charge(node, *words(REMOTE[0], len(REMOTE), "--wait-for-remote"))
    report = world.directory / "fleet.json"
    local = words(1, LIMITED - 1, "--id-tag", TOKEN, "--report", report)
    # In the foreground, so that a terminal shows the charging points live.
    fleet = subprocess.Popen(
        [
            *(sys.executable, "-m", "charging_point_simulator", "charge", "--plain"),
            *("--port", str(node.port), *map(str, local)),
        ]
    )
    try:
        happened = [*_operate(database), *_drive(hub)]
        code = fleet.wait(WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        raise DemoError("the charging points did not finish in time") from None
    finally:
        if fleet.poll() is None:
            fleet.terminate()
            fleet.wait()
    # Only now: the simulator's display had the terminal to itself.
    for line in happened:
        console.print(line)
    if code:
        raise DemoError(f"charging points failed; see {world.directory}")
    return [
        json.loads(report.read_text()),
        *(simulator.report(seconds=WAIT_SECONDS) for simulator in (*others, remote)),
    ]


def _drive(hub: Client) -> list[str]:
    """Play another provider's drivers: start three sessions, stop one; return what happened."""
    happened, sessions = [], []
    for number in REMOTE:
        evse = _evse(number)
        _until(partial(_has_status, hub, evse, "Available"), f"{evse} is not available at the hub")
        answer = hub.post("/start", evse_id=evse, provider_id=PROVIDER)
        if answer["code"] != "000":
            raise DemoError(f"the remote start was refused: {answer}")
        sessions.append(answer["session"])
        happened.append(f"A driver's app started {evse} through the hub: {answer['ms']:.0f} ms")
    last = sessions[-1]
    _until(
        lambda: any(
            notification["type"] == "Progress"
            for notification in hub.get(f"/sessions/{last}")["notifications"]
        ),
        "the hub got no progress of the session",
    )
    answer = hub.post("/stop", session_id=last)
    if answer["code"] != "000":
        raise DemoError(f"the remote stop was refused: {answer}")
    happened.append(f"… and stopped {_evse(REMOTE[-1])} again: {answer['ms']:.0f} ms")
    return happened


def _operate(database: Connection) -> list[str]:
    """Play our operator: reset one charging point, limit another; return what happened."""
    name = _charging_point(RESET)
    _until(lambda: _power_w(database, name) > 0, f"{name} does not charge")
    reset = commands.ask(database, name, Reset(), by=BY)
    _until(lambda: commands.show(database, reset.command).done == "done", f"{name} did not boot")
    done = commands.show(database, reset.command)
    assert done.answered_at is not None
    assert done.done_at is not None
    accepted = (done.answered_at - done.queued_at).total_seconds() * 1000
    booted = (done.done_at - done.queued_at).total_seconds()
    reset_line = (
        f"An operator reset {name} while it charged: accepted after {accepted:.0f} ms,"
        f" booted after {booted:.1f} s"
    )
    name = _charging_point(LIMITED)
    _until(lambda: _power_w(database, name) > 2 * LIMIT_W, f"{name} does not charge")
    before = _power_w(database, name)
    limit = Profile(1, ProfilePurpose.DEFAULT, Unit.WATTS, (Period(0, LIMIT_W),))
    commands.ask(database, name, SetProfile(limit, evse_number=1), by=BY)
    _until(lambda: 0 < _power_w(database, name) <= LIMIT_W, f"{name} does not keep its limit")
    after = _power_w(database, name)
    return [
        reset_line,
        f"… and limited {name} to {LIMIT_W:,} W: it drew {before:,} W, and then {after:,} W",
    ]


def _power_w(database: Connection, charging_point: str) -> int:
    """Return what flows at a charging point's EVSE by the last reading of its session."""
    powers = [evse.power_w for evse in evse_states.show(database, charging_point) if evse.evse]
    return powers[0] or 0 if powers else 0


def _has_deviated(database: Connection) -> bool:
    """Say how the deviating charging point deviated, and that its session was recorded."""
    name = _charging_point(CARDS[1])
    found = deviations.read(database, charging_point_id=name, limit=1000)
    repaired = sum(each.count for each in found)
    row = database.execute(
        "SELECT energy_wh FROM sessions WHERE charging_point_id = %s AND state = 'ended'", [name]
    ).fetchone()
    if row is None or not found:
        console.print(f"{name} has no session, or did not deviate", style="red")
        return False
    console.print(
        f"{name} deviated from OCPP {repaired:,} times in {len(found)} ways, and its session of"
        f" {row[0]:,} Wh is in the hub's table above."
    )
    return True


def _balances(database: Connection) -> bool:
    """Say what the audit of the energy finds: metered = billed + listed, and nothing to look at."""
    today = datetime.now(UTC).date()
    # Simulated cars are as much stronger as their sessions are shorter.
    made = energy_audits.make(
        database,
        today - timedelta(days=1),
        until=today + timedelta(days=1),
        power_margin=POWER_MARGIN * TIME_COMPRESSION,
    ).audit
    figures = [("energy, Wh", made.metered_wh, made.billed_wh + made.listed_wh)]
    balances = _print("The audit of the energy", ("metered", "billed and listed"), figures)
    for line in made.lines:
        console.print(
            f"{' '.join(line.findings)}: {line.charging_point} {line.energy_wh or 0:,} Wh;"
            f" {line.facts}",
            style="red" if line.alarm else "",
            markup=False,
        )
    return balances and not made.alarms


def _has_status(hub: Client, evse: str, status: str) -> bool:
    return any(row["evse"] == evse and row["status"] == status for row in hub.get("/evses"))


def _until(look: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise DemoError(complaint)
        time.sleep(0.1)


def _compare(database: Connection, reports: list[dict[str, Any]]) -> bool:
    """Compare the charging points' own account with the database; print both."""
    reported = [session for report in reports for session in report["sessions"]]
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
    figure("sessions", len(reported), "SELECT count(*) FROM sessions WHERE state = 'ended'")
    figure(
        "sessions started through the hub",
        sum(session["remote"] for session in reported),
        "SELECT count(*) FROM hub_sessions WHERE session_id IS NOT NULL"
        " AND identification ? 'RemoteIdentification'",
    )
    figure(
        "energy, Wh",
        sum(session["energy_wh"] for session in reported),
        "SELECT sum(energy_wh) FROM sessions",
    )
    figure(
        "meter values",
        sum(session["meter_values_acknowledged"] for session in reported),
        "SELECT count(*) FROM meter_values",
    )
    figure("billing facts of unknown sessions", 0, "SELECT count(*) FROM unassigned_facts")
    recorded = {
        row[0]: row[1]
        for row in database.execute("SELECT session_id, energy_wh FROM sessions").fetchall()
    }
    wrong = [s for s in reported if recorded.get(s["transaction_id"]) != s["energy_wh"]]
    figures.append(("sessions whose energy differs", 0, len(wrong)))
    return _print(
        "What the charging points report, and what the database holds",
        ("charging points", "database"),
        figures,
    )


def _compare_with_hub(database: Connection, hub: Client) -> bool:
    """Compare what the hub received and was billed with the database; print both."""
    # The last record follows its session within ten seconds, the last status within five.
    with contextlib.suppress(DemoError):
        _until(lambda: _is_complete(hub), "")
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
    received = hub.get("/figures")
    for violation in hub.get("/violations")[:10]:
        console.print(f"a rule of the hub was broken: {violation}", style="red", markup=False)
    figures = [
        ("sessions", received["sessions"], len(kept)),
        ("charge detail records", received["cdrs"], len(kept)),
        ("energy, Wh", received["energy_wh"], sum(energy for _, _, energy in kept)),
        ("EVSEs", received["evses"], CHARGING_POINTS),
        ("rules broken", received["violations"], 0),
    ]
    equal = _print("What the hub holds, and what the database holds", ("hub", "database"), figures)
    return equal and not sessions and not differ


def _is_complete(hub: Client) -> bool:
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
