"""The programs of the backend put together on this machine, each as an operator would start it.

The demonstration, the measurements and the tests start what they need of it: `new_database`, then
a `World` (or its parts alone) on that database. What was started is stopped at the end, the newest
first. Settings are given without their prefix and in small letters: ``drain_time="1"``.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from psycopg import sql

from charging.database.address import state_directory
from charging.database.connection import Connection, connect
from charging.database.embedded import EmbeddedServer
from charging.database.migrate import upgrade
from operations.charging_points import Credential
from scripts.programs import Program, free_port
from third_party_hub_simulator.client import Client

HOST = "127.0.0.1"
OPERATOR_ID = "DE*VNI"


@contextmanager
def new_database(purpose: str) -> Iterator[str]:
    """Yield the address of a migrated database of the caller's own, dropped afterwards.

    It is on the embedded server of this clone, which stops with the last program that uses it.
    Databases of processes that were killed before they could drop theirs are dropped first.
    """
    name = f"{purpose}_{os.getpid()}"
    with EmbeddedServer(state_directory() / "postgres") as server_url:
        with connect(server_url, "world") as server:
            for left in _left_behind(server, purpose):
                _drop(server, left)
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            url = server_url.replace("/postgres?", f"/{name}?", 1)
            upgrade(url)
            yield url
        finally:
            with connect(server_url, "world") as server:
                _drop(server, name)


def _left_behind(server: Connection, purpose: str) -> list[str]:
    names = server.execute(
        "SELECT datname FROM pg_database WHERE datname ~ %s", [f"^{purpose}_[0-9]+$"]
    )
    return [name for (name,) in names if not _lives(int(name.rpartition("_")[2]))]


def _drop(server: Connection, name: str) -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def new_directory(purpose: str) -> Path:
    """Return an empty directory for this run's files; those of ended runs are removed."""
    above = state_directory() / purpose
    directory = above / str(os.getpid())
    directory.mkdir(parents=True, exist_ok=True)
    for old in above.iterdir():
        if old.is_dir() and old.name.isdigit() and not _lives(int(old.name)):
            _empty(old)
            old.rmdir()
    _empty(directory)
    return directory


def _empty(directory: Path) -> None:
    for file in directory.iterdir():
        if file.is_dir():
            _empty(file)
            file.rmdir()
        else:
            file.unlink()


def write_credentials(file: Path, credentials: Iterable[Credential]) -> None:
    """Write identities and passwords as the simulator's `--credentials` reads them."""
    file.touch(mode=0o600)
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows((c.charging_point, c.password) for c in credentials)


def logged(program: Program, event: str) -> list[dict[str, Any]]:
    """Return the lines that a program has logged of an event."""
    # It may be writing the last one just now.
    *complete, _ = program.log.read_bytes().split(b"\n")
    lines = [json.loads(line) for line in complete if line]
    return [line for line in lines if line.get("event") == event]


def _environment(prefix: str, settings: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}{name.upper()}": value for name, value in settings.items()}


class Node:
    """A running `python -m cp_backend`. words: of its command line, such as ``--processes 2``."""

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
            {"DATABASE_URL": database_url, **_environment("CP_BACKEND_", settings)},
        )

    @classmethod
    def again(cls, node: Node, settings: dict[str, str]) -> Node:
        """Start a node on the port and database of one that has ended."""
        log = node.program.log.with_suffix(".again.log")
        return cls(node._database_url, log, (), settings, node.port)

    def wait_until_ready(self) -> None:
        """Wait until it admits charging points. Raises ProgramError."""
        self.program.wait_until_ready(f"http://{HOST}:{self.port}/health/ready")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log's lines of an event."""
        return logged(self.program, event)


class Web:
    """A running `python -m third_party_backend`, by default with one worker."""

    def __init__(
        self, database_url: str, log: Path, settings: dict[str, str], port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.program = Program(
            ["third_party_backend", "--port", str(self.port)],
            log,
            {
                "DATABASE_URL": database_url,
                **_environment("THIRD_PARTY_", {"workers": "1", **settings}),
            },
        )

    def wait_until_ready(self) -> None:
        """Wait until it answers the hub. Raises ProgramError."""
        self.program.wait_until_ready(f"{self.url}/health/ready")


class Console:
    """A running `python -m operations.console`."""

    def __init__(self, database_url: str, log: Path, settings: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.program = Program(
            ["operations.console", "--port", str(self.port)],
            log,
            {"DATABASE_URL": database_url, **_environment("CONSOLE_", settings)},
        )

    def wait_until_ready(self) -> None:
        """Wait until it answers browsers. Raises ProgramError."""
        self.program.wait_until_ready(f"{self.url}/health/ready")


class Relay:
    """A running `python -m third_party_backend relay`; by default it backs off for 1 s at most."""

    def __init__(
        self, database_url: str, log: Path, hub_url: str, settings: dict[str, str]
    ) -> None:
        settings = {
            "hub_url": hub_url,
            "operator_id": OPERATOR_ID,
            "operator_name": "VNI",
            "hub_max_backoff": "1",
            # Charging points in simulated time charge much more than their EVSE can give.
            "power_margin": "1000000",
            **settings,
        }
        self.program = Program(
            ["third_party_backend", "relay"],
            log,
            {"DATABASE_URL": database_url, **_environment("THIRD_PARTY_", settings)},
        )

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log's lines of an event."""
        return logged(self.program, event)


class Hub:
    """A running `python -m third_party_hub_simulator serve`: `port` for us, `control_port` to play.

    Its ports and its file stay when it is started again.
    """

    def __init__(self, directory: Path, *words: object, operator_port: int | None = None) -> None:
        self.port, self.control_port = free_port(), free_port()
        self.scheme = "https" if "--certificate" in words else "http"
        self.file = directory / f"hub{self.port}.jsonl"
        self.log = directory / f"hub{self.port}.log"
        self._operator_url = f"http://{HOST}:{operator_port or free_port()}"
        self.start(*words)

    def start(self, *words: object) -> None:
        """Start it, with other words of its command line perhaps; it remembers what it had."""
        self._words = words
        self.program = Program(
            [
                *("third_party_hub_simulator", "serve", "--port", str(self.port)),
                *("--control-port", str(self.control_port), "--file", str(self.file)),
                *("--operator-url", self._operator_url, *map(str, words)),
            ],
            self.log,
        )
        self.program.wait_until_ready(f"http://{HOST}:{self.control_port}/health/ready")

    def start_again(self) -> None:
        """Start one that has ended as it was started before."""
        self.start(*self._words)

    @property
    def url(self) -> str:
        """Where we call the hub."""
        return f"{self.scheme}://{HOST}:{self.port}"

    @cached_property
    def control(self) -> Client:
        """The hub's control interface."""
        return Client(f"http://{HOST}:{self.control_port}")


class Simulator:
    """A running `python -m charging_point_simulator charge`."""

    def __init__(self, words: Iterable[object], directory: Path, number: int) -> None:
        self._report = directory / f"report{number}.json"
        self.program = Program(
            ["charging_point_simulator", "charge"]
            + [str(word) for word in (*words, "--report", self._report)],
            directory / f"simulator{number}.log",
        )

    def report(self, code: int = 0, seconds: float = 60) -> dict[str, Any]:
        """Return what it reports at its end, which must come with this exit code."""
        assert self.program.wait(seconds) == code, self.program.log_end()
        report: dict[str, Any] = json.loads(self._report.read_text())
        return report


class World:
    """Hub, web service, relay, nodes and charging points on one database: a context manager.

    directory: for logs, reports and the hub's file.
    """

    def __init__(self, database_url: str, directory: Path) -> None:
        self.database_url = database_url
        self.directory = directory
        self.web_port = free_port()
        self._stack = ExitStack()
        self._programs: list[Program] = []
        self._hub: Hub | None = None

    def __enter__(self) -> World:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    @property
    def hub(self) -> Hub:
        """The hub that was started."""
        assert self._hub is not None, "no hub was started"
        return self._hub

    def run_hub(self, *words: object) -> Hub:
        """Start the hub, which calls the web service of this world."""
        self._hub = hub = Hub(self.directory, *words, operator_port=self.web_port)
        # Whichever of its programs runs at the end.
        self._stack.callback(lambda: hub.program.stop())
        self._stack.callback(lambda: hub.control.close())
        self._programs.append(hub.program)
        return hub

    def run_node(self, *words: object, **settings: str) -> Node:
        """Start a node, or several processes of it."""
        log = self._log("cp_backend")
        node = Node(self.database_url, log, tuple(map(str, words)), settings)
        self._keep(node.program)
        return node

    def run_web(self, **settings: str) -> Web:
        """Start the web service that the hub calls."""
        web = Web(self.database_url, self._log("third_party_backend"), settings, self.web_port)
        self._keep(web.program)
        return web

    def run_relay(self, **settings: str) -> Relay:
        """Start a relay to the hub of this world, or to `hub_url`."""
        hub_url = settings.get("hub_url") or self.hub.url
        relay = Relay(self.database_url, self._log("relay"), hub_url, settings)
        self._keep(relay.program)
        return relay

    def charge(self, node: Node, *words: object) -> Simulator:
        """Start charging points that connect to a node; words: of the simulator's command line."""
        simulator = Simulator(
            ("--plain", "--port", node.port, *words), self.directory, len(self._programs)
        )
        self._keep(simulator.program)
        return simulator

    def failed(self) -> dict[str, int | None]:
        """Return the programs that have ended with another exit code than 0, and that code."""
        return {
            str(program): program.process.returncode
            for program in self._programs
            if program.process.returncode
        }

    def _keep(self, program: Program) -> None:
        self._programs.append(program)
        self._stack.enter_context(program)

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}{len(self._programs)}.log"
