"""A session's energy from its registers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.metering import MAX_POWER_W, SLACK_WH, Register, measure_session

BEGIN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def at(minutes, energy_wh):
    return Register(BEGIN + timedelta(minutes=minutes), energy_wh)


def measured(start, values, stop=None):
    """Measure a session: a reading every 10 minutes, its stop after the last."""
    readings = [at(10 * n, value) for n, value in enumerate(values, 1)]
    end = None if stop is None else at(10 * (len(values) + 1), stop)
    return measure_session(at(0, start), readings, end)


@pytest.mark.parametrize(
    ("start", "values", "stop", "energy_wh"),
    [
        (100, [], None, 0),
        (100, [1100], None, 1000),
        (100, [1100, 2100], None, 2000),
        (100, [1100, 2100], 3000, 2900),
        (100, [], 3000, 2900),
        (-500, [500], 1000, 1500),
        # counted from 0 for each session, start and stop for life
        (4_076_000, [104, 353], None, 353),
        (4_076_000, [104, 353], 4_076_400, 400),
        # one absurd value
        (100, [1100, 99_999_999, 2100], None, 2000),
        (100, [1100, 0, 2100], None, 2000),
        (100, [1100, 2_000, 1_500], None, 1400),
        (100, [99_999_999], None, 0),
        (100, [1100, 99_999_999], 1500, 1400),
        (100, [99_999_999], 1500, 1400),
    ],
)
def test_energy_is_that_of_the_registers_without_glitches(start, values, stop, energy_wh):
    assert measured(start, values, stop).energy_wh == energy_wh


def test_a_glitch_is_named():
    assert measured(100, [1100, 0, 2100]).glitches == (at(20, 0),)


def test_a_register_that_ran_backwards_bills_nothing_and_proposes_what_was_read():
    energy = measured(2_259_988, [2_260_488, 2_260_988], 1200)
    assert energy.energy_wh == 0
    assert energy.proposal_wh == 1000


def test_a_meter_that_began_anew_within_a_session_proposes_the_sum():
    energy = measured(2_259_988, [2_260_488, 0, 300, 600], 1200)
    assert energy.energy_wh == 0
    assert energy.proposal_wh == 1100


def test_readings_of_other_times_are_passed_over():
    assert measure_session(at(0, 100), [at(-10, 5000), at(10, 600), at(99, 9000)], at(20, 700)) == (
        measure_session(at(0, 100), [at(10, 600)], at(20, 700))
    )


registers = st.lists(st.integers(-(10**10), 10**10), max_size=20)


@given(st.integers(-(10**10), 10**10), registers, st.none() | st.integers(-(10**10), 10**10))
def test_energy_is_never_negative_nor_more_than_can_be_charged(start, values, stop):
    energy = measured(start, values, stop)
    most = MAX_POWER_W * (len(values) + 1) / 6 + SLACK_WH * (len(values) + 1)
    assert energy.energy_wh >= 0
    if stop is None:
        assert energy.energy_wh <= most
    else:
        assert energy.energy_wh == max(0, stop - start)


@given(st.integers(0, 10**9), st.lists(st.integers(0, 100_000), min_size=2, max_size=20), st.data())
def test_one_absurd_reading_changes_nothing(start, steps, data):
    values = [start + sum(steps[: n + 1]) for n in range(len(steps))]
    place = data.draw(st.integers(0, len(values) - 2))
    odd = list(values)
    odd[place] = data.draw(st.sampled_from([-1, 10**10]))
    assert measured(start, odd).energy_wh == measured(start, values).energy_wh
