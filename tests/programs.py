"""Real programs, started as an operator starts them; the fixtures that start and stop them are in
the nearest `conftest.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.programs import Program, free_port


def logged(program: Program, event: str) -> list[dict[str, Any]]:
    """The lines that a program has logged of an event."""
    lines = [json.loads(line) for line in program.log.read_text().splitlines() if line]
    return [line for line in lines if line.get("event") == event]


class Node:
    """A running `python -m cp_backend`. settings: without their prefix, in small letters."""

    def __init__(
        self,
        database_url: str,
        log: Path,
        words: tuple[str, ...],
        settings: dict[str, str],
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self._database_url = database_url
        self.program = Program(
            ["cp_backend", "--port", str(self.port), *words],
            log,
            {
                "DATABASE_URL": database_url,
                **{f"CP_BACKEND_{name.upper()}": value for name, value in settings.items()},
            },
        )

    @classmethod
    def again(cls, node: Node, settings: dict[str, str]) -> Node:
        """Start a node on the port and database of one that has ended."""
        log = node.program.log.with_suffix(".again.log")
        return cls(node._database_url, log, (), settings, node.port)

    def wait_until_ready(self) -> None:
        """Wait until it admits charging points. Raises ProgramError."""
        self.program.wait_until_ready(f"http://127.0.0.1:{self.port}/health/ready")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of an event."""
        return logged(self.program, event)


class Web:
    """A running `python -m third_party_backend`, with one worker."""

    def __init__(self, database_url: str, log: Path, settings: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.program = Program(
            ["third_party_backend", "--port", str(self.port)],
            log,
            {
                "DATABASE_URL": database_url,
                "THIRD_PARTY_WORKERS": "1",
                **{f"THIRD_PARTY_{name.upper()}": value for name, value in settings.items()},
            },
        )

    def wait_until_ready(self) -> None:
        """Wait until it answers the hub. Raises ProgramError."""
        self.program.wait_until_ready(f"{self.url}/health/ready")


class Relay:
    """A running `python -m third_party_backend relay`; by default it backs off for 1 s at most."""

    def __init__(
        self, database_url: str, log: Path, hub_url: str, settings: dict[str, str]
    ) -> None:
        settings = {
            "hub_url": hub_url,
            "operator_id": "DE*VNI",
            "operator_name": "VNI",
            "hub_max_backoff": "1",
            **settings,
        }
        self.program = Program(
            ["third_party_backend", "relay"],
            log,
            {
                "DATABASE_URL": database_url,
                **{f"THIRD_PARTY_{name.upper()}": value for name, value in settings.items()},
            },
        )

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of an event."""
        return logged(self.program, event)


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
