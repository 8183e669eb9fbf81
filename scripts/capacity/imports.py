"""`make import-figures`: what charging points wait for while an operator imports 60,000 EVSEs.

A crowd charges; some more charging points, whose EVSEs are imported too, report their status and
readings one after the other, and measure from each call until its answer.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import shutil
import signal
import statistics
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from websockets.sync.client import ClientConnection

from charging.database.address import state_directory
from charging.database.connection import Limits, connect
from scripts.capacity.books import PREFIX, TOKEN, register
from scripts.capacity.crowd import Crowd, CrowdEndedError
from scripts.capacity.flood import connected
from scripts.programs import Program, ProgramError, free_port
from scripts.world import new_database

TARGET_MILLISECONDS = 1_000.0
EVSES_EACH = 6
METER_SECONDS = 60
_MEASURING = 20
_MEASURED = "MEASURED"
_PATIENCE_SECONDS = 300.0
_BEFORE_SECONDS = 10.0
_COLUMNS = (
    "charging_point", "evse_number", "evse_id", "name", "country", "city", "street",
    "house_number", "postal_code", "latitude", "longitude", "plugs", "power_type", "power_kw",
    "hotline",
)  # fmt: skip


def main() -> int:
    """Run the command line; return 0, or 1 when the target is missed or something fails."""
    parser = argparse.ArgumentParser(prog="python -m scripts.capacity.imports", description=__doc__)
    parser.add_argument("--charging-points", type=int, default=10_000, help="that charge")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended
    directory = state_directory() / "imports"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        with new_database("imports") as url:
            return _measure(options.charging_points, url, directory)
    except (CrowdEndedError, ProgramError, OSError, TimeoutError) as error:
        print(f"import-figures: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped")
        return 130


def _measure(count: int, url: str, directory: Path) -> int:
    port = free_port()
    credentials, table = directory / "credentials.csv", directory / "evses.csv"
    names = [f"{PREFIX}{number:06d}" for number in range(1, count + 1)]
    measured = [f"{_MEASURED}{number}" for number in range(_MEASURING)]
    rows = write_table([*names[: max(0, count - _MEASURING)], *measured], table)
    words = ["--port", str(port), "--identity-prefix", PREFIX, "--id-tag", TOKEN]
    words += ["--credentials", str(credentials)]
    variables = {"DATABASE_URL": url, "CP_BACKEND_ADMIT_UNKNOWN": "true"}
    with connect(url, "imports", Limits(statement=None)) as database:
        register(database, count, credentials)
    with (
        Program(["cp_backend", "--port", str(port)], directory / "node.log", variables) as node,
        Crowd(words, count, directory / "crowd.log") as crowd,
    ):
        node.wait_until_ready(f"http://127.0.0.1:{port}/health/ready")
        crowd.tell("connect", count / 500)
        if crowd.all_online(_PATIENCE_SECONDS) is None:
            raise CrowdEndedError(f"only {crowd.online} of {count} came online")
        crowd.tell("charge", count, METER_SECONDS)
        crowd.wait(lambda: crowd.counts.get("acknowledged start", 0) >= count, _PATIENCE_SECONDS)
        print(f"{count} charge", flush=True)
        with Measuring(port, measured) as measuring:
            time.sleep(_BEFORE_SECONDS)
            before = measuring.take()
            began = time.monotonic()
            words = ["operations", "evses", "import", str(table)]
            with Program(words, directory / "import.log", {"DATABASE_URL": url}) as importing:
                code = importing.wait(_PATIENCE_SECONDS)
            seconds, during = time.monotonic() - began, measuring.take()
            if code != 0:
                raise ProgramError(importing.log_end())
        return _report(rows, seconds, before, during)


def _report(rows: int, seconds: float, before: list[float], during: list[float]) -> int:
    print(f"{rows:,} EVSEs imported in {seconds:.1f} s")
    for name, times in (("before", before), ("during the import", during)):
        print(
            f"{name}: {len(times)} calls, p50 {statistics.median(times):.1f} ms,"
            f" p99 {_p99(times):.1f} ms, at most {max(times):.1f} ms"
        )
    return 0 if _p99(during) <= TARGET_MILLISECONDS else 1


def _p99(times: list[float]) -> float:
    return sorted(times)[int(0.99 * len(times))]


def write_table(names: list[str], file: Path) -> int:
    """Write an operator's table of EVSEs, so many for each charging point; return its rows."""
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(_COLUMNS)
        for place, name in enumerate(names):
            for number in range(1, EVSES_EACH + 1):
                writer.writerow(
                    [
                        *(name, number, f"DE*VNI*E{place:05d}*{number}", "Harbour", "DEU", "Kiel"),
                        *("Kai", "1", "24103", 54.3, 10.1, "Type 2 Outlet", "AC_3_PHASE", 22),
                        "+4943112345",
                    ]
                )
    return len(names) * EVSES_EACH


class Measuring:
    """Charging points that call all the time: a context manager. Times are in milliseconds."""

    def __init__(self, port: int, names: list[str]) -> None:
        self._port, self._names = port, names
        self._ended = threading.Event()
        self._times: list[float] = []
        self._threads = [threading.Thread(target=self._run, args=(name,)) for name in names]

    def take(self) -> list[float]:
        """Return the times since the last call."""
        times, self._times = self._times, []
        return times

    def __enter__(self) -> Measuring:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, name: str) -> None:
        with connected(self._port, name) as socket:
            for number in itertools.count(1):
                if self._ended.wait(0.05):
                    return
                self._call(socket, number)

    def _call(self, socket: ClientConnection, number: int) -> None:
        now = datetime.now(UTC).isoformat()
        evse = 1 + number % EVSES_EACH
        status = {
            "connectorId": evse,
            "errorCode": "NoError",
            "status": "Charging" if number // EVSES_EACH % 2 else "Available",
        }
        samples = [{"timestamp": now, "sampledValue": [{"value": str(number)}]}]
        call = (
            ("StatusNotification", status)
            if number % 2
            else ("MeterValues", {"connectorId": evse, "meterValue": samples})
        )
        began = time.perf_counter()
        socket.send(json.dumps([2, str(number), *call]))
        answer = json.loads(socket.recv(_PATIENCE_SECONDS))
        if answer[0] != 3:
            raise ConnectionError(f"refused: {answer}")
        self._times.append((time.perf_counter() - began) * 1000)


if __name__ == "__main__":
    sys.exit(main())
