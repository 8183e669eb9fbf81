"""`make hub-figures`: how fast the roaming hub's drivers are served, on this machine.

Everything runs here, as in `make demo`: the figures are of the whole on so many cores, the
simulators' own work included.

- remote starts at a steady pace: hub → service → database → node → charging point and back
- as many remote starts as 32 drivers can make who do not wait for one another
- CDRs a minute, within the hub's limit and without one
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from charging.database.connection import Connection, connect
from scripts.world import Relay, World, new_database
from third_party_hub_simulator.client import ClientError

PROVIDER = "DE-EMP"
CHARGING_POINTS = 96

console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


class Backend:
    """Hub, web service, relay, node and charging points, for one measurement each."""

    def __init__(self, database: Connection, world: World) -> None:
        self.database = database
        self._world = world
        self._relay: Relay | None = None
        self.web_port = world.web_port
        hub = world.run_hub()
        self.hub = hub.control
        web, self._node = world.run_web(workers="2"), world.run_node(admit_unknown="true")
        web.wait_until_ready()
        self._node.wait_until_ready()

    def charging_points(self, count: int) -> list[str]:
        """Connect charging points whose sessions last a tenth of a second; return their EVSEs."""
        evses = [f"DE*VNI*E{number:05d}*1" for number in range(1, count + 1)]
        with self.database.transaction():
            for number, evse in enumerate(evses, 1):
                name = f"SIM{number:05d}"
                self.database.execute(
                    "INSERT INTO charging_points (charging_point_id) VALUES (%s)", [name]
                )
                self.database.execute(
                    "INSERT INTO evses"
                    " (charging_point_id, evse_number, evse_id, evse_id_key, roaming)"
                    " VALUES (%s, 1, %s, %s, true)",
                    [name, evse, evse.replace("*", "")],
                )
        self._world.charge(
            self._node,
            *("--charging-points", count, "--sessions", 100_000, "--wait-for-remote", 600),
            *("--duration", 60, "--meter-values-interval", 60, "--time-compression", 600),
            *("--state-directory", self._world.directory / "registers"),
        )
        _until(
            lambda: (
                self._number(
                    "SELECT count(*) FROM evses WHERE evse_number = 1 AND status = 'Available'"
                )
                == count
            ),
            "the charging points did not come",
        )
        return evses

    def relay(self, **settings: str) -> None:
        """Start a relay, or another in its place."""
        if self._relay is not None:
            self._relay.program.stop()
        self._relay = self._world.run_relay(**{"hub_max_backoff": "60", **settings})

    def lift_the_limits(self) -> None:
        """Let the hub take, and the relay send, as many calls a minute as they can."""
        self._world.hub.program.stop()
        self._world.hub.start("--no-limits")
        self.relay(hub_pace="1000")

    def _number(self, query: str) -> int:
        row = self.database.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])


def main(arguments: list[str] | None = None) -> int:
    """Measure; return 0 when the target is met and no rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m scripts.hub_figures", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="of remote starts at a pace")
    parser.add_argument("--pace", type=float, default=100.0, help="remote starts a minute")
    parser.add_argument("--drivers", type=int, default=32, help="at the same time")
    parser.add_argument("--seconds", type=float, default=15.0, help="that they drive")
    parser.add_argument(
        "--cdr-seconds", type=float, default=70.0, help="of CDRs within the hub's limit"
    )
    options = parser.parse_args(arguments)
    # One that is terminated stops what it started, as one that is interrupted does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console.print(f"{os.cpu_count()} cores, everything on them; {CHARGING_POINTS} charging points.")
    try:
        with _backend() as backend:
            evses = backend.charging_points(CHARGING_POINTS)
            met = _at_a_pace(backend, evses, options.pace, options.minutes)
            _all_at_once(backend, evses, options.drivers, options.seconds)
            _unknown(backend, options.drivers, options.seconds / 3)
            _records(backend, options.cdr_seconds, "within the hub's limit of 350 a minute")
            if backend.hub.get("/figures")["sessions_open"]:
                backend.lift_the_limits()
                _records(backend, 10, "without a limit")
            violations = backend.hub.get("/violations")
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    for violation in violations[:10]:
        console.print(f"violation: {violation}", style="red", markup=False)
    return 0 if met and not violations else 1


@contextmanager
def _backend() -> Iterator[Backend]:
    with (
        new_database("figures") as url,
        connect(url, "figures") as database,
        TemporaryDirectory() as directory,
        World(url, Path(directory)) as world,
    ):
        yield Backend(database, world)


def _at_a_pace(backend: Backend, evses: list[str], pace: float, minutes: float) -> bool:
    """Start at a steady pace; return whether 99 of 100 were answered within half a second."""
    count, apart = int(pace * minutes), 60 / pace
    console.print(f"{count} remote starts, {pace:g} a minute …")
    begun = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        answers = []
        for number in range(count):
            wait = begun + number * apart - time.monotonic()
            time.sleep(max(0.0, wait))
            answers.append(pool.submit(_start, backend, evses[number % len(evses)]))
        results = [answer.result() for answer in answers]
    p99 = _report("at a pace", results, time.monotonic() - begun)
    return p99 <= 500


def _all_at_once(backend: Backend, evses: list[str], drivers: int, seconds: float) -> None:
    """Let drivers start as fast as they are answered, each at EVSEs of its own."""
    console.print(f"{drivers} drivers at the same time, {seconds:g} s …")
    end = time.monotonic() + seconds
    results: list[tuple[str, float]] = []
    lock = threading.Lock()

    def drive(number: int) -> None:
        mine, turn = evses[number::drivers], 0
        while time.monotonic() < end:
            result = _start(backend, mine[turn % len(mine)])
            turn += 1
            with lock:
                results.append(result)

    begun = time.monotonic()
    with ThreadPoolExecutor(drivers) as pool:
        for drive_over in [pool.submit(drive, number) for number in range(drivers)]:
            drive_over.result()
    _report(f"{drivers} at once", results, time.monotonic() - begun)


def _records(backend: Backend, seconds: float, how: str) -> None:
    """Count the CDRs that reach the hub from a backlog of sessions."""
    figures = backend.hub.get("/figures")
    left, before = figures["sessions_open"], figures["cdrs"]
    console.print(f"{left} sessions wait for their CDR; {seconds:g} s {how} …")
    if "limit of" in how:
        backend.relay()
    _until(lambda: backend.hub.get("/figures")["cdrs"] > before, "no CDR came")
    begun = time.monotonic()
    before = backend.hub.get("/figures")["cdrs"]
    while time.monotonic() < begun + seconds and backend.hub.get("/figures")["sessions_open"]:
        time.sleep(0.1)
    lasted = time.monotonic() - begun
    figures = backend.hub.get("/figures")
    count = figures["cdrs"] - before
    most = figures["most_calls_a_minute"].get("cdr", 0)
    console.print(
        f"  CDRs {how}: {count} in {lasted:.1f} s ({count / lasted * 60:.0f} a minute; "
        f"most in any 60 s: {most}), {figures['sessions_open']} left"
    )


def _unknown(backend: Backend, drivers: int, seconds: float) -> None:
    """Ask the service alone, on kept connections: how many requests it answers by itself."""
    console.print(f"{drivers} clients at the service, for an unknown EVSE, {seconds:g} s …")
    end = time.monotonic() + seconds
    results: list[tuple[str, float]] = []

    def ask() -> None:
        client = http.client.HTTPConnection("127.0.0.1", backend.web_port, timeout=20)
        while time.monotonic() < end:
            begun = time.perf_counter()
            body = {
                "SessionID": str(uuid.uuid4()),
                "EvseID": "DE*VNI*E99999*9",
                "Identification": {"RemoteIdentification": {"EvcoID": "DE-EMP-C00000001-X"}},
            }
            client.request(
                "POST",
                f"/api/oicp/charging/v21/providers/{PROVIDER}/authorize-remote/start",
                json.dumps(body),
                {"Content-Type": "application/json"},
            )
            code = json.load(client.getresponse())["StatusCode"]["Code"]
            results.append((code, (time.perf_counter() - begun) * 1000))

    begun = time.monotonic()
    with ThreadPoolExecutor(drivers) as pool:
        for over in [pool.submit(ask) for _ in range(drivers)]:
            over.result()
    _report("the service alone", results, time.monotonic() - begun)


def _start(backend: Backend, evse: str) -> tuple[str, float]:
    answer = backend.hub.post("/start", evse_id=evse, provider_id=PROVIDER)
    return answer["code"] or "none", answer["ms"]


def _report(name: str, results: list[tuple[str, float]], seconds: float) -> float:
    times = sorted(ms for _, ms in results)
    p50, p99 = (times[min(len(times) - 1, len(times) * p // 100)] for p in (50, 99))
    codes = ", ".join(f"{code}: {n}" for code, n in sorted(Counter(c for c, _ in results).items()))
    console.print(
        f"  {name}: {len(times)} answered in {seconds:.1f} s ({len(times) / seconds:.1f}/s), "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, slowest {times[-1]:.0f} ms; codes {codes}"
    )
    return p99


def _until(look: Callable[[], bool], complaint: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(complaint)
        time.sleep(0.1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ClientError as error:
        sys.exit(f"hub-figures: {error}")
