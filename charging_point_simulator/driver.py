"""Plays the drivers of a charging point's scenario, one after another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from charging_point_simulator.runner import ConnectError, Runner
from charging_point_simulator.scenario import Scenario
from charging_point_simulator.station import drivers, sessions
from charging_point_simulator.station.car import any_car
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.connector import Connector
from charging_point_simulator.station.drivers import DriverError


class ScenarioError(Exception):
    """The charging point cannot do what its scenario asks."""


class Driver:
    """A scenario at a charging point. on_phase: called with what it is doing."""

    def __init__(self, runner: Runner, scenario: Scenario, on_phase: Callable[[str], None]) -> None:
        self._runner = runner
        self._point: ChargingPoint = runner.point
        self._scenario = scenario
        self._on_phase = on_phase

    async def run(self) -> None:
        """Do the scenario. Raises ScenarioError, ConnectError."""
        connecting = asyncio.ensure_future(self._runner.run())
        driving = asyncio.ensure_future(self._drive())
        try:
            done, _ = await asyncio.wait([connecting, driving], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except DriverError as error:
            raise ScenarioError(str(error)) from error
        finally:
            connecting.cancel()
            driving.cancel()
            await asyncio.gather(connecting, driving, return_exceptions=True)

    async def _drive(self) -> None:
        point, scenario = self._point, self._scenario
        await self._runner.until(lambda: self._is_registered())
        if scenario.wait_for_remote is None:
            # Cars do not come all at the same moment.
            await asyncio.sleep(point.chance.uniform(0, min(1.0, scenario.pause or 1.0)))
        for number in range(scenario.sessions):
            if number:
                await asyncio.sleep(scenario.pause)
            if scenario.wait_for_remote is not None:
                await self._charge_remotely()
            else:
                await self._charge(point.connectors[number % scenario.connectors + 1])
        self._on_phase("reporting")
        try:
            async with asyncio.timeout(scenario.give_up_after):
                await self._runner.until(lambda: point.calls.idle)
        except TimeoutError:
            raise ScenarioError("the backend did not acknowledge everything") from None
        if scenario.stay:
            self._on_phase("staying")
            await asyncio.Event().wait()

    def _is_registered(self) -> bool:
        point = self._point
        if point.registration not in ("", "Accepted"):
            self._on_phase(point.registration.lower())
            if point.settings.heartbeat_seconds > self._scenario.give_up_after:
                raise ScenarioError(f"boot answered {point.registration}")
        return point.online

    async def _charge_remotely(self) -> None:
        point, scenario = self._point, self._scenario
        self._on_phase("waiting for a remote start")

        def started() -> list[Connector]:
            return [c for c in point.connectors.values() if c.presented and c.presented.remote]

        try:
            async with asyncio.timeout(scenario.wait_for_remote):
                await self._runner.until(lambda: bool(started()))
        except TimeoutError:
            raise ScenarioError("no remote start came") from None
        connector = started()[0]
        if scenario.remote_start == "no-car":
            await self._runner.until(lambda: connector.presented is None)
            return
        drivers.plug(point, connector, any_car(point.chance, scenario.time_compression))
        await self._charge_until_the_end(connector)

    async def _charge(self, connector: Connector) -> None:
        """Plug in, show the card, charge, show it again, drive away."""
        point, scenario = self._point, self._scenario
        if not point.is_free(connector):
            raise ScenarioError(f"connector {connector.number} is {connector.status}")
        decided: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def decide(status: str) -> None:
            if not decided.done():
                decided.set_result(status)

        drivers.plug(point, connector, any_car(point.chance, scenario.time_compression))
        drivers.present(point, connector, scenario.id_tag, decide)
        self._runner.nudge()
        status = await decided
        if status != "Accepted":
            drivers.unplug(point, connector)
            self._runner.nudge()
            raise ScenarioError(f"token refused: {status}")
        await self._charge_until_the_end(connector)

    async def _charge_until_the_end(self, connector: Connector) -> None:
        point, scenario = self._point, self._scenario
        session = connector.session
        self._on_phase("charging")
        if scenario.offline_after:
            point.timers.after(
                scenario.offline_after, lambda: point.stay_away(scenario.offline_for)
            )
        self._runner.nudge()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(scenario.real_seconds(scenario.duration)):
                await self._runner.until(lambda: connector.session is not session)
        if session is not None and connector.session is session:
            interval = point.settings.meter_interval_seconds
            if point.timers.clock.monotonic() - session.last_reading > interval / 2:
                sessions.read(point, connector)
            drivers.stop(point, connector)
        if connector.car is not None:
            drivers.unplug(point, connector)
        self._runner.nudge()


__all__ = ["ConnectError", "Driver", "ScenarioError"]
