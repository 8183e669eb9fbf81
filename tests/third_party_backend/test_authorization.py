"""Cards that nobody here knows: the hub says, and what it says binds the session that follows."""

from __future__ import annotations

import pytest

from tests.rows import EVSE, evse_row
from tests.station import Station, ago, iso
from tests.waiting import eventually

CARD, SECOND, THIRD = "04A1B2C3", "04A1B2C3D4E5F6", "0A0B0C0D"


@pytest.fixture
def world(run_node, run_hub_simulator, run_relay, import_evses, database):
    """A node that admits no unknown tokens, a relay, and a hub that knows CARD."""

    def begin(*rows, **settings):
        node = run_node(admit_unknown="true", **settings)
        simulator = run_hub_simulator("--no-limits")
        simulator.control.post("/tokens", uid=CARD, provider_id="DE-EMP", stops=[SECOND])
        import_evses(*(rows or (evse_row(1),)))
        relay = run_relay(simulator.url)
        station = Station(node.port)
        station.boot()
        eventually(lambda: EVSE in simulator.statuses())
        eventually(
            lambda: database.execute(
                "SELECT 1 FROM hub_queues WHERE queue = 'authorize-start'"
            ).fetchone()
        )
        stations.append(station)
        return station, simulator, relay

    stations = []
    yield begin
    for station in stations:
        station.close()


def asked(simulator, operation):
    return sum(call["operation"] == operation for call in simulator.control.get("/calls"))


def shown(station, token):
    return station.call("Authorize", {"idTag": token})["idTagInfo"]


def test_a_card_of_another_provider_charges_and_is_billed_once(world, database):
    station, simulator, relay = world()
    # A charging point may write it with colons, or in small letters.
    info = shown(station, "04:a1:b2:c3")
    assert info["status"] == "Accepted"
    (session,) = simulator.sessions().values()
    assert (session["provider"], session["evse"]) == ("DE-EMP", EVSE)
    # Shown again it is known by now; the hub is asked once.
    assert shown(station, CARD)["status"] == "Accepted"
    started = station.start("04:A1:B2:C3", 5000)
    assert started["idTagInfo"]["status"] == "Accepted"
    bound = database.execute("SELECT session_id, origin FROM hub_sessions").fetchall()
    assert bound == [(started["transactionId"], "local")]
    # Its second card may end it, and the group lets the charging point see that.
    second = shown(station, SECOND)
    assert second["status"] == "Accepted"
    assert second["parentIdTag"] == info["parentIdTag"]
    assert station.stop(started["transactionId"], 7500, idTag=SECOND)["idTagInfo"]["status"] == (
        "Accepted"
    )
    closed = eventually(lambda: (s := simulator.session(session["session"]))["cdr"] and s)
    assert closed["energy_wh"] == 2500
    assert [n["type"] for n in closed["notifications"]] == ["Start", "End"]
    assert asked(simulator, "authorize-start") == 1
    assert simulator.violations() == []
    assert CARD not in relay.program.log.read_text()


def test_a_card_that_the_hub_refuses_leaves_no_trace(world, database):
    station, simulator, _ = world()
    assert shown(station, THIRD)["status"] == "Invalid"
    # What has not the form of a card is not the hub's business.
    assert shown(station, "NOT-A-CARD")["status"] == "Invalid"
    assert asked(simulator, "authorize-start") == 1
    assert simulator.sessions() == {}
    assert database.execute("SELECT count(*) FROM hub_sessions").fetchone() == (0,)
    assert simulator.violations() == []


def test_a_card_charges_at_evses_that_are_offered_only(world, database):
    station, simulator, _ = world(evse_row(1), evse_row(2, roaming=False))
    # Asked when it starts, and authorized before anybody knew where.
    assert station.start(CARD, 1000, number=2)["idTagInfo"]["status"] == "Invalid"
    assert asked(simulator, "authorize-start") == 0
    assert shown(station, CARD)["status"] == "Accepted"
    assert station.start(CARD, 2000, number=2)["idTagInfo"]["status"] == "Invalid"
    assert database.execute("SELECT session_id FROM hub_sessions").fetchall() == [(None,)]
    started = station.start(CARD, 3000)
    assert started["idTagInfo"]["status"] == "Accepted"
    bound = database.execute("SELECT session_id FROM hub_sessions").fetchall()
    assert bound == [(started["transactionId"],)]


def test_a_start_that_nobody_authorized_first_asks_then(world, database):
    station, simulator, _ = world()
    at = ago(minutes=2)
    started = station.start(CARD, 0, at)
    assert started["idTagInfo"]["status"] == "Accepted"
    # Said again it is the same session, and the same answer.
    again = station.start(CARD, 0, at)
    assert again["transactionId"] == started["transactionId"]
    assert again["idTagInfo"]["status"] == "Accepted"
    (name,) = simulator.sessions()
    eventually(lambda: simulator.session(name)["notifications"])
    station.stop(started["transactionId"], 100)
    assert eventually(lambda: simulator.session(name)["cdr"])["ConsumedEnergy"] == 0.1
    refused = station.start(THIRD, 0)
    assert refused["idTagInfo"]["status"] == "Invalid"
    assert simulator.violations() == []


def test_a_card_that_is_not_on_the_list_asks_whether_it_may_end_the_session(world, database):
    station, simulator, _ = world()
    assert shown(station, CARD)["status"] == "Accepted"
    station.start(CARD, 0)
    station.report("Charging")
    assert shown(station, THIRD)["status"] == "Invalid"
    assert asked(simulator, "authorize-stop") == 1
    # The same card, while its session charges, needs no hub.
    assert shown(station, CARD)["status"] == "Accepted"
    assert asked(simulator, "authorize-start") == 1


def test_a_hub_that_does_not_answer_means_no_unless_the_operator_says_yes(world, database):
    station, simulator, _ = world(roaming_timeout="1", roaming_without_hub="true")
    simulator.misbehave("slow", "authorize-start", calls=3, seconds=3)
    assert shown(station, CARD)["status"] == "Accepted"
    # What is authorized when nobody waits any more is closed again, or the driver is blocked.
    (name,) = eventually(simulator.sessions)
    assert eventually(lambda: simulator.session(name)["cdr"], 20)["ConsumedEnergy"] == 0
    started = station.start(THIRD, 0)
    assert started["idTagInfo"]["status"] in ("Accepted", "Invalid")


def test_without_a_relay_the_answer_is_there_at_once(run_node, import_evses, database):
    import_evses(evse_row(1))
    node = run_node(admit_unknown="true", roaming_timeout="60")
    with Station(node.port) as station:
        station.boot()
        assert shown(station, CARD)["status"] == "Invalid"
    assert database.execute("SELECT count(*) FROM authorizations").fetchone() == (0,)


def test_a_vehicle_that_never_comes_ends_the_session(
    run_relay, simulator, station, start_remotely, database
):
    run_relay(simulator.url, start_timeout="1")
    name, token = start_remotely()
    session = eventually(lambda: (s := simulator.session(name))["cdr"] and s)
    assert [n["body"]["ErrorType"] for n in session["notifications"]] == ["ConnectorError"]
    assert session["energy_wh"] == 0
    assert simulator.violations() == []
    # One that comes after all is not let charge, and is stopped.
    station.send(
        [
            2,
            "late",
            "StartTransaction",
            {"connectorId": 1, "idTag": token, "meterStart": 0, "timestamp": iso(ago())},
        ]
    )
    frames = [station.receive(), station.receive()]
    result = next(frame for frame in frames if frame[0] == 3)
    assert result[2]["idTagInfo"]["status"] == "Invalid"
    assert next(frame for frame in frames if frame[0] == 2)[2] == "RemoteStopTransaction"
