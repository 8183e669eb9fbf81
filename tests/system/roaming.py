"""The whole of roaming, as its tests drive it: hub, web, relay, database, node, charging points."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

from scripts.programs import Program, free_port
from tests.hub import PROVIDER
from tests.rows import add_charging_point, evse_row
from tests.waiting import eventually

FAST = ("--duration", "120", "--meter-values-interval", "30", "--time-compression", "240")
ENDLESS = ("--duration", 1_000_000)
CARD = "04A1B2C3"


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

    def begin(self, *hub_words, charging_points=1, silent=(), relay=True, **settings):
        """Register charging points; start the hub, the service and the relay.

        silent: numbers of those whose EVSE is not offered for roaming.
        """
        self.hub = self._run_hub_simulator(*hub_words, operator_port=self.web_port)
        self.settings = {
            "DATABASE_URL": self._url,
            "THIRD_PARTY_WORKERS": "1",
            "THIRD_PARTY_HUB_URL": self.hub.url,
            "THIRD_PARTY_OPERATOR_ID": "DE*VNI",
            "THIRD_PARTY_OPERATOR_NAME": "VNI",
            "THIRD_PARTY_HUB_MAX_BACKOFF": "1",
            **{f"THIRD_PARTY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.register(charging_points, silent)
        web = self.run("third_party_backend", "--port", self.web_port)
        if relay:
            self.run_relay()
        web.wait_until_ready(f"http://127.0.0.1:{self.web_port}/health/ready")
        if relay:
            offered = charging_points - len(silent)
            eventually(lambda: self.hub.figures()["evses"] == offered, 30)
        return self

    def run(self, *words):
        log = self.directory / f"{words[0]}{len(self._programs)}.log"
        self._programs.append(Program(list(map(str, words)), log, self.settings))
        return self._programs[-1]

    def run_relay(self):
        return self.run("third_party_backend", "relay")

    def operations(self, *words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "operations", *map(str, words)],
            env={**os.environ, "DATABASE_URL": self._url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def table(self, count, silent, **more):
        """A file of EVSEs, as an operator fills it in."""
        table = self.directory / "evses.csv"
        rows = [
            evse_row(
                charging_point=f"SIM{number:05d}",
                evse_id=self.evse(number),
                roaming="no" if number in silent else "yes",
                plugs="Type 2 Outlet",
                value_added_services="Reservation",
                **more,
            )
            for number in range(1, count + 1)
        ]
        with table.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return table

    def register(self, count, silent):
        for number in range(1, count + 1):
            add_charging_point(self.database, f"SIM{number:05d}")
        self.operations("evses", "import", self.table(count, silent))

    def evse(self, number=1):
        return f"DE*VNI*E{number}*1"

    def charge(self, *words, expect="Available", charging_points=1, first=1):
        """Start simulated charging points, and wait until they have said how they are."""
        simulator = self._simulate(
            *("--plain", "--port", self.node.port, "--charging-points", charging_points),
            *("--first", first, *FAST, *words),
        )
        names = [f"SIM{first:05d}", f"SIM{first + charging_points - 1:05d}"]

        def there():
            (count,) = self.database.execute(
                "SELECT count(*) FROM evses JOIN connections USING (charging_point_id)"
                " WHERE evse_number = 1 AND status = %s AND charging_point_id BETWEEN %s AND %s",
                [expect, *names],
            ).fetchone()
            return count == charging_points

        if expect:
            eventually(there, 30)
        return simulator

    def start(self, number=1, **more):
        return self.hub.control.post(
            "/start", **{"evse_id": self.evse(number), "provider_id": PROVIDER, **more}
        )

    def stop(self, session):
        return self.hub.control.post("/stop", session_id=session)

    def notified(self, session):
        return [n["type"] for n in self.hub.session(session)["notifications"]]

    def billed(self, session, seconds=20):
        """The hub's session, once it has its CDR."""
        eventually(lambda: self.hub.session(session)["cdr"], seconds)
        return self.hub.session(session)

    def energy(self):
        """Hub session → energy in Wh, as the database has it."""
        return dict(
            self.database.execute(
                "SELECT hub_session_id, energy_wh FROM hub_sessions JOIN sessions"
                " USING (session_id) WHERE sessions.state = 'ended'"
            ).fetchall()
        )

    def deliveries(self, queue, state):
        """How many are in a state."""
        return self.database.execute(
            "SELECT count(*) FROM deliveries WHERE queue = %s AND state = %s", [queue, state]
        ).fetchone()[0]

    def has_status(self, status, number=1, seconds=20):
        eventually(lambda: self.hub.statuses()[self.evse(number)] == status, seconds)

    def end(self):
        for program in reversed(self._programs):
            program.stop()
