"""Charging profiles, texts in and texts out: what they make of a charging point's power."""

import pytest

from tests.charging_point_simulator.station import Station


def power(station):
    """What the meter says now."""
    station.take()
    station.call("TriggerMessage", requestedMessage="MeterValues", connectorId=1)
    (reading,) = station.payloads("MeterValues")
    (sample,) = (
        s
        for s in reading["meterValue"][0]["sampledValue"]
        if s["measurand"] == "Power.Active.Import"
    )
    return float(sample["value"])


def profile(number=1, purpose="TxDefaultProfile", periods=((0, 6000),), **more):
    schedule = {
        "chargingRateUnit": more.pop("unit", "W"),
        "chargingSchedulePeriod": [{"startPeriod": s, "limit": w} for s, w in periods],
    }
    for name in ("duration", "startSchedule"):
        if name in more:
            schedule[name] = more.pop(name)
    return {
        "chargingProfileId": number,
        "stackLevel": more.pop("level", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": more.pop("kind", "Relative"),
        "chargingSchedule": schedule,
        **more,
    }


def set_profile(station, connector=1, **more):
    return station.status(
        "SetChargingProfile", connectorId=connector, csChargingProfiles=profile(**more)
    )


def test_a_limit_lowers_power_and_energy():
    station = Station()
    station.charge(max_power_w=11_000)
    assert power(station) == 11_000
    before = station.point.connectors[1].register_wh
    assert set_profile(station, periods=((0, 6000),)) == "Accepted"
    assert power(station) == 6000
    station.wait(3600)
    station.point.settle(station.point.connectors[1])
    assert station.point.connectors[1].register_wh - before == pytest.approx(6000)
    # A profile of the session goes before the default, the charging point's before both.
    assert set_profile(station, number=2, purpose="TxProfile", periods=((0, 8000),)) == "Accepted"
    assert power(station) == 8000
    limit = {"number": 3, "purpose": "ChargePointMaxProfile", "kind": "Absolute"}
    start = "2026-03-01T00:00:00Z"
    assert set_profile(station, 0, **limit, unit="A", periods=((0, 10),), startSchedule=start) == (
        "Accepted"
    )
    assert power(station) == 6900
    assert station.status("ClearChargingProfile", id=3) == "Accepted"
    assert power(station) == 8000
    station.call("ClearChargingProfile", chargingProfilePurpose="TxProfile")
    assert power(station) == 6000
    assert station.status("ClearChargingProfile") == "Accepted"
    assert station.status("ClearChargingProfile") == "Unknown"
    assert power(station) == 11_000


def test_a_limit_of_nothing_suspends():
    station = Station()
    station.charge()
    station.take()
    set_profile(station, periods=((0, 0), (600, 5000)))
    assert station.statuses() == ["SuspendedEVSE"]
    station.wait(600)
    assert station.statuses() == ["Charging"]
    assert power(station) == 5000


def test_schedules_change_power_by_themselves_and_can_be_read_back():
    station = Station()
    set_profile(station, periods=((0, 10_000), (1800, 4000)))
    set_profile(station, number=2, level=1, periods=((0, 7000),), duration=900, kind="Relative")
    station.charge()
    assert power(station) == 7000
    read = {"connectorId": 1, "duration": 3600}
    answer = station.call("GetCompositeSchedule", **read, chargingRateUnit="W")
    periods = answer["chargingSchedule"]["chargingSchedulePeriod"]
    assert periods == [
        {"startPeriod": 0, "limit": 7000},
        {"startPeriod": 840, "limit": 10_000},
        {"startPeriod": 1740, "limit": 4000},
    ]
    answer = station.call("GetCompositeSchedule", **read, chargingRateUnit="A")
    assert answer["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 10.1
    station.wait(841)
    assert power(station) == 10_000
    station.wait(900)
    assert power(station) == 4000
    assert station.status("GetCompositeSchedule", connectorId=9, duration=60) == "Rejected"


def test_a_profile_recurs_daily():
    station = Station()
    set_profile(
        station,
        kind="Recurring",
        recurrencyKind="Daily",
        startSchedule="2026-02-01T00:00:00Z",
        periods=((0, 4000), (36_000 + 600, 9000), (36_000 + 1200, 4000)),
    )
    station.charge(battery_wh=1_000_000)
    assert power(station) == 4000
    station.wait(600)
    assert power(station) == 9000
    station.wait(600)
    assert power(station) == 4000
    station.wait(86_400 - 600)
    assert power(station) == 9000


@pytest.mark.parametrize(
    ("connector", "wrong"),
    [
        (1, {"purpose": "ChargePointMaxProfile"}),
        (1, {"purpose": "TxProfile"}),  # there is no session
        (1, {"level": 99}),
        (1, {"periods": ((60, 6000),)}),
        (9, {}),
    ],
)
def test_profiles_that_cannot_be_are_rejected(connector, wrong):
    assert set_profile(Station(), connector, **wrong) == "Rejected"


def test_there_is_an_end_to_profiles_but_one_can_be_replaced():
    station = Station()
    for number in range(20):
        place = {"number": number, "level": number % 10, "connector": number // 10}
        assert set_profile(station, **place) == "Accepted"
    assert set_profile(station, number=20, level=10) == "Rejected"
    assert set_profile(station, number=5, level=5, periods=((0, 4000),)) == "Accepted"


@pytest.mark.parametrize(
    "wrong", [{"purpose": "TxDefaultProfile"}, {"periods": ((5, 1),)}, {"transactionId": 1}]
)
def test_a_remote_start_brings_a_session_profile_or_is_rejected(wrong):
    station = Station()
    made = profile(**{"purpose": "TxProfile", **wrong})
    start = station.status("RemoteStartTransaction", idTag="APP", chargingProfile=made)
    assert start == "Rejected"


def test_a_session_profile_ends_with_its_session():
    station = Station()
    station.call(
        "RemoteStartTransaction",
        connectorId=1,
        idTag="APP",
        chargingProfile=profile(purpose="TxProfile", periods=((0, 5000),)),
    )
    station.plug()
    station.wait(60)
    assert power(station) == 5000
    station.call("RemoteStopTransaction", transactionId=1)
    station.unplug()
    station.charge()
    assert power(station) == 11_000
