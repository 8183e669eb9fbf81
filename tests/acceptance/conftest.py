"""Where the services are that a driver's day is acted out at.

With ACCEPTANCE_HOST they are elsewhere, such as the pipeline's test services; DATABASE_HOST and its
companions name their database. Without it they are started here, on the worker's database, with
TLS and a certificate authority of their own.
"""

from __future__ import annotations

import json
import os
import shlex
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from charging.command import Outcome
from charging.database.address import configured_url
from charging.database.audit import Asker
from charging.database.commands import wait
from charging.database.connection import connect
from operations import charging_points, commands, evses, sessions, tokens
from scripts.programs import Program
from scripts.world import Node, World, write_credentials
from tests.acceptance.driver import TOKEN
from tests.waiting import eventually

BY = Asker("acceptance", "tests")
HERE = "localhost"


@dataclass
class Backend:
    """Running services. drain: makes charging-point-backend replace its tasks, and returns."""

    host: str
    port: int
    tls_name: str
    ca_file: Path
    database_url: str
    hub_url: str
    hub_tls_name: str
    drain: Callable[[], None]
    # Where tasks are machines and not processes, everything takes longer.
    patience_seconds: float
    directory: Path
    simulators: list[Program] = field(default_factory=list)

    def let_charge(self, token: str) -> None:
        """Register a token, unless it is there."""
        with connect(self.database_url, "acceptance") as database:
            if token not in {known.note for known in tokens.list_all(database)}:
                tokens.add(database, token, by=BY, note=token)

    def register(self, count: int) -> list[str]:
        """Make charging points known, or give those that are a new password; return them."""
        names = [f"ACCEPT{number:05d}" for number in range(1, count + 1)]
        with connect(self.database_url, "acceptance") as database:
            known = {point.charging_point for point in charging_points.list_all(database)}
            write_credentials(
                self._credentials,
                [
                    charging_points.renew_password(database, name, by=BY)
                    if name in known
                    else charging_points.register(database, name, by=BY)
                    for name in names
                ],
            )
        return names

    def name_evse(self, charging_point: str, evse_id: str) -> None:
        """Give a charging point's first connector its name in roaming."""
        with connect(self.database_url, "acceptance") as database:
            evses.name(database, charging_point, 1, evse_id, by=BY)

    def start(self, charging_point: str) -> None:
        """Start a session with our token, which the charging point must accept."""
        with connect(self.database_url, "acceptance") as database:
            queued = commands.remote_start(database, charging_point, TOKEN, by=BY)
            assert wait(database, queued.command, queued.seconds).outcome is Outcome.ACCEPTED

    def stop(self, session: int) -> None:
        """Stop a session, which its charging point must accept."""
        with connect(self.database_url, "acceptance") as database:
            queued = commands.remote_stop(database, session, by=BY)
            assert wait(database, queued.command, queued.seconds).outcome is Outcome.ACCEPTED

    def simulate(self, count: int, *words: object) -> Charging:
        """Let registered charging points connect over WSS and charge: `charge`'s words."""
        report = self.directory / f"report{len(self.simulators)}.json"
        program = Program(
            [
                *("charging_point_simulator", "charge", *self.where()),
                *("--credentials", str(self._credentials), "--identity-prefix", "ACCEPT"),
                *("--charging-points", str(count), "--report", str(report), *map(str, words)),
            ],
            self.directory / f"simulator{len(self.simulators)}.log",
        )
        self.simulators.append(program)
        return Charging(program, report)

    def where(self) -> list[str]:
        """The simulator's words that say where to connect to, and whom to trust."""
        return [
            *("--host", self.host, "--port", str(self.port)),
            *("--ca-file", str(self.ca_file), "--tls-name", self.tls_name),
        ]

    def ask_as_hub(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        """Post to the hub's interface; return the answer, which is always 200."""
        trust = ssl.create_default_context(cafile=self.ca_file)
        with httpx.Client(verify=trust, timeout=20) as client:
            answer = client.post(
                f"{self.hub_url}{path}",
                json=body,
                extensions={"sni_hostname": self.hub_tls_name} if self.hub_tls_name else {},
            )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def online(self, names: list[str]) -> bool:
        """Whether these charging points are all connected, have booted and are free."""
        found = self._look(
            "SELECT charging_point_id FROM connections JOIN evses USING (charging_point_id)"
            " WHERE charging_point_id = ANY(%s) AND evse_number = 1 AND status = 'Available'",
            names,
        )
        return {name for (name,) in found} == set(names)

    def connections(self, names: list[str]) -> dict[str, int | None]:
        """The number of each charging point's connection, None for one that has none."""
        rows = self._look(
            "SELECT charging_point_id, connection_id FROM connections"
            " WHERE charging_point_id = ANY(%s)",
            names,
        )
        return dict.fromkeys(names) | dict(rows)

    def charging(self, name: str) -> int | None:
        """The session that a charging point has open, if any."""
        rows = self._look(
            "SELECT session_id FROM sessions WHERE charging_point_id = %s AND state = 'charging'",
            name,
        )
        return rows[0][0] if rows else None

    def readings(self, session: int) -> int:
        """How many readings of a session are in the books."""
        rows = self._look("SELECT count(*) FROM meter_values WHERE session_id = %s", session)
        return int(rows[0][0])

    def books_agree(self, report: dict[str, Any]) -> None:
        """Compare what charging points report that they charged with the database."""
        assert report["failures"] == {}
        with connect(self.database_url, "acceptance") as database:
            for reported in report["sessions"]:
                session, readings = sessions.get(database, reported["transaction_id"])
                assert session.state == "ended"
                assert session.energy_wh == reported["energy_wh"]
                assert len(readings) == reported["meter_values_acknowledged"]

    @property
    def _credentials(self) -> Path:
        return self.directory / "credentials.csv"

    def _look(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with connect(self.database_url, "acceptance") as database:
            return database.execute(query.encode(), values).fetchall()


@dataclass
class Charging:
    """A running simulator."""

    program: Program
    file: Path

    def report(self, seconds: float) -> dict[str, Any]:
        """What it reports at its end, which must come well and in time."""
        assert self.program.wait(seconds) == 0, self.program.log_end()
        return dict(json.loads(self.file.read_text()))


@pytest.fixture
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """The services elsewhere, or some that are started here."""
    there = os.environ.get("ACCEPTANCE_HOST")
    made = _elsewhere(there, tmp_path) if there else request.getfixturevalue("backend_here")
    made.let_charge(TOKEN)
    yield made
    for simulator in made.simulators:
        simulator.stop()


def _elsewhere(host: str, directory: Path) -> Backend:
    url = configured_url()
    assert url, "DATABASE_HOST and its companions must name the services' database"
    command = shlex.split(os.environ["ACCEPTANCE_DRAIN"])
    return Backend(
        host,
        int(os.environ["ACCEPTANCE_PORT"]),
        os.environ["ACCEPTANCE_TLS_NAME"],
        Path(os.environ["ACCEPTANCE_CA_FILE"]),
        url,
        f"https://{host}:{os.environ['ACCEPTANCE_HUB_PORT']}",
        os.environ["ACCEPTANCE_HUB_TLS_NAME"],
        lambda: subprocess.run(command, check=True, timeout=120) and None,
        600,
        directory,
    )


@pytest.fixture
def backend_here(database_url: str, tmp_path: Path) -> Iterator[Backend]:
    """Services of this machine, with TLS."""
    authority = trustme.CA()
    server = authority.issue_cert("charging-point.local.vni.internal")
    files = {name: tmp_path / name for name in ("ca.pem", "server.pem", "server.key")}
    authority.cert_pem.write_to_path(str(files["ca.pem"]))
    server.cert_chain_pems[0].write_to_path(str(files["server.pem"]))
    server.private_key_pem.write_to_path(str(files["server.key"]))
    settings = {
        "tls_certificate": str(files["server.pem"]),
        "tls_key": str(files["server.key"]),
        "drain_time": "1",
    }
    with World(database_url, tmp_path) as world:
        node = world.run_node(**settings)
        nodes = [node]
        eventually(lambda: node.logged("listening"), 30)

        def drain() -> None:
            """Replace the node, as a deployment does; its charging points are sent away first."""
            assert nodes[-1].program.stop() == 0
            nodes.append(Node.again(nodes[-1], settings))

        web = world.run_web()
        web.wait_until_ready()
        yield Backend(
            "127.0.0.1",
            node.port,
            "charging-point.local.vni.internal",
            files["ca.pem"],
            database_url,
            web.url,
            "",
            drain,
            150,
            tmp_path,
        )
        nodes[-1].program.stop()
