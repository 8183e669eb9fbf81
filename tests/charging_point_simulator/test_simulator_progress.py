"""What is shown of a fleet while it charges."""

import asyncio
import io
import itertools
import re

from rich.console import Console

from charging_point_simulator.charger import Build, Charger
from charging_point_simulator.progress import show
from charging_point_simulator.report import Report
from charging_point_simulator.scenario import Scenario
from charging_point_simulator.station.settings import Settings
from charging_point_simulator.target import Target
from tests.charging_point_simulator.central_system import CentralSystem


def test_a_terminal_shows_power_and_an_energy_that_grows_up_to_the_end():
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80)

    async def charge(port):
        build = Build(
            Target("127.0.0.1", port, plain=True),
            settings=lambda: Settings(meter_interval_seconds=0.1),
            seed=1,
        )
        report = Report(2)
        scenario = Scenario(id_tag="CARD", duration=1200, time_compression=600)
        chargers = [Charger(f"SIM{n}", build, scenario, report) for n in (1, 2)]
        showing = asyncio.create_task(show(chargers, report, console))
        await asyncio.gather(*(charger.run() for charger in chargers))
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        return report

    with CentralSystem() as central:
        report = asyncio.run(charge(central.port))
    text = shown.getvalue()
    energies = [float(found) for found in re.findall(r"([0-9.]+) kWh", text)]
    powers = {float(found) for found in re.findall(r"([0-9.]+) kW ", text)}
    assert all(before <= after for before, after in itertools.pairwise(energies))
    assert energies[-1] == round(report.energy_wh / 1000, 3) > 0
    assert max(powers) > 1000
    assert "2 of 2" in text.rpartition("sessions complete")[2]
