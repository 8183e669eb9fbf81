"""The OCPP conversation as texts in and texts out, without a socket or a database."""

import json

import psycopg
import pytest

from charging.authorization import Authorization, Decision
from charging.command import CommandKind, Outcome
from cp_backend.conversation.asking import MAX_COMMANDS_WAITING
from cp_backend.conversation.ocpp import OcppConversation
from cp_backend.ocpp.dialect import V16
from cp_backend.ocpp.tolerance import Tolerance
from cp_backend.vocabulary import Registration, SessionStartedAnswer
from tests.station import ago, iso
from tests.wire import MemoryWire, context

ACCEPTED = Authorization(Decision.ACCEPTED)
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


@pytest.fixture
def wire():
    return MemoryWire()


@pytest.fixture
async def node():
    return context(max_waiting_calls=3)


@pytest.fixture
def conversation(wire, node):
    return OcppConversation(wire, node, V16, Registration.ACCEPTED)


def say(conversation, *frame):
    conversation.on_text(json.dumps(frame).encode())


def heads(wire):
    """What was sent, as [type, id], with the code of an error."""
    return [frame[:3] if frame[0] == 4 else frame[:2] for frame in wire.sent]


def reading(value="5"):
    sample = {"timestamp": iso(ago()), "sampledValue": [{"value": value}]}
    return {"connectorId": 1, "meterValue": [sample]}


# Boots.


@pytest.mark.parametrize("registration", [Registration.ACCEPTED, None])
async def test_nothing_is_asked_before_a_boot_is_answered_nor_just_after(wire, registration):
    node = context(settle_time=3, boot_wait=0)
    conversation = OcppConversation(wire, node, V16, registration)
    results = []
    conversation.command(CommandKind.REMOTE_STOP, {"session_id": 1}, 60, results.append)
    say(conversation, 2, "1", "BootNotification", BOOT)
    wire.now = 20
    conversation.on_second(20)
    assert wire.sent == []
    node.store.give(Registration.ACCEPTED)
    assert heads(wire) == [[3, "1"]]
    assert wire.calls_in[-1] == 3
    say(conversation, 2, "2", "Heartbeat", {})
    wire.now = 22
    conversation.on_second(22)
    assert heads(wire) == [[3, "1"], [3, "2"]]
    wire.now = 23
    conversation.on_second(23)
    assert wire.sent[-1][2:] == ["RemoteStopTransaction", {"transactionId": 1}]
    assert results == []


async def test_who_goes_on_without_a_boot_is_asked_at_once(wire):
    conversation = OcppConversation(wire, context(settle_time=3), V16, Registration.ACCEPTED)
    conversation.command(CommandKind.REMOTE_STOP, {"session_id": 1}, 60, lambda result: None)
    assert wire.sent == []
    say(conversation, 2, "1", "Heartbeat", {})
    assert [frame[0] for frame in wire.sent] == [2, 3]


async def test_a_command_whose_turn_does_not_come_ends_at_its_deadline(wire):
    conversation = OcppConversation(wire, context(settle_time=3), V16, Registration.ACCEPTED)
    results = []
    conversation.command(CommandKind.REMOTE_STOP, {"session_id": 1}, 2, results.append)
    say(conversation, 2, "1", "BootNotification", BOOT)
    wire.now = 2
    conversation.on_second(2)
    assert [result.outcome for result in results] == [Outcome.TIMEOUT]
    assert wire.sent == []


async def test_who_never_booted_is_asked_to_once_and_not_when_it_boots_meanwhile(wire):
    node = context(boot_wait=10)
    silent = OcppConversation(wire, node, V16, None)
    booted = OcppConversation(wire, node, V16, None)
    say(booted, 2, "1", "BootNotification", BOOT)
    node.store.give(Registration.ACCEPTED)
    for wire.now in (9, 10, 11, 20):
        silent.on_second(wire.now)
        booted.on_second(wire.now)
    assert [what for what, *_ in node.store.asked] == ["commands.ask_to_boot"]


# Their calls.


async def test_a_heartbeat_is_answered_at_once(conversation, wire, node):
    say(conversation, 2, "1", "Heartbeat", {})
    assert heads(wire) == [[3, "1"]]
    assert node.store.asked == []


async def test_calls_are_answered_in_order_each_after_its_commit(conversation, wire, node):
    say(conversation, 2, "1", "MeterValues", reading())
    say(conversation, 2, "2", "Heartbeat", {})
    say(conversation, 2, "3", "MeterValues", reading())
    assert wire.sent == []
    assert conversation.busy
    node.store.give(None)
    assert heads(wire) == [[3, "1"], [3, "2"]]
    node.store.give(None)
    assert heads(wire) == [[3, "1"], [3, "2"], [3, "3"]]
    assert not conversation.busy


async def test_a_flood_is_read_no_faster_than_it_is_answered(conversation, wire, node):
    for number in range(4):
        say(conversation, 2, str(number), "MeterValues", reading())
    assert wire.paused
    for _ in range(4):
        node.store.give(None)
    assert heads(wire) == [[3, "0"], [3, "1"], [3, "2"], [3, "3"]]
    assert not wire.paused


@pytest.mark.parametrize(
    ("registration", "tolerance"),
    [
        (None, Tolerance(strict=True)),
        (Registration.PENDING, Tolerance()),
        (Registration.REJECTED, Tolerance()),
    ],
)
async def test_nothing_but_a_boot_is_answered_before_one_is_accepted(
    wire, node, registration, tolerance
):
    conversation = OcppConversation(wire, node, V16, registration, tolerance)
    say(conversation, 2, "1", "Heartbeat", {})
    say(conversation, 2, "2", "Teleport", {})
    assert heads(wire) == [[4, "1", "SecurityError"], [4, "2", "NotImplemented"]]
    say(conversation, 2, "3", "BootNotification", BOOT)
    node.store.give(Registration.ACCEPTED)
    say(conversation, 2, "4", "Heartbeat", {})
    assert heads(wire)[2:] == [[3, "3"], [3, "4"]]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (b"not JSON", []),
        (b'[2,"1",5,{}]', [[4, "1", "FormationViolation"]]),
        (
            b'[2,"1",5,{}][2,"1","Heartbeat",{}]',
            [[4, "1", "FormationViolation"], [3, "1"]],
        ),
        (b'[2,"1","ocpp:HeartbeatRequest",{}]', [[3, "1"]]),
        (b'[2,"1","Authorize",{}]', [[4, "1", "OccurenceConstraintViolation"]]),
        (b'[2,"1","Reset",{"type":"Hard"}]', [[4, "1", "NotSupported"]]),
        (b'[3,"1",{}]', []),
        (b'[4,"1","InternalError","",{}]', []),
        (b"[" * 900 + b"]" * 900, []),
    ],
)
async def test_odd_frames_are_answered_where_they_can_be(conversation, wire, text, sent):
    conversation.on_text(text)
    say(conversation, 2, "2", "Heartbeat", {})
    assert heads(wire) == [*sent, [3, "2"]]


async def test_a_binary_message_is_taken_as_text_except_strictly(conversation, wire, node):
    assert conversation.on_binary(b'[2,"1","Heartbeat",{}]')
    assert heads(wire) == [[3, "1"]]
    strict = OcppConversation(wire, node, V16, Registration.ACCEPTED, Tolerance(strict=True))
    assert not strict.on_binary(b'[2,"2","Heartbeat",{}]')
    assert heads(wire) == [[3, "1"]]


@pytest.mark.parametrize("at", ["1970-01-01T00:00:00.740Z", "2099-01-01T00:00:00Z"])
async def test_a_status_of_a_wrong_clock_is_as_of_its_receipt(conversation, node, at):
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": at}
    say(conversation, 2, "1", "StatusNotification", status)
    ((_, message, _),) = node.store.asked
    assert abs(message.at - ago()).total_seconds() < 60


async def test_a_text_that_is_not_utf8_closes(conversation, wire):
    conversation.on_text(b'[2,"1","\xff",{}]')
    assert wire.ended == "1007"


@pytest.mark.parametrize(
    ("result", "answered"),
    [
        (ACCEPTED, True),
        (psycopg.OperationalError("away"), False),
        ("what is no authorization", False),
    ],
)
async def test_an_exception_is_answered_and_the_next_call_too(
    conversation, wire, node, result, answered
):
    say(conversation, 2, "1", "Authorize", {"idTag": "T"})
    say(conversation, 2, "2", "Authorize", {"idTag": "T"})
    node.store.give(result)
    node.store.give(ACCEPTED)
    assert heads(wire) == [[3, "1"] if answered else [4, "1", "InternalError"], [3, "2"]]


async def test_an_exception_in_a_step_before_the_answer_is_answered(conversation, wire, node):
    start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": iso(ago())}
    say(conversation, 2, "1", "StartTransaction", start)
    node.store.give("what is no answer")
    say(conversation, 2, "2", "StartTransaction", start)
    node.store.give(SessionStartedAnswer(7, ACCEPTED))
    assert heads(wire) == [[4, "1", "InternalError"], [3, "2"]]
    assert wire.sent[1][2]["transactionId"] == 7


async def test_a_connection_that_fails_under_an_answer_is_aborted(conversation, wire, node):
    say(conversation, 2, "1", "MeterValues", reading())
    wire.sent = None
    node.store.give(None)
    assert wire.ended == "defect"


# Our calls.


def stop(conversation, results, seconds=30, session=7):
    conversation.command(CommandKind.REMOTE_STOP, {"session_id": session}, seconds, results.append)


async def test_commands_go_out_one_by_one_and_each_gets_its_result(conversation, wire):
    results = []
    for session in (1, 2, 3):
        stop(conversation, results, session=session)
    (first,) = wire.sent
    assert [first[0], *first[2:]] == [2, "RemoteStopTransaction", {"transactionId": 1}]
    say(conversation, 3, first[1], {"status": "Accepted"})
    say(conversation, 4, wire.sent[1][1], "NotSupported", "never", {})
    say(conversation, 3, wire.sent[2][1], {"status": "Perhaps"})
    assert [result.outcome for result in results] == [
        Outcome.ACCEPTED,
        Outcome.NOT_OFFERED,
        Outcome.FAILED,
    ]
    assert results[0].answer == ({"status": "Accepted"},)
    assert results[1].detail == "NotSupported: never"
    assert len({frame[1] for frame in wire.sent}) == 3


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('[3," {ID} ",{"status":"Accepted"}]', Outcome.ACCEPTED),
        ('[3,"{ID}","Accepted"]', Outcome.ACCEPTED),
        ('[3,"{ID}",["rejected"]]', Outcome.REJECTED),
        ('[4,"{ID}"]', Outcome.FAILED),
        ('[3,"{ID}",{"status":"Acc', Outcome.FAILED),
    ],
)
async def test_an_answer_is_known_by_its_id_in_any_letters(conversation, wire, text, outcome):
    results = []
    stop(conversation, results)
    conversation.on_text(text.replace("{ID}", wire.sent[0][1].upper()).encode())
    assert [result.outcome for result in results] == [outcome]


async def test_an_answer_that_is_cut_off_ends_its_command_at_once(conversation, wire):
    results = []
    stop(conversation, results)
    conversation.on_text(f'[3,"{wire.sent[0][1]}",{{"status":"Acc'.encode())
    assert [result.outcome for result in results] == [Outcome.FAILED]


async def test_a_call_of_ours_waits_for_no_call_of_theirs(conversation, wire, node):
    results = []
    say(conversation, 2, "1", "MeterValues", reading())
    stop(conversation, results)
    say(conversation, 3, wire.sent[0][1], {"status": "Accepted"})
    assert [result.outcome for result in results] == [Outcome.ACCEPTED]
    node.store.give(None)
    assert heads(wire)[1:] == [[3, "1"]]


async def test_a_command_is_given_up_at_its_deadline_and_its_late_result_ignored(
    conversation, wire
):
    results = []
    stop(conversation, results, seconds=5)
    stop(conversation, results, seconds=5)
    assert wire.calls_in == [5, 5]
    wire.now = 5
    conversation.on_second(5)
    # The second had no time of its own; it was never sent.
    assert [result.outcome for result in results] == [Outcome.TIMEOUT, Outcome.TIMEOUT]
    assert len(wire.sent) == 1
    say(conversation, 3, wire.sent[0][1], {"status": "Accepted"})
    assert len(results) == 2


async def test_what_cannot_be_asked_is_answered_at_once(wire, node, conversation):
    results = []
    unbooted = OcppConversation(wire, node, V16, Registration.PENDING)
    stop(unbooted, results)
    conversation.command(CommandKind.REMOTE_STOP, {}, 5, results.append)
    conversation.command(CommandKind.UNLOCK, {"evse_number": 0}, 5, results.append)
    for payload in ({"type": "Softly"}, {"type": "Soft", "own": 1}):
        call = {"action": "Reset", "payload": payload}
        conversation.command(CommandKind.CALL, call, 5, results.append)
    call = {"action": "Teleport", "payload": {}}
    conversation.command(CommandKind.CALL, call, 5, results.append)
    stop(conversation, results, session=2**70)
    assert [(result.outcome, result.detail.split(":")[0]) for result in results] == [
        (Outcome.REJECTED, "its boot has not been accepted"),
        (Outcome.INVALID, "session_id"),
        (Outcome.INVALID, "evse_number"),
        (Outcome.INVALID, "type"),
        (Outcome.INVALID, "payload"),
        (Outcome.INVALID, "unknown action 'Teleport'"),
        (Outcome.FAILED, "cannot be written"),
    ]
    assert wire.sent == []


async def test_several_calls_stop_at_the_first_that_is_not_accepted(wire, conversation):
    results = []
    values = {"values": {"A": "1", "B": "2", "C": "3"}}
    conversation.command(CommandKind.WRITE_SETTINGS, values, 5, results.append)
    say(conversation, 3, wire.sent[0][1], {"status": "RebootRequired"})
    say(conversation, 3, wire.sent[1][1], {"status": "Rejected"})
    assert (results[0].outcome, results[0].detail) == (
        Outcome.REJECTED,
        "Rejected; 1 of 3 were accepted before",
    )
    conversation.command(CommandKind.WRITE_SETTINGS, values, 5, results.append)
    for place, status in enumerate(("Accepted", "RebootRequired", "Accepted"), 2):
        say(conversation, 3, wire.sent[place][1], {"status": status})
    assert results[1].outcome is Outcome.REBOOT_REQUIRED
    assert len(results[1].answer) == 3


async def test_answers_are_read_as_tolerantly_as_calls(wire, conversation):
    results = []
    for payload in (
        [{"status": "Accepted", "connectorId": 1}],
        [{"status": "accepted"}, {}],
        [{}],
        [None],
        [],
        [{"status": None}],
    ):
        stop(conversation, results)
        say(conversation, 3, wire.sent[-1][1], *payload)
    assert [result.outcome for result in results] == [
        *[Outcome.ACCEPTED] * 2,
        *[Outcome.FAILED] * 4,
    ]


async def test_a_strict_charging_point_is_refused_what_deviates(wire, node):
    strict = OcppConversation(wire, node, V16, Registration.ACCEPTED, Tolerance(strict=True))
    for frame in (
        [2, "1", "Heartbeat", {"own": 1}],
        [2, "1", "Heartbeat", None],
        [2, 1, "Heartbeat", {}],
        [2, "1", "heartbeat", {}],
    ):
        say(strict, *frame)
    assert [frame[2] for frame in wire.sent] == [
        *["FormationViolation"] * 3,
        "NotImplemented",
    ]


async def test_only_so_many_commands_wait(conversation):
    results = []
    for _ in range(MAX_COMMANDS_WAITING + 1):
        stop(conversation, results)
    assert [result.outcome for result in results] == [Outcome.FAILED]
    conversation.on_closed()
    assert [result.outcome for result in results[1:]] == [Outcome.OFFLINE] * MAX_COMMANDS_WAITING


async def test_a_callback_that_fails_keeps_no_other_command_waiting(conversation, wire):
    def fail(result):
        raise RuntimeError("a defect")

    results = []
    conversation.command(CommandKind.REMOTE_STOP, {"session_id": 1}, 30, fail)
    stop(conversation, results)
    for number in range(2):
        say(conversation, 3, wire.sent[number][1], {"status": "Accepted"})
    assert [result.outcome for result in results] == [Outcome.ACCEPTED]


# What a log may hold.


def test_no_secret_of_a_payload_is_logged():
    payload = {
        "listVersion": 1,
        "updateType": "Full",
        "localAuthorizationList": [{"idTag": "SECRET", "idTagInfo": {"parentIdTag": "SECRET"}}],
    }
    assert "SECRET" not in json.dumps(V16.loggable("SendLocalList", payload))
    location = {"location": "ftp://user:SECRET@host/"}
    assert "SECRET" not in json.dumps(V16.loggable("GetDiagnostics", location))
    assert V16.loggable("MeterValues", reading("7"))["meterValue"][0]["sampledValue"] == [
        {"value": "7"}
    ]
