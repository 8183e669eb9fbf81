"""Bills against a real database: booked once, corrected beside, closed by month."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest

from charging.database import audit
from charging.database.audit import Asker
from charging.database.connection import rows
from charging.tariff_table import details, read_tariffs
from operations import bills, energy_audits, session_ends, tariffs
from operations.bill_documents import as_csv, as_page
from operations.command_line.main import main
from operations.errors import ConflictError, InvalidError, NotFoundError, TableFaultsError
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
DAY = date(2026, 1, 31)
JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)
BEGAN = datetime(2026, 1, 31, 20, tzinfo=UTC)
TARIFFS = (
    "tariff,valid_from,currency,tax_percent,session_fee,hours,price_per_kwh\n"
    "default,2026-01-01,EUR,19,0,,0.40\n"
    "staff,2026-01-01,EUR,19,0.25,,0.20\n"
    "staff,2026-01-01,,,,22:00-06:00,0.10\n"
)


@pytest.fixture(autouse=True)
def sold(database):
    """A charging point in Berlin, three cards, two of which are a group, and what they pay."""
    add_charging_point(database, time_zone="Europe/Berlin")
    add_token(database, "TAG")
    add_token(database, "ONE", parent_id_tag="STAFF")
    add_token(database, "TWO", parent_id_tag="STAFF", tariff="staff")
    assert tariffs.import_table(database, TARIFFS, by=BY) == 2


def add(database, wh=10_000, *, hour=0.0, start=0, hours=1, **columns):
    """A session that begins at 21:00 in Berlin on the last of January, or hours later."""
    began = BEGAN + timedelta(hours=hour)
    row = {
        "started_at": began,
        "ended_at": began + timedelta(hours=hours),
        "meter_start_wh": start,
        "meter_stop_wh": start + wh,
        "start_decision": "accepted",
    }
    return add_session(database, **{**row, **columns})


def entry(database, number):
    (found,) = bills.of_session(database, number)
    return found


def sums(found):
    return [(each.holder, each.sessions, each.energy_wh, each.net, each.tax) for each in found]


def test_sessions_of_our_cards_are_booked_once_each_by_the_tariff_of_its_card(database):
    number = add(database)
    add(database, hour=2, start=10_000, id_tag="ONE")
    staff = add(database, hour=0.5, id_tag="TWO", evse_number=2)
    add_reading(database, staff, 9_000, sampled_at=BEGAN + timedelta(hours=1), evse_number=2)
    assert bills.preview(database, staff).net == 25 + 180 + 10
    for charges in (3, 0):
        booked = bills.book(database)
        assert (booked.charges, booked.corrections, booked.waiting) == (charges, 0, [])
    first = entry(database, number)
    assert (first.kind, first.energy_wh, first.net, first.tax) == ("charge", 10_000, 400, 76)
    assert first.steps == [
        {"what": "energy", "period": "", "quantity": 10_000, "price": "0.40", "net": "4.000000"}
    ]
    # It began at 23:00 on the last of January and ended in February, in Berlin.
    assert sums(bills.of_month(database, JANUARY)) == [
        ("STAFF", 1, 10_000, 215, 41),
        ("TAG", 1, 10_000, 400, 76),
    ]
    assert sums(bills.of_month(database, FEBRUARY)) == [("STAFF", 1, 10_000, 400, 76)]


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "charging", "ended_at": None, "meter_stop_wh": None},
        {"presumed": "restart", "end_final_at": None},
        {"start_decision": "blocked"},
        {"id_tag": "UNKNOWN"},
        {"id_tag": ""},
    ],
)
def test_what_no_card_of_ours_pays_or_does_not_count_yet_is_not_booked(database, columns):
    number = add(database, **columns)
    booked = bills.book(database)
    assert (booked.charges, booked.waiting) == (0, [])
    with pytest.raises(ConflictError):
        bills.charge(database, number, "all the same", by=BY)


def test_the_hub_is_not_billed_here(database):
    number = add(database)
    add_hub_session(database, "one", session_id=number, state="ended")
    assert bills.book(database).charges == 0


def test_a_correction_is_an_entry_of_the_difference(database):
    number = add(database)
    bills.book(database)
    session_ends.correct(database, number, "misread", by=BY, meter_stop_wh=6_000)
    made = energy_audits.make(database, DAY).audit
    assert (made.metered_wh, made.billed_wh, made.listed_wh) == (6_000, 10_000, -4_000)
    assert [line.findings for line in made.lines] == [("corrected", "bill_differs")]
    for corrections in (1, 0):
        booked = bills.book(database)
        assert (booked.charges, booked.corrections) == (0, corrections)
    first, second = bills.of_session(database, number)
    assert (first.energy_wh, first.net) == (10_000, 400)
    assert (second.kind, second.energy_wh, second.net, second.tax, second.reason) == (
        "correction",
        -4_000,
        -160,
        -30,
        "misread",
    )
    assert sums(bills.of_month(database, JANUARY)) == [("TAG", 1, 6_000, 240, 46)]
    assert energy_audits.make(database, DAY).audit.listed_wh == 0


def test_a_closed_month_is_never_added_to(database):
    number = add(database)
    add(database, hour=-2, id_tag="ONE")
    bills.book(database)
    closed = bills.close(database, JANUARY, by=BY)
    assert [(bill.number, bill.holder) for bill in closed] == [(1, "STAFF"), (2, "TAG")]
    late = add(database, 1_000, hour=-9, id_tag="TWO")
    session_ends.correct(database, number, "misread", by=BY, meter_stop_wh=6_000)
    booked = bills.book(database)
    assert (booked.charges, booked.corrections) == (1, 1)
    assert bills.of_month(database, JANUARY) == closed
    assert entry(database, late).month == FEBRUARY
    assert sums(bills.of_month(database, FEBRUARY)) == [
        ("STAFF", 1, 1_000, 45, 9),
        ("TAG", 1, -4_000, -160, -30),
    ]
    with pytest.raises(ConflictError):
        bills.close(database, JANUARY, by=BY)
    with pytest.raises(ConflictError, match="2026-02 has to be closed"):
        bills.close(database, date(2026, 3, 1), by=BY)
    assert [bill.number for bill in bills.close(database, FEBRUARY, by=BY)] == [3, 4]
    today = datetime.now(UTC).date()
    with pytest.raises(InvalidError):
        bills.close(database, today.replace(day=1), by=BY)


def test_what_is_not_plausible_waits_until_a_person_books_it(database):
    add_evse(database)
    insert(
        database,
        "evse_details",
        charging_point_id="CP1",
        evse_number=1,
        details={"power_kw": "11"},
    )
    number = add(database, 50_000)
    backwards = add(database, -500, hour=3, start=50_500)
    waiting = {each.session: each.why for each in bills.book(database).waiting}
    assert "more than 11 kW can give" in waiting[number]
    assert "ran backwards" in waiting[backwards]
    with pytest.raises(InvalidError):
        bills.charge(database, number, " ", by=BY)
    booked = bills.charge(database, number, "it is a 50 kW one", by=BY)
    assert (booked.energy_wh, booked.net, booked.reason) == (50_000, 2_000, "it is a 50 kW one")
    with pytest.raises(ConflictError):
        bills.charge(database, number, "twice", by=BY)
    with pytest.raises(NotFoundError):
        bills.charge(database, 999, "why", by=BY)
    assert bills.book(database).charges == 0
    audited = energy_audits.make(database, DAY).audit
    assert (audited.billed_wh, audited.balances) == (50_000, True)
    assert audit.read(database, limit=1)[0].action == "charge_session"


def test_a_session_without_a_tariff_waits_and_is_listed(database):
    add(database, hour=-31 * 24, id_tag="ONE")
    (waiting,) = bills.book(database).waiting
    assert "no tariff 'default' held" in waiting.why
    (line,) = energy_audits.make(database, DAY - timedelta(days=31)).audit.lines
    assert (line.findings, line.unbilled_wh, line.alarm) == (("no_tariff",), 10_000, True)


def test_a_correction_is_priced_and_billed_as_the_session_was(database):
    number = add(database)
    bills.book(database)
    tariffs.assign(database, "TAG", "staff", by=BY)
    database.execute("UPDATE tokens SET parent_id_tag = 'STAFF' WHERE id_tag = 'TAG'")
    session_ends.correct(database, number, "misread", by=BY, meter_stop_wh=6_000)
    bills.book(database)
    assert sums(bills.of_month(database, JANUARY)) == [("TAG", 1, 6_000, 240, 46)]


def test_another_currency_is_billed_beside_and_takes_the_first_back(database):
    (_, tariff), *_ = read_tariffs(TARIFFS)[0]
    swiss = {**details(tariff), "currency": "CHF"}
    insert(database, "tariffs", name="default", valid_from=BEGAN, details=swiss)
    number = add(database)
    bills.book(database)
    earlier = BEGAN - timedelta(hours=1)
    session_ends.correct(database, number, "its clock", by=BY, started_at=earlier)
    bills.book(database)
    assert [(b.currency, b.energy_wh, b.net, b.tax) for b in bills.of_month(database, JANUARY)] == [
        ("CHF", 0, 0, 0),
        ("EUR", 10_000, 400, 76),
    ]


def test_tariffs_are_never_changed(database):
    assert tariffs.import_table(database, TARIFFS, by=BY) == 0
    heading = "tariff,valid_from,currency,tax_percent,price_per_kwh\n"
    with pytest.raises(ConflictError):
        tariffs.import_table(database, f"{heading}default,2026-01-01,EUR,19,0.5\n", by=BY)
    with pytest.raises(InvalidError, match="let it begin later"):
        tariffs.import_table(database, f"{heading}default,2026-02-01,EUR,19,0.5\n", by=BY)
    with pytest.raises(TableFaultsError):
        tariffs.import_table(database, f"{heading}new,2026-02-01,EUR,19,0.5 EUR\n", by=BY)
    later = datetime.now(UTC) + timedelta(days=9)
    table = f"{heading}default,{later.isoformat()},EUR,19,0.5\n"
    assert tariffs.import_table(database, table, by=BY) == 1
    assert [(v.tariff.name, v.cards) for v in tariffs.list_all(database)] == [
        ("default", 2),
        ("default", 2),
        ("staff", 1),
    ]
    with pytest.raises(NotFoundError):
        tariffs.assign(database, "TAG", "nothing", by=BY)
    with pytest.raises(NotFoundError):
        tariffs.assign(database, "NOBODY", "staff", by=BY)
    tariffs.assign(database, "TWO", "default", by=BY)
    assert rows(database, "SELECT 1 FROM tokens WHERE tariff IS NOT NULL") == []


def test_bills_are_tables_and_pages_that_add_up(database):
    for each in (add(database, 12_345), add(database, 0, hour=-3, hours=2)):
        database.execute("UPDATE sessions SET stop_reason = '' WHERE session_id = %s", [each])
    database.execute("UPDATE tokens SET parent_id_tag = '<B>' WHERE id_tag = 'TAG'")
    bills.book(database)
    (bill,) = bills.of_month(database, JANUARY)
    found = bills.entries(database, bill)
    table = list(csv.DictReader(io.StringIO(as_csv(bill, found))))
    assert [row["began"] for row in table] == [
        "2026-01-31T18:00:00+01:00",
        "2026-01-31T21:00:00+01:00",
    ]
    assert [(r["net"], r["tax"], r["gross"]) for r in table] == [
        ("0.00", "0.00", "0.00"),
        ("4.94", "0.94", "5.88"),
    ]
    page = as_page(bill, found, seller="VNI & Co\nKiel")
    assert "VNI &amp; Co<br>Kiel" in page
    assert "<B>" not in page
    assert "energy 12.345 kWh at 0.40 EUR/kWh: 4.938 EUR" in page
    assert "19 % tax on 4.94 EUR" in page
    assert page.count("<tr>") == 1 + 1 + 3
    assert ">5.88 EUR<" in page


def test_the_command_line_books_closes_and_writes_bills(database, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("DATABASE_URL", database.info.dsn)
    number = add(database)

    def run(*words):
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    path = tmp_path / "tariffs.csv"
    path.write_text(TARIFFS)
    assert run("tariffs", "import", str(path)) == {"imported": 0}
    assert len(run("tariffs", "list")) == 3
    assert run("tariffs", "assign", "TAG", "staff")["tariff"] == "staff"
    assert run("bills", "book") == {"charges": 1, "corrections": 0, "waiting": []}
    shown = run("bills", "session", str(number))
    assert (shown["net"], len(shown["steps"]), len(shown["entries"])) == (225, 2, 1)
    (bill,) = run("bills", "close", "2026-01", "--reveal")
    assert (bill["number"], bill["holder"], bill["gross"]) == (1, "TAG", "2.68 EUR")
    (files,) = run("bills", "export", "2026-01", "--directory", str(tmp_path / "out"))
    assert files["page"].endswith("2026-01-bill-1.html")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "2026-01-bill-1.csv",
        "2026-01-bill-1.html",
    ]
    assert main(["bills", "list", "2026-01"]) == 0
    assert "2.68 EUR" in capsys.readouterr().out
