"""Whether an EVSE may be used: each row is what is known of it, and why not."""

from dataclasses import replace

import pytest

from charging.command import Outcome
from charging.evse import (
    FREE,
    EvseFacts,
    EvseState,
    refuse_reservation,
    refuse_start,
    shown_state,
)
from charging.refusal import Refusal, refusal_of

IDLE = EvseFacts(
    roaming=True, online=True, state=EvseState.AVAILABLE, whole=EvseState.UNKNOWN, in_use=False
)


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({}, None),
        ({"roaming": False}, Refusal.NOT_ROAMING),
        ({"online": False}, Refusal.OFFLINE),
        ({"roaming": False, "online": False}, Refusal.NOT_ROAMING),
        ({"online": False, "state": EvseState.FAULTED}, Refusal.OFFLINE),
        ({"state": EvseState.UNKNOWN}, None),
        ({"state": EvseState.PREPARING}, None),
        ({"state": EvseState.OCCUPIED}, None),
        ({"state": EvseState.CHARGING}, Refusal.IN_USE),
        ({"state": EvseState.SUSPENDED_BY_VEHICLE}, Refusal.IN_USE),
        ({"state": EvseState.SUSPENDED_BY_STATION}, Refusal.IN_USE),
        ({"state": EvseState.FINISHING}, Refusal.IN_USE),
        ({"state": EvseState.UNAVAILABLE}, Refusal.OUT_OF_SERVICE),
        ({"state": EvseState.FAULTED}, Refusal.OUT_OF_SERVICE),
        ({"state": EvseState.RESERVED}, Refusal.RESERVED),
        ({"state": EvseState.RESERVED, "reserved": True}, Refusal.RESERVED),
        ({"whole": EvseState.FAULTED}, Refusal.OUT_OF_SERVICE),
        ({"whole": EvseState.UNAVAILABLE, "state": EvseState.CHARGING}, Refusal.OUT_OF_SERVICE),
        ({"in_use": True}, Refusal.IN_USE),
        ({"in_use": True, "reserved": True}, Refusal.IN_USE),
        ({"reserved": True}, Refusal.RESERVED),
    ],
)
def test_what_stands_against_any_use(facts, refusal):
    evse = replace(IDLE, **facts)
    assert refuse_start(evse) is refusal
    assert refuse_reservation(evse) is refusal


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({}, None),
        ({"state": EvseState.RESERVED}, None),
        ({"state": EvseState.RESERVED, "in_use": True}, Refusal.IN_USE),
        ({"state": EvseState.FAULTED}, Refusal.OUT_OF_SERVICE),
    ],
)
def test_whoever_reserved_an_evse_may_start_there(facts, refusal):
    assert refuse_start(replace(IDLE, reserved=True, reserved_for_asker=True, **facts)) is refusal


@pytest.mark.parametrize("state", list(EvseState))
def test_one_that_starts_only_with_a_vehicle_says_so_while_none_is_there(state):
    evse = replace(IDLE, state=state, reserved_for_asker=True)
    without = (EvseState.AVAILABLE, EvseState.RESERVED)
    expected = Refusal.NO_VEHICLE if state in without else refuse_start(evse)
    assert refuse_start(replace(evse, vehicle_first=True)) is expected


def test_an_evse_that_takes_no_reservations_can_still_be_started():
    evse = replace(IDLE, takes_reservations=False)
    assert refuse_reservation(evse) is Refusal.NOT_OFFERED
    assert refuse_start(evse) is None


@pytest.mark.parametrize("state", list(EvseState))
def test_a_state_is_one_thing_only(state):
    assert state.out_of_service + state.in_use + (state in FREE) <= 1


@pytest.mark.parametrize(
    ("state", "whole", "absent", "shown"),
    [
        (EvseState.CHARGING, EvseState.UNKNOWN, False, EvseState.CHARGING),
        (EvseState.CHARGING, EvseState.AVAILABLE, False, EvseState.CHARGING),
        (EvseState.CHARGING, EvseState.UNAVAILABLE, False, EvseState.UNAVAILABLE),
        (EvseState.CHARGING, EvseState.FAULTED, False, EvseState.FAULTED),
        (EvseState.FAULTED, EvseState.UNAVAILABLE, False, EvseState.FAULTED),
        (EvseState.AVAILABLE, EvseState.AVAILABLE, True, EvseState.UNAVAILABLE),
        (EvseState.FAULTED, EvseState.AVAILABLE, True, EvseState.FAULTED),
        (EvseState.UNKNOWN, EvseState.UNKNOWN, False, EvseState.UNKNOWN),
        (EvseState.UNKNOWN, EvseState.UNKNOWN, True, EvseState.UNAVAILABLE),
    ],
)
def test_what_drivers_are_shown(state, whole, absent, shown):
    assert shown_state(state, whole, absent=absent) is shown


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_that_is_not_accepted_is_a_refusal(outcome):
    assert (refusal_of(outcome) is None) == outcome.accepted
