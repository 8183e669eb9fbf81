"""What a register counted, from the sessions at it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.register_balance import Span, balance

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def span(number, start, stop, *, at=None, timed=True):
    hours = number if at is None else at
    return Span(number, BEGIN + timedelta(hours=hours), start, stop - start, timed)


@pytest.mark.parametrize(
    ("spans", "metered", "steps"),
    [
        pytest.param([], 0, [], id="nothing"),
        pytest.param([span(1, 0, 100), span(2, 100, 300)], 300, [], id="goes on"),
        pytest.param([span(1, 0, 100), span(2, 150, 300)], 300, [(1, 2, 50)], id="gap"),
        pytest.param([span(1, 0, 100), span(2, 80, 300)], 300, [(1, 2, -20)], id="overlap"),
        pytest.param([span(1, 0, 100), span(2, 20, 30)], 100, [(1, 2, -10)], id="one within"),
        pytest.param([span(1, 0, 100), span(2, 0, 100)], 100, [(1, 2, -100)], id="twice"),
        pytest.param([span(1, 0, 100), span(2, 100, 100)], 100, [], id="empty"),
        pytest.param([span(1, 500, 600), span(2, 0, 50)], 150, [(1, 2, 0)], id="a new meter"),
        pytest.param(
            [span(1, 500, 600), span(2, 0, 50), span(3, 60, 70)],
            170,
            [(1, 2, 0), (2, 3, 10)],
            id="a gap after a new meter",
        ),
        pytest.param(
            [span(1, 100, 200), span(2, 0, 100, timed=False)], 200, [], id="late, with a bad clock"
        ),
        pytest.param(
            [span(1, 500, 600), span(2, 0, 50, timed=False), span(3, 50, 70)],
            170,
            [(1, 2, 0)],
            id="a new meter and a bad clock",
        ),
    ],
)
def test_a_register_goes_on_or_there_is_a_step(spans, metered, steps):
    found = balance(spans)
    assert found.metered_wh == metered
    assert [(step.before, step.after, step.energy_wh) for step in found.steps] == steps


def test_the_session_before_and_the_last_reading_count():
    found = balance([span(2, 150, 300)], span(1, 0, 100), 340)
    assert found.metered_wh == 150 + 50 + 40
    assert [(step.before, step.after, step.energy_wh) for step in found.steps] == [
        (1, 2, 50),
        (2, None, 40),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_each_watt_hour_counts_once_whatever_the_order(parts, chance):
    """Gaps and sessions in turn, given in any order: all of it, and the gaps are the steps."""
    register, spans = 0, []
    for number, (gap, energy) in enumerate(parts, 1):
        start = register + (gap if spans else 0)
        register = start + energy
        spans.append(span(number, start, register))
    chance.shuffle(spans)
    found = balance(spans)
    assert found.metered_wh == register
    assert sum(step.energy_wh for step in found.steps) == sum(gap for gap, _ in parts[1:])


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=9))
def test_what_was_metered_is_what_sessions_have_and_the_steps(pairs):
    """Also where registers make no sense at all."""
    spans = [span(n, start, start + energy) for n, (start, energy) in enumerate(pairs, 1)]
    found = balance(spans)
    sessions = sum(each.energy_wh for each in spans)
    assert found.metered_wh == sessions + sum(step.energy_wh for step in found.steps)
    assert 0 <= found.metered_wh <= max(sessions, sessions + 99 * len(spans))
