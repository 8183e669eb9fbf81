"""The simulated charging point in OCPP 2.0.1 and 2.1: every command, and what follows."""

import json

import pytest

from charging_point_simulator.faulty_answers import read_faults
from charging_point_simulator.ocpp2 import commands
from charging_point_simulator.ocpp2.dialect import Ocpp2
from charging_point_simulator.schemas import SCHEMAS
from charging_point_simulator.station import drivers
from charging_point_simulator.station.settings import Settings
from scripts.programs import Program
from tests.charging_point_simulator import station as v16

NOW = "2026-03-01T10:00:00Z"
ANSWERS = {
    "BootNotification": {"status": "Accepted", "interval": 300, "currentTime": NOW},
    "Authorize": {"idTokenInfo": {"status": "Accepted"}},
    "Heartbeat": {"currentTime": NOW},
    "SignCertificate": {"status": "Accepted"},
    "TransactionEvent": {},
}
ROOT = "CSMSRootCertificate"


class Station(v16.Station):
    """A simulated charging point of 2.x, and its central system."""

    def __init__(self, version="2.0.1", **more):
        self.version, self.schemas = version, SCHEMAS[version]
        super().__init__(connect=False, **more)
        self.answers = {**ANSWERS}
        self.connect()

    def dialect(self, point, faults, deviations):
        return Ocpp2(point, self.version, read_faults(faults, self.version))

    def events(self):
        """What TransactionEvents said since the last time: kind, why, number."""
        return [
            (p["eventType"], p["triggerReason"], p["seqNo"])
            for p in self.payloads("TransactionEvent")
        ]

    def get(self, component, variable):
        asked = {"component": {"name": component}, "variable": {"name": variable}}
        (result,) = self.call("GetVariables", getVariableData=[asked])["getVariableResult"]
        return result.get("attributeValue", result["attributeStatus"])

    def set(self, component, variable, value):
        asked = {"component": {"name": component}, "variable": {"name": variable}}
        (result,) = self.call("SetVariables", setVariableData=[{**asked, "attributeValue": value}])[
            "setVariableResult"
        ]
        return result["attributeStatus"]


@pytest.fixture(params=["2.0.1", "2.1"])
def station(request):
    return Station(request.param, connectors=2, plugs=2, settings=Settings(job_seconds=0.5))


def test_every_command_of_201_is_carried_out():
    by_charging_points = {
        *("Authorize", "BootNotification", "ClearedChargingLimit", "FirmwareStatusNotification"),
        *("Get15118EVCertificate", "GetCertificateStatus", "Heartbeat", "LogStatusNotification"),
        *("MeterValues", "NotifyChargingLimit", "NotifyCustomerInformation"),
        *("NotifyDisplayMessages", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule"),
        *("NotifyEvent", "NotifyMonitoringReport", "NotifyReport", "SignCertificate"),
        *("PublishFirmwareStatusNotification", "ReportChargingProfiles"),
        *("ReservationStatusUpdate", "SecurityEventNotification", "StatusNotification"),
        "TransactionEvent",
    }
    assert SCHEMAS["2.0.1"].actions == set(commands.COMMANDS) | by_charging_points


def test_a_session_is_told_event_by_event_with_its_own_name(station):
    station.take()
    station.charge()
    (start, *_) = payloads = station.payloads("TransactionEvent")
    assert start["evse"] == {"id": 1, "connectorId": 1}
    assert start["idToken"]["idToken"] == "CARD"
    assert [p["seqNo"] for p in payloads] == list(range(len(payloads)))
    name = start["transactionInfo"]["transactionId"]
    assert station.call("GetTransactionStatus", transactionId=name)["ongoingIndicator"]
    station.tap()
    (end,) = [p for p in station.payloads("TransactionEvent") if p["eventType"] == "Ended"]
    assert end["transactionInfo"] == {"transactionId": name, "stoppedReason": "Local"}
    first = start["meterValue"][0]["sampledValue"][0]["value"]
    last = end["meterValue"][0]["sampledValue"][0]["value"]
    record = station.point.report.sessions[0]
    assert last - first == record.energy_wh > 0
    assert record.complete
    assert record.transaction_id == name


def test_of_an_evse_only_one_connector_serves_at_a_time(station):
    station.take()
    station.plug()
    words = {
        (p["evseId"], p["connectorId"]): p["connectorStatus"]
        for p in station.payloads("StatusNotification")
    }
    assert words == {(1, 1): "Occupied", (1, 2): "Unavailable"}
    station.unplug()
    assert {p["connectorStatus"] for p in station.payloads("StatusNotification")} == {"Available"}


def test_what_happens_offline_is_told_afterwards_and_says_so(station):
    station.charge()
    station.take()
    station.disconnect()
    station.wait(120)
    station.point.calls.broken = True
    drivers.stop(station.point, station.point.connectors[1])
    station.connect()
    events = station.payloads("TransactionEvent")
    assert all(event["offline"] for event in events)
    assert events[-1]["eventType"] == "Ended"


def test_a_remote_start_is_bound_by_its_number(station):
    token = {"idToken": "04A1B2C3", "type": "ISO14443"}
    asked = {"evseId": 2, "idToken": token, "remoteStartId": 7}
    assert station.status("RequestStartTransaction", **asked) == "Accepted"
    station.take()
    station.plug(2)
    start = station.payloads("TransactionEvent")[0]
    assert (start["triggerReason"], start["idToken"]) == ("RemoteStart", token)
    assert start["transactionInfo"]["remoteStartId"] == 7
    name = start["transactionInfo"]["transactionId"]
    assert station.status("RequestStopTransaction", transactionId="another") == "Rejected"
    assert station.status("RequestStopTransaction", transactionId=name) == "Accepted"
    assert station.events()[-1][:2] == ("Ended", "RemoteStop")


def test_a_token_that_is_refused_ends_its_session_and_a_master_pass_everybodys(station):
    station.answers["TransactionEvent"] = {"idTokenInfo": {"status": "Blocked"}}
    station.charge()
    assert ("Ended", "Deauthorized", 1) in station.events()
    station.unplug()
    station.answers["TransactionEvent"] = {}
    assert station.set("AuthCtrlr", "MasterPassGroupId", "MASTER") == "Accepted"
    station.charge()
    group = {"idToken": "MASTER", "type": "Central"}
    station.answers["Authorize"] = {"idTokenInfo": {"status": "Accepted", "groupIdToken": group}}
    drivers.authorize(station.point, "PASS", lambda known: None)
    station.exchange()
    station.take()
    station.tap("PASS")
    (end,) = station.payloads("TransactionEvent")
    assert end["transactionInfo"]["stoppedReason"] == "MasterPass"


# Variables and monitors.


def test_variables_are_read_and_set_with_a_status_each(station):
    assert station.get("OCPPCommCtrlr", "HeartbeatInterval") == "300"
    assert station.set("OCPPCommCtrlr", "HeartbeatInterval", "60") == "Accepted"
    assert station.point.settings.heartbeat_seconds == 60
    assert station.set("OCPPCommCtrlr", "HeartbeatInterval", "soon") == "Rejected"
    assert station.set("SecurityCtrlr", "SecurityProfile", "0") == "Rejected"
    assert station.get("SecurityCtrlr", "BasicAuthPassword") == "Rejected"
    assert station.get("OCPPCommCtrlr", "Another") == "UnknownVariable"
    assert station.get("Another", "Another") == "UnknownComponent"
    data = {"component": {"name": "TxCtrlr"}, "variable": {"name": "EVConnectionTimeOut"}}
    assert station.call("GetVariables", getVariableData=[data] * 51) == (
        "OccurrenceConstraintViolation"
    )


def test_reports_come_in_parts(station):
    station.take()
    assert station.status("GetBaseReport", requestId=5, reportBase="FullInventory") == "Accepted"
    parts = station.payloads("NotifyReport")
    assert len(parts) > 1
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert [part["tbc"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert {part["requestId"] for part in parts} == {5}
    named = [{"component": {"name": "EVSE", "evse": {"id": 2}}, "variable": {"name": "Power"}}]
    assert station.status("GetReport", requestId=6, componentVariable=named) == "Accepted"
    ((part,),) = [part["reportData"] for part in station.payloads("NotifyReport")]
    assert part["variableCharacteristics"]["unit"] == "W"
    named[0]["component"]["name"] = "Another"
    assert station.status("GetReport", requestId=7, componentVariable=named) == "EmptyResultSet"


def test_a_threshold_alarms_and_is_cleared(station):
    power = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}
    wanted = {"value": 1000, "type": "UpperThreshold", "severity": 4, **power}
    answer = station.call("SetVariableMonitoring", setMonitoringData=[wanted, wanted])
    first, second = answer["setMonitoringResult"]
    assert (first["status"], second["status"]) == ("Accepted", "Duplicate")
    station.charge()
    (event,) = [p["eventData"][0] for p in station.payloads("NotifyEvent")]
    assert (event["trigger"], event["variableMonitoringId"]) == ("Alerting", first["id"])
    assert float(event["actualValue"]) > 1000
    station.tap()
    station.wait(1)
    assert [p["eventData"][0]["cleared"] for p in station.payloads("NotifyEvent")] == [True]
    assert station.status("GetMonitoringReport", requestId=3) == "Accepted"
    (report,) = station.payloads("NotifyMonitoringReport")
    assert report["monitor"][0]["variableMonitoring"][0]["value"] == 1000
    cleared = station.call("ClearVariableMonitoring", id=[first["id"], 99])
    assert [r["status"] for r in cleared["clearMonitoringResult"]] == ["Accepted", "NotFound"]
    assert station.status("GetMonitoringReport", requestId=4) == "EmptyResultSet"


def test_a_periodic_monitor_reports_until_it_is_cleared_or_too_unimportant(station):
    power = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}
    wanted = {"value": 10, "type": "Periodic", "severity": 8, **power}
    station.call("SetVariableMonitoring", setMonitoringData=[wanted])
    station.wait(35)
    assert len(station.payloads("NotifyEvent")) == 3
    assert station.status("SetMonitoringLevel", severity=5) == "Accepted"
    station.wait(35)
    assert not station.payloads("NotifyEvent")
    assert station.status("SetMonitoringBase", monitoringBase="FactoryDefault") == "Accepted"
    assert station.status("SetMonitoringLevel", severity=10) == "Rejected"


# Security.


def test_a_network_profile_never_lowers_security(station):
    point = station.point
    point.options.security_profile = 2

    def profile(number):
        data = {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": "wss://backend.example",
            "messageTimeout": 30,
            "securityProfile": number,
            "ocppInterface": "Wired0",
        }
        return station.status("SetNetworkProfile", configurationSlot=1, connectionData=data)

    assert profile(1) == "Rejected"
    assert profile(3) == "Accepted"
    chosen = ("OCPPCommCtrlr", "NetworkConfigurationPriority", "1")
    assert station.set(*chosen) == "Rejected"  # it has no certificate
    point.certificates.chain_pem = "signed"
    assert station.set(*chosen) == "RebootRequired"
    assert station.status("Reset", type="Immediate") == "Accepted"
    station.wait(5)
    assert point.options.security_profile == 3
    assert station.payloads("BootNotification")[-1]["reason"] == "RemoteReset"


def test_a_password_holds_from_the_next_connection_on(station):
    assert station.set("SecurityCtrlr", "BasicAuthPassword", "short") == "Rejected"
    assert station.set("SecurityCtrlr", "BasicAuthPassword", "correct horse 16") == "Accepted"
    assert station.point.password == b"correct horse 16"


def test_certificates_are_installed_listed_and_deleted(station):
    certificate = v16_certificate()
    assert station.status("GetInstalledCertificateIds") == "NotFound"
    installed = {"certificateType": ROOT, "certificate": certificate}
    assert station.status("InstallCertificate", **installed) == "Accepted"
    (found,) = station.call("GetInstalledCertificateIds", certificateType=[ROOT])[
        "certificateHashDataChain"
    ]
    assert found["certificateType"] == ROOT
    hashed = found["certificateHashData"]
    assert station.status("DeleteCertificate", certificateHashData=hashed) == "Accepted"
    assert station.status("DeleteCertificate", certificateHashData=hashed) == "NotFound"
    station.take()
    assert station.status("CertificateSigned", certificateChain=certificate) == "Rejected"
    (event,) = station.payloads("SecurityEventNotification")
    assert event["type"] == "InvalidChargingStationCertificate"


def v16_certificate():
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Root")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=900))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


# Everything else.


def test_the_local_list_decides_offline_and_an_empty_one_has_version_0(station):
    entry = {"idToken": {"idToken": "CARD", "type": "Central"}}
    accepted = {**entry, "idTokenInfo": {"status": "Accepted"}}
    full = {"versionNumber": 4, "updateType": "Full", "localAuthorizationList": [accepted]}
    assert station.status("SendLocalList", **full) == "Accepted"
    assert station.call("GetLocalListVersion") == {"versionNumber": 4}
    change = {"versionNumber": 4, "updateType": "Differential", "localAuthorizationList": [entry]}
    assert station.status("SendLocalList", **change) == "VersionMismatch"
    assert station.status("SendLocalList", **{**change, "versionNumber": 5}) == "Accepted"
    assert not station.point.token_list.entries
    assert station.status("SendLocalList", versionNumber=9, updateType="Full") == "Accepted"
    assert station.call("GetLocalListVersion") == {"versionNumber": 0}


def test_a_reservation_expires_and_says_so(station):
    token = {"idToken": "CARD", "type": "Central"}
    asked = {"id": 3, "expiryDateTime": "2026-03-01T10:10:00Z", "idToken": token}
    assert station.status("ReserveNow", **asked) == "Accepted"
    assert station.status("ReserveNow", **{**asked, "id": 4}) == "Accepted"
    assert station.status("ReserveNow", **{**asked, "id": 5}) == "Occupied"
    assert station.status("CancelReservation", reservationId=4) == "Accepted"
    assert station.status("CancelReservation", reservationId=4) == "Rejected"
    station.take()
    station.wait(700)
    ended = {"reservationId": 3, "reservationUpdateStatus": "Expired"}
    assert station.payloads("ReservationStatusUpdate") == [ended]


def charging_profile(**more):
    schedule = {
        "id": 1,
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 3000}],
    }
    return {
        "id": 8,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [schedule],
        **more,
    }


def test_profiles_limit_and_are_reported_and_read_back(station):
    asked = {"evseId": 1, "chargingProfile": charging_profile()}
    assert station.status("SetChargingProfile", **asked) == "Accepted"
    session = {"chargingProfilePurpose": "TxProfile", "transactionId": "none"}
    refused = {"evseId": 1, "chargingProfile": charging_profile(**session)}
    assert station.status("SetChargingProfile", **refused) == "Rejected"
    station.charge()
    assert station.point.connectors[1].power_w == 3000
    answer = station.call("GetCompositeSchedule", evseId=1, duration=60)
    assert answer["schedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 3000.0}]
    station.take()
    wanted = {"requestId": 2, "chargingProfile": {"chargingProfileId": [8]}}
    assert station.status("GetChargingProfiles", **wanted) == "Accepted"
    (report,) = station.payloads("ReportChargingProfiles")
    assert (report["evseId"], report["chargingProfile"][0]["id"]) == (1, 8)
    assert station.status("ClearChargingProfile", chargingProfileId=8) == "Accepted"
    assert station.status("ClearChargingProfile", chargingProfileId=8) == "Unknown"
    assert station.status("GetChargingProfiles", **wanted) == "NoProfiles"


def test_a_dynamic_profile_follows_what_it_is_told_and_priority_needs_a_profile():
    station = Station("2.1")
    profile = charging_profile(chargingProfileKind="Dynamic")
    assert station.status("SetChargingProfile", evseId=1, chargingProfile=profile) == "Accepted"
    name = station.charge().record.transaction_id
    update = {"chargingProfileId": 8, "scheduleUpdate": {"limit": 2000}}
    assert station.status("UpdateDynamicSchedule", **update) == "Accepted"
    station.wait(1)
    assert station.point.connectors[1].power_w == 2000
    priority = {"transactionId": name, "activate": True}
    assert station.status("UsePriorityCharging", **priority) == "NoProfile"
    assert station.call("RequestBatterySwap", idToken=TOKEN, requestId=1) == "NotSupported"


TOKEN = {"idToken": "CARD", "type": "Central"}


def test_tariffs_of_21_are_kept_and_cleared():
    station = Station("2.1")
    tariff = {"tariffId": "T1", "currency": "EUR"}
    assert station.status("SetDefaultTariff", evseId=1, tariff=tariff) == "Accepted"
    found = station.call("GetTariffs", evseId=0)["tariffAssignments"]
    assert found == [{"tariffId": "T1", "tariffKind": "DefaultTariff", "evseIds": [1]}]
    assert station.call("ClearTariffs")["clearTariffsResult"][0]["status"] == "Accepted"
    assert station.status("GetTariffs", evseId=0) == "NoTariff"


def test_resets_wait_for_the_driver_or_do_not(station):
    station.charge()
    assert station.status("Reset", type="OnIdle") == "Scheduled"
    station.take()
    station.wait(30)
    assert not station.payloads("BootNotification")
    station.tap()
    station.wait(30)
    (boot,) = station.payloads("BootNotification")
    assert boot["reason"] == "ScheduledReset"
    station.unplug()
    station.charge(2)
    station.take()
    assert station.status("Reset", type="Immediate", evseId=2) == "Accepted"
    station.wait(2)
    (end,) = [p for p in station.payloads("TransactionEvent") if p["eventType"] == "Ended"]
    assert end["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    assert station.status("Reset", type="Immediate", evseId=9) == "Rejected"


def test_availability_unlocking_cache_and_data(station):
    evse = {"id": 1, "connectorId": 2}
    off = {"operationalStatus": "Inoperative", "evse": evse}
    assert station.status("ChangeAvailability", **off) == "Accepted"
    assert station.point.connectors[1].status == "Unavailable"
    on = {"operationalStatus": "Operative"}
    assert station.status("ChangeAvailability", **on) == "Accepted"
    assert station.status("UnlockConnector", evseId=1, connectorId=3) == "UnknownConnector"
    assert station.status("UnlockConnector", evseId=1, connectorId=2) == "Unlocked"
    station.charge()
    refused = station.status("UnlockConnector", evseId=1, connectorId=1)
    assert refused == "OngoingAuthorizedTransaction"
    assert station.status("ClearCache") == "Accepted"
    assert station.status("DataTransfer", vendorId="Another") == "UnknownVendorId"
    echo = {"vendorId": "Venerable Inertia", "messageId": "echo", "data": {"a": 1}}
    assert station.call("DataTransfer", **echo)["data"] == {"a": 1}


@pytest.mark.parametrize(
    ("requested", "action"),
    [
        ("Heartbeat", "Heartbeat"),
        ("LogStatusNotification", "LogStatusNotification"),
        ("FirmwareStatusNotification", "FirmwareStatusNotification"),
        ("MeterValues", "MeterValues"),
        ("StatusNotification", "StatusNotification"),
        ("SignChargingStationCertificate", "SignCertificate"),
        ("PublishFirmwareStatusNotification", "PublishFirmwareStatusNotification"),
        ("SignV2GCertificate", None),
    ],
)
def test_what_is_triggered_follows(station, requested, action):
    station.take()
    status = station.status("TriggerMessage", requestedMessage=requested)
    assert status == ("Accepted" if action else "NotImplemented")
    assert {name for name, _ in station.take()} == ({action} if action else set())


def test_firmware_and_logs_report_each_step_with_their_request(station):
    firmware = {"location": "https://files.example/fw-2.5.bin", "retrieveDateTime": NOW}
    answer = station.status("UpdateFirmware", requestId=9, firmware=firmware)
    assert answer == "Accepted"
    station.wait(30)
    steps = station.payloads("FirmwareStatusNotification")
    assert steps[-1] == {"status": "Installed", "requestId": 9}
    assert station.point.firmware_version == "2.5"
    bad = {**firmware, "signingCertificate": "none", "signature": "c2ln"}
    answer = station.status("UpdateFirmware", requestId=10, firmware=bad)
    assert answer == "InvalidCertificate"
    log = {"remoteLocation": "https://files.example/"}
    asked = {"logType": "SecurityLog", "requestId": 11, "log": log}
    assert station.status("GetLog", **asked) == "Accepted"
    station.wait(10)
    words = [p["status"] for p in station.payloads("LogStatusNotification")]
    assert words == ["Uploading", "Uploaded"]
    published = {"location": "https://files.example/", "checksum": "ab", "requestId": 12}
    assert station.status("PublishFirmware", **published) == "Accepted"
    assert station.payloads("PublishFirmwareStatusNotification")[-1]["status"] == "Published"
    assert station.status("UnpublishFirmware", checksum="ab") == "Unpublished"
    assert station.status("UnpublishFirmware", checksum="ab") == "NoFirmware"


def test_a_customer_is_reported_and_forgotten(station):
    drivers.authorize(station.point, "CARD", lambda known: None)
    station.exchange()
    asked = {"requestId": 1, "report": True, "clear": True, "idToken": TOKEN}
    assert station.status("CustomerInformation", **asked) == "Accepted"
    (report,) = station.payloads("NotifyCustomerInformation")
    assert report["data"] == "cache: Accepted"
    assert station.point.cache.get("CARD") is None
    del asked["idToken"]
    assert station.status("CustomerInformation", **asked) == "Invalid"


def test_messages_are_shown_reported_and_cleared(station):
    text = {"format": "UTF8", "content": "Closed on Sunday"}
    message = {"id": 1, "priority": "NormalCycle", "message": text}
    assert station.status("SetDisplayMessage", message=message) == "Accepted"
    html = {**message, "id": 2, "message": {**text, "format": "HTML"}}
    assert station.status("SetDisplayMessage", message=html) == "NotSupportedMessageFormat"
    other = {**message, "id": 3, "transactionId": "none"}
    assert station.status("SetDisplayMessage", message=other) == "UnknownTransaction"
    assert station.status("GetDisplayMessages", requestId=1) == "Accepted"
    (report,) = station.payloads("NotifyDisplayMessages")
    assert report["messageInfo"] == [message]
    assert station.status("ClearDisplayMessage", id=1) == "Accepted"
    assert station.status("ClearDisplayMessage", id=1) == "Unknown"
    assert station.status("GetDisplayMessages", requestId=1) == "Unknown"
    assert station.call("CostUpdated", totalCost=1.5, transactionId="x") == {}


def test_each_command_can_be_refused_as_its_answer_has_it():
    for action in sorted(set(commands.COMMANDS)):
        station = Station(faults=[f"{action}=reject"])
        (refusal,) = [f.answer for f in [read_faults([f"{action}=reject"], "2.0.1").of(action)]]
        try:
            answer = refusal(action)
        except Exception as error:  # noqa: BLE001 - its answer has no way to refuse
            assert error.code == "NotSupported"
        else:
            station.schemas.check_answer(action, answer)


def test_what_is_against_the_schema_is_refused_in_the_versions_words(station):
    station.point.receive(json.dumps([2, "x", "Reset", {"kind": "Immediate"}]))
    frame = json.loads(station.point.calls.outgoing.popleft())
    assert frame[:3] in ([4, "x", "OccurrenceConstraintViolation"], [4, "x", "FormatViolation"])
    assert station.violations


def test_what_it_says_it_charged_is_in_the_database(run_node, database, tmp_path):
    node = run_node(admit_unknown="true", admit_unknown_tokens="true", roaming_timeout="0")
    words = "--ocpp-version 2.1 --connectors 2 --plugs 2 --sessions 2 --charging-points 2"
    times = "--duration 600 --time-compression 600 --meter-values-interval 120 --ramp 0.1"
    report_file = tmp_path / "report.json"
    program = Program(
        [
            *("charging_point_simulator", "charge", "--plain", "--port", str(node.port)),
            *(*words.split(), *times.split(), "--seed", "1", "--report", str(report_file)),
        ],
        tmp_path / "simulator.log",
    )
    assert program.wait(60) == 0, program.log_end()
    report = json.loads(report_file.read_text())
    assert report["violations"] == {}
    assert report["sessions_complete"] == 4
    recorded = database.execute(
        "SELECT station_session, evse_number, energy_wh, (SELECT count(*) FROM meter_values AS m"
        " WHERE m.session_id = s.session_id) FROM sessions AS s WHERE state = 'ended'"
    ).fetchall()
    assert sorted(recorded) == sorted(
        (s["transaction_id"], s["connector"], s["energy_wh"], s["meter_values_acknowledged"])
        for s in report["sessions"]
    )
