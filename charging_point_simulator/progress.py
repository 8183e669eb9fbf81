"""How far the charging points are: live on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from charging_point_simulator.charger import Charger
from charging_point_simulator.report import Report

LIVE_INTERVAL_SECONDS = 0.25
PLAIN_INTERVAL_SECONDS = 3.0


async def show(chargers: Sequence[Charger], report: Report, console: Console) -> None:
    """Show the charging points until cancelled."""
    if not console.is_terminal:
        while True:
            await asyncio.sleep(PLAIN_INTERVAL_SECONDS)
            console.print(_line(chargers, report), highlight=False, soft_wrap=True)
    with Live(_table(chargers, report), console=console, auto_refresh=False) as live:
        try:
            while True:
                await asyncio.sleep(LIVE_INTERVAL_SECONDS)
                live.update(_table(chargers, report), refresh=True)
        finally:
            live.update(_table(chargers, report), refresh=True)


def _phases(chargers: Sequence[Charger]) -> str:
    counted = Counter(charger.phase for charger in chargers)
    return ", ".join(f"{count} {phase}" for phase, count in sorted(counted.items()))


def _figures(chargers: Sequence[Charger], report: Report) -> tuple[str, str]:
    """Return power now and energy so far, running sessions included."""
    running = sum(charger.charging_wh for charger in chargers)
    ended = sum(s.energy_wh for s in report.sessions if s.meter_stop_wh is not None)
    power = sum(charger.power_w for charger in chargers)
    return f"{power / 1000:.1f} kW", f"{(running + ended) / 1000:.3f} kWh"


def _line(chargers: Sequence[Charger], report: Report) -> str:
    power, energy = _figures(chargers, report)
    complete = f"{report.complete_sessions} sessions complete"
    return f"{_phases(chargers)}; {power}, {energy}; {complete}"


def _table(chargers: Sequence[Charger], report: Report) -> Table:
    table = Table(title="Simulated charging points", title_justify="left", min_width=60)
    table.add_column("phase")
    table.add_column("charging points", justify="right")
    for phase, count in sorted(Counter(charger.phase for charger in chargers).items()):
        table.add_row(phase, str(count))
    table.add_section()
    power, energy = _figures(chargers, report)
    table.add_row("power", power)
    table.add_row("energy", energy)
    table.add_row("sessions complete", f"{report.complete_sessions} of {len(report.sessions)}")
    table.add_row("reconnects", str(report.reconnects))
    return table
