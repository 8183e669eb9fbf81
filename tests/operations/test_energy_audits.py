"""Audits against a real database: each kind of line, and the chain of reports."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from charging.database.audit import Asker
from operations import energy_audits, session_ends
from operations.command_line.main import main
from operations.errors import InvalidError
from tests.rows import (
    add_charging_point,
    add_evse,
    add_hub_session,
    add_reading,
    add_session,
    add_token,
    insert,
)

BY = Asker("Ada", "tests")
DAY = date(2026, 1, 1)
BEGAN = datetime(2026, 1, 1, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def registered(database):
    add_charging_point(database)
    add_token(database, "TAG")


def add(database, start, stop, *, hour=0.0, **columns):
    """A session of an hour; stop None: it charges."""
    began = BEGAN + timedelta(hours=hour)
    row = {"started_at": began, "meter_start_wh": start, "start_decision": "accepted"}
    if stop is None:
        return add_session(database, state="charging", **row, **columns)
    ended = {"ended_at": began + timedelta(hours=1), "meter_stop_wh": stop}
    return add_session(database, **{**row, **ended, **columns})


def add_record(database, name, state="delivered", wh=1000, **columns):
    insert(
        database,
        "deliveries",
        **{
            "queue": "charge-detail-record",
            "key": name,
            "hub_session_id": name,
            "state": state,
            "payload": None if wh is None else {"ConsumedEnergy": wh / 1000},
            **columns,
        },
    )


def audit(database, **options):
    made = energy_audits.make(database, DAY, **options).audit
    assert made.balances
    return made


def lines(made):
    return [(" ".join(line.findings), line.unbilled_wh, line.alarm) for line in made.lines]


def test_sessions_that_follow_each_other_and_are_billed_need_no_line(database):
    add(database, 0, 1000)
    number = add(database, 1000, 3000, hour=2, id_tag="CARD")
    add_hub_session(database, "one", session_id=number, state="ended")
    add_record(database, "one", wh=2000)
    made = audit(database)
    assert (made.sessions, made.metered_wh, made.billed_wh, made.lines) == (2, 3000, 3000, ())


@pytest.mark.parametrize(
    ("second", "line"),
    [
        pytest.param((1500, 2000), ("gap", 500, True), id="gap"),
        pytest.param((1050, 2000), ("gap", 50, False), id="small gap"),
        pytest.param((800, 2000), ("overlap", -200, True), id="overlap"),
        pytest.param((1000, 1000), ("empty", 0, False), id="empty"),
        pytest.param((1000, 2_000_000), ("implausible", 0, True), id="absurd"),
        pytest.param((1000, 50), ("backwards", 0, True), id="backwards"),
    ],
)
def test_a_register_that_does_not_go_on_is_a_line(database, second, line):
    add(database, 0, 1000)
    add(database, *second, hour=2)
    assert line in lines(audit(database))


def test_what_is_missing_is_worth_its_price_where_one_is_known(database):
    add(database, 0, 1000)
    add(database, 1500, 2000, hour=2)
    assert [line.worth for line in audit(database).lines] == [""]
    tariff = {"currency": "CHF", "periods": [{"per_kwh": "9"}, {"per_kwh": "0.30"}]}
    insert(database, "tariffs", name="default", valid_from=BEGAN, details=tariff)
    assert [line.worth for line in audit(database).lines] == ["0.15 CHF"]
    add_evse(database)
    insert(database, "evse_details", charging_point_id="CP1", evse_number=1,
           details={"prices": ["AC"]})  # fmt: skip
    price = {"currency": "EUR", "unit": "KILOWATT_HOUR", "price": "0.41"}
    for unit, product in (("MINUTE", "AAA"), ("KILOWATT_HOUR", "AC")):
        insert(database, "price_products", product_id=product, provider_id="*",
               details={**price, "unit": unit})  # fmt: skip
    assert [line.worth for line in audit(database).lines] == ["0.21 EUR"]


def test_a_gap_to_the_day_before_and_to_the_readings_afterwards(database):
    add(database, 0, 1000, hour=-20)
    number = add(database, 1200, 2000)
    add_reading(database, number, 2300, sampled_at=BEGAN + timedelta(hours=2))
    add_reading(database, None, 2400, sampled_at=BEGAN + timedelta(hours=3))
    assert lines(audit(database)) == [("gap", 200, True), ("gap", 400, True)]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"presumed": "restart", "end_final_at": BEGAN}, ("presumed", 0, False)),
        ({"presumed": "restart", "end_final_at": None}, ("not_final", 1000, False)),
        ({"start_decision": "blocked"}, ("nobody_pays", 1000, True)),
        ({"id_tag": "STRANGER"}, ("nobody_pays", 1000, True)),
    ],
)
def test_a_session_that_is_not_simply_billed_is_a_line(database, columns, line):
    add(database, 0, 1000, **columns)
    assert lines(audit(database)) == [line]


def test_reports_that_have_not_come_are_a_line_until_they_have(database):
    number = add(database, 0, 1000, station_session="tx", sequences="{[1,3),[5,7)}")
    (line,) = audit(database).lines
    assert (line.findings, line.alarm) == (("reports_missing",), False)
    assert "its reports [3,5) have not come" in line.facts
    database.execute("UPDATE sessions SET doubts = '{start}' WHERE session_id = %s", [number])
    (line,) = audit(database).lines
    assert "its reports [0,1),[3,5) have not come" in line.facts
    database.execute("UPDATE sessions SET doubts = '{}', sequences = '{[0,7)}'")
    assert audit(database).lines == ()


def test_the_register_of_an_event_that_names_no_session_is_read(database):
    def register(*samples):
        payload = json.dumps({"meterValue": [{"sampledValue": [each]} for each in samples]})
        return database.execute("SELECT register_of_fact(%s::jsonb)", [payload]).fetchone()[0]

    kwh = {"unit": "kWh", "multiplier": 0}
    assert register({"value": 1000}, {"value": 2.5, "unitOfMeasure": kwh}) == 2500
    assert register({"value": 25, "unitOfMeasure": {"unit": "Wh", "multiplier": 2}}) == 2500
    assert register({"value": 7, "phase": "L1"}, {"value": 7, "measurand": "Voltage"}) is None
    assert register({"value": "text"}, {"value": 1e300}) is None
    assert register() is None


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (None, ("no_record", 1000, True)),
        ({"state": "waiting"}, ("record_waits", 0, False)),
        ({"state": "parked"}, ("record_parked", 1000, True)),
        ({"state": "parked", "wh": None}, ("record_parked", 1000, True)),
        ({"state": "dropped"}, ("record_dropped", 1000, False)),
        ({"wh": 900}, ("record_differs", 100, True)),
        ({"wh": 1100}, ("record_differs", -100, True)),
        ({"doubtful": True}, ("record_doubtful", 0, True)),
    ],
)
def test_a_record_that_is_not_simply_delivered_is_a_line(database, record, line):
    number = add(database, 0, 1000, id_tag="CARD")
    add_hub_session(database, "one", session_id=number, state="ended")
    if record is not None:
        add_record(database, "one", **record)
    assert lines(audit(database)) == [line]


def test_a_second_record_and_a_correction_are_seen(database):
    number = add(database, 0, 1000, id_tag="CARD")
    add_hub_session(database, "one", session_id=number, state="ended")
    add_record(database, "one")
    add_record(database, "one", "parked", wh=1200, key="one/second")
    session_ends.correct(database, number, "misread", by=BY, meter_stop_wh=1200)
    assert lines(audit(database)) == [("corrected record_differs second_record", 200, True)]


def test_sessions_without_an_end_are_lines_with_what_they_have_so_far(database):
    number = add(database, 0, None)
    add_reading(database, number, 700, sampled_at=BEGAN + timedelta(minutes=30))
    assert lines(audit(database)) == [("endless", 700, True)]
    database.execute("UPDATE sessions SET started_at = now() - interval '1 hour'")
    database.execute("UPDATE meter_values SET sampled_at = now() - interval '30 minutes'")
    made = energy_audits.make(database, datetime.now(UTC).date()).audit
    assert lines(made) == [("in_progress", 700, False)]


def test_ends_without_a_session_wait_for_a_person(database):
    fact = insert(
        database,
        "unassigned_facts",
        charging_point_id="CP1",
        action="StopTransaction",
        payload={"meterStop": 5},
        digest=1,
        received_at=BEGAN,
    )["fact_id"]
    (line,) = audit(database).lines
    assert (line.findings, line.alarm) == (("unassigned",), True)
    assert "register 5 Wh" in line.facts
    session_ends.settle(database, fact, "a test", by=BY)
    assert audit(database).lines == ()


def test_other_days_and_charging_points_are_not_in_it(database):
    add_charging_point(database, "CP2")
    add(database, 0, 1000, id_tag="X")
    add(database, 0, 1000, id_tag="X", charging_point_id="CP2")
    add(database, 1000, 2000, id_tag="X", hour=24)
    assert audit(database).sessions == 2
    assert audit(database, charging_point="CP2").sessions == 1
    assert audit(database, until=date(2026, 1, 3)).sessions == 3
    with pytest.raises(InvalidError):
        audit(database, until=DAY)


# The chain.


@pytest.fixture
def key(tmp_path):
    """A key in a file, and its public half."""
    private = Ed25519PrivateKey.generate()
    file = tmp_path / "key.pem"
    file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file, private.public_key().public_bytes_raw().hex()


def test_a_chain_of_signed_reports_holds_until_one_is_touched(database, key, tmp_path):
    file, public = key
    for _ in range(3):
        energy_audits.make(database, DAY, signing_key=file)
    assert energy_audits.verify(database, public) == []
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    assert len(energy_audits.verify(database, other)) == 3
    touch = "UPDATE energy_audits SET report = replace(report, '0', '1') WHERE audit_number = 2"
    database.execute(touch)
    assert [fault.what for fault in energy_audits.verify(database, public)] == ["it was changed"]
    database.execute("DELETE FROM energy_audits WHERE audit_number = 2")
    assert [fault.audit_number for fault in energy_audits.verify(database, public)] == [3]
    energy_audits.make(database, DAY)
    # one without a signature is none of the owner's
    assert [f.audit_number for f in energy_audits.verify(database, public)] == [3, 4]
    no_key = tmp_path / "none.pem"
    no_key.write_text("no key")
    with pytest.raises(InvalidError):
        energy_audits.make(database, DAY, signing_key=no_key)


def test_it_is_run_from_the_command_line(database, database_url, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*words):
        capsys.readouterr()
        code = main(["audit", *words])
        return code, capsys.readouterr()

    add(database, 0, 1000)
    table = tmp_path / "audit.csv"
    words = ("run", "--day", "2026-01-01", "--csv", str(table), "--metrics", "test")
    code, printed = run(*words)
    assert code == 0
    assert "metered 1000 Wh = billed 1000 Wh + listed 0 Wh" in printed.out
    add(database, 1500, 2000, hour=2)
    code, printed = run(*words)
    assert code == 3
    document = json.loads(printed.err)
    assert (document["EnergyWithoutHome"], document["EnergyAuditAlarms"]) == (500, 1)
    assert table.read_text().splitlines()[1].startswith("2026-01-01,CP1,1,2,gap,500,500,")
    code, printed = run(*words[:3], "--json")
    report = json.loads(printed.out)
    assert (report["metered_wh"], report["listed_wh"], len(report["lines"])) == (2000, 500, 1)
    assert run("verify")[0] == 0
    assert run("list")[0] == 0
    _, printed = run("show", "2026-01-01")
    assert json.loads(printed.out)[-1] == report
    database.execute("UPDATE energy_audits SET report = '{}' WHERE audit_number = 1")
    assert run("verify")[0] == 3
