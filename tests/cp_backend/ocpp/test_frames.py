"""OCPP-J frames: what is read, what is refused and how."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_backend.ocpp import frames
from cp_backend.ocpp.errors import ErrorCode
from cp_backend.ocpp.frames import Call, CallError, CallResult, FrameError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
message_ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=36)
payloads = st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=3)


def test_reads_a_call():
    assert frames.parse(b'[2,"19","Heartbeat",{}]') == Call("19", "Heartbeat", {})


def test_reads_the_answers_to_our_calls():
    assert frames.parse(b'[3,"7",{"status":"Accepted"}]') == CallResult("7", {"status": "Accepted"})
    assert frames.parse(b'[4,"7","InternalError","why",{}]') == CallError(
        "7", "InternalError", "why"
    )


def test_a_call_error_without_description_is_read_all_the_same():
    assert frames.parse(b'[4,"7","GenericError"]') == CallError("7", "GenericError", "")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"garbage",
        b"{}",
        b"[]",
        b"[2]",
        b'[2,"",  "Heartbeat",{}]',
        b'[2,5,"Heartbeat",{}]',
        b'[9,"19","Heartbeat",{}]',
        b'[true,"19","Heartbeat",{}]',
        b'[2.0,"19",{}]',
        b'[2,"' + b"x" * 37 + b'","Heartbeat",{}]',
        b'[3,"19",5]',
        b'[4,"19",5]',
    ],
)
def test_what_has_no_id_to_answer_is_not_answered(text):
    with pytest.raises(FrameError) as error:
        frames.parse(text)
    assert error.value.message_id is None


@pytest.mark.parametrize(
    "text",
    [
        b'[2,"19","Heartbeat"]',
        b'[2,"19","Heartbeat",null]',
        b'[2,"19",5,{}]',
        b'[2,"19","Heartbeat",{},1]',
    ],
)
def test_a_malformed_call_is_answered_by_its_id(text):
    with pytest.raises(FrameError) as error:
        frames.parse(text)
    assert error.value.message_id == "19"


def test_nul_is_refused_since_the_database_cannot_hold_it():
    with pytest.raises(FrameError) as error:
        frames.parse(b'[2,"19","Authorize",{"idTag":"a\\u0000"}]')
    assert error.value.message_id == "19"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_frame_error(data):
    try:
        frames.parse(data)
    except FrameError:
        pass


@given(json_values)
def test_any_json_is_a_frame_or_a_frame_error(value):
    try:
        frames.parse(json.dumps(value).encode())
    except FrameError:
        pass


@given(message_ids, payloads)
def test_what_is_written_can_be_read(message_id, payload):
    try:
        written = frames.call(message_id, "Action", payload)
    except TypeError:
        return  # an integer beyond 64 bits, which we never write
    if b"\\u0000" not in written:
        assert frames.parse(written) == Call(message_id, "Action", payload)


def test_error_details_are_an_object_and_descriptions_are_cut():
    frame = json.loads(frames.call_error("1", ErrorCode.NOT_SUPPORTED, "x" * 300))
    assert frame == [4, "1", "NotSupported", "x" * 255, {}]


def test_occurence_is_spelt_as_ocpp_16_spells_it():
    assert ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION.value == "OccurenceConstraintViolation"
