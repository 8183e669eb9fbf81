"""Records and notifications are right, or are not written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.evse import EvseState
from charging.time_zone import zone_of
from third_party_backend.oicp import records
from third_party_backend.oicp.records import Charged, HubSession, RecordError
from third_party_backend.oicp.status import evse_status

START = datetime(2026, 1, 1, 10, tzinfo=UTC)
SESSION = HubSession(
    "b2688855-7f00-0002-6d8e-48d883f6abb6",
    "DE*VNI*E1",
    {"RemoteIdentification": {"EvcoID": "DE-DCB-C12345678-X"}},
    "ours",
    None,
)


def charged(start=1000, stop=2234, minutes=60, **more):
    return Charged(START, start, START + timedelta(minutes=minutes), stop, **more)


@given(st.integers(0, 10**9), st.integers(0, 1_000_000))
def test_energy_is_exactly_the_difference_of_the_meter(start, energy):
    record = records.charge_detail_record(SESSION, charged(start, start + energy))
    assert record["ConsumedEnergy"] == record["MeterValueEnd"] - record["MeterValueStart"]
    assert record["ConsumedEnergy"] == Decimal(energy) / 1000
    assert -record["ConsumedEnergy"].as_tuple().exponent <= 3


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (charged(2000, 1000), "backwards"),
        (charged(-5, 1000), "below zero"),
        (charged(0, 1_000_001), "more than the 1000"),
        (charged(minutes=-1), "before it began"),
    ],
)
def test_what_would_be_wrong_is_not_written(what, message):
    with pytest.raises(RecordError, match=message):
        records.charge_detail_record(SESSION, what)


def test_a_connector_without_a_name_cannot_be_billed():
    nameless = HubSession("s", None, {}, "ours", None)
    with pytest.raises(RecordError, match="evses import"):
        records.charge_detail_record(nameless, charged())


def test_readings_between_rise_and_are_not_too_many():
    read = [1000, 1100, 1050, 1200, 5000]
    record = records.charge_detail_record(SESSION, charged(readings_wh=read))
    assert record["MeterValueInBetween"] == {"meterValues": [Decimal("1.100"), Decimal("1.200")]}
    many = charged(0, 100_000, readings_wh=list(range(1, 99_999, 7)))
    values = records.charge_detail_record(SESSION, many)["MeterValueInBetween"]["meterValues"]
    assert len(values) == records.MAX_READINGS
    assert values == sorted(values)


def test_a_clock_that_is_ahead_is_waited_for_or_refused():
    now = START + timedelta(minutes=58)
    assert records.due(charged(), now) == START + timedelta(minutes=60)
    assert records.due(charged(), START + timedelta(hours=2)) == START + timedelta(hours=2)
    with pytest.raises(RecordError, match="future"):
        records.due(charged(), START)


def test_progress_counts_milliseconds():
    word = records.progress_notification(
        SESSION, "DE*VNI", START, 1000, START + timedelta(minutes=5), 1500
    )
    assert word["ChargingDuration"] == 300_000
    assert word["ConsumedEnergyProgress"] == Decimal("0.500")


def test_a_fault_is_sent_as_an_error():
    word = records.error_notification(SESSION, "DE*VNI", "x" * 300, critical=True)
    assert word["ErrorType"] == "CriticalError"
    assert len(word["ErrorAdditionalInfo"]) == 250


LONG = "x" * 3001


def test_signed_readings_are_few_and_in_order():
    samples = [
        ("begin", "a"),
        *(("between", str(n)) for n in range(20)),
        ("between", LONG),
        ("end", "z"),
    ]
    chosen = records.signed_values(samples)
    assert len(chosen) == 10
    assert [status for status, _ in chosen] == ["Start", *["Progress"] * 8, "End"]


@pytest.mark.parametrize(
    "samples", [[("begin", "a"), ("end", LONG)], [("begin", LONG), ("end", "z")]]
)
def test_of_signed_readings_that_do_not_fit_all_are_left_out_or_the_record_waits(samples):
    assert records.signed_values([*samples, ("between", "m")]) == []
    with pytest.raises(RecordError, match="3001 characters"):
        records.signed_values(samples, demanded=True)


def test_signed_readings_come_with_what_they_are_verified_by():
    signed = [("Start", "a"), ("End", "z")]
    how = {"PublicKey": "04AB"}
    record = records.charge_detail_record(SESSION, charged(signed=signed, verification=how))
    assert record["CalibrationLawVerificationInfo"] == how
    record = records.charge_detail_record(SESSION, charged(verification=how))
    assert "CalibrationLawVerificationInfo" not in record


@pytest.mark.parametrize(
    ("zone", "moment", "written"),
    [
        ("Europe/Berlin", datetime(2026, 7, 1, 10, tzinfo=UTC), "2026-07-01T12:00:00.000+02:00"),
        ("Europe/Berlin", datetime(2026, 1, 1, 10, tzinfo=UTC), "2026-01-01T11:00:00.000+01:00"),
        ("UTC-03:30", datetime(2026, 1, 1, 10, tzinfo=UTC), "2026-01-01T06:30:00.000-03:30"),
        ("UTC", datetime(2026, 1, 1, 10, tzinfo=UTC), "2026-01-01T10:00:00.000Z"),
    ],
)
def test_times_have_the_offset_of_the_place(zone, moment, written):
    assert replace(SESSION, zone=zone_of(zone)).time(moment) == written


def test_what_the_hub_called_it_comes_back():
    session = replace(SESSION, hub_spelling=SESSION.hub_session_id.upper(), product_id="AC1")
    record = records.charge_detail_record(session, charged())
    start = records.start_notification(session, "DE*VNI", START, 1000)
    for message in (record, start):
        assert message["SessionID"] == SESSION.hub_session_id.upper()
        assert message["PartnerProductID"] == "AC1"


@pytest.mark.parametrize("state", list(EvseState))
def test_the_status_of_an_evse(state):
    expected = {
        EvseState.UNKNOWN: "Unknown",
        EvseState.AVAILABLE: "Available",
        EvseState.RESERVED: "Reserved",
        EvseState.UNAVAILABLE: "OutOfService",
        EvseState.FAULTED: "OutOfService",
    }
    assert evse_status(state) == expected.get(state, "Occupied")
