"""Whatever an import takes and a session does: each message that goes out is right by the standard.

The tables are as wild as the imports allow, of many EVSEs and with every form of price.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging import master_data
from charging import price as prices
from charging.delivery import Queue
from charging.evse import EvseState
from charging.session import StopCause
from charging.time_zone import zone_of
from tests.oicp_standard import faults
from third_party_backend.oicp import calls, catalogue, records
from third_party_backend.oicp.calls import Action, Operator
from third_party_backend.oicp.identification import of_uid
from third_party_backend.oicp.records import Charged, HubSession, RecordError
from third_party_backend.oicp.status import evse_status
from third_party_backend.relay.database import dump
from third_party_backend.relay.planning.prices import default_prices

OPERATOR = Operator("DE*VNI", "VNI")
OPERATIONS = {
    Queue.EVSE_DATA: "evse-data",
    Queue.EVSE_STATUS: "evse-status",
    Queue.NOTIFICATION: "notification",
    Queue.CHARGE_DETAIL_RECORD: "cdr",
    Queue.PRICING_PRODUCTS: "pricing-products",
    Queue.EVSE_PRICING: "evse-pricing",
}

# A line of text as operators type it, and what they should not type.
LINE = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=160)
WILD = st.one_of(
    st.text(max_size=200), st.integers(-5, 3000), st.booleans(), st.floats(-1, 2100),
    st.sampled_from(["0", "-1", "1e3", "NaN", "24:00", "EUX", "en-gb", "x" * 60, "None;None"]),
)  # fmt: skip


def words(*those):
    """Some of these words, as they stand in a cell."""
    return st.lists(st.sampled_from(those), min_size=1, max_size=3).map(";".join)


def line(longest, shortest=1):
    return LINE.map(lambda text: (text.strip() + "xx")[: max(longest, shortest)])


PLUGS = ["Type 2 Outlet", "type 2 outlet", "CHAdeMO", "CCS Combo 2 Plug (Cable Attached)"]
CELLS = {
    "charging_point": st.just("CP1"),
    "evse_number": st.integers(1, 99),
    "evse_id": st.from_regex(r"DE\*?VNI\*?E[A-Za-z0-9*]{1,30}", fullmatch=True),
    "name": line(150),
    "language": st.sampled_from([None, "en", "de", "en-GB", "deu"]),
    "country": st.sampled_from(["DEU", "FRA", "NLD"]),
    "city": line(50),
    "street": line(100, 2),
    "house_number": line(10),
    "postal_code": line(10),
    "time_zone": st.sampled_from([None, "UTC+01:00", "Europe/Berlin", "America/St_Johns", "CET"]),
    "latitude": st.decimals("-90", "90", places=6).map(str),
    "longitude": st.decimals("-180", "180", places=6).map(str),
    "station_id": st.one_of(st.none(), line(50)),
    "plugs": words(*PLUGS),
    "power_type": st.sampled_from(["AC_1_PHASE", "AC_3_PHASE", "DC", "dc"]),
    "power_kw": st.sampled_from(["0.1", "0.4", "3.7", "7.4", "22", "350", "998.999", "999"]),
    "voltage_v": st.one_of(st.none(), st.integers(1, 999)),
    "current_a": st.one_of(st.none(), st.integers(1, 2000)),
    "renewable_energy": st.one_of(st.none(), st.booleans()),
    "calibration_law": st.sampled_from([None, "Local", "External", "not available"]),
    "authentication_modes": st.one_of(st.none(), words("REMOTE", "pnc", "NFC RFID DESFire")),
    "payment_options": st.one_of(st.none(), words("No Payment", "Direct", "Contract")),
    "value_added_services": st.one_of(st.none(), words("None", "Reservation", "RoofProvided")),
    "accessibility": st.sampled_from([None, "Test Station", "restricted access"]),
    "hotline": st.sampled_from(["+4943112345", "+12345"]),
    "opening": st.one_of(
        st.sampled_from([None, "24/7", "Everyday 00:00-24:00"]),
        words("Workdays 06:00-22:00", "Saturday 8:00-12:00", "Weekend 08:00-20:00"),
    ),
    "prices": st.sampled_from([None, "AC", "AC;DC"]),
    "calibration_certificate": st.one_of(st.none(), line(100)),
    "signature_public_key": st.one_of(st.none(), line(1000)),
    "signature_url": st.one_of(st.none(), line(100)),
    "signature_format": st.one_of(st.none(), line(50)),
    "signature_instruction": st.one_of(st.none(), line(400)),
}
PRICE = st.decimals("0", "90", places=4).map(str)
FEES = ("start_fee", "fixed_fee", "parking_fee_per_minute", "minimum_fee", "maximum_fee")
PRICE_CELLS = {
    "product_id": line(50),
    "provider_id": st.sampled_from([None, "*", "DE-EMP", "de*emp", "DEEMP"]),
    "currency": st.sampled_from(["EUR", "CHF", "USD", "HUF"]),
    "unit": st.sampled_from([None, "KILOWATT_HOUR", "HOUR", "MINUTE", "minute"]),
    "price": PRICE,
    "max_power_kw": st.sampled_from(["0.1", "3.7", "22", "350", "999"]),
    **{fee: st.one_of(st.none(), PRICE) for fee in FEES},
    "is_default": st.sampled_from([None, False, True]),
}


def table(cells):
    """A table as JSON: rows that are right to the edges, but for two cells at most."""
    row = st.builds(
        lambda right, changes: {**right, **changes},
        st.fixed_dictionaries(cells),
        st.dictionaries(st.sampled_from(list(cells)), WILD, max_size=2),
    )
    return st.lists(row, min_size=1, max_size=6).map(
        lambda rows: json.dumps([without_empty(row) for row in rows])
    )


def without_empty(row):
    return {name: cell for name, cell in row.items() if cell is not None}


def right_rows(read, text):
    """Return the rows that an import finds no fault with."""
    rows, wrong = read(text)
    bad = {fault.row for fault in wrong}
    return [row for number, row in rows if number not in bad]


def sent(queue, payloads, action=Action.FULL_LOAD):
    """Return what goes over the wire, read back."""
    return json.loads(dump(calls.push(queue, OPERATOR, action, payloads).body))


def assert_right(queue, payloads, action=Action.FULL_LOAD):
    assert faults(OPERATIONS[queue], sent(queue, payloads, action)) == []


@settings(max_examples=100, deadline=None)
@given(table(CELLS), st.sampled_from(Action))
def test_every_evse_that_an_import_takes(text, action):
    rows = right_rows(master_data.read_evses, text)
    written = [
        catalogue.evse_record(row["evse_id"], master_data.details(row))
        for row in rows
        if row.get("evse_id")
    ]
    assert_right(Queue.EVSE_DATA, written, action)
    for row in rows:
        record = charge_detail_record(verification=catalogue.verification(master_data.details(row)))
        assert faults("cdr", record) == []


def test_of_those_rows_many_are_taken():
    """Else the tests above would show nothing."""
    seen = 0

    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(table(CELLS))
    def count(text):
        nonlocal seen
        seen += len(right_rows(master_data.read_evses, text))

    count()
    assert seen > 10


@settings(max_examples=100, deadline=None)
@given(table(PRICE_CELLS), st.sampled_from(Action))
def test_every_price_that_an_import_takes(text, action):
    rows = [
        (row["provider_id"], row["product_id"], prices.details(row))
        for row in right_rows(prices.read_prices, text)
    ]
    defaults = default_prices(rows)
    for provider, product, details in rows:
        payload = {
            "provider": provider,
            "default": catalogue.default_price(defaults[provider]),
            "record": catalogue.product_record(product, details),
        }
        assert_right(Queue.PRICING_PRODUCTS, [payload], action)
        priced = catalogue.evse_pricing("DE*VNI*E1", provider, [product])
        assert_right(Queue.EVSE_PRICING, [priced], action)


@pytest.mark.parametrize("state", EvseState)
def test_every_status(state):
    assert_right(Queue.EVSE_STATUS, [catalogue.status_record("DE*VNI*E1", evse_status(state))])


SESSION = HubSession(
    str(uuid.uuid4()), "DE*VNI*E1", of_uid("04A1B2C3"), "ours", None, zone=zone_of("Europe/Berlin")
)
NOW = datetime(2026, 10, 25, 1, tzinfo=UTC)


def charge_detail_record(session=SESSION, **more):
    facts = {
        "started_at": NOW - timedelta(hours=1),
        "meter_start_wh": 1000,
        "ended_at": NOW,
        "meter_stop_wh": 2500,
    }
    return json.loads(dump(records.charge_detail_record(session, Charged(**{**facts, **more}))))


SESSIONS = st.builds(
    HubSession,
    hub_session_id=st.uuids().map(str),
    evse_id=st.sampled_from(["DE*VNI*E1", "DEVNIE1*1", "+49*822*483*1"]),
    identification=st.sampled_from(
        [
            of_uid("04A1B2C3"),
            {"RemoteIdentification": {"EvcoID": "DE-EMP-C00000001-X"}},
            {"RFIDIdentification": {"UID": "04A1B2C3D4E5F6", "RFID": "mifareCls"}},
            {"QRCodeIdentification": {"EvcoID": "DE*8EO*Aet5e4*3"}},
        ]
    ),
    cpo_partner_session_id=st.uuids().map(str),
    emp_partner_session_id=st.one_of(st.none(), st.text(max_size=250)),
    hub_spelling=st.one_of(st.none(), st.uuids().map(lambda name: str(name).upper())),
    product_id=st.one_of(st.none(), st.text(max_size=100)),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "UTC-11:00", "UTC+14:00"]
    ).map(zone_of),
)
MOMENTS = st.integers(1_700_000_000, 1_900_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))
SIGNED = st.lists(
    st.tuples(st.sampled_from(["begin", "between", "end"]), st.text(max_size=40)), max_size=15
)


@settings(max_examples=100, deadline=None)
@given(
    SESSIONS, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=31)), st.integers(0, 10**9),
    st.integers(0, 1_000_000), st.lists(st.integers(0, 10**9), max_size=20), SIGNED,
    st.sampled_from(StopCause),
)  # fmt: skip
def test_every_message_of_a_session(session, begun, took, meter, energy, readings, signed, cause):
    charged = Charged(
        begun,
        meter,
        begun + took,
        meter + energy,
        cause,
        sorted(readings),
        records.signed_values(signed),
        {"PublicKey": "04AB"},
    )
    written = [
        records.start_notification(session, "DE*VNI", begun, meter),
        records.progress_notification(
            session, "DE*VNI", begun, meter, begun + took, meter + energy
        ),
        records.end_notification(session, "DE*VNI", charged),
        records.error_notification(session, "DE*VNI", "x" * 300, critical=cause.broken_off),
    ]
    for notification in written:
        assert_right(Queue.NOTIFICATION, [notification])
    assert_right(Queue.CHARGE_DETAIL_RECORD, [records.charge_detail_record(session, charged)])
    empty = records.empty_record(session, begun, begun + took)
    assert_right(Queue.CHARGE_DETAIL_RECORD, [empty])


@pytest.mark.parametrize("evse_id", [None, "DE*VNI*E1"])
@pytest.mark.parametrize("uid", ["04A1B2C3", "04A1B2C3D4E5F6", "04A1B2C3D4E5F6A7B8C9"])
def test_every_question_about_a_card(uid, evse_id):
    start = calls.authorize_start(OPERATOR, uid, evse_id, "ours")
    assert faults("authorize-start", start.body) == []
    stop = calls.authorize_stop(OPERATOR, uid, evse_id, SESSION.hub_session_id, "ours")
    assert faults("authorize-stop", stop.body) == []


def test_no_energy_has_a_fourth_decimal():
    record = charge_detail_record(meter_start_wh=999, meter_stop_wh=1001)
    assert Decimal(str(record["ConsumedEnergy"])) == Decimal("0.002")
    with pytest.raises(RecordError):
        charge_detail_record(meter_stop_wh=2_000_000_000)
