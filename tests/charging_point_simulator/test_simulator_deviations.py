"""Deviations by name: what becomes of a frame that is right."""

import json

import pytest

from charging_point_simulator.deviations.chosen import Deviations
from charging_point_simulator.deviations.table import DEVIATIONS, listing

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
START = {
    "connectorId": 1,
    "idTag": "TAG",
    "meterStart": 1000,
    "timestamp": "2026-03-01T03:11:55.250Z",
}
STOP = {
    "transactionId": 41,
    "meterStop": 2000,
    "timestamp": "2026-03-01T11:00:00.000Z",
    "reason": "Local",
    "idTag": "TAG",
}
STATUS = {"connectorId": 1, "errorCode": "GroundFailure", "status": "Preparing"}
REGISTER = {"value": "1200", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
AMPERE = {"value": "16.0", "measurand": "Current.Import", "unit": "A", "phase": "L1"}
READINGS = {
    "connectorId": 1,
    "transactionId": 41,
    "meterValue": [{"timestamp": "2026-03-01T10:00:00.000Z", "sampledValue": [REGISTER, AMPERE]}],
}
ACTIONS = {
    "BootNotification": BOOT,
    "Heartbeat": {},
    "Authorize": {"idTag": "TAG"},
    "StartTransaction": START,
    "StopTransaction": STOP,
    "StatusNotification": STATUS,
    "MeterValues": READINGS,
}


def sent(name, action):
    """The payload that goes out instead of a right one."""
    text = Deviations([name]).write([2, "1", action, ACTIONS[action]])
    return json.loads(text)[3]


def samples(name):
    return sent(name, "MeterValues")["meterValue"][0]["sampledValue"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("byte-order-mark", '\ufeff[2, "1", "Heartbeat", {}]'),
        ("five-elements", '[2, "1", "Heartbeat", {}, {}]'),
        ("null-payloads", '[2, "1", "Heartbeat", null]'),
        ("list-payloads", '[2, "1", "Heartbeat", []]'),
        (
            "extra-members",
            '[2, "1", "Heartbeat", {"currentTime": "2026-03-01T10:00:00Z"}]',
        ),
    ],
)
def test_texts(name, text):
    assert Deviations([name]).write([2, "1", "Heartbeat", {}]) == text


def test_texts_that_are_not_json():
    text = Deviations(["raw-nul"]).write([2, "1", "StatusNotification", STATUS])
    assert '"info": "ab\0"' in text
    text = Deviations(["leading-comma"]).write([2, "1", "MeterValues", READINGS])
    assert '"sampledValue": [,{"value"' in text
    answer = {"status": "Accepted"}
    text = Deviations(["cut-off-answers"]).write([3, "1", answer], "Reset")
    assert json.dumps([3, "1", answer]).startswith(text)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(text)


@pytest.mark.parametrize(
    ("name", "ids"), [("number-ids", [7]), ("empty-ids", [""]), ("long-ids", None)]
)
def test_ids(name, ids):
    made = Deviations([name]).message_id(7)
    assert [made] == ids or len(made) == 255


@pytest.mark.parametrize(
    ("name", "action", "members"),
    [
        ("no-zone", "StartTransaction", {"timestamp": "2026-03-01T03:11:55.250"}),
        ("one-digit-hours", "StartTransaction", {"timestamp": "2026-03-01T3:11:55.250Z"}),
        ("lower-case-z", "StartTransaction", {"timestamp": "2026-03-01T03:11:55.250z"}),
        ("own-error-codes", "StatusNotification", {"errorCode": "Error"}),
        ("occupied", "StatusNotification", {"status": "Occupied"}),
        ("fractional-registers", "StartTransaction", {"meterStart": 1000.333}),
        ("fractional-registers", "StopTransaction", {"meterStop": 2000.333}),
        ("register-backwards", "StopTransaction", {"meterStop": 1}),
        ("stop-transaction-null", "StopTransaction", {"transactionId": None}),
        ("stop-transaction-minus-one", "StopTransaction", {"transactionId": -1}),
        ("readings-transaction-zero", "MeterValues", {"transactionId": 0}),
        ("long-tokens", "StopTransaction", {"idTag": "TAGABCDEFGHIJKLMNOPQ-"}),
        ("own-reasons", "StopTransaction", {"reason": "StoppedByEV"}),
        ("null-members", "StartTransaction", {"reservationId": None}),
        ("extra-members", "Authorize", {"connectorId": 1}),
        ("reading-as-object", "MeterValues", {"meterValue": READINGS["meterValue"][0]}),
    ],
)
def test_members(name, action, members):
    assert sent(name, action) == {**ACTIONS[action], **members}


@pytest.mark.parametrize(
    ("name", "action", "absent"),
    [
        ("no-vendor", "BootNotification", "chargePointVendor"),
        ("no-token", "StartTransaction", "idTag"),
    ],
)
def test_what_is_left_out(name, action, absent):
    assert absent not in sent(name, action)


def test_names_and_sentences_that_are_too_long():
    boot = sent("long-names", "BootNotification")
    assert len(boot["chargePointVendor"]) > 20
    assert len(boot["chargePointModel"]) > 20
    assert len(boot["firmwareVersion"]) > 50
    assert len(sent("long-info", "StatusNotification")["info"]) > 50


def test_samples():
    assert samples("empty-readings") == []
    assert [s["value"] for s in samples("number-values")] == [1200.0, 16.0]
    assert samples("bare-registers") == [{"value": "1200"}]
    assert [s["value"] for s in samples("two-registers")] == ["0", "1200", "16.0"]
    assert samples("ampere-without-measurand")[1] == {"value": "16.0", "unit": "A"}
    (reading,) = sent("odd-samples", "StopTransaction")["transactionData"]
    assert [s["value"] for s in reading["sampledValue"]] == ["2000", "49.97", "16.000"]


def test_readings_that_count_from_the_start_of_each_session():
    deviations = Deviations(["relative-registers"])
    deviations.write([2, "1", "StartTransaction", START])
    frame = json.loads(deviations.write([2, "2", "MeterValues", READINGS]))
    assert frame[3]["meterValue"][0]["sampledValue"][0]["value"] == "200"


def test_registers_that_all_count_from_the_start_of_each_session():
    deviations = Deviations(["session-registers"])
    start = json.loads(deviations.write([2, "1", "StartTransaction", START]))[3]
    reading = json.loads(deviations.write([2, "2", "MeterValues", READINGS]))[3]
    stop = json.loads(deviations.write([2, "3", "StopTransaction", STOP]))[3]
    assert (start["meterStart"], stop["meterStop"]) == (0, 1000)
    assert reading["meterValue"][0]["sampledValue"][0]["value"] == "200"


def test_a_clock_that_has_stopped():
    assert sent("clock-stopped", "StopTransaction")["timestamp"] == "1970-01-01T00:00:00Z"


def test_a_clock_that_begins_in_1970():
    assert sent("clock-1970", "StartTransaction")["timestamp"].startswith("1970-01-01T00:")


def test_a_stop_that_is_lost():
    assert Deviations(["lost-stop"]).write([2, "1", "StopTransaction", STOP]) is None
    assert Deviations(["lost-stop"]).write([2, "1", "StartTransaction", START]) is not None


def test_answers():
    keys = [
        {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
        {"key": "CpoName", "readonly": False, "value": "VNI"},
    ]
    answer = [3, "c", {"configurationKey": keys, "unknownKey": []}]
    written = json.loads(Deviations(["numbers-in-configuration"]).write(answer, "GetConfiguration"))
    assert written[2]["configurationKey"][0] == {
        "key": "NumberOfConnectors",
        "readonly": 1,
        "value": 2,
    }
    assert written[2]["unknownKey"] is None
    written = Deviations(["extra-in-answers"]).write([3, "c", {"status": "Accepted"}], "Reset")
    assert json.loads(written)[2] == {"status": "Accepted", "connectorId": 1}
    written = Deviations(["null-error-codes"]).write([4, "c", "NotSupported", "", {}])
    assert json.loads(written) == [4, "c", None, "", {}]


def test_how_it_connects():
    deviations = Deviations(["no-connection-header", "two-slashes", "no-pongs", "no-boot"])
    handshake = deviations.handshake
    assert (handshake.no_connection_header, handshake.no_pongs) == (True, True)
    assert handshake.suffix == "//"
    assert not deviations.boots
    assert deviations.patient
    assert not Deviations(["hangs-up"]).patient


def profile(level):
    return {"connectorId": 1, "csChargingProfiles": {"stackLevel": level}}


def password(digits):
    return {"key": "AuthorizationKey", "value": "0" * digits}


@pytest.mark.parametrize(
    ("name", "action", "disliked", "liked", "status"),
    [
        ("trigger-needs-connector", "TriggerMessage", {}, {"connectorId": 1}, "Rejected"),
        ("trigger-refuses-connector", "TriggerMessage", {"connectorId": 1}, {}, "Rejected"),
        ("start-needs-connector", "RemoteStartTransaction", {}, {"connectorId": 1}, "Rejected"),
        ("stack-level-zero", "SetChargingProfile", profile(1), profile(0), "Rejected"),
        (
            "no-list-differences",
            "SendLocalList",
            {"updateType": "Differential"},
            {"updateType": "Full"},
            "VersionMismatch",
        ),
        ("short-passwords", "ChangeConfiguration", password(42), password(40), "Rejected"),
    ],
)
def test_commands_that_a_model_does_not_like(name, action, disliked, liked, status):
    deviations = Deviations([name])
    assert deviations.instead(action, disliked) == {"status": status}
    assert deviations.instead(action, liked) is None
    assert deviations.instead("Reset", disliked) is None


def test_a_session_that_is_reported_at_the_other_connector():
    assert sent("start-elsewhere", "StartTransaction")["connectorId"] == 2


def test_several_at_once():
    text = Deviations(["byte-order-mark", "no-zone", "null-members"]).write(
        [2, "1", "StartTransaction", START]
    )
    payload = json.loads(text.removeprefix("\ufeff"))[3]
    assert payload["timestamp"] == "2026-03-01T03:11:55.250"
    assert payload["reservationId"] is None


def test_what_is_queued_stays_as_it_is():
    Deviations(["fractional-registers", "no-token"]).write([2, "1", "StartTransaction", START])
    assert START["meterStart"] == 1000
    assert START["idTag"] == "TAG"


@pytest.mark.parametrize("name", sorted(DEVIATIONS))
def test_every_deviation_deviates(name):
    """Something of what a charging point sends differs, or how it connects does."""
    deviations, right = Deviations([name]), Deviations()
    frames = [[2, "1", action, ACTIONS[action]] for action in sorted(ACTIONS, reverse=True)]
    frames += [[3, "1", {"configurationKey": [{"key": "A", "readonly": True, "value": "1"}]}]]
    frames += [[4, "1", "NotSupported", "", {}]]
    differs = [f for f in frames if deviations.write(f, "GetConfiguration") != right.write(f)]
    commands = {
        "TriggerMessage": [{}, {"connectorId": 1}],
        "RemoteStartTransaction": [{}],
        "SetChargingProfile": [profile(1)],
        "SendLocalList": [{"updateType": "Differential"}],
        "ChangeConfiguration": [password(42)],
    }
    answered = [
        payload
        for action, payloads in commands.items()
        for payload in payloads
        if deviations.instead(action, payload) is not None
    ]
    assert (
        differs
        or answered
        or deviations.message_id(1) != right.message_id(1)
        or deviations.handshake != right.handshake
        or (deviations.boots, deviations.patient, deviations.replays) != (True, True, False)
    )
    assert f"{name} " in listing()


def test_a_name_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="--deviations lists them"):
        Deviations(["nonsense"])
