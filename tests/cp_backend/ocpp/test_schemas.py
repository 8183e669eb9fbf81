"""The official schemas, compiled: what passes and with which code the rest is refused."""

import pytest

from cp_backend.ocpp.errors import CallRefusedError
from cp_backend.ocpp.schemas import schemas

V16 = schemas("v16")


def refusal(action, payload):
    with pytest.raises(CallRefusedError) as error:
        V16.check_request(action, payload)
    return error.value.code.value


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Teleport", {}, "NotImplemented"),
        ("Authorize", {}, "OccurenceConstraintViolation"),
        ("MeterValues", {"connectorId": 1, "meterValue": []}, "OccurenceConstraintViolation"),
        ("Authorize", {"idTag": 5}, "TypeConstraintViolation"),
        ("Authorize", {"idTag": "x" * 21}, "PropertyConstraintViolation"),
        ("Heartbeat", {"surplus": 1}, "FormationViolation"),
        (
            "StatusNotification",
            {"connectorId": 1, "errorCode": "NoError", "status": "Dancing"},
            "PropertyConstraintViolation",
        ),
    ],
)
def test_each_violation_has_its_code(action, payload, code):
    assert refusal(action, payload) == code


@pytest.mark.parametrize(("version", "count"), [("v16", 39), ("v201", 64), ("v21", 91)])
def test_all_actions_of_each_version_are_known(version, count):
    actions = schemas(version).actions
    assert len(actions) == count
    assert not {action for action in actions if action.endswith(("Request", "Response"))}


@pytest.mark.parametrize("version", ["v201", "v21"])
def test_an_action_whose_own_name_begins_with_request_keeps_it(version):
    opened = schemas(version)
    assert {"RequestStartTransaction", "RequestStopTransaction"} <= opened.actions
    opened.check_request("RequestStopTransaction", {"transactionId": "1"})
    opened.check_response("RequestStopTransaction", {"status": "Accepted"})
    with pytest.raises(CallRefusedError):
        opened.check_request("RequestStopTransaction", {"status": "Accepted"})


def test_an_action_that_is_never_answered_is_known_too():
    stream = {"data": [{"t": 1, "v": "1"}], "id": 1, "pending": 0}
    schemas("v21").check_request(
        "NotifyPeriodicEventStream", {**stream, "basetime": "2026-01-01T00:00:00Z"}
    )


def test_an_action_is_known_by_its_letters():
    assert V16.action("heart_beat") == "Heartbeat"
    assert V16.action("HeartbeatRequest") == "Heartbeat"
    assert V16.action("Heartbeat.req") == "Heartbeat"
    assert V16.action("Teleport") == "Teleport"


@pytest.mark.parametrize("unit", ["Celsius", "Celcius"])
def test_both_spellings_of_celsius_are_read(unit):
    sample = {"value": "21", "measurand": "Temperature", "unit": unit}
    V16.check_request(
        "MeterValues",
        {
            "connectorId": 1,
            "meterValue": [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [sample]}],
        },
    )


def test_a_refusal_does_not_repeat_the_value_which_may_be_a_token():
    with pytest.raises(CallRefusedError) as error:
        V16.check_request("Authorize", {"idTag": "SECRET-TOKEN-THAT-IS-TOO-LONG"})
    assert "SECRET" not in error.value.description
    assert "idTag" in error.value.description
