"""Variables of the device model: named, asked for in parts, and what is told of them."""

import pytest

from charging.command import CommandKind, Setting
from charging.intents import ReadSettings, WriteSettings
from cp_backend.ocpp.actions import Exchange, OutgoingCall
from cp_backend.ocpp.v2 import INCOMING, OUTGOING
from cp_backend.ocpp.v2.variables import name_of, read_variable, settings_told

NAMES = [
    "SmartChargingCtrlr.LimitChangeSignificance",
    "Connector@1.2.AvailabilityState",
    "EVSE@1.Power",
    "OCPPCommCtrlr.MessageTimeout[Default]",
    "Sensor[a.b]@1.Value[c.d]",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_read_as_it_is_written(name):
    assert name_of(read_variable(name)) == name


@pytest.mark.parametrize("name", ["HeartbeatInterval", "A.B.C", "A@x.B", "A@1.2.3.B", ".B", "A."])
def test_what_names_no_variable_is_refused(name):
    with pytest.raises(ValueError, match="must be Component"):
        read_variable(name)


def result(name, **more):
    return {**read_variable(name), "attributeStatus": "Accepted", **more}


def test_what_was_read_and_taken_is_told_and_passwords_are_not():
    read = {
        "getVariableResult": [
            result("A.B", attributeValue="1"),
            result("A.Max", attributeValue="9", attributeType="MaxSet"),
            result("SecurityCtrlr.BasicAuthPassword"),
            result("A.C", attributeStatus="UnknownVariable"),
            result("A.D", attributeStatus="Rejected"),
        ]
    }
    values = {"A.B": "2", "A.C": "3", "A.D": "4"}
    sent = [{"attributeValue": value, **read_variable(name)} for name, value in values.items()]
    taken = {
        "setVariableResult": [
            result("A.C", attributeStatus="RebootRequired"),
            result("A.D", attributeStatus="Rejected"),
            result("a.b"),
        ]
    }
    exchanges = [
        Exchange(OutgoingCall("GetVariables", {}), read),
        Exchange(OutgoingCall("SetVariables", {"setVariableData": sent}), taken),
        Exchange(OutgoingCall("SetVariables", {"setVariableData": sent}), None),
    ]
    assert settings_told(exchanges) == [
        Setting("A.B", "1"),
        Setting("SecurityCtrlr.BasicAuthPassword"),
        Setting("A.C", offered=False),
        Setting("A.C", "3", after_restart=True),
        Setting("a.b", "2"),
    ]


def test_a_report_tells_the_actual_values():
    def row(name, *attributes):
        return {**read_variable(name), "variableAttribute": list(attributes)}

    report = {
        "requestId": 7,
        "generatedAt": "2026-01-01T00:00:00Z",
        "seqNo": 0,
        "reportData": [
            row("A.B", {"value": "1"}, {"type": "Target", "value": "2"}),
            row("Connector@1.1.AvailabilityState", {"value": "Occupied", "mutability": "ReadOnly"}),
            row("SecurityCtrlr.BasicAuthPassword", {"mutability": "WriteOnly"}),
        ],
    }
    notice = INCOMING["NotifyReport"].read(report)
    assert notice.request_id == 7
    assert notice.settings == (
        Setting("A.B", "1", readonly=False),
        Setting("Connector@1.1.AvailabilityState", "Occupied", readonly=True),
        Setting("SecurityCtrlr.BasicAuthPassword", None, readonly=False),
    )


@pytest.mark.parametrize(
    ("kind", "intent", "action", "data"),
    [
        (
            CommandKind.READ_SETTINGS,
            ReadSettings(tuple(f"A.V{n}" for n in range(10))),
            "GetVariables",
            "getVariableData",
        ),
        (
            CommandKind.WRITE_SETTINGS,
            WriteSettings({f"A.V{n}": "x" * 100 for n in range(10)}),
            "SetVariables",
            "setVariableData",
        ),
    ],
)
@pytest.mark.parametrize(
    ("items", "size", "writes", "reads"),
    [("4", None, 3, 3), (None, "400", 10, 2), ("0", "text", 1, 1), (None, None, 1, 1)],
)
def test_many_go_in_parts_that_the_charging_point_takes(
    kind, intent, action, data, items, size, writes, reads
):
    row = OUTGOING[kind]
    (asked,) = row.plan(intent.arguments())
    names = [name_of(each) for each in asked.payload["getVariableData"]]
    assert names == [f"DeviceDataCtrlr.{limit}PerMessage[{action}]" for limit in ("Items", "Bytes")]
    told = [
        result(name, attributeValue=value)
        if value is not None
        else result(name, attributeStatus="UnknownVariable")
        for name, value in zip(names, (items, size), strict=True)
    ]
    exchanges = [Exchange(asked, {"getVariableResult": told})]
    calls = row.resume(intent.arguments(), exchanges)
    assert {call.action for call in calls} == {action}
    assert len(calls) == (writes if action == "SetVariables" else reads)
    sent = [name_of(each) for call in calls for each in call.payload[data]]
    assert sent == [f"A.V{n}" for n in range(10)]
    assert row.resume(intent.arguments(), [*exchanges, Exchange(calls[0], None)]) is None


def test_few_go_at_once():
    intent = WriteSettings({"A.B": "1"})
    (call,) = OUTGOING[CommandKind.WRITE_SETTINGS].plan(intent.arguments())
    assert call.action == "SetVariables"
    assert OUTGOING[CommandKind.WRITE_SETTINGS].resume(intent.arguments(), []) is None
    with pytest.raises(ValueError, match="is a password"):
        OUTGOING[CommandKind.WRITE_SETTINGS].plan(
            WriteSettings({"SecurityCtrlr.BasicAuthPassword": "x"}).arguments()
        )
