"""The processes of a crowd, and their parent, which sends commands and adds up figures."""

from __future__ import annotations

import csv
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charging_point_simulator.crowd.figures import Figures, percentiles
from charging_point_simulator.crowd.station import PHASES
from charging_point_simulator.crowd.worker import Backend, Worker

_SPARE_FILES = 60
_QUIT_SECONDS = 20.0
IN_FLIGHT = 2_000


class CrowdError(Exception):
    """The crowd cannot be run; the message says what to change."""


@dataclass(frozen=True)
class Plan:
    """A crowd.

    in_flight: how many connect at once, of all of them; a storm has no limit. share_201: of them
    speak OCPP 2.0.1.
    """

    backend: Backend
    charging_points: int
    identity_prefix: str = "SIM"
    first: int = 1
    processes: int = 0
    in_flight: int = IN_FLIGHT
    id_tag: str = "SIMULATOR"
    credentials: Path | None = None
    share_201: float = 0.0

    def process_count(self) -> int:
        """Return how many processes it takes: as many as it must, at least two.

        Raises CrowdError when so many processes as were asked for cannot open so many sockets.
        """
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        needed = -(-self.charging_points // max(1, most - _SPARE_FILES))
        if self.processes and self.processes < needed:
            raise CrowdError(
                f"{self.charging_points} charging points need {needed} processes, since each may"
                f" open {most} files; give --processes {needed} or raise `ulimit -n`"
            )
        return self.processes or max(2, needed)


class Processes:
    """Context manager: the running processes of a crowd."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._controls: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._buffers: dict[int, bytes] = {}
        self._phases: dict[int, list[int]] = {}
        self.window = Figures()
        """What was counted since `report`."""
        self.total: Counter[str] = Counter()

    def __enter__(self) -> Processes:
        count = self._plan.process_count()
        for number in range(count):
            self._start(number, count)
        return self

    def __exit__(self, *error: object) -> None:
        self.send("quit")
        deadline = time.monotonic() + _QUIT_SECONDS
        while self._controls and time.monotonic() < deadline:
            self.listen(0.2)
        for process_id, control in self._controls.items():
            os.kill(process_id, signal.SIGKILL)
            control.close()

    @property
    def phases(self) -> dict[str, int]:
        """How many charging points are doing what."""
        return {
            name: sum(phases[place] for phases in self._phases.values())
            for place, name in enumerate(PHASES)
        }

    def send(self, command: str, *values: Any) -> None:
        """Send a command to all processes; see the methods of `Worker`."""
        line = json.dumps([command, *values]).encode() + b"\n"
        for control in self._controls.values():
            try:
                control.sendall(line)
            except OSError:
                continue  # its end is noticed in `listen`

    def charge(self, count: int, interval: float) -> None:
        """Let so many charge, with a reading every so many seconds each."""
        share = -(-count // max(1, len(self._controls)))
        self.send("charge", share, interval)

    def listen(self, seconds: float) -> None:
        """Read the figures of the processes for so long. Raises CrowdError when one has died."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self._controls:
            for key, _ in self._selector.select(left):
                self._receive(key.data)

    def report(self) -> dict[str, Any]:
        """Return what was counted since the last report: counts, percentiles of times in ms, and
        how many connections the backend closed in its busiest second.
        """
        window, self.window = self.window, Figures()
        return {
            "phases": self.phases,
            "counts": dict(window.counts),
            "times_ms": {name: percentiles(times) for name, times in sorted(window.times.items())},
            "most_closed_in_a_second": max(window.closed.values(), default=0),
        }

    def _start(self, number: int, count: int) -> None:
        ours, theirs = socket.socketpair()
        process_id = os.fork()
        if process_id:
            theirs.close()
            ours.settimeout(_QUIT_SECONDS)
            self._controls[process_id] = ours
            self._buffers[process_id] = b""
            self._selector.register(ours, selectors.EVENT_READ, process_id)
            return
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent sends `quit`
            ours.close()
            for control in self._controls.values():
                control.close()
            Worker(
                number,
                self._plan.backend,
                _share(self._plan, number, count),
                in_flight=max(1, self._plan.in_flight // count),
                id_tag=self._plan.id_tag,
                share_201=self._plan.share_201,
                control=theirs,
            ).run()
            code = 0
        except BaseException as error:
            print(f"crowd process {number}: {error!r}", file=sys.stderr)
            if not isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _receive(self, process_id: int) -> None:
        control = self._controls[process_id]
        try:
            data = control.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(control)
            del self._controls[process_id]
            control.close()
            _, status = os.waitpid(process_id, 0)
            if code := os.waitstatus_to_exitcode(status):
                raise CrowdError(f"a process of the crowd ended with code {code}")
            return
        *lines, self._buffers[process_id] = (self._buffers[process_id] + data).split(b"\n")
        for line in lines:
            figures = json.loads(line)
            self._phases[process_id] = figures["phases"]
            self.window.add(figures)
            self.total.update(figures["counts"])


def _share(plan: Plan, number: int, count: int) -> Sequence[tuple[str, str]]:
    """Return identity and password of a process's charging points: every count-th."""
    names = [
        f"{plan.identity_prefix}{n:06d}"
        for n in range(plan.first + number, plan.first + plan.charging_points, count)
    ]
    if plan.credentials is None:
        return [(name, "") for name in names]
    wanted = dict.fromkeys(names, "")
    with plan.credentials.open(newline="") as lines:
        for row in csv.reader(lines):
            if len(row) > 1 and row[0] in wanted:
                wanted[row[0]] = row[1]
    return list(wanted.items())
