"""`python -m charging_point_simulator crowd`: a crowd by its options, or by commands."""

from __future__ import annotations

import json
import os
import selectors
import sys
import time
from pathlib import Path
from typing import Any

from charging_point_simulator.crowd.processes import CrowdError, Plan, Processes

_STEP_SECONDS = 0.2
_SHOW_SECONDS = 2.0
_PHASES_SECONDS = 0.5
SETTLE_SECONDS = 120.0


def run(
    plan: Plan,
    *,
    ramp: float,
    seconds: float,
    charging: int,
    interval: float,
    storms: int,
    report_file: Path | None,
) -> int:
    """Connect, charge, reconnect, and report; return 0, or 1 when some could not come back.

    seconds: for which all stay connected; storms are spread over them. storms: times that all
    reconnect at once.
    """
    with Processes(plan) as processes:
        processes.send("connect", ramp)
        online = _until_all_online(processes, plan, ramp + SETTLE_SECONDS)
        if charging:
            processes.charge(charging, interval)
        for storm in range(storms + 1):
            _watch(processes, seconds / (storms + 1))
            if storm < storms:
                print(f"storm {storm + 1} of {storms}: all reconnect at once")
                processes.send("storm")
                _until_all_gone(processes, plan)
                online = _until_all_online(processes, plan, SETTLE_SECONDS)
        if charging:
            processes.send("stop")
            _watch(processes, min(10.0, seconds))
        report = processes.report()
    if report_file is not None:
        report_file.write_text(json.dumps(report, indent=2) + "\n")
    _print(report)
    return 0 if online else 1


def run_commands(plan: Plan) -> int:
    """Read commands from standard input, write to standard output, JSON a line.

    Commands: those of `Worker` with their values (``["connect", 30]``), and ``["report"]``,
    which answers with what was counted since the last one. The end of the input ends the crowd.
    Twice a second a line has the phases.
    """
    with Processes(plan) as processes, selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        printed_at, rest = 0.0, b""
        while True:
            processes.listen(_STEP_SECONDS)
            if time.monotonic() - printed_at >= _PHASES_SECONDS:
                printed_at = time.monotonic()
                _print_json({"phases": processes.phases, "counts": processes.total})
            if not selector.select(0):
                continue
            # Not readline(): it would keep to itself what came together with a line.
            data = os.read(sys.stdin.fileno(), 4096)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                words = json.loads(line)
                if words == ["report"]:
                    _print_json({"report": processes.report()})
                elif words[0] == "charge":
                    processes.charge(*words[1:])
                else:
                    processes.send(*words)
            if not data:
                return 0


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def _until_all_online(processes: Processes, plan: Plan, timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    shown_at = 0.0
    processes.listen(2 * _STEP_SECONDS)
    while time.monotonic() < deadline:
        processes.listen(_STEP_SECONDS)
        if processes.phases["online"] == plan.charging_points:
            return True
        if time.monotonic() - shown_at > _SHOW_SECONDS:
            shown_at = time.monotonic()
            _show(processes)
    return False


def _until_all_gone(processes: Processes, plan: Plan) -> None:
    """Wait until all have lost their connection: each came online once more, or is away."""
    before = processes.total["came online"]
    deadline = time.monotonic() + SETTLE_SECONDS
    while (
        processes.phases["online"] == plan.charging_points
        and processes.total["came online"] < before + plan.charging_points
        and time.monotonic() < deadline
    ):
        processes.listen(_STEP_SECONDS)


def _watch(processes: Processes, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        processes.listen(min(left, _SHOW_SECONDS))
        _show(processes)


def _show(processes: Processes) -> None:
    phases = ", ".join(f"{n} {name}" for name, n in processes.phases.items() if n)
    print(f"{phases}; {processes.total.get('acknowledged reading', 0)} readings acknowledged")


def _print(report: dict[str, Any]) -> None:
    for name, times in report["times_ms"].items():
        values = ", ".join(f"{key} {value:g}" for key, value in times.items() if key != "count")
        print(f"{name}: {times['count']}, {values} (ms)")
    for name, count in sorted(report["counts"].items()):
        print(f"{name}: {count}")


__all__ = ["CrowdError", "run", "run_commands"]
