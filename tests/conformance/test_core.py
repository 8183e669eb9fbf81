"""The Open Charge Alliance's cases of the core profile."""

from charging.intents import (
    ClearCache,
    ReadSettings,
    Reset,
    Start,
    Stop,
    Unlock,
    WriteSettings,
)
from tests.conformance.bench import BLOCKED, EXPIRED, UNKNOWN, VALID


def test_tc_001_csms(bench):
    answer = bench.station.boot()
    assert answer["status"] == "Accepted"
    assert answer["interval"] > 0
    assert answer["currentTime"].endswith("Z")
    for connector in (0, 1, 2):
        bench.station.report("Available", connector)
    assert bench.call("Heartbeat")["currentTime"].endswith("Z")


def test_tc_003_csms(bench):
    bench.station.report("Preparing")
    assert bench.authorize() == "Accepted"
    transaction = bench.start()
    assert bench.session(transaction)["state"] == "charging"
    answer = bench.stop(transaction, idTag=VALID)
    assert answer["idTagInfo"]["status"] == "Accepted"
    assert bench.session(transaction)["energy_wh"] == 500


def test_tc_004_1_csms(bench):
    assert bench.authorize() == "Accepted"
    bench.station.report("Preparing")
    assert bench.session(bench.start())["start_decision"] == "accepted"


def test_tc_004_2_csms(bench):
    assert bench.authorize() == "Accepted"
    bench.station.report("Preparing")
    bench.station.report("Available")
    found = bench.database.execute(
        "SELECT state FROM evses WHERE charging_point_id = %s AND evse_number = 1",
        [bench.identity],
    ).fetchone()
    assert found == ("available",)


def test_tc_005_1_csms(bench):
    transaction = bench.start()
    bench.station.report("SuspendedEV")
    answer = bench.station.stop(transaction, 1500, reason="EVDisconnected", idTag=VALID)
    assert answer["idTagInfo"]["status"] == "Accepted"
    bench.station.report("Finishing")
    bench.station.report("Available")
    assert bench.session(transaction)["stop_cause"] == "unplugged"


def test_tc_007_csms(bench):
    bench.station.report("Preparing")
    assert bench.session(bench.start())["state"] == "charging"  # it asked nobody before


def test_tc_010_csms(bench):
    bench.station.report("Preparing")
    calls, command = bench.ask(Start(VALID, 1), {"status": "Accepted"})
    assert calls == [("RemoteStartTransaction", {"connectorId": 1, "idTag": VALID})]
    assert command.outcome == "accepted"
    assert bench.authorize() == "Accepted"
    bench.start()


def test_tc_011_1_csms(bench):
    calls, command = bench.ask(Start(VALID, 1), {"status": "Accepted"})
    assert calls[0][0] == "RemoteStartTransaction"
    assert bench.authorize() == "Accepted"
    bench.station.report("Preparing")
    bench.start()
    assert command.outcome == "accepted"


def test_tc_011_2_csms(bench):
    _, command = bench.ask(Start(VALID, 1), {"status": "Accepted"})
    assert bench.authorize() == "Accepted"
    bench.station.report("Preparing")
    bench.station.report("Available")  # nobody plugged in
    assert command.outcome == "accepted"


def test_tc_012_csms(bench):
    transaction = bench.start()
    calls, command = bench.ask(Stop(transaction), {"status": "Accepted"})
    assert calls == [("RemoteStopTransaction", {"transactionId": transaction})]
    bench.stop(transaction, "Remote")
    assert command.outcome == "accepted"
    assert bench.session(transaction)["stop_cause"] == "remote"


def test_tc_013_csms(bench):
    transaction = bench.start()
    calls, command = bench.ask(Reset(hard=True), {"status": "Accepted"})
    assert calls == [("Reset", {"type": "Hard"})]
    bench.reconnect()
    bench.stop(transaction, "HardReset")
    assert command.outcome == "accepted"
    assert bench.session(transaction)["energy_wh"] == 500


def test_tc_014_csms(bench):
    transaction = bench.start()
    calls, command = bench.ask(Reset(), {"status": "Accepted"})
    assert calls == [("Reset", {"type": "Soft"})]
    bench.stop(transaction, "SoftReset")
    bench.reconnect()
    assert command.outcome == "accepted"


def test_tc_017_1_csms(bench):
    calls, command = bench.ask(Unlock(1), {"status": "Unlocked"})
    assert calls == [("UnlockConnector", {"connectorId": 1})]
    assert command.outcome == "accepted"


def test_tc_017_2_csms(bench):
    _, command = bench.ask(Unlock(1), {"status": "NotSupported"})
    assert command.outcome == "not_offered"


def test_tc_018_1_csms(bench):
    transaction = bench.start()
    _, command = bench.ask(Unlock(1), {"status": "Unlocked"})
    assert command.outcome == "accepted"
    bench.station.report("Finishing")
    bench.stop(transaction, "UnlockCommand")
    assert bench.session(transaction)["stop_cause"] == "unlocked"


KEYS = {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]}


def test_tc_019_1_csms(bench):
    calls, command = bench.ask(ReadSettings(), KEYS)
    assert calls in ([("GetConfiguration", {})], [("GetConfiguration", {"key": []})])
    assert command.answer == [KEYS]


def test_tc_019_2_csms(bench):
    calls, command = bench.ask(ReadSettings(("HeartbeatInterval",)), KEYS)
    assert calls == [("GetConfiguration", {"key": ["HeartbeatInterval"]})]
    assert command.answer == [KEYS]


WRITTEN = ("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "60"})


def write(bench, status):
    calls, command = bench.ask(WriteSettings({WRITTEN[1]["key"]: "60"}), {"status": status})
    assert calls == [WRITTEN]
    return command.outcome


def test_tc_021_csms(bench):
    assert write(bench, "Accepted") == "accepted"


def refused(bench, token, status):
    """Neither the card alone nor a session that began with it all the same is accepted."""
    bench.station.report("Preparing")
    assert bench.authorize(token) == status
    assert bench.start_answer(token)["idTagInfo"]["status"] == status


def test_tc_023_1_csms(bench):
    refused(bench, UNKNOWN, "Invalid")


def test_tc_023_2_csms(bench):
    refused(bench, EXPIRED, "Expired")


def test_tc_023_3_csms(bench):
    refused(bench, BLOCKED, "Blocked")


def test_tc_024_csms(bench):
    assert bench.authorize() == "Accepted"
    bench.station.report("Faulted", error="ConnectorLockFailure")
    found = bench.database.execute(
        "SELECT state, error_code FROM evses WHERE charging_point_id = %s AND evse_number = 1",
        [bench.identity],
    ).fetchone()
    assert found == ("faulted", "ConnectorLockFailure")


def test_tc_026_csms(bench):
    _, command = bench.ask(Start(VALID, 1), {"status": "Rejected"})
    assert command.outcome == "rejected"


def test_tc_028_csms(bench):
    transaction = bench.start()
    _, command = bench.ask(Stop(transaction), {"status": "Rejected"})
    assert command.outcome == "rejected"
    assert bench.session(transaction)["state"] == "charging"


def test_tc_030_csms(bench):
    _, command = bench.ask(Unlock(1), {"status": "UnlockFailed"})
    assert command.outcome == "failed"


def test_tc_031_csms(bench):
    calls, command = bench.ask(Unlock(9), {"status": "NotSupported"})
    assert calls == [("UnlockConnector", {"connectorId": 9})]
    assert command.outcome == "not_offered"


def test_tc_032_1_csms(bench):
    transaction = bench.start()
    bench.reconnect()
    bench.stop(transaction, "PowerLoss")
    assert bench.session(transaction)["stop_cause"] == "power_loss"
    assert bench.session(transaction)["energy_wh"] == 500


def test_tc_037_1_csms(bench):
    bench.reconnect()
    transaction = bench.start(minutes_ago=30)
    assert bench.session(transaction)["doubts"] == []


def test_tc_037_3_csms(bench):
    bench.reconnect()
    answer = bench.start_answer(UNKNOWN, minutes_ago=30)
    assert answer["idTagInfo"]["status"] == "Invalid"
    bench.stop(answer["transactionId"], "DeAuthorized")
    # Energy may have flowed: the session is kept.
    assert bench.session(answer["transactionId"])["stop_cause"] == "not_authorized"


def test_tc_039_csms(bench):
    bench.reconnect()
    answer = bench.start_answer(VALID, minutes_ago=30)
    assert answer["idTagInfo"]["status"] == "Accepted"
    stopped = bench.stop(answer["transactionId"], "Local", idTag=VALID)
    assert stopped["idTagInfo"]["status"] == "Accepted"
    assert bench.session(answer["transactionId"])["energy_wh"] == 500


def test_tc_040_1_csms(bench):
    assert write(bench, "NotSupported") == "not_offered"


def test_tc_040_2_csms(bench):
    assert write(bench, "Rejected") == "rejected"


def test_tc_061_csms(bench):
    calls, command = bench.ask(ClearCache(), {"status": "Accepted"})
    assert calls == [("ClearCache", {})]
    assert command.outcome == "accepted"


def test_tc_064_csms(bench):
    answer = bench.call("DataTransfer", vendorId="org.openchargealliance.unknown", data="x")
    assert answer["status"] in ("UnknownVendorId", "UnknownMessageId", "Accepted", "Rejected")
