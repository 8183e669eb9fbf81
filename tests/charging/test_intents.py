"""What can be asked of a charging point, between typed intents and rows of `commands`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from charging.command import CommandKind
from charging.intent_json import InvalidIntentError
from charging.intents import (
    INTENTS,
    Availability,
    LocalListEntry,
    Period,
    Profile,
    ProfilePurpose,
    SendLocalList,
    SetAvailability,
    SetProfile,
    Start,
    Unit,
    read_intent,
)

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))


def test_every_kind_of_command_has_its_intent():
    assert set(INTENTS) == set(CommandKind)


@given(st.data())
def test_an_intent_is_read_back_as_it_was_written(data):
    kind = data.draw(st.sampled_from(sorted(CommandKind)))
    values = {"payload": st.dictionaries(st.text(), JSON.filter(lambda v: v is not None))}
    names = INTENTS[kind].__dataclass_fields__
    try:
        intent = data.draw(
            st.builds(INTENTS[kind], **{n: v for n, v in values.items() if n in names})
        )
    except InvalidIntentError:
        assume(False)
    assert read_intent(kind, json.loads(json.dumps(intent.arguments()))) == intent


@given(st.sampled_from(sorted(CommandKind)), st.dictionaries(st.text(), JSON))
def test_whatever_stands_in_a_row_is_an_intent_or_a_clear_refusal(kind, arguments):
    try:
        intent = read_intent(kind, arguments)
    except InvalidIntentError as error:
        assert error.field or str(error)
    else:
        assert intent.kind is kind


@pytest.mark.parametrize(
    ("kind", "arguments", "field"),
    [
        (CommandKind.REMOTE_START, {}, "id_tag"),
        (CommandKind.REMOTE_START, {"id_tag": 5}, "id_tag"),
        (CommandKind.REMOTE_STOP, {"session_id": "5"}, "session_id"),
        (CommandKind.REMOTE_STOP, {"session_id": True}, "session_id"),
        (CommandKind.UNLOCK, {"evse_number": 0}, "evse_number"),
        (CommandKind.SET_AVAILABILITY, {"availability": "On"}, "availability"),
        (CommandKind.READ_SETTINGS, {"names": ["A", 1]}, "names[1]"),
        (CommandKind.WRITE_SETTINGS, {"values": {}}, "values"),
        (CommandKind.WRITE_SETTINGS, {"values": {"Interval": 5}}, "values.Interval"),
        (CommandKind.SET_PASSWORD, {"password": "short"}, "password"),
        (
            CommandKind.SET_PROFILE,
            {"profile": {"profile_id": 1, "purpose": "default", "unit": "A", "periods": []}},
            "profile.periods",
        ),
        (
            CommandKind.SET_PROFILE,
            {
                "profile": {
                    "profile_id": 1,
                    "purpose": "default",
                    "unit": "A",
                    "periods": [{"start_seconds": 0}],
                }
            },
            "profile.periods[0].limit",
        ),
        (
            CommandKind.RESERVE,
            {
                "evse_number": 1,
                "id_tag": "04A1",
                "reservation_id": 1,
                "expires_at": "2026-03-01T10:00:00",
            },
            "expires_at",
        ),
    ],
)
def test_the_member_at_fault_is_named(kind, arguments, field):
    with pytest.raises(InvalidIntentError) as raised:
        read_intent(kind, arguments)
    assert raised.value.field == field


def test_a_row_of_the_service_before_is_read():
    assert read_intent(CommandKind.REMOTE_START, {"evse_number": 1, "id_tag": "04A1B2C3"}) == Start(
        "04A1B2C3", 1
    )


def test_what_a_newer_service_adds_is_passed_over():
    arguments = {"availability": "inoperative", "evse_number": 2, "politely": True}
    expected = SetAvailability(Availability.INOPERATIVE, 2)
    assert read_intent(CommandKind.SET_AVAILABILITY, arguments) == expected


def test_a_profile_for_a_session_names_its_evse():
    profile = Profile(1, ProfilePurpose.SESSION, Unit.AMPERES, (Period(0, 10),))
    with pytest.raises(InvalidIntentError, match="names its EVSE"):
        SetProfile(profile)
    with pytest.raises(InvalidIntentError, match="EVSE 0"):
        SetProfile(Profile(1, ProfilePurpose.WHOLE, Unit.WATTS, (Period(0, 11_000),)), 1)


def test_a_token_that_leaves_a_list_does_not_come_back_allowed():
    intent = SendLocalList(3, (LocalListEntry("TAG", allowed=None),), full=False)
    assert read_intent(intent.kind, intent.arguments()) == intent
