"""A driver's day at charging-point-backend: what must work before an image goes on."""

import subprocess
import sys

from tests.acceptance.driver import TOKEN
from tests.waiting import eventually

# Times are the car's: a session of three seconds, and one that lasts until it is stopped.
SHORT = ("--duration", 300, "--meter-values-interval", 30, "--time-compression", 100)
LONG = ("--duration", 864_000, "--meter-values-interval", 60, "--time-compression", 60)


def test_a_stranger_is_not_let_in(backend):
    backend.register(1)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "charging_point_simulator", "hello", *backend.where()),
            *("--identity", "ACCEPT00001", "--password", "wrong" * 4, "--count", "1"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert "HTTP 401" in run.stderr


def test_charging_points_connect_boot_and_charge(backend):
    backend.register(3)
    report = backend.simulate(3, *SHORT, "--id-tag", TOKEN).report(backend.patience_seconds)
    assert len(report["sessions"]) == 3
    backend.books_agree(report)


def test_a_charging_point_starts_and_stops_on_command(backend):
    (name,) = backend.register(1)
    simulator = backend.simulate(1, *LONG, "--wait-for-remote", backend.patience_seconds)
    eventually(lambda: backend.online([name]), backend.patience_seconds)
    backend.start(name)
    session = eventually(lambda: backend.charging(name), backend.patience_seconds)
    eventually(lambda: backend.readings(session) >= 2, backend.patience_seconds)
    backend.stop(session)
    report = simulator.report(backend.patience_seconds)
    assert [s["remote"] for s in report["sessions"]] == [True]
    backend.books_agree(report)


def test_sessions_survive_a_drain(backend):
    names = backend.register(3)
    simulator = backend.simulate(
        3, *LONG, "--wait-for-remote", backend.patience_seconds, "--ramp", 0.1
    )
    eventually(lambda: backend.online(names), backend.patience_seconds)
    for name in names:
        backend.start(name)
    running = {
        name: eventually(lambda n=name: backend.charging(n), backend.patience_seconds)
        for name in names
    }
    before = backend.connections(names)
    backend.drain()
    # Each of them is sent away, and comes back on another connection.
    eventually(
        lambda: all(
            number is not None and number != before[name]
            for name, number in backend.connections(names).items()
        ),
        backend.patience_seconds,
    )
    told = {session: backend.readings(session) for session in running.values()}
    for session, count in told.items():
        eventually(lambda s=session, c=count: backend.readings(s) > c, backend.patience_seconds)
        backend.stop(session)
    report = simulator.report(backend.patience_seconds)
    assert report["reconnects"] >= 3
    # None is cut: each is told to come back, by the node, before the load balancer lets go of it.
    assert report["closes"] == {"1012": report["reconnects"]}
    assert {s["transaction_id"] for s in report["sessions"]} == set(running.values())
    backend.books_agree(report)
