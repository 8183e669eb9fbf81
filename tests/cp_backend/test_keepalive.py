"""The timer wheel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_backend.keepalive import SLOTS, TimerWheel


class Due:
    def __init__(self, again=None):
        self.times = []
        self._again = again

    def on_due(self, now):
        self.times.append(now)
        return self._again


@pytest.mark.parametrize(("seconds", "due_at"), [(0, 1), (0.2, 1), (1, 1), (1.5, 2), (60, 60)])
def test_it_is_never_early_and_at_most_a_tick_late(seconds, due_at):
    wheel, due = TimerWheel(), Due()
    wheel.schedule(due, seconds)
    for _ in range(100):
        wheel.tick()
    assert due.times == [due_at]


@given(st.lists(st.integers(1, 3 * SLOTS), max_size=20), st.integers(0, 2 * SLOTS))
def test_waits_longer_than_the_wheel_go_round_again(waits, before):
    wheel = TimerWheel()
    for _ in range(before):
        wheel.tick()
    dues = [Due() for _ in waits]
    for due, seconds in zip(dues, waits, strict=True):
        wheel.schedule(due, seconds)
    for _ in range(3 * SLOTS):
        wheel.tick()
    assert [due.times for due in dues] == [[before + seconds] for seconds in waits]


def test_what_wants_to_be_called_again_is():
    wheel, due = TimerWheel(), Due(again=10)
    wheel.schedule(due, 10)
    for _ in range(35):
        wheel.tick()
    assert due.times == [10, 20, 30]
