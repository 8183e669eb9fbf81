"""Real programs, started as an operator starts them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.programs import Program


class Simulator:
    """A running `python -m charging_point_simulator charge`."""

    def __init__(self, words: list[str], directory: Path, number: int) -> None:
        self._report = directory / f"report{number}.json"
        self.program = Program(
            ["charging_point_simulator", "charge", *words, "--report", str(self._report)],
            directory / f"simulator{number}.log",
        )

    def report(self, code: int = 0, seconds: float = 60) -> dict[str, Any]:
        """What it reports at its end, which must come with this exit code."""
        assert self.program.wait(seconds) == code, self.program.log_end()
        report: dict[str, Any] = json.loads(self._report.read_text())
        return report


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Start simulators: ``simulate("--port", …)``."""
    running: list[Simulator] = []

    def run(*words: object) -> Simulator:
        simulator = Simulator([str(word) for word in words], tmp_path, len(running))
        running.append(simulator)
        return simulator

    yield run
    for simulator in running:
        simulator.program.stop()


def recorded(database: Any) -> dict[int, tuple[int, int]]:
    """Ended sessions in the database: number → energy in Wh, count of readings."""
    rows = database.execute(
        """
        SELECT s.session_id, s.energy_wh, count(m.session_id)
        FROM sessions AS s LEFT JOIN meter_values AS m USING (charging_point_id, session_id)
        WHERE s.state = 'ended' GROUP BY s.session_id
        """
    ).fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def reported(report: dict[str, Any]) -> dict[int, tuple[int, int]]:
    """The same, as the charging points say it."""
    return {
        s["transaction_id"]: (s["energy_wh"], s["meter_values_acknowledged"])
        for s in report["sessions"]
    }
