"""`python -m charging_point_simulator crowd`: a crowd by a plan of its own, or by commands."""

from __future__ import annotations

import json
import os
import selectors
import sys
import time
from pathlib import Path
from typing import Any

from charging_point_simulator.crowd.herd import CrowdError, Herd, Plan

_STEP_SECONDS = 0.2
_SHOW_SECONDS = 2.0
_TELL_SECONDS = 0.5
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
    """Connect, hold, charge, storm, and report; return 0, or 1 when somebody was lost for good.

    seconds: in which all are held; storms are spread over them.
    """
    with Herd(plan) as herd:
        herd.tell("connect", ramp)
        online = _until_all_online(herd, plan, ramp + SETTLE_SECONDS)
        if charging:
            herd.charge(charging, interval)
        for storm in range(storms + 1):
            _watch(herd, seconds / (storms + 1))
            if storm < storms:
                print(f"storm {storm + 1} of {storms}: everybody at once")
                herd.tell("storm")
                _until_all_gone(herd, plan)
                online = _until_all_online(herd, plan, SETTLE_SECONDS)
        if charging:
            herd.tell("stop")
            _watch(herd, min(10.0, seconds))
        report = herd.report()
    if report_file is not None:
        report_file.write_text(json.dumps(report, indent=2) + "\n")
    _print(report)
    return 0 if online else 1


def obey(plan: Plan) -> int:
    """Do what standard input says, a command a line; tell on standard output, JSON a line.

    Commands: those of `Worker` with their values, JSON (``["connect", 30]``), and ``["report"]``,
    which answers with what was seen since the last one. The end of the input ends the crowd. Twice a second a line tells the phases.
    """
    with Herd(plan) as herd, selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        told_at, heard = 0.0, b""
        while True:
            herd.listen(_STEP_SECONDS)
            if time.monotonic() - told_at >= _TELL_SECONDS:
                told_at = time.monotonic()
                _tell({"phases": herd.phases, "counts": herd.total})
            if not selector.select(0):
                continue
            # Not readline(): it would keep to itself what came together with a line.
            data = os.read(sys.stdin.fileno(), 4096)
            *lines, heard = (heard + data).split(b"\n")
            for line in lines:
                words = json.loads(line)
                if words == ["report"]:
                    _tell({"report": herd.report()})
                elif words[0] == "charge":
                    herd.charge(*words[1:])
                else:
                    herd.tell(*words)
            if not data:
                return 0


def _tell(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def _until_all_online(herd: Herd, plan: Plan, patience: float) -> bool:
    deadline = time.monotonic() + patience
    shown_at = 0.0
    herd.listen(2 * _STEP_SECONDS)
    while time.monotonic() < deadline:
        herd.listen(_STEP_SECONDS)
        if herd.phases["online"] == plan.charging_points:
            return True
        if time.monotonic() - shown_at > _SHOW_SECONDS:
            shown_at = time.monotonic()
            _show(herd)
    return False


def _until_all_gone(herd: Herd, plan: Plan) -> None:
    """Wait until the storm has reached everybody: all have come online once more, or are away."""
    before = herd.total["came online"]
    deadline = time.monotonic() + SETTLE_SECONDS
    while (
        herd.phases["online"] == plan.charging_points
        and herd.total["came online"] < before + plan.charging_points
        and time.monotonic() < deadline
    ):
        herd.listen(_STEP_SECONDS)


def _watch(herd: Herd, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        herd.listen(min(left, _SHOW_SECONDS))
        _show(herd)


def _show(herd: Herd) -> None:
    phases = ", ".join(f"{n} {name}" for name, n in herd.phases.items() if n)
    print(f"{phases}; {herd.total.get('acknowledged MeterValues', 0)} readings acknowledged")


def _print(report: dict[str, Any]) -> None:
    for name, times in report["times_ms"].items():
        values = ", ".join(f"{key} {value:g}" for key, value in times.items() if key != "count")
        print(f"{name}: {times['count']}, {values} (ms)")
    for name, count in sorted(report["counts"].items()):
        print(f"{name}: {count}")


__all__ = ["CrowdError", "obey", "run"]
