"""OCPP 2.0.1 and 2.1 into the vocabulary of the handlers, and back."""

import pytest

from charging.authorization import Authorization, Decision
from charging.evse import EvseState
from charging.session import StopCause
from charging.token import TokenKind
from cp_backend.ocpp.dialect import V21, V201
from cp_backend.ocpp.errors import ErrorCode
from cp_backend.ocpp.schemas import schemas
from cp_backend.vocabulary import Noted, SessionPhase, SessionReportedAnswer

NOON = "2026-05-01T12:00:00Z"


def event(kind="Updated", number=1, **more):
    info = {"transactionId": "tx-1", **more.pop("info", {})}
    return {
        "eventType": kind,
        "timestamp": NOON,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": number,
        "transactionInfo": info,
        **more,
    }


def read(payload):
    assert V201.schemas().accepts_request("TransactionEvent", payload)
    return V201.incoming["TransactionEvent"].read(payload)


def metered(*sampled):
    return [{"timestamp": NOON, "sampledValue": list(sampled)}]


@pytest.mark.parametrize(
    ("sampled", "energy_wh"),
    [
        ({"value": 1234}, 1234),
        ({"value": 1234.0}, 1234),
        ({"value": 1.2345, "unitOfMeasure": {"unit": "kWh"}}, 1234),
        ({"value": 12, "unitOfMeasure": {"unit": "Wh", "multiplier": 2}}, 1200),
        ({"value": 1234567, "unitOfMeasure": {"multiplier": -3}}, 1235),
        ({"value": 1.5, "unitOfMeasure": {"unit": "kWh", "multiplier": 3}}, 1_500_000),
        ({"value": 1e7}, 10_000_000),
        ({"value": 5, "unitOfMeasure": {"unit": "Wh", "multiplier": 90}}, None),
        ({"value": 230, "measurand": "Voltage", "unitOfMeasure": {"unit": "V"}}, None),
    ],
)
def test_the_energy_register_is_read_in_wh(sampled, energy_wh):
    assert read(event(meterValue=metered(sampled))).readings[0].energy_wh == energy_wh


def test_readings_have_the_shape_of_those_of_1_6():
    message = read(
        event(
            meterValue=metered(
                {
                    "value": 7.36,
                    "measurand": "Power.Active.Import",
                    "context": "Sample.Periodic",
                    "phase": "L1",
                    "unitOfMeasure": {"unit": "kW", "multiplier": 3},
                }
            )
        )
    )
    assert message.readings[0].sampled_values == [
        {
            "value": "7360",
            "measurand": "Power.Active.Import",
            "context": "Sample.Periodic",
            "phase": "L1",
            "unit": "kW",
        }
    ]


def test_a_signed_value_is_kept_to_the_last_character():
    signed = 'OCMF|{...}|{"SD":"30"}  \n'
    message = read(
        event(
            "Ended",
            meterValue=metered(
                {
                    "value": 5100,
                    "context": "Transaction.End",
                    "signedMeterValue": {
                        "signedMeterData": signed,
                        "signingMethod": "ECDSA",
                        "encodingMethod": "OCMF",
                        "publicKey": "key",
                    },
                }
            ),
        )
    )
    assert message.last_register_wh == 5100
    assert message.readings[0].sampled_values[0] == {
        "context": "Transaction.End",
        "format": "SignedData",
        "value": signed,
        "signingMethod": "ECDSA",
        "encodingMethod": "OCMF",
        "publicKey": "key",
    }


def test_a_start_brings_evse_connector_token_and_command():
    message = read(
        event(
            "Started",
            0,
            evse={"id": 2, "connectorId": 1},
            idToken={"idToken": "04a1b2c3", "type": "ISO14443"},
            info={"remoteStartId": 7},
        )
    )
    assert (message.phase, message.sequence) == (SessionPhase.STARTED, 0)
    assert (message.evse_number, message.connector_number, message.command_id) == (2, 1, 7)
    assert message.token.value == "04A1B2C3"
    assert message.token.kind is TokenKind.CARD
    assert message.stop_token is None


def test_a_token_that_was_shown_to_end_is_none_to_begin_with():
    token = {"idToken": "04A1B2C3", "type": "ISO14443"}
    for payload in (event("Ended", idToken=token), event(idToken=token)):
        message = read(payload | {"triggerReason": "StopAuthorized"})
        assert message.token is None
        assert message.stop_token.value == "04A1B2C3"


def test_charging_without_authorization_has_an_empty_token():
    message = read(event("Started", 0, idToken={"idToken": "", "type": "NoAuthorization"}))
    assert message.token.value == ""


def words(name):
    document = schemas("v21")._documents["TransactionEventRequest"]
    return document["definitions"][name]["enum"]


@pytest.mark.parametrize("reason", words("ReasonEnumType"))
def test_each_reason_of_the_standard_is_a_cause_of_ours(reason):
    payload = event("Ended", info={"stoppedReason": reason})
    cause = V21.incoming["TransactionEvent"].read(payload).cause
    assert (cause is StopCause.OTHER) == (reason == "Other")


def test_an_end_without_a_reason_was_local():
    assert read(event("Ended")).cause is StopCause.LOCAL


def test_a_connectors_availability_is_its_status_by_event_too():
    payload = {
        "generatedAt": NOON,
        "seqNo": 0,
        "eventData": [
            {
                "eventId": 1,
                "timestamp": NOON,
                "trigger": "Delta",
                "actualValue": "Occupied",
                "eventNotificationType": "HardWiredNotification",
                "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 2}},
                "variable": {"name": "AvailabilityState"},
            }
        ],
    }
    (status,) = V201.incoming["NotifyEvent"].read(payload).statuses
    assert (status.evse_number, status.connector_number) == (1, 2)
    assert (status.state, status.reported) == (EvseState.OCCUPIED, "Occupied")


@pytest.mark.parametrize("decision", list(Decision))
def test_each_decision_has_a_word_of_the_standard(decision):
    answer = SessionReportedAnswer(1, Authorization(decision, parent_id_tag="GROUP"))
    payload = V201.incoming["TransactionEvent"].write(answer)
    V201.schemas().check_response("TransactionEvent", payload)
    assert payload["idTokenInfo"]["groupIdToken"]["idToken"] == "GROUP"


@pytest.mark.parametrize("dialect", [V201, V21], ids=lambda dialect: dialect.version)
def test_error_codes_are_spelled_as_the_version_does(dialect):
    assert dialect.spell(ErrorCode.FORMATION_VIOLATION) == "FormatViolation"
    assert dialect.spell(ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION) == (
        "OccurrenceConstraintViolation"
    )
    assert dialect.spell(ErrorCode.RPC_FRAMEWORK_ERROR) == "RpcFrameworkError"


UP = sorted(
    set(V21.incoming)
    - {"Authorize", "BootNotification", "DataTransfer", "Heartbeat", "SignCertificate"}
    - {"Get15118EVCertificate", "GetCertificateChainStatus", "GetCertificateStatus"}
    - {"TransactionEvent"}
)


@pytest.mark.parametrize("action", UP)
def test_the_answer_to_a_report_fits_its_schema(action):
    row = V21.incoming[action]
    example = {"vatNumber": "DE123", "evseId": 1} if action == "VatNumberValidation" else None
    notice = None if example is None else row.read(example)
    V21.schemas().check_response(action, row.write(Noted(notice)))
