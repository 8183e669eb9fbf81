"""One charging point of a crowd: a slotted object, one timer, one call in flight."""

from __future__ import annotations

import json
import os
import random
import time
from typing import Protocol

from charging_point_simulator.crowd import frames
from charging_point_simulator.crowd.charge import Charge, NamedCharge
from charging_point_simulator.crowd.figures import Figures

# What a charging point can be doing.
AWAY, CONNECTING, OPENING, BOOTING, ONLINE = range(5)
PHASES = ("away", "connecting", "opening", "booting", "online")

OPEN_SECONDS = 45.0
ANSWER_SECONDS = 30.0
_FIRST_BACKOFF_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 30.0
_RETRY_REFUSED_SECONDS = 2.0
_READ_BYTES = 16 * 1024
_END_OF_HEADERS = b"\r\n\r\n"
_NORMAL, _RESTART = b"\x03\xe8", 1012


class Engine(Protocol):
    """What stations need of the process they run in; see `worker.Worker`."""

    figures: Figures
    phases: list[int]
    meter_interval: float
    id_tag: str

    def now(self) -> float:
        """Seconds since this process began."""

    def next_message_id(self) -> bytes:
        """Return an id no call of this process has had."""

    def schedule(self, station: Station, seconds: float) -> None:
        """Call a station in so many seconds; whatever it waited for before is void."""

    def queue(self, station: Station) -> None:
        """Call a station as soon as it may connect."""

    def may_connect(self) -> bool:
        """Return whether one more may connect now."""

    def connect(self, station: Station) -> tuple[int, bool]:
        """Begin to connect; return the descriptor and whether it is connected already."""

    def watch_reading(self, fd: int) -> None:
        """Watch a descriptor for something to read."""

    def close(self, fd: int) -> None:
        """Forget and close a descriptor."""

    def request(self, station: Station, key: bytes) -> bytes:
        """Write a station's opening handshake."""


class Station:
    """A charging point. Times are the worker's clock, in seconds.

    password: sent in the handshake; empty for none. version: of OCPP, 1.6 or 2.0.1.
    """

    __slots__ = (
        "_action",
        "_asked_at",
        "_attempts",
        "_began_at",
        "_booted",
        "_heartbeat_interval",
        "_inbox",
        "_lost_at",
        "_message_id",
        "_worker",
        "charge",
        "due",
        "fd",
        "identity",
        "password",
        "phase",
        "version",
    )

    def __init__(self, worker: Engine, identity: str, password: str, version: str) -> None:
        self._worker = worker
        self.version = version
        self.identity = identity
        self.password = password
        self.fd = -1
        self.phase = AWAY
        self.due = -1
        """The one tick of the worker's wheel at which it is called; older entries are void."""
        self.charge: Charge | None = None
        self._action = ""
        self._message_id = b""
        self._asked_at = 0.0
        self._attempts = 0
        self._began_at = 0.0
        self._lost_at = 0.0
        self._booted = False
        self._heartbeat_interval = 300
        self._inbox = b""

    # What the worker calls.

    def on_due(self) -> None:
        """Do what its timer was set for."""
        if self.phase == AWAY:
            self._connect()
        elif self.phase < ONLINE:
            self._lose("no handshake in time" if self.phase < BOOTING else "no answer")
        elif self._action:
            self._lose("no answer")
        else:
            self._send_next()

    def on_ready(self) -> None:
        """Go on: the socket is connected, or has something to read."""
        if self.phase == CONNECTING:
            self._open()
            return
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose("cut off")
            return
        if self._inbox:
            data, self._inbox = self._inbox + data, b""
        if self.phase == OPENING:
            self._on_response(data)
        else:
            self._on_frames(data)

    def begin_charge(self) -> None:
        """Charge from now on."""
        self.charge = Charge() if self.version == "1.6" else NamedCharge()

    def drop(self) -> None:
        """Lose the connection as in a power cut, and be back at once: boot included."""
        self._booted = False
        if self.fd >= 0:
            self._let_go()
            self._attempts = 0
            self._lost_at = self._worker.now()
        self._connect()

    def leave(self) -> None:
        """Close the connection, for good."""
        self.due = -1
        if self.phase >= BOOTING:
            self._send(frames.CLOSE, _NORMAL)
        self._let_go()

    def send_within(self, seconds: float) -> None:
        """Send what comes next within so many seconds, unless an answer is awaited."""
        if self.phase == ONLINE and not self._action:
            self._worker.schedule(self, random.uniform(0, seconds))

    # Connecting.

    def _connect(self) -> None:
        worker = self._worker
        if not worker.may_connect():
            worker.queue(self)
            return
        self._began_at = worker.now()
        if not self._lost_at:
            self._lost_at = self._began_at
        self._enter(CONNECTING)
        try:
            self.fd, connected = worker.connect(self)
        except OSError as error:
            self.fd = -1
            self._lose(f"cannot connect: {error.strerror}")
            return
        worker.schedule(self, OPEN_SECONDS)
        if connected:
            self._open()

    def _open(self) -> None:
        key = frames.new_key()
        self._message_id = key  # until the handshake is answered
        try:
            os.write(self.fd, self._worker.request(self, key))
        except BlockingIOError:
            return  # what was ready was the socket that had this descriptor before
        except OSError as error:
            self._lose(f"cannot connect: {error.strerror}")
            return
        self._enter(OPENING)
        self._worker.watch_reading(self.fd)

    def _on_response(self, data: bytes) -> None:
        head, end, rest = data.partition(_END_OF_HEADERS)
        if not end:
            self._inbox = data
            return
        if not head.startswith(b"HTTP/1.1 101 "):
            self._on_refusal(head)
            return
        if frames.accept_of(self._message_id) not in head or (
            f"ocpp{self.version}".encode() not in head
        ):
            self._lose("a wrong handshake")
            return
        now = self._worker.now()
        self._worker.figures.time("handshake", now - self._began_at)
        self._enter(BOOTING)
        if self._booted:
            self._call("Heartbeat", "{}")
        else:
            self._call("BootNotification", self._boot())
        if rest:
            self._on_frames(rest)

    def _on_refusal(self, head: bytes) -> None:
        status = head[9:12].decode(errors="replace")
        wait = 0.0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"retry-after" and value.strip().isdigit():
                wait = int(value)
        self._lose(f"refused with {status}", wait)

    # Messages.

    def _on_frames(self, data: bytes) -> None:
        try:
            found, self._inbox = frames.read(data)
        except frames.ViolationError as error:
            self._lose(f"violation: {error}")
            return
        for opcode, payload in found:
            if opcode == frames.TEXT:
                self._on_text(payload)
            elif opcode == frames.PING:
                self._worker.figures.count("pings")
                self._send(frames.PONG, payload)
            elif opcode == frames.CLOSE:
                self._on_close(payload)
            if self.fd < 0:
                return

    def _on_close(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big")
        self._worker.figures.closed[int(time.time())] += 1
        self._send(frames.CLOSE, payload[:2])
        self._lose(f"closed with {code}", expected=code == _RESTART)

    def _on_text(self, text: bytes) -> None:
        if text.startswith(b"[2,"):
            self._on_call(text)
            return
        if not self._action or not self._answers(text):
            self._worker.figures.count("answers to nothing")
            return
        worker = self._worker
        now = worker.now()
        action, self._action = self._action, ""
        if text[1] == ord("4"):
            worker.figures.count(f"refused {action}: {json.loads(text)[2]}")
            worker.schedule(self, random.uniform(0.5, 1) * _RETRY_REFUSED_SECONDS)
            if self.phase == BOOTING:
                # It is tried again on this connection, as a charging point does.
                self._enter(ONLINE)
                self._booted = self._booted or action != "BootNotification"
            return
        worker.figures.time(action, now - self._asked_at)
        if self.phase == BOOTING or action == "BootNotification":
            self._on_booted(action, text, now)
            return
        charge = self.charge
        if charge is not None and charge.unacknowledged and charge.unacknowledged[0] == action:
            answer = {} if charge.transaction_id else json.loads(text)[2]
            worker.figures.count(f"acknowledged {charge.acknowledge(answer)}")
        self._rest()

    def _answers(self, text: bytes) -> bool:
        """Return whether a text answers the call in flight; nearly all come without spaces."""
        if text.startswith(b'"%s",' % self._message_id, 3):
            return True
        frame = json.loads(text)
        return bool(frame[0] in (3, 4) and frame[1] == self._message_id.decode())

    def _on_booted(self, action: str, text: bytes, now: float) -> None:
        worker = self._worker
        if action == "BootNotification":
            answer = json.loads(text)[2]
            if answer["status"] != "Accepted":
                self._lose(f"boot {answer['status']}", float(answer["interval"]))
                return
            self._booted = True
            self._heartbeat_interval = max(1, answer["interval"])
        self._attempts = 0
        worker.figures.time("online", now - self._lost_at)
        worker.figures.count("came online")
        self._lost_at = 0.0
        self._enter(ONLINE)
        # The first wait is any part of the interval: a crowd that came together spreads out.
        self._rest(first=True)

    def _rest(self, *, first: bool = False) -> None:
        """Wait until the next message is due."""
        charge = self.charge
        if charge is not None and not charge.ended:
            seconds = self._worker.meter_interval
            if not seconds or charge.unacknowledged or charge.stopping:
                self._send_next()
                return
        else:
            seconds = self._heartbeat_interval
        self._worker.schedule(self, seconds * random.uniform(0 if first else 0.98, 1))

    def _send_next(self) -> None:
        if not self._booted:
            self._call("BootNotification", self._boot())
        elif self.charge is not None and not self.charge.ended:
            self._call(*self.charge.next_message(self._worker.id_tag))
        else:
            self._call("Heartbeat", "{}")

    def _boot(self) -> str:
        if self.version == "1.6":
            return (
                '{"chargePointVendor":"Venerable Inertia","chargePointModel":"Crowd",'
                f'"chargePointSerialNumber":"{self.identity[:25]}","firmwareVersion":"1.0"}}'
            )
        return (
            '{"reason":"PowerUp","chargingStation":{"vendorName":"Venerable Inertia",'
            f'"model":"Crowd","serialNumber":"{self.identity[:25]}","firmwareVersion":"1.0"}}}}'
        )

    def _call(self, action: str, payload: str) -> None:
        worker = self._worker
        self._message_id = message_id = worker.next_message_id()
        self._action = action
        self._asked_at = worker.now()
        worker.schedule(self, ANSWER_SECONDS)
        self._send(
            frames.TEXT, b'[2,"%s","%s",%s]' % (message_id, action.encode(), payload.encode())
        )

    def _on_call(self, text: bytes) -> None:
        """Answer that a crowd implements no calls of the central system."""
        self._worker.figures.count("calls heard")
        message_id = json.loads(text)[1]
        self._send(
            frames.TEXT, json.dumps([4, message_id, "NotImplemented", "a crowd", {}]).encode()
        )

    def _send(self, opcode: int, payload: bytes) -> None:
        if self.fd < 0:
            return
        data = frames.write(opcode, payload)
        try:
            sent = os.write(self.fd, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose("cut off")
            return
        if sent < len(data):
            # A backend that reads this slowly has a problem worth reporting.
            self._lose("not read by the backend")

    # Leaving.

    def _enter(self, phase: int) -> None:
        phases = self._worker.phases
        phases[self.phase] -= 1
        phases[phase] += 1
        self.phase = phase

    def _let_go(self) -> None:
        if self.fd >= 0:
            self._worker.close(self.fd)
        self.fd = -1
        self._action = ""
        self._inbox = b""
        self._enter(AWAY)

    def _lose(self, cause: str, wait: float = 0.0, *, expected: bool = False) -> None:
        """Give the connection up and connect again later.

        wait: what the backend asked for. expected: it closed with 1012, service restart.
        """
        worker = self._worker
        worker.figures.count(cause if self.phase < ONLINE or expected else f"dropped: {cause}")
        if self.phase == ONLINE:
            self._lost_at = worker.now()
        self._let_go()
        self._attempts += 1
        ceiling = min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2**self._attempts)
        worker.schedule(self, wait * random.uniform(1, 2) + random.uniform(0.1, ceiling))
