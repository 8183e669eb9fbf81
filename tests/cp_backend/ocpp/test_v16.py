"""OCPP 1.6 into the vocabulary of the handlers, and back."""

import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.authorization import Authorization, Decision
from charging.command import CommandKind, Outcome
from charging.evse import EvseState
from charging.session import SessionReference, StopCause
from cp_backend.ocpp import v16
from cp_backend.ocpp.errors import CallRefusedError
from cp_backend.ocpp.schemas import schemas
from cp_backend.ocpp.v16.core import read_time
from cp_backend.vocabulary import (
    BootAnswer,
    CertificateRequestAnswer,
    DataTransferAnswer,
    Noted,
    Registration,
    SessionEndedAnswer,
    SessionStartedAnswer,
)

SCHEMAS = Path(importlib.util.find_spec("ocpp").submodule_search_locations[0]) / "v16/schemas"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def read_energy(*samples):
    message = v16.INCOMING["MeterValues"].read(
        {
            "connectorId": 1,
            "meterValue": [{"timestamp": "2026-05-01T12:00:00Z", "sampledValue": list(samples)}],
        },
    )
    return message.readings[0].energy_wh


def test_the_energy_register_is_read_in_wh():
    assert read_energy({"value": "1.2345", "unit": "kWh"}) == 1234
    assert read_energy({"value": "OFFLINE"}) is None


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-05-01T12:00:00Z", 12),
        ("2026-05-01T14:00:00.123+02:00", 12),
        ("2026-05-01T12:00:00z", 12),
    ],
)
def test_times_are_utc(text, hour):
    time = read_time(text)
    assert (time.hour, time.tzinfo) == (hour, UTC)


@given(st.text(max_size=40))
def test_a_time_is_aware_or_refused(text):
    try:
        assert read_time(text).tzinfo is UTC
    except CallRefusedError as error:
        assert error.code.value == "PropertyConstraintViolation"


@pytest.mark.parametrize("transaction_id", [-1, 0, 2**31])
def test_meter_values_of_no_real_transaction_are_read_without_one(transaction_id):
    message = v16.INCOMING["MeterValues"].read(
        {
            "connectorId": 1,
            "transactionId": transaction_id,
            "meterValue": [{"timestamp": "2026-05-01T12:00:00Z", "sampledValue": [{"value": "1"}]}],
        },
    )
    assert message.session == SessionReference()


def words_of(action, member):
    """The words that the standard's schema allows a member."""
    text = (SCHEMAS / f"{action}.json").read_text("utf-8-sig")
    return json.loads(text)["properties"][member]["enum"]


def test_each_status_of_the_standard_is_a_state_of_ours():
    states = {
        v16.INCOMING["StatusNotification"]
        .read({"connectorId": 1, "errorCode": "NoError", "status": status})
        .state
        for status in words_of("StatusNotification", "status")
    }
    assert states == {*EvseState} - {EvseState.UNKNOWN, EvseState.OCCUPIED}


def test_each_reason_of_the_standard_is_a_cause_of_ours():
    stop = {"transactionId": 1, "meterStop": 1, "timestamp": "2026-05-01T12:00:00Z"}
    read = v16.INCOMING["StopTransaction"].read
    for reason in words_of("StopTransaction", "reason"):
        ended = read({**stop, "reason": reason})
        assert ended.reported_cause == reason
        assert (ended.cause is StopCause.OTHER) is (reason == "Other")
    assert read(stop).cause is StopCause.LOCAL
    assert read({**stop, "reason": "Whim"}).cause is StopCause.OTHER


ACCEPTED = Authorization(Decision.ACCEPTED, NOON, "PARENT")


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("BootNotification", BootAnswer(Registration.PENDING, NOON, 60)),
        ("Heartbeat", NOON),
        ("Authorize", ACCEPTED),
        ("StartTransaction", SessionStartedAnswer(5, ACCEPTED)),
        ("StopTransaction", SessionEndedAnswer(ACCEPTED)),
        ("StopTransaction", SessionEndedAnswer(None)),
        ("MeterValues", Noted()),
        ("StatusNotification", Noted()),
        ("DataTransfer", DataTransferAnswer.UNKNOWN_VENDOR),
        ("FirmwareStatusNotification", Noted()),
        ("SecurityEventNotification", Noted()),
        ("SignCertificate", CertificateRequestAnswer(accepted=False)),
    ],
)
def test_what_we_answer_fits_the_schema(action, answer):
    schemas("v16").check_response(action, v16.INCOMING[action].write(answer))


@pytest.mark.parametrize(
    ("kind", "arguments", "action"),
    [
        (CommandKind.REMOTE_START, {"evse_number": 1, "id_tag": "X"}, "RemoteStartTransaction"),
        (CommandKind.REMOTE_STOP, {"session_id": 7}, "RemoteStopTransaction"),
    ],
)
def test_what_we_ask_fits_the_schema(kind, arguments, action):
    ((asked, payload),) = v16.OUTGOING[kind].plan(arguments)
    assert asked == action
    schemas("v16").check_request(asked, payload)


def test_only_accepted_is_accepted():
    def read(kind, status):
        return v16.OUTGOING[kind].read({"status": status})

    assert read(CommandKind.REMOTE_START, "Accepted") is Outcome.ACCEPTED
    assert read(CommandKind.REMOTE_START, "Rejected") is Outcome.REJECTED
    assert read(CommandKind.RESERVE, "Rejected") is Outcome.NOT_OFFERED
    assert read(CommandKind.RESERVE, "Occupied") is Outcome.OCCUPIED
    assert read(CommandKind.RESERVE, "Faulted") is Outcome.OUT_OF_SERVICE
    assert read(CommandKind.CANCEL_RESERVATION, "Rejected") is Outcome.REJECTED
    assert v16.read_error("NotImplemented") is Outcome.NOT_OFFERED
    assert v16.read_error("InternalError") is Outcome.FAILED
