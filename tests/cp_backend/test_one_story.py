"""What happened at a charging point leaves the same books, whichever OCPP version tells it."""

from datetime import UTC, datetime, timedelta

from charging.database import audited_energy
from charging.energy_audit import audit
from tests.rows import add_charging_point, add_hub_session, add_token
from tests.station import Station, ago, iso

VERSIONS = ("1.6", "2.0.1", "2.1")
CONTEXTS = {0: "Transaction.Begin", -1: "Transaction.End"}
REASONS = {"unplugged": "EVDisconnected", "remote": "Remote"}


class Teller:
    """Tells of sessions in one version: a start, readings at their minutes, an end."""

    def __init__(self, port, version):
        self.version = version
        self.old = version == "1.6"
        self.name = f"CP{version}"
        self.station = Station(port, self.name, subprotocols=[f"ocpp{version}"])
        self.numbers = {}
        if self.old:
            self.station.boot()
        else:
            hardware = {"model": "M", "vendorName": "V"}
            payload = {"reason": "PowerUp", "chargingStation": hardware}
            self.station.call("BootNotification", payload)

    def values(self, at, wh, context):
        sample = {"context": context}
        if self.old:
            sample |= {"unit": "kWh", "value": f"{wh / 1000:g}"}
        else:
            sample |= {"unitOfMeasure": {"unit": "kWh"}, "value": wh / 1000}
        return [{"timestamp": iso(at), "sampledValue": [sample]}]

    def event(self, kind, key, sequence, at, wh, context, **more):
        info = {"transactionId": key, **more.pop("info", {})}
        payload = {
            "eventType": kind,
            "timestamp": iso(at),
            "triggerReason": "MeterValuePeriodic",
            "seqNo": sequence,
            "offline": True,
            "transactionInfo": info,
            "meterValue": self.values(at, wh, context),
            **more,
        }
        return self.station.call("TransactionEvent", payload)

    def start(self, key, at, wh, token, command=None):
        if self.old:
            answer = self.station.start(token, wh, at)
            self.numbers[key] = answer["transactionId"]
            return answer["idTagInfo"]["status"]
        more = {"evse": {"id": 1}, "idToken": {"idToken": token, "type": "ISO14443"}}
        if command is not None:
            more["info"] = {"remoteStartId": command}
        answer = self.event("Started", key, 0, at, wh, CONTEXTS[0], **more)
        return answer["idTokenInfo"]["status"]

    def read(self, key, sequence, at, wh):
        if self.old:
            values = self.values(at, wh, "Sample.Periodic")
            payload = {"connectorId": 1, "transactionId": self.numbers[key], "meterValue": values}
            assert self.station.call("MeterValues", payload) == {}
        else:
            assert self.event("Updated", key, sequence, at, wh, "Sample.Periodic") == {}

    def end(self, key, sequence, began, at, whs, cause):
        if self.old:
            data = self.values(began, whs[0], CONTEXTS[0]) + self.values(at, whs[1], CONTEXTS[-1])
            more = {"reason": REASONS[cause], "transactionData": data}
            payload = {"transactionId": self.numbers[key], "meterStop": whs[1], **more}
            return self.station.call("StopTransaction", {**payload, "timestamp": iso(at)})
        info = {"stoppedReason": REASONS[cause]}
        return self.event("Ended", key, sequence, at, whs[1], CONTEXTS[-1], info=info)


def tell(teller, began, command):
    """Four sessions: online; replayed late and twice; by the hub; by a card that is blocked."""

    def at(minutes):
        return began + timedelta(minutes=minutes)

    assert teller.start("one", at(0), 1000, "CARD") == "Accepted"
    teller.read("one", 1, at(5), 1500)
    teller.read("one", 2, at(10), 2500)
    teller.end("one", 3, at(0), at(15), (1000, 3500), "unplugged")

    for _ in range(2):  # the answers were lost
        assert teller.start("two", at(20), 3500, "CARD") == "Accepted"
    teller.read("two", 2, at(30), 4500)
    for _ in range(2):
        teller.end("two", 3, at(20), at(35), (3500, 5000), "unplugged")
    teller.read("two", 1, at(25), 4000)  # it had waited in another queue
    teller.read("two", 1, at(25), 4000)

    assert teller.start("hub", at(40), 5600, "HUB0123456789ABCDEF", command) == "Accepted"
    teller.end("hub", 1, at(40), at(50), (5600, 9000), "remote")

    assert teller.start("blocked", at(60), 9000, "BLOCKED") == "Blocked"
    teller.end("blocked", 1, at(60), at(61), (9000, 9000), "unplugged")


BOOKS = {
    "sessions": """
        SELECT evse_number, id_tag, state, started_at, ended_at, meter_start_wh, meter_stop_wh,
               energy_wh, stop_cause, stop_reason, start_decision, doubts, presumed
        FROM sessions WHERE charging_point_id = %s ORDER BY started_at""",
    "readings": """
        SELECT s.id_tag, s.started_at, m.evse_number, m.sampled_at, m.energy_wh,
               whole_samples(m.sampled_values, m.form_id, m.form_values)
        FROM meter_values AS m JOIN sessions AS s USING (session_id)
        WHERE m.charging_point_id = %s ORDER BY m.sampled_at, m.energy_wh""",
    "at the hub": """
        SELECT h.state, h.id_tag, h.evse_number, s.started_at, s.energy_wh, h.ended_at IS NULL
        FROM hub_sessions AS h JOIN sessions AS s USING (session_id)
        WHERE h.charging_point_id = %s""",
    "events": """
        SELECT e.kind, s.started_at FROM events AS e
        JOIN sessions AS s ON s.session_id = (e.payload ->> 'session_id')::int
        WHERE e.charging_point_id = %s ORDER BY s.started_at, e.kind DESC""",
    "facts of no session": "SELECT action FROM unassigned_facts WHERE charging_point_id = %s",
    "commands": "SELECT kind, state, done_outcome FROM commands WHERE charging_point_id = %s",
}


def audited(database, name, began):
    until = datetime.now(UTC) + timedelta(days=1)
    evses = audited_energy.evses(database, began - timedelta(days=1), until, name)
    made = audit(evses, audited_energy.facts(database, began, until, name), until)
    assert made.balances
    lines = [(each.findings, each.energy_wh, each.unbilled_wh, each.alarm) for each in made.lines]
    return made.sessions, made.metered_wh, made.billed_wh, lines


def test_one_story_in_three_versions_leaves_equal_books(node, database):
    began = ago(hours=3).replace(microsecond=0)
    add_token(database, "CARD")
    add_token(database, "BLOCKED", blocked=True)
    books = {}
    for version in VERSIONS:
        name = f"CP{version}"
        add_charging_point(database, name)
        (command,) = database.execute(
            "INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline,"
            " state, outcome, done_by) VALUES (%s, 'remote_start', %s, 'test', now(), 'answered',"
            " 'accepted', now() + interval '1 minute') RETURNING command_id",
            [name, '{"id_tag": "HUB0123456789ABCDEF", "evse_number": 1}'],
        ).fetchone()
        add_hub_session(
            database,
            f"hub {version}",
            charging_point_id=name,
            id_tag="HUB0123456789ABCDEF",
            state="accepted",
        )
        teller = Teller(node.port, version)
        tell(teller, began, command)
        teller.station.close()
        books[version] = {
            kind: database.execute(select, [name]).fetchall() for kind, select in BOOKS.items()
        }
        books[version]["audit"] = audited(database, name, began)
    assert [row[7] for row in books["1.6"]["sessions"]] == [2500, 1500, 3400, 0]
    assert books["1.6"]["audit"][:2] == (4, 8000)
    lengths = {kind: len(rows) for kind, rows in books["1.6"].items() if kind != "audit"}
    assert lengths == {
        "sessions": 4,
        "readings": 12,
        "at the hub": 1,
        "events": 8,
        "facts of no session": 0,
        "commands": 1,
    }
    for version in VERSIONS[1:]:
        for kind, rows in books["1.6"].items():
            assert books[version][kind] == rows, (version, kind)
