"""The roaming flows, end to end: hub, service, relay, database, node, charging point."""

from __future__ import annotations

import pytest

from charging.identity import evse_id_key
from scripts.programs import Program, free_port
from tests.hub import PROVIDER
from tests.waiting import eventually

FAST = ("--duration", "120", "--meter-values-interval", "30", "--time-compression", "240")


class Roaming:
    """The whole of it. The charging points SIM00001 … have the EVSEs DE*VNI*E1*1 …"""

    def __init__(self, database, database_url, directory, node, run_hub_simulator, simulate):
        self.database = database
        self.node = node
        self.directory = directory
        self._url = database_url
        self._simulate = simulate
        self._run_hub_simulator = run_hub_simulator
        self._programs = []
        self.web_port = free_port()

    def begin(self, *hub_words, charging_points=1, **settings):
        """Register charging points and start the hub, the service and the relay."""
        for number in range(1, charging_points + 1):
            self.register(number)
        self.hub = self._run_hub_simulator(*hub_words, operator_port=self.web_port)
        self.settings = {
            "DATABASE_URL": self._url,
            "THIRD_PARTY_WORKERS": "1",
            **{f"THIRD_PARTY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        web = self.run("third_party_backend", "--port", self.web_port)
        web.wait_until_ready(f"http://127.0.0.1:{self.web_port}/health/ready")
        return self

    def run(self, *words):
        log = self.directory / f"{words[0]}{len(self._programs)}.log"
        self._programs.append(Program(list(map(str, words)), log, self.settings))
        return self._programs[-1]

    def register(self, number, roaming=True):
        name, evse = f"SIM{number:05d}", self.evse(number)
        self.database.execute("INSERT INTO charging_points (charging_point_id) VALUES (%s)", [name])
        self.database.execute(
            "INSERT INTO evses (charging_point_id, evse_number, evse_id, evse_id_key, roaming)"
            " VALUES (%s, 1, %s, %s, %s)",
            [name, evse, evse_id_key(evse), roaming],
        )

    def evse(self, number=1):
        return f"DE*VNI*E{number}*1"

    def charge(self, *words, expect="Available", charging_points=1, first=1):
        """Start simulated charging points, and wait until they have said how they are."""
        simulator = self._simulate(
            *("--plain", "--port", self.node.port, "--charging-points", charging_points),
            *("--first", first, *FAST, *words),
        )
        eventually(
            lambda: (
                self.database.execute(
                    "SELECT count(*) FROM evses JOIN connections USING (charging_point_id)"
                    " WHERE evse_number = 1 AND status = %s"
                    " AND charging_point_id BETWEEN %s AND %s",
                    [expect, f"SIM{first:05d}", f"SIM{first + charging_points - 1:05d}"],
                ).fetchone()[0]
                == charging_points
            ),
            30,
        )
        return simulator

    def start(self, number=1, **more):
        return self.hub.control.post(
            "/start", **{"evse_id": self.evse(number), "provider_id": PROVIDER, **more}
        )

    def stop(self, session):
        return self.hub.control.post("/stop", session_id=session)

    def end(self):
        for program in reversed(self._programs):
            program.stop()


@pytest.fixture
def roaming(database, database_url, tmp_path, node, run_hub_simulator, simulate):
    made = Roaming(database, database_url, tmp_path, node, run_hub_simulator, simulate)
    yield made
    made.end()


def test_a_remote_start_on_what_cannot_be_started_is_answered_by_its_code(roaming):
    roaming.begin(charging_points=4)
    roaming.register(5, roaming=False)
    roaming.charge("--sessions", 0, "--stay", "--status", "Faulted", expect="Faulted", first=1)
    roaming.charge(
        "--sessions", 0, "--stay", "--status", "Unavailable", expect="Unavailable", first=2
    )
    roaming.charge("--id-tag", "LOCAL", "--duration", 100_000, expect="Charging", first=3)
    codes = {number: roaming.start(number)["code"] for number in (1, 2, 3, 4, 5, 6)}
    assert codes == {1: "700", 2: "700", 3: "602", 4: "501", 5: "604", 6: "603"}
    assert roaming.hub.violations() == []


def test_a_start_that_is_accepted_too_late_is_stopped_again(roaming):
    roaming.begin(answer_timeout=1)
    simulator = roaming.charge(
        "--wait-for-remote", "--remote-start-delay", 2, "--duration", 100_000
    )
    assert roaming.start()["code"] == "501"
    report = simulator.report()
    assert report["sessions_complete"] == 1
    assert roaming.hub.violations() == []
