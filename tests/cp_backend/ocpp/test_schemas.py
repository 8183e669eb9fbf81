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


def test_all_39_actions_of_ocpp_16_are_known():
    assert len(V16.actions) == 39


def test_serial_numbers_may_be_too_long():
    V16.check_request(
        "BootNotification",
        {
            "chargePointVendor": "V",
            "chargePointModel": "M",
            "chargePointSerialNumber": "x" * 60,
            "chargeBoxSerialNumber": "x" * 60,
        },
    )


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
