"""The simulator as a process of its own, told what to do."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

_LOOK_SECONDS = 0.1
_ANSWER_SECONDS = 60.0
_STOP_SECONDS = 60.0


class CrowdEndedError(RuntimeError):
    """The simulator ended, or is silent; the message holds the end of its log."""


class Crowd:
    """Context manager around `python -m charging_point_simulator crowd --commands`."""

    def __init__(self, words: Sequence[str], charging_points: int, log: Path) -> None:
        self.charging_points = charging_points
        self.phases: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self._log = log
        self._reports: queue.Queue[dict[str, Any]] = queue.Queue()
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "charging_point_simulator", "crowd", "--commands"),
                    *("--charging-points", str(charging_points), *words),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def online(self) -> int:
        """How many are connected, authenticated and booted, by their own account."""
        return self.phases.get("online", 0)

    @property
    def came_online(self) -> int:
        """How often one of them has come online."""
        return self.counts.get("came online", 0)

    @property
    def acknowledged(self) -> int:
        """How many readings the backend has acknowledged."""
        return self.counts.get("acknowledged reading", 0)

    def tell(self, *words: Any) -> None:
        """Give a command. Raises CrowdEndedError."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(words) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def report(self) -> dict[str, Any]:
        """Return what was seen since the last report. Raises CrowdEndedError."""
        self.tell("report")
        try:
            return self._reports.get(timeout=_ANSWER_SECONDS)
        except queue.Empty:
            raise self._ended() from None

    def wait(self, true: Callable[[], bool], seconds: float) -> float | None:
        """Return the seconds until something became true, None if it never did."""
        began = time.monotonic()
        while not true():
            if self.process.poll() is not None:
                raise self._ended()
            if time.monotonic() - began > seconds:
                return None
            time.sleep(_LOOK_SECONDS)
        return time.monotonic() - began

    def all_online(self, seconds: float) -> float | None:
        """Return the seconds until all are online, None if not all came in time."""
        return self.wait(lambda: self.online == self.charging_points, seconds)

    def __enter__(self) -> Crowd:
        self.wait(lambda: sum(self.phases.values()) == self.charging_points, _ANSWER_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
            self.process.wait(_STOP_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self._reader.join(_STOP_SECONDS)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            if "report" in message:
                self._reports.put(message["report"])
            else:
                self.phases, self.counts = message["phases"], message["counts"]

    def _ended(self) -> CrowdEndedError:
        end = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        return CrowdEndedError(f"the simulator is gone or silent:\n{end}")
