"""Every command of OCPP 1.6, texts in and texts out: its answer and its effect."""

import json
from datetime import timedelta

import pytest

from charging_point_simulator import faulty_answers
from charging_point_simulator.ocpp16.commands import COMMANDS
from charging_point_simulator.schemas import V16
from charging_point_simulator.station import drivers
from tests.charging_point_simulator.station import Station

FROM_CHARGING_POINTS = {
    *("Authorize", "BootNotification", "DiagnosticsStatusNotification"),
    *("FirmwareStatusNotification", "Heartbeat", "LogStatusNotification", "MeterValues"),
    *("SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification"),
    *("StartTransaction", "StatusNotification", "StopTransaction"),
}


def test_every_action_is_a_command_or_a_message():
    assert set(COMMANDS) | FROM_CHARGING_POINTS == V16.actions
    assert not set(COMMANDS) & FROM_CHARGING_POINTS


def configuration(station, *keys):
    answer = station.call("GetConfiguration", key=list(keys))
    return {key["key"]: key for key in answer["configurationKey"]}, answer["unknownKey"]


# Core.


@pytest.mark.parametrize(("kind", "reason"), [("Hard", "HardReset"), ("Soft", "SoftReset")])
def test_a_reset_ends_sessions_drops_the_connection_and_boots(kind, reason):
    station = Station()
    station.charge()
    station.take()
    connection = station.point.calls.connection
    assert station.status("Reset", type=kind) == "Accepted"
    station.wait(0.5)
    before = [a for a, _ in station.take()]
    assert not station.point.calls.connected
    station.wait(1)
    sent = station.take()
    assert station.point.calls.connection == connection + 1
    assert sent[0][0] == "BootNotification"
    # A soft reset reports the end before it, a hard one after it.
    assert ("StopTransaction" in before) == (kind == "Soft")
    (stop,) = (r for r in station.point.report.sessions)
    assert (stop.stop_reason, stop.complete) == (reason, True)
    assert ("StatusNotification", "Preparing") in [(a, p.get("status")) for a, p in sent]


def test_a_connector_out_of_service_charges_nobody_and_stays_so_over_a_reset():
    station = Station(connectors=2)
    station.take()
    assert station.status("ChangeAvailability", connectorId=1, type="Inoperative") == "Accepted"
    assert station.statuses() == ["Unavailable"]
    assert station.status("RemoteStartTransaction", connectorId=1, idTag="APP") == "Rejected"
    station.call("Reset", type="Hard")
    station.wait(2)
    assert station.statuses() == ["Unavailable"]
    assert station.status("ChangeAvailability", connectorId=1, type="Operative") == "Accepted"
    assert station.statuses() == ["Available"]
    assert station.status("ChangeAvailability", connectorId=7, type="Operative") == "Rejected"


def test_a_charging_connector_goes_out_of_service_after_its_session():
    station = Station(connectors=2)
    station.charge()
    station.take()
    assert station.status("ChangeAvailability", connectorId=0, type="Inoperative") == "Scheduled"
    sent = {p["connectorId"]: p["status"] for p in station.payloads("StatusNotification")}
    assert sent == {0: "Unavailable", 2: "Unavailable"}
    drivers.stop(station.point, station.point.connectors[1])
    station.exchange()
    assert station.statuses() == ["Unavailable"]


def test_the_configuration_has_types_bounds_and_keys_that_cannot_be_written():
    station = Station(connectors=2)
    found, unknown = configuration(station, "HeartbeatInterval", "NumberOfConnectors", "Nonsense")
    assert unknown == ["Nonsense"]
    assert found["NumberOfConnectors"] == {
        "key": "NumberOfConnectors",
        "readonly": True,
        "value": "2",
    }
    assert found["HeartbeatInterval"]["value"] == "300"
    everything = station.call("GetConfiguration")["configurationKey"]
    assert len(everything) > 40
    assert all(key["value"] is not None for key in everything)
    for key, value, status in (
        ("NumberOfConnectors", "3", "Rejected"),
        ("HeartbeatInterval", "soon", "Rejected"),
        ("HeartbeatInterval", "-1", "Rejected"),
        ("HeartbeatInterval", "60", "Accepted"),
        ("LocalPreAuthorize", "perhaps", "Rejected"),
        ("LocalPreAuthorize", "True", "Accepted"),
        ("MeterValuesSampledData", "Nonsense", "Rejected"),
        ("Nonsense", "1", "NotSupported"),
        ("WebSocketPingInterval", "10", "RebootRequired"),
    ):
        assert station.status("ChangeConfiguration", key=key, value=value) == status, key
    found, _ = configuration(
        station, "HeartbeatInterval", "LocalPreAuthorize", "WebSocketPingInterval"
    )
    assert [key["value"] for key in found.values()] == ["60", "true", "60"]
    station.call("Reset", type="Soft")
    station.wait(2)
    assert configuration(station, "WebSocketPingInterval")[0]["WebSocketPingInterval"][
        "value"
    ] == "10"  # fmt: skip


def test_what_is_measured_and_how_often_can_be_configured():
    station = Station()
    for key, value in (
        ("MeterValueSampleInterval", "10"),
        ("MeterValuesSampledData", "Power.Active.Import,Current.Offered"),
        ("StopTxnSampledData", "Energy.Active.Import.Register"),
        ("ClockAlignedDataInterval", "900"),
    ):
        assert station.status("ChangeConfiguration", key=key, value=value) == "Accepted"
    station.charge()
    readings = station.payloads("MeterValues")
    assert len(readings) == 6
    assert {s["measurand"] for r in readings for s in r["meterValue"][0]["sampledValue"]} == {
        "Power.Active.Import",
        "Current.Offered",
    }
    station.call("RemoteStopTransaction", transactionId=1)
    (stop,) = station.payloads("StopTransaction")
    (sample,) = stop["transactionData"][0]["sampledValue"]
    assert (sample["context"], sample["value"]) == ("Transaction.End", str(stop["meterStop"]))
    station.unplug()
    station.wait(900)
    (aligned,) = station.payloads("MeterValues")
    assert aligned["meterValue"][0]["timestamp"] == "2026-03-01T10:15:00.000Z"
    assert aligned["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Clock"
    assert "transactionId" not in aligned


def test_a_heartbeat_interval_holds_at_once():
    station = Station()
    station.take()
    station.call("ChangeConfiguration", key="HeartbeatInterval", value="10")
    station.wait(60)
    assert 6 <= len(station.payloads("Heartbeat")) <= 7


def test_a_new_password_holds_from_the_next_connection_on_and_cannot_be_read():
    station = Station()
    connection = station.point.calls.connection
    change = {"key": "AuthorizationKey", "value": "00112233445566778899aabbccddeeff"}
    assert station.status("ChangeConfiguration", key="AuthorizationKey", value="ab") == "Rejected"
    assert station.status("ChangeConfiguration", **change) == "Accepted"
    station.wait(1)
    assert station.point.calls.connection == connection + 1
    assert station.point.password == bytes.fromhex(change["value"])
    assert configuration(station, "AuthorizationKey") == ({}, ["AuthorizationKey"])
    plain = station.call("ChangeConfiguration", key="AuthorizationKey", value="correct horse")
    assert plain == {"status": "Accepted"}
    assert station.point.password == b"correct horse"


def test_unlocking_ends_the_session():
    station = Station()
    session = station.charge()
    assert station.status("UnlockConnector", connectorId=1) == "Unlocked"
    assert session.reason == "UnlockCommand"
    assert station.statuses()[-1] == "Finishing"
    assert station.status("UnlockConnector", connectorId=5) == "NotSupported"


def test_a_cache_answers_offline_until_it_is_cleared():
    station = Station()
    station.call("ChangeConfiguration", key="AllowOfflineTxForUnknownId", value="false")
    station.charge()
    station.call("RemoteStopTransaction", transactionId=1)
    station.unplug()
    for cleared, expected in ((False, "Accepted"), (True, "Invalid")):
        if cleared:
            assert station.status("ClearCache") == "Accepted"
        station.disconnect()
        station.plug()
        assert station.tap() == expected
        if not cleared:
            drivers.stop(station.point, station.point.connectors[1])
        station.unplug()
        station.connect()


def test_a_remote_start_waits_for_a_car_and_takes_a_free_connector():
    station = Station(connectors=2)
    station.charge(1)
    station.take()
    assert station.status("RemoteStartTransaction", idTag="APP") == "Accepted"
    assert station.statuses(2) == ["Preparing"]
    station.plug(2)
    (start,) = station.payloads("StartTransaction")
    assert (start["connectorId"], start["idTag"]) == (2, "APP")
    assert station.status("RemoteStartTransaction", idTag="APP") == "Rejected"
    assert station.status("RemoteStartTransaction", connectorId=0, idTag="APP") == "Rejected"
    assert station.status("RemoteStopTransaction", transactionId=99) == "Rejected"


def test_a_remote_start_is_authorized_first_when_configured():
    station = Station()
    station.call("ChangeConfiguration", key="AuthorizeRemoteTxRequests", value="true")
    station.answers["Authorize"] = {"idTagInfo": {"status": "Blocked"}}
    station.plug()
    assert station.status("RemoteStartTransaction", idTag="APP") == "Accepted"
    assert station.payloads("StartTransaction") == []


def test_data_of_our_vendor_is_echoed():
    station = Station()
    assert station.status("DataTransfer", vendorId="Other") == "UnknownVendorId"
    ours = {"vendorId": "Venerable Inertia"}
    assert station.status("DataTransfer", **ours, messageId="x") == "UnknownMessageId"
    answer = station.call("DataTransfer", **ours, messageId="echo", data="hello")
    assert answer == {"status": "Accepted", "data": "hello"}


# Local list.


def entries(*tokens, status="Accepted"):
    return [{"idTag": token, "idTagInfo": {"status": status}} for token in tokens]


def send(station, version, kind, listed):
    return station.status(
        "SendLocalList", listVersion=version, updateType=kind, localAuthorizationList=listed
    )


def test_a_local_list_has_versions_differences_and_limits():
    station = Station()
    assert station.call("GetLocalListVersion") == {"listVersion": 0}
    assert send(station, 5, "Full", entries("ONE", "TWO")) == "Accepted"
    assert send(station, 5, "Differential", entries("THREE")) == "VersionMismatch"
    assert send(station, 6, "Differential", [*entries("THREE"), {"idTag": "ONE"}]) == "Accepted"
    assert station.call("GetLocalListVersion") == {"listVersion": 6}
    assert set(station.point.token_list.entries) == {"TWO", "THREE"}
    many = entries(*(f"T{n}" for n in range(101)))
    assert send(station, 7, "Differential", many) == "Failed"
    assert station.call("GetLocalListVersion") == {"listVersion": 6}
    assert send(station, 0, "Full", []) == "Accepted"
    assert station.call("GetLocalListVersion") == {"listVersion": 0}
    station.call("ChangeConfiguration", key="LocalAuthListEnabled", value="false")
    assert send(station, 8, "Full", []) == "NotSupported"
    assert station.call("GetLocalListVersion") == {"listVersion": -1}


def test_a_listed_token_charges_without_being_asked_about():
    station = Station()
    send(station, 1, "Full", [*entries("LISTED"), *entries("BAD", status="Blocked")])
    station.call("ChangeConfiguration", key="LocalPreAuthorize", value="true")
    station.take()
    station.charge(token="LISTED")
    assert station.payloads("Authorize") == []
    station.disconnect()
    drivers.stop(station.point, station.point.connectors[1])
    station.unplug()
    station.plug()
    assert station.tap("BAD") == "Blocked"


# Reservations.


def reserve(station, number=1, connector=1, token="MINE", seconds=600, **more):
    until = station.clock.utc() + timedelta(seconds=seconds)
    return station.status(
        "ReserveNow",
        connectorId=connector,
        reservationId=number,
        idTag=token,
        expiryDate=until.isoformat(),
        **more,
    )


def test_a_reservation_keeps_a_connector_for_its_token_or_group():
    station = Station()
    assert reserve(station, parentIdTag="GROUP") == "Accepted"
    assert station.statuses()[-1] == "Reserved"
    assert reserve(station, 2) == "Occupied"
    assert reserve(station, connector=0) == "Rejected"
    assert station.status("RemoteStartTransaction", idTag="OTHER") == "Rejected"
    station.plug()
    assert station.tap("OTHER") == "Reserved for another token"
    station.answers["Authorize"] = {"idTagInfo": {"status": "Accepted", "parentIdTag": "GROUP"}}
    assert station.tap("FRIEND") == "Accepted"
    (start,) = station.payloads("StartTransaction")
    assert start["reservationId"] == 1


def test_a_reservation_ends_when_it_is_cancelled_or_expires():
    station = Station()
    reserve(station)
    assert station.status("CancelReservation", reservationId=9) == "Rejected"
    assert station.status("CancelReservation", reservationId=1) == "Accepted"
    assert station.statuses()[-1] == "Available"
    reserve(station, 2, seconds=30)
    station.wait(31)
    assert station.statuses() == ["Reserved", "Available"]


# Triggers.


@pytest.mark.parametrize(
    ("command", "requested", "sent"),
    [
        ("TriggerMessage", "BootNotification", "BootNotification"),
        ("TriggerMessage", "DiagnosticsStatusNotification", "DiagnosticsStatusNotification"),
        ("TriggerMessage", "FirmwareStatusNotification", "FirmwareStatusNotification"),
        ("TriggerMessage", "Heartbeat", "Heartbeat"),
        ("TriggerMessage", "MeterValues", "MeterValues"),
        ("TriggerMessage", "StatusNotification", "StatusNotification"),
        ("ExtendedTriggerMessage", "LogStatusNotification", "LogStatusNotification"),
        ("ExtendedTriggerMessage", "SignChargePointCertificate", "SignCertificate"),
    ],
)
def test_a_message_that_is_asked_for_comes_after_the_answer(command, requested, sent):
    station = Station()
    station.take()
    frame = json.dumps([2, "c", command, {"requestedMessage": requested, "connectorId": 1}])
    station.point.receive(frame)
    answer, message = map(json.loads, list(station.point.calls.outgoing))
    assert answer == [3, "c", {"status": "Accepted"}]
    assert message[2] == sent
    station.exchange()
    assert station.status("TriggerMessage", requestedMessage="Heartbeat", connectorId=9) == (
        "Rejected"
    )


# Answers as asked for.


@pytest.mark.parametrize("action", sorted(COMMANDS))
def test_every_command_can_be_rejected_left_open_or_answered_wrongly(action):
    payload = minimal(action)
    station = Station(faults=[f"{action}=reject"])
    station.call(action, **payload)
    kind, _, *rest = station.last_answer
    assert kind == (4 if action in ("GetConfiguration", "UpdateFirmware") else 3)
    if kind == 3:
        V16.check_answer(action, rest[0])
    station = Station(faults=[f"{action}=silent"])
    assert station.call(action, **payload) is None
    station = Station(faults=[f"{action}=late:5"])
    assert station.call(action, **payload) is None
    station.wait(5.01)
    assert station.last_answer[1] == "c1"
    station = Station(faults=[f"{action}=wrong"])
    with pytest.raises(ValueError, match=f"answer to {action}"):
        station.call(action, **payload)


def test_a_command_that_a_model_does_not_like_has_no_effect():
    station = Station(deviations=["trigger-needs-connector", "start-needs-connector"])
    station.take()
    assert station.status("TriggerMessage", requestedMessage="Heartbeat") == "Rejected"
    assert station.status("RemoteStartTransaction", idTag="APP") == "Rejected"
    assert station.take() == []
    assert station.point.connectors[1].presented is None


def minimal(action):
    """A payload that passes the schema: what is required, and no more."""
    document = json.loads((V16._directory / f"{action}.json").read_text("utf-8-sig"))

    def make(schema):
        if "enum" in schema:
            return schema["enum"][0]
        match schema.get("type"):
            case "object":
                return {n: make(schema["properties"][n]) for n in schema.get("required", [])}
            case "array":
                return [make(schema["items"])]
            case "integer" | "number":
                return 1
        uri = schema.get("format") == "uri"
        return "ftp://files.example/" if uri else "2026-03-01T10:00:00Z"

    def resolve(schema):
        if "$ref" in schema:
            return resolve(document["definitions"][schema["$ref"].split("/")[-1]])
        if isinstance(schema.get("properties"), dict):
            properties = {n: resolve(s) for n, s in schema["properties"].items()}
            return {**schema, "properties": properties}
        if "items" in schema:
            return {**schema, "items": resolve(schema["items"])}
        return schema

    return make(resolve(document))


@pytest.mark.parametrize(
    "word", ["Nonsense=reject", "Reset=perhaps", "Reset", "Reset=late:soon", "Reset=silent:3"]
)
def test_an_answer_that_there_is_not_is_refused(word):
    with pytest.raises(ValueError, match="--answer"):
        faulty_answers.read_faults([word])


def test_what_is_against_the_standard_is_answered_with_its_code():
    station = Station()
    for payload, action, code in (
        ({}, "Nonsense", "NotImplemented"),
        ({}, "Heartbeat", "NotSupported"),
        ({}, "Reset", "OccurenceConstraintViolation"),
        ({"type": 3}, "Reset", "TypeConstraintViolation"),
        ({"type": "Warm"}, "Reset", "PropertyConstraintViolation"),
        ({"type": "Soft", "now": True}, "Reset", "FormationViolation"),
    ):
        station.point.receive(json.dumps([2, "x", action, payload]))
        station.exchange()
        assert station.last_answer[:3] == [4, "x", code], payload
