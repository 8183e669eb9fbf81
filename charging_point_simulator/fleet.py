"""Many charging points in one event loop."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from charging_point_simulator.charger import Build, Charger
from charging_point_simulator.progress import show
from charging_point_simulator.report import Report
from charging_point_simulator.scenario import Scenario


async def charge(
    identities: Sequence[str],
    build: Build,
    scenario: Scenario,
    *,
    ramp_seconds: float,
    report_file: Path | None,
) -> int:
    """Let charging points do their scenario; return 0, or 1 if any of them failed.

    ramp_seconds: over which they connect. The report is written even when interrupted.
    """
    report = Report(len(identities))
    chargers = [Charger(name, build, scenario, report) for name in identities]
    started = time.monotonic()
    showing = asyncio.create_task(show(chargers, report, Console(file=sys.stdout)))
    try:
        await asyncio.gather(
            *(
                _after(ramp_seconds * place / len(chargers), charger)
                for place, charger in enumerate(chargers)
            )
        )
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        report.seconds = time.monotonic() - started
        if report_file is not None:
            report.write(report_file)
    for name, reason in sorted(report.failures.items())[:20]:
        print(f"{name}: {reason}", file=sys.stderr)
    for text, count in report.violations.most_common(20):
        print(f"violation, {count} times: {text}", file=sys.stderr)
    print(report.summary())
    return 1 if report.failures else 0


async def _after(seconds: float, charger: Charger) -> None:
    await asyncio.sleep(seconds)
    await charger.run()
