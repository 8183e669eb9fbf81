"""Sessions: what ended them, and how charging points refer to them."""

import pytest

from charging.session import SessionReference, StopCause, numbered_session


@pytest.mark.parametrize("cause", list(StopCause))
def test_a_session_is_cut_off_by_faults_and_not_by_people(cause):
    cut_off = {"hard_restart", "power_loss", "emergency_stop", "fault"}
    assert cause.broken_off == (cause.value in cut_off)


@pytest.mark.parametrize(
    ("number", "session_id"),
    [(1, 1), (2**31 - 1, 2**31 - 1), (0, None), (-1, None), (2**31, None), (10**30, None)],
)
def test_a_number_that_cannot_be_a_session_refers_to_none(number, session_id):
    assert numbered_session(number) == SessionReference(session_id=session_id)
