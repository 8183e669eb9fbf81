"""Makes charging points, and runs one with its scenario."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from charging_point_simulator.deviations.chosen import Deviations
from charging_point_simulator.driver import Driver, ScenarioError
from charging_point_simulator.faulty_answers import Faults
from charging_point_simulator.ocpp2.dialect import Ocpp2
from charging_point_simulator.ocpp16.dialect import Ocpp16
from charging_point_simulator.registers import Registers
from charging_point_simulator.report import Report
from charging_point_simulator.runner import ConnectError, Runner
from charging_point_simulator.scenario import Scenario
from charging_point_simulator.station.calls import MemoryFullError, Observer
from charging_point_simulator.station.charging_point import ChargingPoint, Dialect, Options
from charging_point_simulator.station.settings import Settings
from charging_point_simulator.station.timers import SystemClock
from charging_point_simulator.target import Target

_FIRST_REGISTER_WH = 5_000_000


@dataclass
class Build:
    """How charging points are made.

    version: of OCPP. plugs: connectors of each EVSE, where the version tells them apart.
    faults: commands that are answered wrongly. firmware: how updates end.
    """

    target: Target
    version: str = "1.6"
    connectors: int = 1
    plugs: int = 1
    registers: Registers = field(default_factory=lambda: Registers(None))
    seed: int | None = None
    faults: Faults = field(default_factory=lambda: Faults({}))
    deviations: Sequence[str] = ()
    firmware: str = "installed"
    settings: Callable[[], Settings] = Settings
    remote_starts: bool = True
    reservations: bool = True
    status: str = "Available"

    def charging_point(
        self, identity: str, report: Report, observer: Observer | None = None
    ) -> ChargingPoint:
        """Make a charging point."""
        # Not hash(): it differs from run to run, and a seed is there to repeat a run.
        chance = random.Random(  # noqa: S311 - plausibility, no secret
            None if self.seed is None else f"{self.seed}/{identity}"
        )
        kept = {} if self.seed is not None else self.registers.load(identity)
        deviations = Deviations(self.deviations)
        observer = observer or Observer()
        observer.latency = report.latency
        observer.violation = partial(report.violation, identity)
        point = ChargingPoint(
            identity,
            SystemClock(),
            lambda point: self._dialect(point, deviations),
            settings=self.settings(),
            options=Options(
                connectors=self.connectors,
                plugs=self.plugs,
                registers={
                    number: kept.get(number, float(chance.randrange(_FIRST_REGISTER_WH)))
                    for number in range(1, self.connectors + 1)
                },
                save_registers=partial(self.registers.save, identity)
                if self.seed is None
                else lambda registers: None,
                backend=self.target.host,
                security_profile=self.target.security_profile(),
                remote_starts=self.remote_starts,
                reservations=self.reservations,
                boots=deviations.boots,
                patient=deviations.patient,
                replays=deviations.replays,
                outcome=self.firmware,
            ),
            report=report,
            chance=chance,
            write=deviations.write,
            message_id=deviations.message_id,
            observer=observer,
        )
        for connector in point.connectors.values():
            if self.status == "Faulted":
                connector.error_code = "OtherError"
            connector.operative = self.status != "Unavailable"
        return point

    def _dialect(self, point: ChargingPoint, deviations: Deviations) -> Dialect:
        if self.version == "1.6":
            return Ocpp16(point, self.faults, deviations.instead)
        return Ocpp2(point, self.version, self.faults, deviations.instead)


class Charger:
    """A charging point and its scenario. phase: what it is doing."""

    def __init__(self, identity: str, build: Build, scenario: Scenario, report: Report) -> None:
        self.identity = identity
        self.phase = "waiting"
        self._point: ChargingPoint | None = None
        self._build = build
        self._scenario = scenario
        self._report = report

    @property
    def power_w(self) -> float:
        """What its cars draw now."""
        return 0.0 if self._point is None else self._point.power_w

    @property
    def charging_wh(self) -> int:
        """What its running sessions have charged so far."""
        return 0 if self._point is None else self._point.charging_wh

    async def run(self) -> None:
        """Do the scenario; what fails is in the report, nothing is raised."""
        self._point = point = self._build.charging_point(self.identity, self._report)
        runner = Runner(
            point,
            self._build.target,
            give_up_after=self._scenario.give_up_after,
            on_phase=self._show,
        )
        try:
            await Driver(runner, self._scenario, self._show).run()
            self._show("done")
        except (ScenarioError, ConnectError, MemoryFullError) as error:
            self._report.failures[self.identity] = str(error)
            self._show("failed")

    def _show(self, phase: str) -> None:
        self.phase = phase
