"""One process of a crowd: one epoll, one timer wheel, thousands of charging points.

No asyncio: a crowd must cost little beside what it measures.
"""

from __future__ import annotations

import base64
import errno
import gc
import json
import os
import random
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charging_point_simulator.crowd.figures import Figures
from charging_point_simulator.crowd.station import AWAY, PHASES, Station

TICK_SECONDS = 0.05
REPORT_SECONDS = 0.5
# Source addresses a process connects from: each has as many ports as the kernel gives out, and
# a port rests for a minute after its connection.
SOURCES = 8
_EVENTS_A_TURN = 512
_IP_BIND_ADDRESS_NO_PORT = 24  # <linux/in.h>: the port is chosen when connecting, for the pair


@dataclass(frozen=True)
class Backend:
    """Where a crowd connects to, over plain WebSocket."""

    host: str
    port: int
    path: str = "/"


class Worker:
    """Runs its share of a crowd.

    number: of this process, from 0; picks its source addresses. share_201: of its charging points
    speak OCPP 2.0.1, evenly among them; the others 1.6. in_flight: how many connect at
    once; in a storm all do.
    """

    def __init__(
        self,
        number: int,
        backend: Backend,
        crowd: Sequence[tuple[str, str]],
        *,
        in_flight: int,
        id_tag: str,
        share_201: float,
        control: socket.socket,
    ) -> None:
        self.figures = Figures()
        self.phases = [0] * len(PHASES)
        self.meter_interval = 60.0
        self.id_tag = id_tag
        self._backend = backend
        self._address = socket.getaddrinfo(backend.host, backend.port, socket.AF_INET)[0][4]
        self._sources = (
            [f"127.{number + 1}.0.{n + 1}" for n in range(SOURCES)]
            if str(self._address[0]).startswith("127.")
            else []
        )
        self._control = control
        self._commands = b""
        self._in_flight = self._usual_in_flight = in_flight
        self._epoll = select.epoll()
        self._stations: dict[int, Station] = {}
        self._wheel: dict[int, list[Station]] = {}
        self._tick = 0
        self._began = time.monotonic()
        self._ids = 0
        self._running = True
        self._crowd = [
            Station(self, *member, _version(place, share_201)) for place, member in enumerate(crowd)
        ]
        self.phases[0] = len(self._crowd)
        self._charging: list[Station] = []
        self._queue: deque[Station] = deque()

    def run(self) -> None:
        """Run until `quit`, or until the parent is gone."""
        gc.collect()
        gc.freeze()
        gc.disable()  # nothing here makes cycles
        self._control.setblocking(False)
        self._epoll.register(self._control.fileno(), select.EPOLLIN)
        report_at = self.now() + REPORT_SECONDS
        while self._running:
            wait = max(0.0, (self._tick + 1) * TICK_SECONDS - self.now())
            for fd, _ in self._epoll.poll(wait, _EVENTS_A_TURN):
                station = self._stations.get(fd)
                if station is not None:
                    station.on_ready()
                elif fd == self._control.fileno():
                    self._receive()
            self._turn()
            self._let_in()
            if self.now() >= report_at:
                report_at += REPORT_SECONDS
                self._report()
        for station in self._crowd:
            station.leave()
        self._report()

    # What stations use.

    def now(self) -> float:
        """Seconds since this process began."""
        return time.monotonic() - self._began

    def next_message_id(self) -> bytes:
        """Return an id no call of this process has had."""
        self._ids += 1
        return b"%d" % self._ids

    def schedule(self, station: Station, seconds: float) -> None:
        """Call a station in so many seconds; whatever it waited for before is void."""
        station.due = tick = self._tick + max(1, int(seconds / TICK_SECONDS))
        slot = self._wheel.get(tick)
        if slot is None:
            self._wheel[tick] = [station]
        else:
            slot.append(station)

    def queue(self, station: Station) -> None:
        """Call a station as soon as it may connect."""
        station.due = -1
        self._queue.append(station)

    def may_connect(self) -> bool:
        """Return whether one more may connect now."""
        return self.phases[1] + self.phases[2] + self.phases[3] < self._in_flight

    def connect(self, station: Station) -> tuple[int, bool]:
        """Begin to connect; return the descriptor and whether it is connected already."""
        self._ids += 1
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            if self._sources:
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((self._sources[self._ids % SOURCES], 0))
            code = sock.connect_ex(self._address)
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, errno.errorcode.get(code, "error"))
        except OSError:
            sock.close()
            raise
        fd = sock.detach()
        self._stations[fd] = station
        self._epoll.register(fd, select.EPOLLOUT if code else select.EPOLLIN)
        return fd, not code

    def watch_reading(self, fd: int) -> None:
        """Watch a descriptor for something to read."""
        self._epoll.modify(fd, select.EPOLLIN)

    def close(self, fd: int) -> None:
        """Forget and close a descriptor."""
        del self._stations[fd]
        socket.close(fd)

    def request(self, station: Station, key: bytes) -> bytes:
        """Write a station's opening handshake."""
        identity = station.identity
        authorization = ""
        if station.password:
            credentials = base64.b64encode(f"{identity}:{station.password}".encode()).decode()
            authorization = f"Authorization: Basic {credentials}\r\n"
        return (
            f"GET {self._backend.path.rstrip('/')}/{identity} HTTP/1.1\r\n"
            f"Host: {self._backend.host}:{self._backend.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: ocpp{station.version}\r\n{authorization}\r\n"
        ).encode()

    # Time.

    def _turn(self) -> None:
        target = int(self.now() / TICK_SECONDS)
        while self._tick < target:
            self._tick += 1
            for station in self._wheel.pop(self._tick, ()):
                if station.due == self._tick:
                    station.on_due()

    def _let_in(self) -> None:
        while self._queue and self.may_connect():
            station = self._queue.popleft()
            if station.phase == AWAY and station.due < 0:  # nothing else has taken it meanwhile
                station.on_due()

    # The parent.

    def _report(self) -> None:
        line = self.figures.take() | {"phases": list(self.phases)}
        self._control.setblocking(True)
        try:
            self._control.sendall(json.dumps(line).encode() + b"\n")
        except OSError:
            self._running = False  # the parent is gone
        self._control.setblocking(False)

    def _receive(self) -> None:
        data = self._control.recv(4096)
        if not data:
            self._running = False
            return
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            command, *values = json.loads(line)
            getattr(self, f"_on_{command}")(*values)

    def _on_connect(self, seconds: float) -> None:
        """Connect all, spread over so many seconds."""
        self._in_flight = self._usual_in_flight
        for place, station in enumerate(self._crowd):
            self.schedule(station, seconds * place / len(self._crowd))

    def _on_storm(self) -> None:
        """Drop all connections and connect again, all at once."""
        self._in_flight = len(self._crowd)
        for station in random.sample(self._crowd, len(self._crowd)):
            station.drop()

    def _on_move(self, share: float) -> None:
        """Drop so large a share of the connections and connect again, to whichever node it is."""
        count = max(1, round(share * len(self._crowd)))
        for station in random.sample(self._crowd, count):
            station.drop()

    def _on_heartbeat(self, seconds: float) -> None:
        """Send one heartbeat more from each within so many seconds."""
        for station in self._crowd:
            if station.charge is None:
                station.send_within(seconds)

    def _on_charge(self, count: int, interval: float) -> None:
        """Let the first so many charge, with a reading every so many seconds.

        An interval of 0: the next reading goes as soon as the last one is acknowledged.
        """
        self.meter_interval = interval
        while len(self._charging) < min(count, len(self._crowd)):
            station = self._crowd[len(self._charging)]
            station.begin_charge()
            self._charging.append(station)
        for station in self._charging:
            # Begin spread over the interval, or over a second where there is none.
            station.send_within(interval or 1)

    def _on_stop(self) -> None:
        """End all sessions."""
        for station in self._charging:
            assert station.charge is not None
            station.charge.stopping = True
            station.send_within(1)

    def _on_books(self, path: str) -> None:
        """Write what the backend acknowledged to a CSV file of this process's own: identity,
        transaction (0 for one that was never acknowledged), the charging point's own name of it
        (2.0.1), energy in Wh, readings, whether the session has ended.
        """
        lines = "".join(
            f"{s.identity},{s.charge.transaction_id},{s.charge.transaction_name},"
            f"{s.charge.meter_wh - s.charge.meter_start_wh},{s.charge.acknowledged},"
            f"{int(s.charge.ended)}\n"
            for s in self._charging
            if s.charge is not None
        )
        Path(f"{path}.{os.getpid()}").write_text(lines)
        self.figures.count("books written")

    def _on_quit(self) -> None:
        """End this process."""
        self._running = False


def _version(place: int, share_201: float) -> str:
    """Return which version the charging point at a place speaks, so that the share is even."""
    return "2.0.1" if int((place + 1) * share_201) > int(place * share_201) else "1.6"
