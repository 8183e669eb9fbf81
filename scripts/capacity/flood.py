"""`make flood`: what a charging point waits for while others flood its node.

Flooding charging points send as fast as the node takes, heartbeats or garbage, and read what they
are answered. Measured is from a bystander's heartbeat until its answer, and how long the health
check takes.
"""

from __future__ import annotations

import argparse
import base64
import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from scripts.programs import Program, ProgramError, free_port
from scripts.world import new_database

HOST = "127.0.0.1"
TARGET_MILLISECONDS = 250.0
_KINDS = {"heartbeats": b'[2,"7","Heartbeat",{}]', "garbage": b"x"}
_HEARTBEAT = '[2,"1","Heartbeat",{}]'
_BOOT = '[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
_FRAMES_AT_ONCE = 500
_PAUSE_SECONDS = 0.02
_PATIENCE_SECONDS = 30.0


def main() -> int:
    """Run the command line; return 0, or 1 when the target is missed or something fails."""
    options = _parser().parse_args()
    if options.flood:
        return flood(options.port, options.charging_points, options.flood, options.seconds)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended
    try:
        with tempfile.TemporaryDirectory() as directory, new_database("flood") as url:
            worst = [_measure(url, Path(directory), kind, options) for kind in _KINDS]
    except (ProgramError, OSError, TimeoutError) as error:
        print(f"flood: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped")
        return 130
    return 0 if max(worst) <= TARGET_MILLISECONDS else 1


def _measure(url: str, directory: Path, kind: str, options: argparse.Namespace) -> float:
    """Let charging points flood a node; print and return the bystander's p99, in milliseconds."""
    port = free_port()
    log = directory / f"{kind}.log"
    variables = {"DATABASE_URL": url, "CP_BACKEND_ADMIT_UNKNOWN": "true"}
    with Program(["cp_backend", "--port", str(port)], log, variables) as node:
        node.wait_until_ready(f"http://{HOST}:{port}/health/ready")
        with connected(port, "BYSTANDER") as bystander:
            words = [sys.executable, "-m", "scripts.capacity.flood", "--flood", kind]
            words += ["--port", str(port), "--seconds", str(options.seconds + 2)]
            words += ["--charging-points", str(options.charging_points)]
            with subprocess.Popen(words, stdout=subprocess.PIPE) as flooding:
                try:
                    assert flooding.stdout is not None
                    flooding.stdout.readline()  # all are connected
                    times = _ask(bystander, options.seconds)
                    health = _health(port)
                finally:
                    flooding.terminate()
        megabytes = log.stat().st_size / 1e6
    times.sort()
    p99 = times[int(0.99 * len(times))]
    print(
        f"{options.charging_points} flood with {kind}: a bystander's heartbeat takes "
        f"p50 {statistics.median(times):.1f} ms, p99 {p99:.1f} ms, at most {times[-1]:.1f} ms "
        f"({len(times)} asked); health {health:.1f} ms; log {megabytes:.2f} MB",
        flush=True,
    )
    return p99


@contextmanager
def connected(port: int, identity: str) -> Iterator[ClientConnection]:
    """Connect and boot a charging point for as long as the context lasts."""
    url = f"ws://{HOST}:{port}/{identity}"
    with connect(url, subprotocols=[Subprotocol("ocpp1.6")], compression=None) as connection:
        connection.send(_BOOT)
        connection.recv(_PATIENCE_SECONDS)
        yield connection


def _ask(bystander: ClientConnection, seconds: float) -> list[float]:
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        bystander.send(_HEARTBEAT)
        bystander.recv(_PATIENCE_SECONDS)
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(_PAUSE_SECONDS)
    return times


def _health(port: int) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://{HOST}:{port}/health/live", timeout=5) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1000


def flood(port: int, charging_points: int, kind: str, seconds: float) -> int:
    """Connect so many charging points and let each send all it can."""
    sockets = [_open(port, f"FLOOD{number}") for number in range(charging_points)]
    print("connected", flush=True)
    block = _masked(_KINDS[kind]) * _FRAMES_AT_ONCE
    rest = dict.fromkeys(sockets, b"")
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, sock)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, events in selector.select(1):
                sock = key.data
                try:
                    if events & selectors.EVENT_READ:
                        sock.recv(1 << 20)
                    if events & selectors.EVENT_WRITE:
                        data = rest[sock] or block
                        rest[sock] = data[sock.send(data) :]
                except BlockingIOError:
                    pass
                except OSError:
                    selector.unregister(sock)
    return 0


def _open(port: int, identity: str) -> socket.socket:
    sock = socket.create_connection((HOST, port), timeout=_PATIENCE_SECONDS)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET /{identity} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
    )
    if not sock.recv(4096).startswith(b"HTTP/1.1 101"):
        raise ConnectionError("the node refuses a flooding charging point")
    sock.sendall(_masked(_BOOT.encode()))
    return sock


def _masked(text: bytes) -> bytes:
    """Return a whole text frame of fewer than 126 bytes, masked with zeros."""
    return bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.capacity.flood",
        description="Run PostgreSQL and a node on this machine; let charging points flood it and "
        f"measure what another one waits for. Fails beyond {TARGET_MILLISECONDS:.0f} ms (p99).",
    )
    parser.add_argument("--charging-points", type=int, default=64, help="that flood")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each kind of flood")
    parser.add_argument("--flood", choices=_KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    os.environ.pop("DATABASE_URL", None)  # what is measured includes the embedded server
    sys.exit(main())
