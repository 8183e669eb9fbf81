"""The Open Charge Alliance's cases of local lists, firmware, reservations, triggers and limits."""

from charging.intents import (
    CancelReservation,
    ClearProfiles,
    LocalListEntry,
    Period,
    Profile,
    ProfilePurpose,
    ReadLocalListVersion,
    ReadSchedule,
    Reserve,
    SendLocalList,
    SetProfile,
    Start,
    Trigger,
    TriggerMessage,
    Unit,
    UpdateFirmware,
    UploadLog,
)
from tests.conformance.bench import SAME_GROUP, VALID, soon
from tests.station import ago, iso

# Local authorization list.


def test_tc_042_1_csms(bench):
    calls, command = bench.ask(ReadLocalListVersion(), {"listVersion": -1})
    assert calls == [("GetLocalListVersion", {})]
    assert command.outcome == "not_offered"


def test_tc_042_2_csms(bench):
    _, command = bench.ask(ReadLocalListVersion(), {"listVersion": 0})
    assert (command.outcome, command.answer) == ("accepted", [{"listVersion": 0}])


def send_list(bench, status, *, full=True):
    intent = SendLocalList(1, (LocalListEntry(VALID),), full)
    ((action, payload),), command = bench.ask(intent, {"status": status})
    assert action == "SendLocalList"
    assert payload["listVersion"] == 1
    assert payload["updateType"] == ("Full" if full else "Differential")
    assert payload["localAuthorizationList"] == [
        {"idTag": VALID, "idTagInfo": {"status": "Accepted"}}
    ]
    return command.outcome


def test_tc_043_1_csms(bench):
    assert send_list(bench, "NotSupported") == "not_offered"


def test_tc_043_3_csms(bench):
    assert send_list(bench, "Failed") == "failed"


def test_tc_043_4_csms(bench):
    assert send_list(bench, "Accepted") == "accepted"


def test_tc_043_5_csms(bench):
    assert send_list(bench, "Accepted", full=False) == "accepted"


# Firmware and diagnostics.


def update(bench, *statuses):
    intent = UpdateFirmware("https://files.example/firmware.bin", ago())
    ((action, payload),), command = bench.ask(intent, {})
    assert action == "UpdateFirmware"
    assert payload["location"] == intent.url
    for status in statuses:
        assert bench.call("FirmwareStatusNotification", status=status) == {}
    assert bench.notices("firmware") == list(statuses)
    return command


def test_tc_044_1_csms(bench):
    update(bench, "Downloading", "Downloaded", "Installing", "Installed")


def test_tc_044_2_csms(bench):
    update(bench, "Downloading", "DownloadFailed")


def test_tc_044_3_csms(bench):
    update(bench, "Downloading", "Downloaded", "Installing", "InstallationFailed")


def diagnostics(bench, *statuses):
    ((action, payload),), command = bench.ask(
        UploadLog("https://files.example/logs/"), {"fileName": "diagnostics.zip"}
    )
    assert action == "GetDiagnostics"
    assert payload["location"] == "https://files.example/logs/"
    assert command.answer == [{"fileName": "diagnostics.zip"}]
    for status in statuses:
        assert bench.call("DiagnosticsStatusNotification", status=status) == {}
    assert bench.notices("log") == list(statuses)


def test_tc_045_1_csms(bench):
    diagnostics(bench, "Uploading", "Uploaded")


def test_tc_045_2_csms(bench):
    diagnostics(bench, "Uploading", "UploadFailed")


# Reservation.


def reserve(bench, status, connector=1):
    intent = Reserve(connector, VALID, 7, soon(minutes=5))
    ((action, payload),), command = bench.ask(intent, {"status": status})
    assert action == "ReserveNow"
    assert (payload["connectorId"], payload["idTag"], payload["reservationId"]) == (
        connector,
        VALID,
        7,
    )
    return command.outcome


def use(bench, token=VALID):
    bench.station.report("Reserved")
    assert bench.authorize(token) == "Accepted"
    transaction = bench.start(token, reservationId=7)
    assert bench.session(transaction)["start_decision"] == "accepted"


def test_tc_046_csms(bench):
    assert reserve(bench, "Accepted") == "accepted"
    use(bench)


def test_tc_047_csms(bench):
    assert reserve(bench, "Accepted") == "accepted"
    bench.station.report("Reserved")
    bench.station.report("Available")


def test_tc_048_1_csms(bench):
    assert reserve(bench, "Faulted") == "out_of_service"


def test_tc_048_2_csms(bench):
    assert reserve(bench, "Occupied") == "occupied"


def test_tc_048_3_csms(bench):
    assert reserve(bench, "Unavailable") == "out_of_service"


def test_tc_048_4_csms(bench):
    assert reserve(bench, "Rejected") in ("rejected", "not_offered")


def test_tc_049_csms(bench):
    assert reserve(bench, "Accepted", connector=0) == "accepted"
    use(bench)


def test_tc_051_csms(bench):
    reserve(bench, "Accepted")
    calls, command = bench.ask(CancelReservation(7), {"status": "Accepted"})
    assert calls == [("CancelReservation", {"reservationId": 7})]
    assert command.outcome == "accepted"


def test_tc_052_csms(bench):
    _, command = bench.ask(CancelReservation(8), {"status": "Rejected"})
    assert command.outcome == "rejected"


def test_tc_053_csms(bench):
    """The reservation names one token; another of its group is told apart by its parentIdTag."""
    assert reserve(bench, "Accepted") == "accepted"
    first = bench.call("Authorize", idTag=VALID)["idTagInfo"]
    second = bench.call("Authorize", idTag=SAME_GROUP)["idTagInfo"]
    assert first["parentIdTag"] == second["parentIdTag"]
    use(bench, SAME_GROUP)


# Remote trigger.


def test_tc_054_csms(bench):
    for trigger, message in (
        (Trigger.METER_VALUES, "MeterValues"),
        (Trigger.HEARTBEAT, "Heartbeat"),
        (Trigger.STATUS, "StatusNotification"),
        (Trigger.LOG_STATUS, "DiagnosticsStatusNotification"),
        (Trigger.FIRMWARE_STATUS, "FirmwareStatusNotification"),
        (Trigger.BOOT, "BootNotification"),
    ):
        calls, command = bench.ask(TriggerMessage(trigger), {"status": "Accepted"})
        assert calls == [("TriggerMessage", {"requestedMessage": message})]
        assert command.outcome == "accepted"
    reading = {"timestamp": iso(ago()), "sampledValue": [{"value": "1000"}]}
    assert bench.call("MeterValues", connectorId=1, meterValue=[reading]) == {}
    assert "currentTime" in bench.call("Heartbeat")
    assert bench.call("DiagnosticsStatusNotification", status="Idle") == {}
    assert bench.call("FirmwareStatusNotification", status="Idle") == {}


def test_tc_055_csms(bench):
    # Some models refuse a connector, so that it is asked once more without one.
    rejected = {"status": "Rejected"}
    _, command = bench.ask(TriggerMessage(Trigger.METER_VALUES, 1), rejected, rejected)
    assert command.outcome == "rejected"


# Smart charging.


def profile(purpose):
    return Profile(1, purpose, Unit.AMPERES, (Period(0, 6.0),))


def test_tc_056_csms(bench):
    intent = SetProfile(profile(ProfilePurpose.DEFAULT), evse_number=1)
    ((action, payload),), command = bench.ask(intent, {"status": "Accepted"})
    assert action == "SetChargingProfile"
    assert payload["csChargingProfiles"]["chargingProfilePurpose"] == "TxDefaultProfile"
    assert command.outcome == "accepted"


def test_tc_057_csms(bench):
    transaction = bench.start()
    intent = SetProfile(profile(ProfilePurpose.SESSION), evse_number=1, session_id=transaction)
    ((_, payload),), command = bench.ask(intent, {"status": "Accepted"})
    assert payload["csChargingProfiles"]["chargingProfilePurpose"] == "TxProfile"
    assert payload["csChargingProfiles"]["transactionId"] == transaction
    assert command.outcome == "accepted"


def test_tc_059_csms(bench):
    intent = Start(VALID, 1, profile(ProfilePurpose.SESSION))
    ((action, payload),), command = bench.ask(intent, {"status": "Accepted"})
    assert action == "RemoteStartTransaction"
    assert payload["chargingProfile"]["chargingProfilePurpose"] == "TxProfile"
    assert "transactionId" not in payload["chargingProfile"]
    bench.start()
    assert command.outcome == "accepted"


SCHEDULE = {
    "status": "Accepted",
    "connectorId": 1,
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
    },
}


def test_tc_066_csms(bench):
    calls, command = bench.ask(ReadSchedule(1, 300), SCHEDULE)
    assert calls == [("GetCompositeSchedule", {"connectorId": 1, "duration": 300})]
    assert command.answer == [SCHEDULE]


def test_tc_067_csms(bench):
    calls, command = bench.ask(ClearProfiles(profile_id=1), {"status": "Accepted"})
    assert calls == [("ClearChargingProfile", {"id": 1})]
    assert command.outcome == "accepted"
    calls, command = bench.ask(ClearProfiles(), {"status": "Unknown"})
    assert calls == [("ClearChargingProfile", {})]
    assert command.outcome == "rejected"
