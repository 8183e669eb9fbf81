"""`python -m charging_point_simulator station`: one charging point by hand."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from charging_point_simulator.runner import ConnectError, Runner
from charging_point_simulator.station import drivers
from charging_point_simulator.station.calls import MemoryFullError
from charging_point_simulator.station.car import any_car
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.connector import Connector
from charging_point_simulator.station.drivers import DriverError

HELP = """\
plug [CONNECTOR]              plug a car in
unplug [CONNECTOR]            unplug it; a session ends
tap CARD [CONNECTOR]          present a card: start a session, or stop the one it started
stop [CONNECTOR]              end a session
fault [CODE] [CONNECTOR]      break a connector, 0 for the whole charging point
clear [CONNECTOR]             repair it
offline [SECONDS]             lose the connection, until `online` or for so long
online                        connect again
status                        show connectors, sessions and meters
wait SECONDS                  do nothing for a while; useful in scripts
help                          show this
quit                          end, once everything is acknowledged"""

_QUIT_SECONDS = 5.0
_FAULT = "OtherError"


class CommandError(Exception):
    """A line cannot be carried out; the message says why."""


class Shell:
    """Carries out commands at a charging point. output: takes a line for the person."""

    def __init__(
        self,
        runner: Runner,
        *,
        speed: float = 1.0,
        output: Callable[[str], None] = print,
    ) -> None:
        self.failed = False
        self._runner = runner
        self._point: ChargingPoint = runner.point
        self._speed = speed
        self._output = output
        self._undecided = False
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "plug": self._plug,
            "unplug": self._unplug,
            "tap": self._tap,
            "stop": self._stop,
            "fault": self._fault,
            "clear": self._clear,
            "offline": self._offline,
            "online": self._online,
            "status": self._status,
            "help": lambda words: self._output(HELP),
        }

    async def run(self, lines: asyncio.Queue[str | None]) -> int:
        """Connect, and carry out lines until `quit` or their end; return the exit code."""
        connecting = asyncio.ensure_future(self._runner.run())
        working = asyncio.ensure_future(self._work(lines))
        try:
            await asyncio.wait([connecting, working], return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                connecting.result()
            return working.result()
        except (ConnectError, MemoryFullError) as error:
            print(f"charging_point_simulator: {error}", file=sys.stderr)
            return 1
        finally:
            for task in (connecting, working):
                task.cancel()
            await asyncio.gather(connecting, working, return_exceptions=True)

    async def _work(self, lines: asyncio.Queue[str | None]) -> int:
        await self._runner.until(lambda: self._point.online)
        while (line := await lines.get()) is not None:
            words = line.split()
            if words[:1] == ["quit"]:
                break
            if words:
                await self._carry_out(words)
        return await self._quit()

    async def _carry_out(self, words: list[str]) -> None:
        try:
            if words[0] == "wait":
                await asyncio.sleep(_seconds(words[1:2]))
                return
            command = self._commands.get(words[0])
            if command is None:
                raise CommandError(f"no command {words[0]!r}; `help` lists them")
            command(words[1:])
        except (CommandError, DriverError) as error:
            self.failed = True
            self._output(f"! {error}")
        self._runner.nudge()
        # A card is decided about before the next line, as a driver waits for the reader.
        await self._runner.until(lambda: not self._undecided)

    async def _quit(self) -> int:
        point = self._point
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_QUIT_SECONDS):
                await self._runner.until(lambda: point.calls.idle)
        if point.calls.durable_waiting:
            self._output(f"! {point.calls.durable_waiting} messages are not acknowledged")
            return 1
        return 0

    # The commands.

    def _connector(
        self, words: list[str], wanted: Callable[[Connector], bool], *, whole: bool = False
    ) -> Connector:
        """Return the connector that a word names; without one, the first that is wanted."""
        connectors = [*self._point.connectors.values()]
        if not words:
            return next(filter(wanted, connectors), connectors[0])
        for connector in [*connectors, *([self._point.whole] if whole else [])]:
            if words[0] == str(connector.number):
                return connector
        raise CommandError(f"no connector {words[0]}")

    def _plug(self, words: list[str]) -> None:
        connector = self._connector(words, lambda c: c.car is None)
        drivers.plug(self._point, connector, any_car(self._point.chance, self._speed))

    def _unplug(self, words: list[str]) -> None:
        drivers.unplug(self._point, self._connector(words, lambda c: c.car is not None))

    def _tap(self, words: list[str]) -> None:
        if not words:
            raise CommandError("tap CARD [CONNECTOR]")
        card = words[0]

        def wanted(connector: Connector) -> bool:
            session = connector.session
            if session is not None:
                return session.record.id_tag == card
            return connector.car is not None

        def decided(status: str) -> None:
            self._undecided = False
            if status != "Accepted":
                self._output(f"! card {card}: {status}")

        connector = self._connector(words[1:], wanted)
        self._undecided = True
        try:
            drivers.present(self._point, connector, card, decided)
        except DriverError:
            self._undecided = False
            raise

    def _stop(self, words: list[str]) -> None:
        drivers.stop(self._point, self._connector(words, lambda c: c.session is not None))

    def _fault(self, words: list[str]) -> None:
        codes = [word for word in words if not word.isdigit()]
        numbers = [word for word in words if word.isdigit()]
        connector = self._connector(numbers, lambda c: True, whole=True)
        drivers.fault(self._point, connector, codes[0] if codes else _FAULT)

    def _clear(self, words: list[str]) -> None:
        connector = self._connector(words, lambda c: c.error_code != "NoError", whole=True)
        drivers.clear_fault(self._point, connector)

    def _offline(self, words: list[str]) -> None:
        self._point.stay_away(_seconds(words) if words else float("inf"))

    def _online(self, words: list[str]) -> None:
        self._point.away_until = 0.0

    def _status(self, words: list[str]) -> None:
        point = self._point
        self._output(f"{point.identity} {'online' if point.online else 'offline'}")
        for connector in point.connectors.values():
            point.settle(connector)
            session = connector.session
            charging = "" if session is None else f", session {session.record.transaction_id}"
            self._output(
                f"connector {connector.number}: {connector.status}{charging},"
                f" {connector.power_w:.0f} W, {int(connector.register_wh)} Wh"
            )


def _seconds(words: list[str]) -> float:
    try:
        return max(0.0, float(words[0]))
    except (ValueError, IndexError):
        raise CommandError("a number of seconds is expected") from None


def read_lines(source: Iterable[str]) -> asyncio.Queue[str | None]:
    """Read lines in a thread of their own; None is their end."""
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(line: str | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(lines.put_nowait, line)

    def read() -> None:
        for line in source:
            put(line)
        put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def show_frame(direction: str, text: str) -> None:
    """Print a frame; what cannot be printed is escaped, since a backend's text may hold it."""
    clock = datetime.now().astimezone().strftime("%H:%M:%S")
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    print(f"{clock} {direction} {shown}", flush=True)


__all__ = ["HELP", "Shell", "read_lines", "show_frame"]
