"""Clocks of charging points that are wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from charging.clock import MAX_AHEAD, MAX_BEHIND, judge_time

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reported", "doubtful"),
    [
        (TEN, False),
        (TEN + MAX_AHEAD, False),
        (TEN + MAX_AHEAD + timedelta(seconds=1), True),
        (TEN - MAX_BEHIND, False),
        (TEN - MAX_BEHIND - timedelta(seconds=1), True),
        (datetime(1970, 1, 1, tzinfo=UTC), True),
        (datetime(2099, 1, 1, tzinfo=UTC), True),
    ],
)
def test_a_clock_that_its_receipt_contradicts_is_replaced_and_kept(reported, doubtful):
    judged = judge_time(reported, TEN)
    assert judged.doubtful is doubtful
    assert judged.at == (TEN if doubtful else reported)
    assert judged.reported == (reported if doubtful else None)
