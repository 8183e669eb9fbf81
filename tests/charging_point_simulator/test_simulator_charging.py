"""A charging point's sessions, texts in and texts out: states, meters, reasons, and no sockets."""

import itertools
import json

import pytest

from charging_point_simulator.station import drivers
from charging_point_simulator.station.car import Car
from charging_point_simulator.station.connector import TRANSITIONS, Status
from charging_point_simulator.station.drivers import DriverError
from charging_point_simulator.station.settings import Settings
from tests.charging_point_simulator.station import Station


def sampled(payload, measurand):
    (reading,) = payload["meterValue"]
    return [float(s["value"]) for s in reading["sampledValue"] if s["measurand"] == measurand]


def test_a_session_from_plug_to_unplug():
    station = Station()
    assert station.take()[0][0] == "BootNotification"
    station.plug()
    assert station.tap() == "Accepted"
    station.wait(150)
    drivers.stop(station.point, station.point.connectors[1])
    station.exchange()
    station.unplug()
    sent = station.take()
    assert [action for action, _ in sent] == [
        "StatusNotification",
        "Authorize",
        "StartTransaction",
        "StatusNotification",
        "MeterValues",
        "MeterValues",
        "StopTransaction",
        "StatusNotification",
        "StatusNotification",
    ]
    assert [p["status"] for action, p in sent if action == "StatusNotification"] == [
        "Preparing",
        "Charging",
        "Finishing",
        "Available",
    ]
    stop = sent[6][1]
    assert (stop["reason"], stop["idTag"], stop["transactionId"]) == ("Local", "CARD", 1)
    (record,) = station.point.report.sessions
    assert record.complete
    assert record.energy_wh == stop["meterStop"] - sent[2][1]["meterStart"]


@pytest.mark.parametrize("speed", [1, 60, 1000])
def test_energy_is_the_integral_of_the_power_that_was_reported(speed):
    station = Station(settings=Settings(meter_interval_seconds=10 / speed))
    station.take()
    station.plug(speed=speed)
    station.tap()
    station.wait(3600 / speed)
    readings = station.payloads("MeterValues")
    assert len(readings) >= 355
    powers = [sampled(p, "Power.Active.Import")[0] for p in readings]
    registers = [sampled(p, "Energy.Active.Import.Register")[0] for p in readings]
    for power, current, voltage in (
        (powers[n], sampled(p, "Current.Import"), sampled(p, "Voltage"))
        for n, p in enumerate(readings)
    ):
        assert len(current) == len(voltage) == 3
        assert sum(i * u for i, u in zip(current, voltage, strict=True)) == pytest.approx(
            power, rel=0.01, abs=50
        )
    integral = sum((a + b) / 2 * 10 / speed / 3600 for a, b in itertools.pairwise(powers))
    assert registers[-1] - registers[0] == pytest.approx(integral, rel=0.001, abs=1.1)
    assert registers == sorted(registers)
    assert max(powers) == 11_000 * speed


def test_a_full_car_suspends_and_takes_nothing_more():
    station = Station(settings=Settings(meter_interval_seconds=60))
    station.charge(battery_wh=100, state_of_charge=0.5)
    station.wait(7200)
    assert station.statuses()[-1] == "SuspendedEV"
    station.wait(600)
    readings = station.payloads("MeterValues")
    assert {sampled(p, "Power.Active.Import")[0] for p in readings} == {0.0}
    assert len({sampled(p, "Energy.Active.Import.Register")[0] for p in readings}) == 1


@pytest.mark.parametrize(("remote_session", "token"), [(True, None), (False, "CARD")])
def test_the_end_of_a_session_says_who_ended_it(remote_session, token):
    station = Station()
    station.plug()
    if remote_session:
        assert station.status("RemoteStartTransaction", connectorId=1, idTag="APP") == "Accepted"
    else:
        station.tap()
    station.take()
    assert station.status("RemoteStopTransaction", transactionId=1) == "Accepted"
    (stop,) = station.payloads("StopTransaction")
    assert stop["reason"] == "Remote"
    assert "idTag" not in stop
    station.unplug()
    # The next one is ended by its driver.
    station.plug()
    if remote_session:
        station.call("RemoteStartTransaction", connectorId=1, idTag="APP")
    else:
        station.tap()
    drivers.stop(station.point, station.point.connectors[1])
    station.exchange()
    (stop,) = station.payloads("StopTransaction")
    assert stop["reason"] == ("EVDisconnected" if remote_session else "Local")
    assert stop.get("idTag") == token


def test_a_faulted_connector_charges_nobody():
    station = Station()
    session = station.charge()
    drivers.fault(station.point, station.point.connectors[1], "GroundFailure")
    station.exchange()
    sent = station.take()
    assert session.reason == "Other"
    assert sent[-1][1]["status"] == "Faulted"
    assert sent[-1][1]["errorCode"] == "GroundFailure"
    assert station.status("RemoteStartTransaction", idTag="APP") == "Rejected"
    station.unplug()
    station.plug()
    with pytest.raises(DriverError, match="is Faulted"):
        station.tap()
    drivers.clear_fault(station.point, station.point.connectors[1])
    station.exchange()
    assert station.statuses() == ["Preparing"]
    assert station.tap() == "Accepted"


def test_a_refused_token_charges_nobody():
    station = Station()
    station.answers["Authorize"] = {"idTagInfo": {"status": "Blocked"}}
    station.plug()
    assert station.tap() == "Blocked"
    assert station.payloads("StartTransaction") == []


def test_a_token_refused_at_the_start_ends_its_session():
    station = Station()
    station.answers["StartTransaction"] = {
        "transactionId": 9,
        "idTagInfo": {"status": "ConcurrentTx"},
    }
    station.plug()
    station.tap()
    (stop,) = station.payloads("StopTransaction")
    assert (stop["reason"], stop["transactionId"]) == ("DeAuthorized", 9)


def test_another_card_does_not_stop_a_session_unless_it_is_of_the_same_group():
    station = Station()
    group = {"idTagInfo": {"status": "Accepted", "parentIdTag": "GROUP"}}
    station.answers |= {"Authorize": group, "StartTransaction": {"transactionId": 1, **group}}
    session = station.charge(token="ONE")
    with pytest.raises(DriverError, match="another token"):
        station.tap("TWO")
    drivers.authorize(station.point, "TWO", lambda known: None)
    station.exchange()
    assert station.tap("TWO") == "Accepted"
    (stop,) = station.payloads("StopTransaction")
    assert (session.reason, stop["idTag"]) == ("Local", "TWO")


def test_a_token_waits_for_a_car_as_long_as_the_connection_timeout():
    station = Station()
    station.take()
    assert station.tap() == "Accepted"
    assert station.statuses() == ["Preparing"]
    station.wait(61)
    assert station.statuses() == ["Available"]
    station.tap()
    station.plug()
    assert station.statuses() == ["Preparing", "Charging"]


def test_a_session_goes_on_offline_and_everything_is_sent_afterwards():
    station = Station()
    station.charge()
    station.take()
    station.disconnect()
    station.wait(180)
    drivers.stop(station.point, station.point.connectors[1])
    assert station.take() == []
    station.connect()
    sent = station.take()
    assert [a for a, _ in sent] == [
        *("StatusNotification", "StatusNotification"),
        *("MeterValues", "MeterValues", "MeterValues", "StopTransaction"),
    ]
    times = [p["meterValue"][0]["timestamp"] for a, p in sent if a == "MeterValues"]
    assert times == sorted(times)
    assert times[0] == "2026-03-01T10:02:00.000Z"


def start_frames(station):
    """Send what waits; return the frames of starts among it, not answered."""
    frames = []
    while station.point.calls.outgoing:
        frame = json.loads(station.point.calls.outgoing.popleft())
        if frame[2] == "StartTransaction":
            frames.append(frame)
        else:
            station.point.receive(json.dumps([3, frame[1], {}]))
    return frames


def test_a_start_without_an_answer_is_sent_again_as_it_was():
    station = Station()
    station.plug()
    drivers.accept(station.point, station.point.connectors[1], drivers.Token("CARD"))
    (first,) = start_frames(station)
    station.disconnect()
    station.wait(30)
    station.connect()
    (again,) = station.payloads("StartTransaction")
    assert again == first[3]


def test_what_concerns_money_is_tried_again_after_an_error_each_time_later():
    station = Station()
    station.plug()
    point = station.point
    drivers.accept(point, point.connectors[1], drivers.Token("CARD"))
    for attempt in (1, 2, 3):
        (frame,) = start_frames(station)
        point.receive(json.dumps([4, frame[1], "InternalError", "", {}]))
        station.clock.seconds += attempt - 0.1
        point.timers.run_due()
        assert start_frames(station) == []
        station.clock.seconds += 0.2
        point.timers.run_due()
    station.exchange()
    assert point.report.sessions[0].transaction_id == 1


@pytest.mark.parametrize("answer", [{}, [], None, "yes", {"transactionId": "seven"}])
def test_an_answer_that_cannot_be_read_is_asked_for_again(answer):
    station = Station()
    right = station.answer_to
    wrong = [answer, answer]
    station.answer_to = lambda action: (
        wrong.pop() if action == "StartTransaction" and wrong else right(action)
    )
    station.charge()
    station.wait(60)
    assert not wrong
    assert station.point.report.sessions[0].transaction_id == 1
    assert len(station.violations) == 2


@pytest.mark.parametrize("text", ["", "{}", "[]", "[3]", "[3,1]", "[2,1]", "nonsense", "[9,1,2]"])
def test_what_is_no_frame_is_passed_over_and_noted(text):
    station = Station()
    station.point.receive(text)
    station.exchange()
    assert len(station.violations) == 1
    station.plug()
    assert station.tap() == "Accepted"


def test_every_change_of_state_is_one_the_standard_allows():
    station = Station(connectors=2)
    for _ in range(3):
        station.charge()
        station.call("ChangeAvailability", connectorId=1, type="Inoperative")
        station.call("UnlockConnector", connectorId=1)
        station.unplug()
        station.call("ChangeAvailability", connectorId=1, type="Operative")
        station.tap()
        station.wait(100)
        station.call(
            "ReserveNow",
            connectorId=1,
            reservationId=1,
            idTag="CARD",
            expiryDate="2026-03-02T10:00:00Z",
        )
        station.charge()
        drivers.fault(station.point, station.point.connectors[1], "GroundFailure")
        station.exchange()
        station.unplug()
        drivers.clear_fault(station.point, station.point.connectors[1])
        station.exchange()
    statuses = [Status(s) for s in station.statuses()]
    assert len(statuses) > 20
    for before, after in itertools.pairwise(statuses):
        assert before is after or after in TRANSITIONS[before] or after is Status.FAULTED


def test_a_boot_that_is_no_longer_accepted_is_tried_again():
    station = Station()
    station.answers["BootNotification"] = {**station.answers["BootNotification"]}
    station.answers["BootNotification"] |= {"status": "Rejected", "interval": 10}
    station.call("TriggerMessage", requestedMessage="BootNotification")
    assert not station.point.online
    station.answers["BootNotification"]["status"] = "Accepted"
    station.wait(11)
    assert station.point.online


@pytest.mark.parametrize("replays", [False, True])
def test_states_that_it_had_while_it_was_away_are_sent_only_as_a_deviation(replays):
    station = Station(replays=replays)
    station.take()
    station.disconnect()
    station.plug()
    station.wait(10)
    station.unplug()
    station.connect()
    sent = [p for p in station.payloads("StatusNotification") if p["connectorId"] == 1]
    missed = ["Preparing", "Available"] if replays else []
    assert [p["status"] for p in sent] == [*missed, "Available"]
    assert [p["timestamp"] for p in sent] == sorted(p["timestamp"] for p in sent)


def test_a_car_takes_no_more_than_its_battery_holds():
    car = Car(battery_wh=1000, state_of_charge=0.9, max_power_w=11_000)
    assert car.charge(100_000) == pytest.approx(100)
    assert car.full
    assert car.power_w() == 0


def test_the_boot_is_tried_again_as_its_answer_says():
    station = Station(connect=False)
    station.answers["BootNotification"] = {
        "status": "Pending",
        "interval": 10,
        "currentTime": "2026-03-01T10:00:00Z",
    }
    station.connect()
    assert [a for a, _ in station.take()] == ["BootNotification"]
    assert station.status("RemoteStartTransaction", idTag="APP") == "Rejected"
    station.answers["BootNotification"]["status"] = "Accepted"
    station.wait(11)
    assert [a for a, _ in station.take()] == ["BootNotification", *["StatusNotification"] * 2]
    station.answers["Heartbeat"] = {"currentTime": "2026-03-01T10:00:00Z"}
    station.wait(25)
    assert [a for a, _ in station.take()].count("Heartbeat") == 2
