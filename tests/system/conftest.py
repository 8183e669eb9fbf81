"""Real programs, started as an operator starts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from operations.command_line.main import main
from scripts.world import Node, Simulator, World
from tests.hub import HubSimulator
from tests.system.roaming import Roaming


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


@pytest.fixture
def operate(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Do what an operator types: ``operate("files", "list")``; return what is printed."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*words: object, code: int = 0) -> str:
        found = main([str(word) for word in words])
        shown = capsys.readouterr()
        assert found == code, shown.out + shown.err
        return shown.out + shown.err

    return run


@pytest.fixture
def roaming(
    database: psycopg.Connection[Any],
    database_url: str,
    tmp_path: Path,
    run_node: Callable[..., Node],
    run_hub_simulator: Callable[..., HubSimulator],
    simulate: Callable[..., Simulator],
) -> Iterator[Roaming]:
    """A node, and whatever ``roaming.begin(…)`` starts beside it."""
    node = run_node(admit_unknown="true")
    with World(database_url, tmp_path) as world:
        yield Roaming(database, world, node, run_hub_simulator, simulate)
