"""The whole of roaming, as its tests drive it: hub, web, relay, database, node, charging points."""

from __future__ import annotations

import json

from charging.database.audit import Asker
from operations import evses
from tests.hub import PROVIDER
from tests.rows import add_charging_point, evse_row
from tests.waiting import eventually

BY = Asker("operator", "tests")
FAST = ("--duration", "120", "--meter-values-interval", "30", "--time-compression", "240")
ENDLESS = ("--duration", 1_000_000)
CARD = "04A1B2C3"


class Roaming:
    """The whole of it. The charging points SIM00001 … have the EVSEs DE*VNI*E1*1 …"""

    def __init__(self, database, world, node, run_hub_simulator, simulate):
        self.database = database
        self.node = node
        self._world = world
        self._simulate = simulate
        self._run_hub_simulator = run_hub_simulator

    def begin(self, *hub_words, charging_points=1, silent=(), relay=True, **settings):
        """Register charging points; start the hub, the service and the relay.

        silent: numbers of those whose EVSE is not offered for roaming.
        """
        self.hub = self._run_hub_simulator(*hub_words, operator_port=self._world.web_port)
        self._settings = {
            "hub_url": self.hub.url,
            "operator_id": "DE*VNI",
            "operator_name": "VNI",
            "hub_max_backoff": "1",
            **{name: str(value) for name, value in settings.items()},
        }
        for number in range(1, charging_points + 1):
            add_charging_point(self.database, f"SIM{number:05d}")
        self.import_evses(charging_points, silent)
        web = self._world.run_web(**self._settings)
        if relay:
            self.run_relay()
        web.wait_until_ready()
        if relay:
            offered = charging_points - len(silent)
            eventually(lambda: self.hub.figures()["evses"] == offered, 30)
        return self

    def run_relay(self):
        """Start a relay, or one more; return its program."""
        return self._world.run_relay(**self._settings).program

    def import_evses(self, count, silent=(), **more):
        """Take a table of EVSEs in, as an operator fills it in."""
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
        evses.import_table(self.database, json.dumps(rows), by=BY)

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
        eventually(lambda: self.hub.statuses().get(self.evse(number)) == status, seconds)
