"""Start the project's programs as processes of their own, and end them again.

`scripts.world` puts them together.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

START_SECONDS = 30.0
STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.05
# Below those that Linux gives to outgoing connections: one of these could be the port of some
# client by the time that the program binds it.
_PORTS = range(15_000, 32_000)
_PORT_TRIES = 100


class ProgramError(RuntimeError):
    """A program did not start, or did not stop; the message holds the end of its log."""


class Program:
    """A context manager around `python -m <module> …`.

    log: file that its output goes to. environment: added to ours.
    """

    def __init__(
        self,
        words: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.words = list(words)
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                # Ctrl-C on a terminal is for whoever started us, who then stops us in order.
                start_new_session=True,
            )

    def wait_until_ready(self, url: str) -> None:
        """Wait until a health path answers 200. Raises ProgramError."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ProgramError(f"{self} ended at once:\n{self.log_end()}")
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - ours
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(_LOOK_SECONDS)
        raise ProgramError(f"{self} was not ready in time:\n{self.log_end()}")

    def wait(self, seconds: float) -> int:
        """Return the exit code once the program ended by itself. Raises ProgramError."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"{self} did not end in time:\n{self.log_end()}") from None

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to end; return its exit code. One that does not is killed, and an error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise ProgramError(f"{self} did not stop:\n{self.log_end()}") from None
        return self.process.returncode

    def log_end(self, lines: int = 15) -> str:
        """Return the last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __str__(self) -> str:
        return f"`python -m {' '.join(self.words)}`"

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


_claims: list[socket.socket] = []
"""Names of ports that this process has handed out; held until it ends."""


def free_port() -> int:
    """Return a free port of the loopback address that no client's connection can take meanwhile.

    The port's name stays taken in Linux's abstract namespace while this process lives, so that
    two test runs on one machine, even of two users, are never given the same port.
    Raises OSError after many tries.
    """
    for port in random.SystemRandom().sample(_PORTS, _PORT_TRIES):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0vni-backend-port-{port}")
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise OSError("no free port on the loopback address")
