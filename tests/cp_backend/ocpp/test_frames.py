"""OCPP-J frames: what is read, what is refused and how."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_backend.ocpp import frames
from cp_backend.ocpp.errors import ErrorCode
from cp_backend.ocpp.frames import Call, CallError, CallResult, FrameError, UnreadableAnswer
from cp_backend.ocpp.repair import RepairKind

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
    assert frames.parse(b'[2,"19","Heartbeat",{}]')[:3] == ("19", "Heartbeat", {})


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
        b'[9,"19","Heartbeat",{}]',
        b'[true,"19","Heartbeat",{}]',
        b'[2,{},"Heartbeat",{}]',
        b'[2,["19"],"Heartbeat",{}]',
        b'[2,"' + b"x" * 256 + b'","Heartbeat",{}]',
        b"[3,19,{}]",
        b"[" * 2000,
    ],
)
def test_what_has_no_id_to_answer_is_not_answered(text):
    with pytest.raises(FrameError) as error:
        frames.parse(text)
    assert error.value.message_id is None


@pytest.mark.parametrize(
    "text",
    [
        b'[2,"19"]',
        b'[2,"19",5,{}]',
        b'[2,"19",{}]',
        b'[2,"19",,{}]',
        b'[2,"19","Heartbeat","text"]',
        b'[2,"19","Heartbeat",[1,2]]',
        b'[2,"19","StopTransaction",{"transactionId":41,"meterStop":26',
        b'[2,"19","StatusNotification",{"info":"The driver has',
        b'[2,"19","StatusNotification",{"info":',
        b'[2,"19","StatusNotification",{"inf',
        b'[2,"19","DataTransfer",{"data":' + b"[" * 1100 + b"]" * 1100 + b"}]",
        b'[2,"19","DataTransfer",{"data":,"more":"' + b"x" * 40_000 + b'"}]',
        b'[2,"19","DataTransfer",{"data":[' + b"1,,x" * 7_000 + b"]}]",
    ],
)
def test_a_call_that_cannot_be_read_is_answered_by_its_id(text):
    with pytest.raises(FrameError) as error:
        frames.parse(text)
    assert error.value.message_id == "19"


@pytest.mark.parametrize(
    "data", ["[" * 40 + "]" * 40, '"\\u0000' + "\\u005b" * 3 + '","b":' + "[" * 40 + "]" * 40]
)
def test_a_call_nested_too_deep_is_refused_in_its_turn(data):
    call = frames.parse(b'[2,"19","DataTransfer",{"data":%b}]' % data.encode())
    assert (call.message_id, call.payload) == ("19", {})
    assert [repair.kind for repair in call.repairs] == [RepairKind.DEPTH]


def test_an_answer_nested_too_deep_is_one_that_cannot_be_read():
    answer = frames.parse(b'[3,"19",{"data":' + b"[" * 40 + b"]" * 40 + b"}]")
    assert isinstance(answer, UnreadableAnswer)
    assert answer.message_id == "19"


@pytest.mark.parametrize(
    ("text", "message_id"),
    [
        (b'[2,17,"Heartbeat",{}]', 17),
        (b'[2,-1,"Heartbeat",{}]', -1),
        (b'[2,1.5,"Heartbeat",{}]', 1.5),
        (b'[2,"","Heartbeat",{}]', ""),
        (b'[2,null,"Heartbeat",{}]', None),
        (b'[2,true,"Heartbeat",{}]', True),
        (b'[2,"' + b"x" * 37 + b'","Heartbeat",{}]', "x" * 37),
        (b'[2,"' + b"x" * 255 + b'","Heartbeat",{}]', "x" * 255),
    ],
)
def test_an_odd_id_is_answered_as_it_came(text, message_id):
    call = frames.parse(text)
    assert call.message_id == message_id
    assert [repair.kind for repair in call.repairs] == [RepairKind.MESSAGE_ID]
    assert json.loads(frames.call_result(call.message_id, {}))[1] == message_id


@pytest.mark.parametrize(
    "text",
    [
        b'[2,"1","Heartbeat",{}][2,"2","Heartbeat",{}]',
        b'[2,"1","Heartbeat",{}]\r\n[2,"2","Heartbeat",{}]\r\n',
        b'[[2,"1","Heartbeat",{}],[2,"2","Heartbeat",{}]]',
        b'\xef\xbb\xbf[2,"1","Heartbeat",{}]\x00[2,"2","Heartbeat",null]',
    ],
)
def test_each_frame_of_a_text_is_read(text):
    several = frames.parse(text)
    assert [call.message_id for call in several.frames] == ["1", "2"]
    assert all(call.repairs for call in several.frames)


def test_of_several_frames_one_that_is_none_costs_no_other():
    bad, good = frames.parse(b'[2,"1",5,{}][2,"2","Heartbeat",{}]').frames
    assert (bad.message_id, good.message_id) == ("1", "2")
    many = frames.parse(b'[2,"1","Heartbeat",{}]' * 1000)
    assert len(many.frames) == frames.MAX_FRAMES


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b'\xef\xbb\xbf[2,"19","Heartbeat",{}]', RepairKind.BYTE_ORDER_MARK),
        (b'[2,"19","Heartbeat",{}]\x00', RepairKind.CONTROL_CHARACTERS),
        (b'\x00[2,"19","Heartbeat",{}]\r\n\x00', RepairKind.CONTROL_CHARACTERS),
        (b'[2,"19","Heartbeat",null]', RepairKind.PAYLOAD),
        (b'[2,"19","Heartbeat",[]]', RepairKind.PAYLOAD),
        (b'[2,"19","Heartbeat",0]', RepairKind.PAYLOAD),
        (b'[2,"19","Heartbeat",false]', RepairKind.PAYLOAD),
        (b'[[2,"19","Heartbeat",{}]]', RepairKind.ELEMENTS),
        (b'"[2,\\"19\\",\\"Heartbeat\\",{}]"', RepairKind.ELEMENTS),
        (b'\xc2\xa0[2,"19","Heartbeat",{}]', RepairKind.CONTROL_CHARACTERS),
        (b'\xe2\x80\x8b[2,"19","Heartbeat",{}]', RepairKind.CONTROL_CHARACTERS),
        (b'[2,"19","Heartbeat",[{}]]', RepairKind.PAYLOAD),
        (b'[2,"19","Heartbeat",""]', RepairKind.PAYLOAD),
        (b'[2,"19","Heartbeat","{}"]', RepairKind.PAYLOAD),
        (b'[2,"19","Heartbeat"]', RepairKind.ELEMENTS),
        (b'[2,"19","Heartbeat",{},{}]', RepairKind.ELEMENTS),
        (b'["2","19","Heartbeat",{}]', RepairKind.ELEMENTS),
        (b'[,2,"19","Heartbeat",{}]', RepairKind.JSON),
        (b'[2,"19",,"Heartbeat",{}]', RepairKind.JSON),
        (b'[2,"19","Heartbeat",{},]', RepairKind.JSON),
        (b'[2,"19","Heartbeat",{}]]', RepairKind.JSON),
        (b'[2 "19" "Heartbeat" {}]', RepairKind.JSON),
        (b'[2,"19","Heartbeat",{}', RepairKind.CUT),
        (b'[2,"19","Heartbeat"', RepairKind.CUT),
    ],
)
def test_a_deviating_frame_is_read_and_says_how_it_deviates(text, kind):
    call = frames.parse(text)
    assert call[:3] == ("19", "Heartbeat", {})
    assert kind in [repair.kind for repair in call.repairs]


@pytest.mark.parametrize(
    ("payload", "read"),
    [
        (b'{"a":[,{"b":1}]}', {"a": [{"b": 1}]}),
        (b'{"a":[1,,2,]}', {"a": [1, 2]}),
        (b'{"a":,"b":1}', {"a": None, "b": 1}),
        (b'{"a":}', {"a": None}),
        (b'{"a"}', {"a": None}),
        (b'{,"a":1}', {"a": 1}),
        (b"{a:1,'b':'x'}", {"a": 1, "b": "x"}),
        (b'{"a":1 "b":2}', {"a": 1, "b": 2}),
        (b'{"a":[1,2}', {"a": [1, 2]}),
        (b'{"a":007,"b":.5,"c":+5,"d":5.}', {"a": 7, "b": 0.5, "c": 5, "d": 5}),
        (b'{"a":NaN,"b":-Infinity,"c":undefined,"d":None}', dict.fromkeys("abcd")),
        (b'{"a":1e400,"b":True}', {"a": None, "b": True}),
        (b'{"a":"x\x00y\x01\nz"}', {"a": "xy\x01\nz"}),
        (b'{"a":"x\\u0000y"}', {"a": "xy"}),
        (b'{"a":"C:\\\\u0000"}', {"a": "C:\\u0000"}),
        (b'{"a":"\\ud800,\\x,\\\'"}', {"a": "\ufffd,\\x,'"}),
        (b'{"a":", ,]"}', {"a": ", ,]"}),
    ],
)
def test_payloads_that_are_almost_json(payload, read):
    assert frames.parse(b'[2,"19","Action",' + payload + b"]").payload == read


def test_a_legal_text_of_a_backslash_before_u0000_is_no_deviation():
    call = frames.parse(b'[2,"19","DataTransfer",{"vendorId":"v","data":"C:\\\\u0000"}]')
    assert call.repairs == ()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (b'[3,"7"]', CallResult("7", {})),
        (b'[3,"7",null]', CallResult("7", {})),
        (b'[3,"7",[]]', CallResult("7", {})),
        (b'[3,"7",{"a":1},{}]', CallResult("7", {"a": 1})),
        (b'[4,"7"]', CallError("7", "", "")),
        (b'[4,"7",null,null,null]', CallError("7", "", "")),
        (b'[4,"7",null,"",{}]', CallError("7", "", "")),
        (b'[4,"7","InternalError",5]', CallError("7", "InternalError", "")),
    ],
)
def test_answers_to_us_without_what_belongs_in_them(text, answer):
    read = frames.parse(text)
    assert type(read) is type(answer)
    assert read[:2] == answer[:2]


@pytest.mark.parametrize(
    "text",
    [
        b'[3,"7",{"configurationKey":[]',
        b'[3,"7",{"configurationKey":[{"key":"Heart',
        b'[3,"7",{"status":"Accepted"}',
        b'[3,"7",5]',
        b'[3,"7",{"status":\xc3',
        b'[4,"7","Internal',
    ],
)
def test_an_answer_that_cannot_be_read_ends_its_call_with_its_text(text):
    read = frames.parse(text)
    assert isinstance(read, UnreadableAnswer)
    assert read.message_id == "7"
    assert read.text.startswith(text[:7].decode())


def test_the_text_of_an_unreadable_answer_is_bounded_and_printable():
    read = frames.parse(b'[3,"7",{"a":"\x00\x1b[31m' + b"x" * 5000)
    assert isinstance(read, UnreadableAnswer)
    assert len(read.text) <= 500
    assert read.text.isprintable()


pieces = st.sampled_from(
    [b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b'"a"', b"1", b"-", b"2", b'"q"', b"\x00",
     b"tru", b"null", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b" ", b"1e999", b"\xff"]
)  # fmt: skip


@given(st.lists(pieces, max_size=40).map(b"".join))
def test_no_text_that_is_almost_json_breaks_the_reader(text):
    for head in (b"", b'[2,"19","Action",', b'[3,"19",'):
        try:
            frames.parse(head + text)
        except FrameError as error:
            assert error.message_id in (None, "19", 1, 2, "a", "q", "", -1) or head == b""


@given(payloads, st.data())
def test_a_cut_off_call_is_read_whole_or_refused_by_its_id(payload, data):
    try:
        whole = orjson.dumps([2, "19", "Action", payload])
    except TypeError:
        return
    cut = whole[: data.draw(st.integers(9, len(whole) - 1))]
    try:
        call = frames.parse(cut)
    except FrameError as error:
        assert error.message_id == "19"
    else:
        assert isinstance(call, Call)
        assert RepairKind.CUT in [repair.kind for repair in call.repairs]


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
        assert frames.parse(written)[:3] == (message_id, "Action", payload)


def test_error_details_are_an_object_and_descriptions_are_cut():
    frame = json.loads(frames.call_error("1", "NotSupported", "x" * 300))
    assert frame == [4, "1", "NotSupported", "x" * 255, {}]


def test_occurence_is_spelt_as_ocpp_16_spells_it():
    assert ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION.value == "OccurenceConstraintViolation"
