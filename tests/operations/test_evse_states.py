"""How EVSEs are and were, and which cards may not charge: from sockets to the command line."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from charging.authorization import Rule
from charging.database.audit import Asker
from operations import evse_states, handshakes, tokens
from operations.command_line.main import main
from operations.errors import ExistsError, InvalidError, NotFoundError
from tests.rows import add_charging_point, add_token
from tests.station import Station, ago, iso
from tests.waiting import eventually

BY = Asker("operator", "tests")
CARD, STRANGER = "04A1B2C3", "04D4E5F6"


@pytest.fixture
def operate(database_url, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*words):
        capsys.readouterr()
        code = main([*words, "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if code == 0 else printed.err

    return run


def reading(station, transaction, seconds_ago, *samples):
    station.call(
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": transaction,
            "meterValue": [{"timestamp": iso(ago(seconds=seconds_ago)), "sampledValue": samples}],
        },
    )


def register(value):
    return {"value": str(value), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}


def power(value, unit="W", **more):
    return {"value": str(value), "measurand": "Power.Active.Import", "unit": unit, **more}


def test_an_evse_is_shown_with_its_session_its_power_and_its_last_reading(
    run_node, database, operate
):
    add_charging_point(database)
    add_token(database, CARD)
    node = run_node()
    with Station(node.port) as station:
        station.boot()
        station.report("Available", 0)
        station.report("Preparing")
        transaction = station.start(CARD, at=ago(minutes=30))["transactionId"]
        station.report("Charging")
        (whole, evse) = evse_states.show(database, "CP1")
        assert (whole.evse, whole.state, whole.power_w) == (0, "available", None)
        assert (whole.last_reading_at, whole.last_reading_age_seconds) == (None, None)
        assert (evse.state, evse.reported, evse.session) == ("charging", "Charging", transaction)
        reading(station, transaction, 1000, register(1000))
        reading(station, transaction, 100, register(4000), power(11.25, "kW"))
        (_, evse) = evse_states.show(database, "CP1")
        assert (evse.energy_wh, evse.power_w, evse.power_is) == (3000, 11250, "reported")
        assert 95 < evse.last_reading_age_seconds < 160
        # Phase by phase, and what flows in the vehicle is another figure.
        phases = [power(3000, phase=f"L{number}") for number in (1, 2, 3)]
        reading(station, transaction, 50, register(4125), power(1, location="EV"), *phases)
        (_, evse) = evse_states.show(database, "CP1")
        assert (evse.power_w, evse.power_is) == (9000, "reported")
        # None is reported: 225 Wh in 45 seconds are 18 kW.
        reading(station, transaction, 5, register(4350))
        code, shown = operate("charging-points", "show", "CP1")
        assert (code, shown[1]["power_is"]) == (0, "mean")
        assert shown[1]["power_w"] == pytest.approx(18_000, rel=0.03)
        station.stop(transaction, 4400)
        station.report("Available")
        (_, evse) = evse_states.show(database, "CP1")
        assert (evse.session, evse.power_w, evse.energy_wh) == (None, None, None)
        assert evse.last_reading_age_seconds >= 5
    assert operate("charging-points", "show", "CP2")[0] == 1


@pytest.mark.parametrize(
    ("samples", "watts"),
    [
        ([], None),
        ({}, None),
        ([1, None, "x"], None),
        ([power("much")], None),
        ([power(7, "A")], None),
        ([power(-3.5, "kW")], -3500),
        ([power("1e3")], 1000),
        ([power(5), power(1, phase="L1")], 5),
        ([power(1, phase="L1-N"), power(2, phase="L1-L2"), power("", phase="L2")], 1),
        ([{"value": "5", "measurand": "Power.Active.Import"}], 5),
        (
            [
                {
                    "value": 7.4,
                    "measurand": "Power.Active.Import",
                    "unitOfMeasure": {"unit": "W", "multiplier": 3},
                }
            ],
            7400,
        ),
    ],
)
def test_the_power_of_a_reading_is_found_in_any_form(database, samples, watts):
    row = database.execute("SELECT reported_power_w(%s::jsonb)", [json.dumps(samples)]).fetchone()
    assert row == (watts,)


def test_states_have_a_history(run_node, database, operate):
    add_charging_point(database)
    node = run_node()
    with Station(node.port) as station:
        station.boot()
        for status in ("Available", "Available", "Preparing", "Charging"):
            station.report(status)
        station.report("Faulted", 1, "GroundFailure")
        station.report("Unavailable", 2)
    changes = evse_states.history(database, "CP1", evse=1)
    assert [(c.state, c.reported, c.error) for c in changes] == [
        ("faulted", "Faulted", "GroundFailure"),
        ("charging", "Charging", "NoError"),
        ("preparing", "Preparing", "NoError"),
        ("available", "Available", "NoError"),
    ]
    assert [c.now for c in changes] == [True, False, False, False]
    assert all(c.lasted >= timedelta(0) for c in changes)
    assert changes[1].since + changes[1].lasted == changes[0].since
    code, listed = operate("charging-points", "history", "CP1", "--limit", "2")
    assert (code, [row["evse"] for row in listed]) == (0, [2, 1])
    with pytest.raises(InvalidError):
        evse_states.history(database, "CP1", days=0)
    with pytest.raises(NotFoundError):
        evse_states.history(database, "CP2")


def test_the_history_is_kept_a_month_a_partition(database):
    def partitions():
        return {
            name
            for (name,) in database.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits"
                " WHERE inhparent = 'state_history'::regclass"
            ).fetchall()
        }

    before = partitions()
    assert len(before) == 4  # this month, two to come, and what fits in none
    database.execute(
        "CREATE TABLE state_history_202001 PARTITION OF state_history"
        " FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')"
    )
    database.execute("SELECT keep_state_partitions(3, 13)")
    after = partitions()
    assert len(after - before) == 1
    assert before <= after
    # A row that fits in no month is kept, and its month is not made over it.
    later = datetime.now(UTC) + timedelta(days=200)
    database.execute(
        "INSERT INTO state_history (charging_point_id, evse_number, state, status, changed_at,"
        " received_at) VALUES ('CP1', 1, 'available', 'Available', now(), %s)",
        [later],
    )
    database.execute("SELECT keep_state_partitions(7, 13)")
    assert "state_history_default" in partitions()


def test_a_card_that_may_not_charge_is_listed_with_the_rule_and_adopted(
    run_node, database, operate
):
    add_charging_point(database)
    add_token(database, "BLOCKED", blocked=True)
    add_token(database, "EXPIRED", expires_at=ago(days=1))
    add_token(database, CARD)
    node = run_node(roaming_timeout="0")
    with Station(node.port) as station:
        station.boot()

        def shown(token):
            return station.call("Authorize", {"idTag": token})["idTagInfo"]["status"]

        assert [shown(t) for t in ("BLOCKED", "EXPIRED", CARD, STRANGER, STRANGER)] == [
            *("Blocked", "Expired", "Accepted", "Invalid", "Invalid"),
        ]
        station.start(STRANGER)
        found = eventually(lambda: _counted(database, 5))
        assert {(each.token, each.decision, each.rule, each.count) for each in found.values()} == {
            ("BLOCKED", "blocked", Rule.BLOCKED, 1),
            ("EXPIRED", "expired", Rule.EXPIRED, 1),
            (STRANGER, "unknown", Rule.NOT_REGISTERED, 3),
        }
        code, listed = operate("tokens", "refused", "--charging-point", "CP1")
        assert code == 0
        assert STRANGER not in json.dumps(listed)
        assert all(row["advice"] for row in listed)
        number = str(found[STRANGER].number)
        assert operate("tokens", "adopt", number, "--note", "the neighbour")[0] == 0
        assert shown(STRANGER) == "Accepted"
        assert STRANGER not in _listed(database)
        assert operate("tokens", "adopt", number)[0] == 1
        assert operate("tokens", "set-expiry", "EXPIRED")[0] == 0
        assert shown("EXPIRED") == "Accepted"
        with pytest.raises(ExistsError):
            tokens.adopt(database, found["EXPIRED"].number, by=BY)
        with pytest.raises(InvalidError):
            tokens.list_refused(database, limit=0)


def _listed(database):
    return {each.token: each for each in tokens.list_refused(database, reveal=True)}


def _counted(database, count):
    found = _listed(database)
    return found if sum(each.count for each in found.values()) == count else None


def test_explain_has_each_decision_with_its_rule(run_node, database, operate):
    add_charging_point(database)
    add_token(database, CARD)
    node = run_node(roaming_timeout="0")
    with Station(node.port) as station:
        station.boot()
        station.report("Preparing")
        station.call("Authorize", {"idTag": STRANGER})
        transaction = station.start(CARD, at=ago(minutes=1))["transactionId"]
        station.stop(transaction, 1500, idTag=CARD)
    Station(node.port, subprotocols=["ocpp9.9"]).close()
    eventually(lambda: _logged_end(database) and handshakes.list_refused(database))
    code, moments = operate("explain", "CP1")
    decisions = [m for m in moments if m["what"] == "decision"]
    assert [(m["action"], m["outcome"]) for m in decisions] == [
        ("asking", f"unknown: {Rule.NOT_REGISTERED}"),
        ("start", f"accepted: {Rule.REGISTERED}"),
        ("stop", f"accepted: {Rule.REGISTERED}"),
    ]
    assert code == 0
    states = [m["text"] for m in moments if m["what"] == "state"]
    assert states == ["EVSE 1 is preparing (Preparing, NoError)"]
    refused = [m["text"] for m in moments if m["what"] == "handshake"]
    assert len(refused) == 1
    assert refused[0].startswith("1 handshakes refused since ")
    assert "from 127.0.0.1: no common subprotocol (offered: ocpp9.9)" in refused[0]
    (connected,) = [m for m in moments if m.get("kind") == "connected"]
    assert json.loads(connected["payload"])["security_profile"] == 0
    assert CARD not in json.dumps(moments)
    assert STRANGER not in json.dumps(moments)
    # One card has one hash, in the frame and in the decision.
    (frame,) = [m for m in moments if m.get("action") == "Authorize" and m["kind"] == "call"]
    assert json.loads(frame["payload"])["idTag"] == json.loads(decisions[0]["payload"])["token"]


def _logged_end(database):
    return database.execute("SELECT FROM messages WHERE kind = 'disconnected'").rowcount
