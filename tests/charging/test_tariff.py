"""What a session costs by a tariff: by time of day, in summer time, to the smallest unit."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging.metering import Register
from charging.tables import TableError
from charging.tariff import Tariff, Use, What, amount, cost_of
from charging.tariff_table import details, read_tariffs, tariff_of

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
BERLIN = ZoneInfo("Europe/Berlin")
BEGAN = datetime(2026, 3, 2, 18, tzinfo=UTC)  # a Monday, 19:00 in Berlin


def one(table: str) -> Tariff:
    ((_, tariff),), faults = read_tariffs(table)
    assert faults == []
    return tariff


FLAT = one("valid_from,currency,tax_percent,price_per_kwh\n2026-01-01,EUR,19,0.41\n")
WHOLE = one(
    "tariff,valid_from,currency,tax_percent,session_fee,idle_free_minutes,days,hours,"
    "price_per_kwh,price_per_minute,idle_per_minute\n"
    "own,2026-01-01,EUR,19,0.50,30,,22:00-06:00,0.20,0,0\n"
    "own,2026-01-01,,,,,Sat-Sun,,0.30,0.01,0.05\n"
    "own,2026-01-01,,,,,,,0.40,0.02,0.10\n"
)


def use(energy_wh, minutes, *readings, began=BEGAN, zone=BERLIN, start_wh=1000):
    """A session; readings: (minute, Wh since its start)."""
    return Use(
        Register(began, start_wh),
        Register(began + timedelta(minutes=minutes), start_wh + energy_wh),
        zone,
        [Register(began + timedelta(minutes=at), start_wh + wh) for at, wh in readings],
    )


def steps(cost):
    return [(step.what.value, step.period, step.quantity, str(step.net)) for step in cost.steps]


@pytest.mark.parametrize(
    ("energy_wh", "net", "tax"),
    [
        (0, 0, 0),
        (10_000, 410, 78),
        (12, 0, 0),  # 0.492 ct
        (13, 1, 0),  # 0.533 ct, of which 0.19 ct tax
        (12_345, 506, 96),  # 506.145 ct; 96.14 ct tax
        (999_999, 41_000, 7_790),
    ],
)
def test_energy_costs_its_price_and_tax_rounded_once(energy_wh, net, tax):
    cost = cost_of(FLAT, use(energy_wh, 60))
    assert (cost.currency, cost.net, cost.tax) == ("EUR", net, tax)


def test_a_session_is_parted_where_prices_change_and_its_steps_add_up():
    # 19:00 to 23:00: 8 kWh evenly until 22:30, then it only stands there.
    cost = cost_of(WHOLE, use(7_000, 240, (210, 7_000)))
    assert steps(cost) == [
        ("session", "", 1, "0.500000"),
        ("energy", "22:00-06:00", 1_000, "0.200000"),
        ("energy", "otherwise", 6_000, "2.400000"),
        ("time", "otherwise", 180 * 60, "3.600000"),
    ]
    assert (cost.net, cost.tax) == (670, 127)


def test_idle_time_counts_after_what_is_free_of_it():
    # 10:00 on a Saturday; charged at 10:20, idle from 10:50 until 12:00.
    began = datetime(2026, 3, 7, 9, tzinfo=UTC)
    cost = cost_of(WHOLE, use(5_000, 120, (10, 4_000), (20, 5_000), (60, 5_000), began=began))
    assert [step for step in steps(cost) if step[0] != "session"] == [
        ("energy", "Sat+Sun", 5_000, "1.500000"),
        ("time", "Sat+Sun", 20 * 60, "0.200000"),
        ("idle", "Sat+Sun", 70 * 60, "3.500000"),
    ]


def test_readings_of_a_session_that_count_from_0_and_glitches_part_it_all_the_same():
    began = BEGAN + timedelta(hours=2)  # 21:00, an hour before the night
    true = use(2_000, 120, (60, 500), began=began, start_wh=90_000)
    glitch = Register(began + timedelta(minutes=30), 9_999_999)
    relative = [Register(began + timedelta(minutes=60), 500)]
    wanted = [("22:00-06:00", 1_500), ("otherwise", 500)]
    for readings in ([*true.readings, glitch], relative):
        cost = cost_of(WHOLE, Use(true.began, true.ended, BERLIN, readings))
        energy = [(s.period, s.quantity) for s in cost.steps if s.what is What.ENERGY]
        assert energy == wanted


@pytest.mark.parametrize("minutes", [0, -30])
def test_energy_is_billed_though_a_clock_stands_still_or_was_put_back(minutes):
    assert cost_of(FLAT, use(500, minutes)).net == 21  # 20.5 ct


@pytest.mark.parametrize(
    ("began", "night_seconds"),
    [
        # Clocks are put forward at 02:00 and back at 03:00: the night has 7 hours, or 9.
        (datetime(2026, 3, 28, 20, tzinfo=UTC), 7 * 3600),
        (datetime(2026, 10, 24, 19, tzinfo=UTC), 9 * 3600),
        (datetime(2026, 6, 10, 19, tzinfo=UTC), 8 * 3600),
    ],
)
def test_a_night_is_as_long_as_the_clocks_of_the_place_make_it(began, night_seconds):
    night = one(
        "valid_from,currency,tax_percent,hours,price_per_kwh,price_per_minute\n"
        "2026-01-01,EUR,0,22:00-06:00,0,0.60\n2026-01-01,,,,0,0\n"
    )
    cost = cost_of(night, use(60_000, 24 * 60, began=began))
    seconds = {s.period: s.quantity for s in cost.steps if s.what is What.TIME}
    assert seconds == {"22:00-06:00": night_seconds}
    assert cost.net == night_seconds


@pytest.mark.parametrize(
    ("currency", "net", "shown"),
    [("JPY", 4, "4 JPY"), ("EUR", 410, "4.10 EUR"), ("KWD", 4100, "4.100 KWD")],
)
def test_an_amount_has_the_decimals_of_its_currency(currency, net, shown):
    tariff = one(f"valid_from;currency;tax_percent;price_per_kwh\n2026-01-01;{currency};0;0.41\n")
    cost = cost_of(tariff, use(10_000, 60))
    assert (cost.net, amount(cost.net, currency)) == (net, shown)


MINUTE = timedelta(minutes=1)


@settings(max_examples=60, deadline=None)
@given(
    # around both changes of clocks
    began=st.builds(
        lambda day, minute: datetime(2026, *day, tzinfo=UTC) + MINUTE * minute,
        st.sampled_from([(3, 26), (10, 22), (4, 2)]),
        st.integers(0, 6 * 24 * 60),
    ),
    minutes=st.integers(1, 4_000),
    energy=st.lists(st.integers(0, 9_000), min_size=1, max_size=6),
    zone=st.sampled_from([BERLIN, UTC, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata")]),
)
def test_the_parts_of_any_session_are_the_whole_and_each_minute_has_its_own_price(
    began, minutes, energy, zone
):
    each, total = minutes / len(energy), 0
    readings = []
    for place, wh in enumerate(energy, 1):
        total += wh
        readings.append((each * place, total))
    cost = cost_of(WHOLE, use(total, minutes, *readings[:-1], began=began, zone=zone))
    if not total:
        assert (cost.net, cost.steps) == (0, ())
        return
    sums = Counter()
    for step in cost.steps:
        sums[step.what, step.period] += step.quantity
    assert sum(wh for (what, _), wh in sums.items() if what is What.ENERGY) == total
    charging = next(at for at, wh in readings if wh == total)
    by_minute = Counter(
        WHOLE.period_at((began + MINUTE * number).astimezone(zone)).name
        for number in range(minutes)
        if number + 1 <= charging
    )
    for period in ("otherwise", "Sat+Sun"):
        # The minute in which it ends is parted.
        assert abs(sums[What.TIME, period] - 60 * by_minute[period]) <= 60
    assert Decimal(cost.net) == sum(s.net for s in cost.steps).scaleb(2).quantize(
        Decimal(1), "ROUND_HALF_UP"
    )


def test_a_tariff_comes_back_from_its_json_as_it_was():
    for tariff in (FLAT, WHOLE):
        assert tariff_of(tariff.name, tariff.valid_from, details(tariff)) == tariff


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        (["x,2026-01-01,EUR,19,,0.4"], []),
        (["x,2026-01-01,EUR,19,08:00-20:00,0.4"], ["row 2, hours: one row without"]),
        (["x,2026-01-01,,19,,0.4"], ["row 2, currency: must be filled in"]),
        (["x,2026-01-01,EUR,19,,0.4", "x,2026-01-01,,,,0.3"], ["row 3, hours: another row"]),
        (
            ["x,2026-01-01,EUR,19,,0.4", "x,2026-01-01,CHF,,8:00-9:00,0.3"],
            ["row 2, currency: the rows of a tariff have different ones"],
        ),
        (["x,2026-01-01,Eur,19,,0.4"], ["row 2, currency: 'Eur' is not"]),
        (["x,soon,EUR,19,,0.4"], ["row 2, valid_from: 'soon' is no time"]),
        (["x,2026-01-01,EUR,101,,0.4"], ["row 2, tax_percent: 101 is not between"]),
        (["x,2026-01-01,EUR,19,8-9,0.4"], ["row 2, hours: '8-9' are no hours"]),
        (["x,2026-01-01,EUR,19,08:00-24:30,0.4"], ["row 2, hours: '08:00-24:30' are no hours"]),
        (["x,2026-01-01,EUR,19,,-0.4"], ["row 2, price_per_kwh: -0.4 is not between"]),
    ],
)
def test_a_table_of_tariffs_is_looked_through_whole(rows, faults):
    heading = "tariff,valid_from,currency,tax_percent,hours,price_per_kwh"
    tariffs, found = read_tariffs("\n".join([heading, *rows]))
    assert len(found) == len(faults)
    for fault, expected in zip(map(str, found), faults, strict=True):
        assert fault.startswith(expected)
    assert bool(tariffs) != bool(faults)


def test_the_example_is_a_table_of_tariffs():
    tariffs, faults = read_tariffs((EXAMPLES / "tariffs.csv").read_text())
    assert [(tariff.name, len(tariff.periods)) for _, tariff in tariffs] == [
        ("default", 1),
        ("staff", 3),
    ]
    assert faults == []


def test_days_go_round_the_week_and_a_night_belongs_to_the_day_on_which_it_begins():
    tariff = one(
        "valid_from,currency,tax_percent,days,hours,price_per_kwh\n"
        "2026-01-01,EUR,0,Fri-Mon,22:00-06:00,0.1\n2026-01-01,,,,,0.2\n"
    )
    night = tariff.periods[0]
    assert night.name == "Mon+Fri+Sat+Sun 22:00-06:00"
    assert night.holds(1, 5 * 60 + 59)  # Tuesday morning is Monday's night
    assert not night.holds(1, 22 * 60)
    assert not night.holds(4, 5 * 60)  # Friday morning is Thursday's
    with pytest.raises(TableError):
        read_tariffs("tariff\n")
