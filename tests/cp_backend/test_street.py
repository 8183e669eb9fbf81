"""Messages as charging points in the field send them: over a real socket, down to the rows.

Each case is one way of deviating from OCPP 1.6 that real charging points have; what must come of
it stands in the tables.
"""

import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.rows import insert
from tests.station import Station, ago, iso
from tests.waiting import eventually


class Street(Station):
    """A charging point that says what it likes: texts as they are, ``<now>`` and ``<tx>`` in them.

    <now>: the time, RFC 3339. <tx>: the running transaction.
    """

    transaction = 0

    def say(self, text):
        """Send a text and return the frame that answers it."""
        text = text.replace("<now>", iso(datetime.now(UTC)).replace("+00:00", "Z"))
        self.socket.send(text.replace('"<tx>"', str(self.transaction)))
        return self.receive()

    def begin(self, meter=100, **more):
        started = self.start(meter=meter, **more)
        self.transaction = started["transactionId"]
        return started


@pytest.fixture
def street(node):
    with Street(node.port) as station:
        station.boot()
        yield station


def one(database, query, *values):
    return database.execute(query, values).fetchone()


def deviations(database):
    """Return the places and kinds that were counted, after they have been written."""
    eventually(lambda: one(database, "SELECT count(*) FROM deviations") != (0,), seconds=15)
    return {
        (action, path, repair)
        for action, path, repair in database.execute("SELECT action, path, repair FROM deviations")
    }


ONE = '"transactionId":"<tx>","meterValue":[{"timestamp":"%s","sampledValue":[%s]}]'
READING = (
    '{"timestamp":"<now>","sampledValue":['
    '{"value":"1200","measurand":"Energy.Active.Import.Register","unit":"Wh"}]}'
)
AT_BEGIN = '{"value":"0","context":"Transaction.Begin","unit":"Wh"}'
LATER = '{"value":"4369","context":"Sample.Periodic","unit":"Wh"}'
SESSION = "SELECT state, energy_wh, stop_cause, stop_reason FROM sessions"


# Frames.


@pytest.mark.parametrize(
    ("text", "message_id"),
    [
        ('\ufeff[2,"h","Heartbeat",{}]', "h"),
        ('[2,"h","Heartbeat",{}]\x00', "h"),
        ('[2,17,"Heartbeat",{}]', 17),
        ('[2,"","Heartbeat",{}]', ""),
        (f'[2,"{"x" * 255}","Heartbeat",{{}}]', "x" * 255),
        ('[2,"h","Heartbeat",null]', "h"),
        ('[2,"h","Heartbeat",[]]', "h"),
        ('[2,"h","Heartbeat"]', "h"),
        ('[2,"h","Heartbeat",{},{}]', "h"),
        ('[2,"h","Heartbeat",{"currentTime":"<now>"}]', "h"),
        ('[2,"h","heartbeat",{}]', "h"),
        ('[2,,"h","Heartbeat",{},]', "h"),
    ],
)
def test_an_odd_frame_is_answered_by_its_id(street, database, text, message_id):
    answer = street.say(text)
    assert answer[:2] == [3, message_id]
    assert "currentTime" in answer[2]
    assert deviations(database)


def test_a_call_that_is_cut_off_is_answered_by_its_id(street):
    assert street.say('[2,"c","StopTransaction",{"transactionId":1,"meterStop":26')[:3] == [
        *(4, "c", "FormationViolation"),
    ]
    assert "currentTime" in street.call("Heartbeat", {})


def test_a_missing_value_costs_no_reading(street, database):
    street.begin()
    reading = READING.replace("[{", "[,{")
    answer = street.say(
        f'[2,"m","MeterValues",{{"connectorId":1,"transactionId":"<tx>","meterValue":[{reading}]}}]'
    )
    assert answer == [3, "m", {}]
    assert one(database, "SELECT energy_wh, session_id FROM meter_values") == (
        1200,
        street.transaction,
    )
    assert ("MeterValues", "", "json") in deviations(database)


def test_a_nul_within_a_text_is_dropped(street, database):
    answer = street.say(
        '[2,"n","StatusNotification",'
        '{"connectorId":1,"errorCode":"NoError","status":"Available","info":"ab\x00"}]'
    )
    assert answer == [3, "n", {}]
    assert one(database, "SELECT status FROM evses") == ("Available",)


# Boots.


@pytest.mark.parametrize(
    ("members", "vendor", "model"),
    [
        (
            '"chargePointVendor":"Example Makers of Kent","chargePointModel":"AC-22-RCM-ETH-3PN"',
            "Example Makers of Kent",
            "AC-22-RCM-ETH-3PN",
        ),
        ('"chargePointModel":"ACX"', "", "ACX"),
        ('"chargePointVendor":"V","chargePointModel":"M","iccid":null,"own":1', "V", "M"),
        (f'"chargePointVendor":"V","chargePointModel":"{"M" * 300}"', "V", "M" * 255),
    ],
)
def test_an_odd_boot_is_accepted(node, database, members, vendor, model):
    with Street(node.port) as station:
        assert station.say(f'[2,"b","BootNotification",{{{members}}}]')[2]["status"] == "Accepted"
    assert one(database, "SELECT vendor, model FROM charging_points") == (vendor, model)
    eventually(lambda: one(database, "SELECT count(*) FROM deviations") != (0,), seconds=15)
    assert one(database, "SELECT DISTINCT vendor, model FROM deviations") == (vendor, model)


def test_who_never_booted_is_served_and_asked_to_boot_once(run_node, database):
    node = run_node(admit_unknown="true", admit_unknown_tokens="true", boot_wait="1")
    with Street(node.port) as station:
        station.report("Available")
        assert station.begin()["idTagInfo"]["status"] == "Accepted"
        assert station.call("Authorize", {"idTag": "TAG"})["idTagInfo"]["status"] == "Accepted"
        assert station.say(
            '[2,"m","MeterValues",{"connectorId":1,"transactionId":"<tx>","meterValue":'
            f"[{READING}]}}]"
        ) == [3, "m", {}]
        _, message_id, *asked = station.receive()
        assert asked == ["TriggerMessage", {"requestedMessage": "BootNotification"}]
        station.send([3, message_id, {"status": "Rejected"}])
        assert station.stop(station.transaction, 1300) == {}
    assert one(database, "SELECT state, status FROM evses") == ("available", "Available")
    assert one(database, "SELECT energy_wh FROM sessions WHERE state = 'ended'") == (1200,)
    with Street(node.port) as station:  # again, and not asked again today
        assert "currentTime" in station.call("Heartbeat", {})
        with pytest.raises(TimeoutError):
            station.socket.recv(3)
    assert one(database, "SELECT requested_by, outcome FROM commands") == (
        *("never booted", "rejected"),
    )


def test_nothing_is_asked_until_some_time_after_the_boot_is_answered(run_node, database):
    node = run_node(admit_unknown="true", settle_time="2")
    with Street(node.port) as station:
        insert(
            database,
            "commands",
            charging_point_id="CP1",
            kind="remote_stop",
            arguments={"session_id": 1},
            requested_by="test",
            deadline=ago(seconds=-20),
        )
        database.execute("SELECT pg_notify('commands', 'CP1')")
        eventually(lambda: one(database, "SELECT 1 FROM commands WHERE state = 'sent'"))
        assert station.boot()["status"] == "Accepted"  # the answer comes first
        before = time.monotonic()
        assert station.receive()[2] == "RemoteStopTransaction"
        assert time.monotonic() - before > 1


# Times.


@pytest.mark.parametrize(
    "notation",
    [
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%Sz",
        "%Y-%m-%dT%H:%M:%S+0000",
        "%Y-%m-%d %H:%M:%S",
        "%d.%m.%Y %H:%M:%S",
        "%Y/%m/%d %H:%M:%S Z",
    ],
)
def test_a_session_begins_at_a_time_in_any_notation(street, database, notation):
    at = ago(minutes=5).replace(microsecond=0)
    answer = street.say(
        '[2,"s","StartTransaction",{"connectorId":1,"idTag":"TAG-1","meterStart":100,'
        f'"timestamp":"{at.strftime(notation)}"}}]'
    )
    assert answer[2]["idTagInfo"]["status"] == "Accepted"
    assert one(database, "SELECT started_at, doubts FROM sessions") == (at, [])


def test_a_time_without_a_zone_is_in_the_charging_points_zone(run_node, database):
    database.execute(
        "INSERT INTO charging_points (charging_point_id, time_zone) VALUES ('CP1', 'Asia/Tokyo')"
    )
    node = run_node(admit_unknown="true", admit_unknown_tokens="true")
    at = ago(minutes=5).replace(microsecond=0)
    local = (at + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S")
    with Street(node.port) as station:
        station.boot()
        station.say(
            '[2,"s","StartTransaction",{"connectorId":1,"idTag":"TAG-1","meterStart":100,'
            f'"timestamp":"{local}"}}]'
        )
    assert one(database, "SELECT started_at FROM sessions") == (at,)


def test_a_clock_without_a_battery_makes_two_sessions_with_times_of_receipt(street, database):
    start = (
        '[2,"s","StartTransaction",{"connectorId":1,"idTag":"TAG-1","meterStart":0,'
        '"timestamp":"1970-01-01T00:00:00Z"}]'
    )
    for _ in range(2):
        street.transaction = street.say(start)[2]["transactionId"]
        assert street.say(start)[2]["transactionId"] == street.transaction  # repeated
        answer = street.say(
            '[2,"e","StopTransaction",'
            '{"transactionId":"<tx>","meterStop":26008,"timestamp":"<now>"}]'
        )
        assert answer == [3, "e", {}]
    rows = database.execute(
        "SELECT energy_wh, now() - started_at < interval '1 minute', reported_started_at, doubts"
        " FROM sessions"
    ).fetchall()
    assert rows == [(26008, True, datetime(1970, 1, 1, tzinfo=UTC), ["clock"])] * 2


# Status.


@pytest.mark.parametrize(
    ("members", "row"),
    [
        (
            '"errorCode":"Error","status":"Faulted"',
            ("Faulted", "faulted", "Error"),
        ),
        (
            '"errorCode":"NoError","status":"Occupied"',
            ("Occupied", "occupied", "NoError"),
        ),
        (
            '"errorCode":"NoError","status":"Dreaming"',
            ("Dreaming", "available", "NoError"),
        ),
        (
            f'"errorCode":"NoError","status":"Finishing","info":"{"The driver " * 9}"',
            ("Finishing", "finishing", "NoError"),
        ),
        (
            '"errorCode":"NoError","status":"charging","timestamp":null,"own":{}',
            ("Charging", "charging", "NoError"),
        ),
    ],
)
def test_an_odd_status_is_kept(street, database, members, row):
    street.report("Available")
    assert street.say(f'[2,"n","StatusNotification",{{"connectorId":1,{members}}}]')[0] == 3
    assert one(database, "SELECT status, state, error_code FROM evses") == row
    assert deviations(database)


def test_a_replay_of_its_history_ends_in_what_arrived_last(street, database):
    for status, error, at in (
        ("Charging", "NoError", '"1970-01-01T00:00:00.740Z"'),
        ("Faulted", "GroundFailure", json.dumps(iso(ago(days=2)))),
    ):
        street.say(
            f'[2,"n","StatusNotification",{{"connectorId":1,"errorCode":"{error}",'
            f'"status":"{status}","timestamp":{at}}}]'
        )
    street.say(
        '[2,"n","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
    )
    assert one(database, "SELECT state FROM evses") == ("available",)


# Sessions.


def test_an_extra_member_changes_no_authorization(street):
    plain = street.call("Authorize", {"idTag": "04A1B2C3D4E5F6"})
    assert street.call("Authorize", {"connectorId": 2, "idTag": "04A1B2C3D4E5F6"}) == plain


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ('"idTag":"TAG-1","meterStart":12.5', (12, "TAG-1")),
        ('"idTag":"TAG-1","meterStart":"100"', (100, "TAG-1")),
        ('"idTag":"TAG-1","meterStart":100,"reservationId":null', (100, "TAG-1")),
        ('"idTag":"TAG-1","meterStart":100,"own":[1]', (100, "TAG-1")),
        ('"idTag":4711,"meterStart":100', (100, "4711")),
    ],
)
def test_an_odd_start_begins_its_session(street, database, members, expected):
    answer = street.say(
        f'[2,"s","StartTransaction",{{"connectorId":1,"timestamp":"<now>",{members}}}]'
    )
    assert answer[2]["idTagInfo"]["status"] == "Accepted"
    assert one(database, "SELECT meter_start_wh, id_tag FROM sessions") == expected
    assert deviations(database)


@pytest.mark.parametrize(("free", "status"), [(True, "Accepted"), (False, "Invalid")])
@pytest.mark.parametrize("tag", ["", '"idTag":null,', '"idTag":"",'])
def test_a_start_without_a_tag_is_kept(run_node, database, free, status, tag):
    database.execute(
        "INSERT INTO charging_points (charging_point_id, free_charging) VALUES ('CP1', %s)", [free]
    )
    node = run_node(admit_unknown="true", admit_unknown_tokens="true")
    with Street(node.port) as station:
        station.boot()
        answer = station.say(
            f'[2,"s","StartTransaction",{{"connectorId":1,{tag}"meterStart":1,"timestamp":"<now>"}}]'
        )
    assert answer[2]["idTagInfo"]["status"] == status
    assert one(database, "SELECT state, id_tag FROM sessions") == ("charging", "")


def test_a_start_without_a_register_begins_at_the_last_that_is_known(street, database):
    street.begin(meter=100)
    street.stop(street.transaction, 5100)
    answer = street.say(
        '[2,"s","StartTransaction",{"connectorId":1,"idTag":"TAG","meterStart":null,'
        '"timestamp":"<now>"}]'
    )
    row = one(
        database,
        "SELECT meter_start_wh, doubts FROM sessions WHERE session_id = %s",
        answer[2]["transactionId"],
    )
    assert row == (5100, ["start_register"])


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ('"meterStop":26008.333', ("ended", 25908, "local", "Local")),
        ('"meterStop":"26008"', ("ended", 25908, "local", "Local")),
        ('"meterStop":26008,"idTag":"ABCDEFGHIJKLMNOPQRST-"', ("ended", 25908, "local", "Local")),
        ('"meterStop":26008,"idTag":null', ("ended", 25908, "local", "Local")),
        (
            '"meterStop":26008,"connectorId":1,"disconnectReason":"EVDisconnected"',
            ("ended", 25908, "local", "Local"),
        ),
        (
            '"meterStop":26008,"reason":"StoppedByEV"',
            ("ended", 25908, "other", "StoppedByEV"),
        ),
        ('"meterStop":26008,"reason":""', ("ended", 25908, "local", "Local")),
    ],
)
def test_an_odd_stop_ends_its_session(street, database, members, expected):
    street.begin()
    answer = street.say(
        f'[2,"e","StopTransaction",{{"transactionId":"<tx>","timestamp":"<now>",{members}}}]'
    )
    assert answer[:2] == [3, "e"]
    assert one(database, SESSION) == expected
    assert deviations(database)


@pytest.mark.parametrize("number", ["null", "-1", "0", '""'])
def test_a_stop_without_a_usable_transaction_ends_the_one_that_is_open(street, database, number):
    street.begin()
    answer = street.say(
        f'[2,"e","StopTransaction",'
        f'{{"transactionId":{number},"meterStop":26008,"timestamp":"<now>"}}]'
    )
    assert answer == [3, "e", {}]
    assert one(database, SESSION)[:2] == ("ended", 25908)


def test_a_stop_without_a_usable_transaction_is_kept_where_two_are_open(street, database):
    street.begin()
    street.call(
        "StartTransaction",
        {"connectorId": 2, "idTag": "TAG", "meterStart": 0, "timestamp": iso(ago(seconds=1))},
    )
    street.say(
        '[2,"e","StopTransaction",{"transactionId":-1,"meterStop":26008,"timestamp":"<now>"}]'
    )
    assert one(database, "SELECT count(*) FROM sessions WHERE state = 'charging'") == (2,)
    assert one(database, "SELECT count(*) FROM unassigned_facts") == (1,)


@pytest.mark.parametrize(
    ("meter", "wh"), [("26008.5", 26008), ("26009.5", 26010), ('"26008,4"', 26008)]
)
def test_a_register_with_a_fraction_is_rounded_half_to_even_and_kept(street, database, meter, wh):
    answer = street.say(
        '[2,"s","StartTransaction",{"connectorId":1,"idTag":"TAG","meterStart":0.5,'
        '"timestamp":"<now>"}]'
    )
    street.transaction = answer[2]["transactionId"]
    street.say(
        '[2,"e","StopTransaction",'
        f'{{"transactionId":"<tx>","meterStop":{meter},"timestamp":"<now>"}}]'
    )
    row = one(
        database,
        "SELECT meter_start_wh, reported_meter_start, meter_stop_wh, reported_meter_stop::text"
        " FROM sessions",
    )
    assert row == (0, Decimal("0.5"), wh, meter.strip('"').replace(",", "."))


@pytest.mark.parametrize("meter", ["2147483647", "1e17"])
def test_a_register_that_cannot_be_ends_its_session_at_the_last_reading(street, database, meter):
    street.begin()
    street.say(
        f'[2,"m","MeterValues",{{"connectorId":1,"transactionId":"<tx>","meterValue":[{READING}]}}]'
    )
    street.say(
        '[2,"e","StopTransaction",'
        f'{{"transactionId":"<tx>","meterStop":{meter},"timestamp":"<now>"}}]'
    )
    row = one(database, "SELECT energy_wh, doubts, reported_meter_stop FROM sessions")
    assert row == (1100, ["stop_register"], Decimal(meter))


def test_readings_of_a_clock_without_a_battery_are_kept_once_at_the_time_of_receipt(
    street, database
):
    street.begin()
    reading = READING.replace("<now>", "1970-01-01T00:05:00Z")
    for _ in range(2):
        street.say(
            '[2,"m","MeterValues",'
            f'{{"connectorId":1,"transactionId":"<tx>","meterValue":[{reading}]}}]'
        )
    rows = database.execute(
        "SELECT session_id, now() - sampled_at < interval '1 minute', reported_at FROM meter_values"
    ).fetchall()
    assert rows == [(street.transaction, True, datetime(1970, 1, 1, 0, 5, tzinfo=UTC))]


def test_a_stop_without_a_register_ends_at_the_last_reading(street, database):
    street.begin()
    street.say(
        f'[2,"m","MeterValues",{{"connectorId":1,"transactionId":"<tx>","meterValue":[{READING}]}}]'
    )
    street.say('[2,"e","StopTransaction",{"transactionId":"<tx>","timestamp":"<now>"}]')
    assert one(database, "SELECT energy_wh, doubts FROM sessions") == (1100, ["stop_register"])


def test_odd_samples_cost_no_stop_and_no_other_sample(street, database):
    street.begin()
    samples = (
        '{"value":"26008","context":"Transaction.End","measurand":"Energy.Active.Import.Register",'
        '"unit":"Wh"},{"value":"49.97","measurand":"Frequency","unit":"Hz"},'
        '{"value":"16.000","context":"CurrentMax","unit":"A"},{"value":null},{"value":12.5}'
    )
    street.say(
        '[2,"e","StopTransaction",{"transactionId":"<tx>","meterStop":26008,"timestamp":"<now>",'
        f'"transactionData":[{{"timestamp":"<now>","sampledValue":[{samples}]}}]}}]'
    )
    assert one(database, SESSION)[:2] == ("ended", 25908)
    energy, kept = one(database, "SELECT energy_wh, sampled_values FROM meter_values")
    assert energy == 26008
    assert [sample["value"] for sample in kept] == ["26008", "49.97", "16.000", "12.5"]
    assert kept[2]["context"] == "CurrentMax"


def test_a_register_that_runs_backwards_bills_nothing_and_is_for_a_person(street, database):
    street.begin(meter=2_259_988)
    street.stop(street.transaction, 1200)
    assert one(database, "SELECT energy_wh, doubts FROM sessions") == (0, ["backwards"])


@pytest.mark.parametrize("stop", ["", '"timestamp":"when the driver left",'])
def test_times_that_cannot_be_read_are_those_of_receipt_with_a_doubt(street, database, stop):
    start = '[2,"s","StartTransaction",{"connectorId":1,"idTag":"TAG","meterStart":100}]'
    street.transaction = street.say(start)[2]["transactionId"]
    assert street.say(start)[2]["transactionId"] == street.transaction  # repeated
    end = f'[2,"e","StopTransaction",{{{stop}"transactionId":"<tx>","meterStop":1300}}]'
    assert street.say(end) == street.say(end) == [3, "e", {}]
    row = one(
        database,
        "SELECT energy_wh, doubts, now() - ended_at < interval '1 minute',"
        " (SELECT count(*) FROM unassigned_facts) FROM sessions",
    )
    assert row == (1200, ["clock"], True, 0)


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_times_at_the_ends_of_the_calendar_cost_no_session(street, database, at):
    street.say(
        '[2,"s","StartTransaction",'
        f'{{"connectorId":1,"idTag":"TAG","meterStart":100,"timestamp":"{at}"}}]'
    )
    # Its transaction id was lost, and its clock is right by now: earlier than the start's receipt.
    street.say(
        '[2,"e","StopTransaction",{"transactionId":-1,"meterStop":1300,'
        f'"timestamp":"{iso(ago(minutes=1))}"}}]'
    )
    assert one(database, SESSION)[:2] == ("ended", 1200)


def test_a_relative_register_bills_start_to_stop(street, database):
    street.begin(meter=4_076_000)
    for value in (104, 353):
        street.say(
            '[2,"m","MeterValues",{"connectorId":1,"transactionId":"<tx>","meterValue":'
            f'[{{"timestamp":"<now>","sampledValue":[{{"value":"{value}"}}]}}]}}]'
        )
    street.stop(street.transaction, 4_076_400)
    assert one(database, "SELECT energy_wh FROM sessions") == (400,)


# Readings.


@pytest.mark.parametrize(
    ("members", "rows"),
    [
        (f'"transactionId":"<tx>","meterValue":{READING}', [(1200, True)]),
        (f'"transactionId":0,"meterValue":[{READING}]', [(1200, True)]),
        (f'"transactionId":null,"meterValue":[{READING}]', [(1200, True)]),
        (f'"meterValue":[{READING}]', [(1200, True)]),
        ('"transactionId":"<tx>","meterValue":[{"timestamp":"<now>","sampledValue":[]}]', []),
        ('"transactionId":"<tx>","meterValue":[]', []),
        (
            ONE % ("<now>", '{"value":12.5,"measurand":"Power.Active.Import","unit":"W"}'),
            [(None, True)],
        ),
        (ONE % ("<now>", f"{AT_BEGIN},{LATER}"), [(4369, True)]),
        (ONE % ("<now>", f"{LATER},{AT_BEGIN}"), [(4369, True)]),
        (
            ONE % ("<now>", '{"value":"15.630","context":"Sample.Periodic","unit":"A"}'),
            [(None, True)],
        ),
        (ONE % ("", '{"value":"1.2","unit":"kwh"}'), [(1200, True)]),
    ],
)
def test_odd_readings_are_kept_in_their_session(street, database, members, rows):
    street.begin(at=ago(minutes=1))
    answer = street.say(f'[2,"m","MeterValues",{{"connectorId":1,{members}}}]')
    assert answer == [3, "m", {}]
    kept = database.execute("SELECT energy_wh, session_id FROM meter_values").fetchall()
    assert [(energy, number == street.transaction) for energy, number in kept] == rows


# Reports.


@pytest.mark.parametrize(
    ("action", "payload", "row"),
    [
        ("FirmwareStatusNotification", {"status": "Downloaded"}, ("firmware", "Downloaded", None)),
        ("FirmwareStatusNotification", {"status": "Nearly"}, ("firmware", "Nearly", None)),
        ("DiagnosticsStatusNotification", {"status": "Uploaded"}, ("log", "Uploaded", None)),
        ("LogStatusNotification", {"status": "Uploaded", "requestId": 7}, ("log", "Uploaded", 7)),
        (
            "SignedFirmwareStatusNotification",
            {"status": "Installed", "requestId": 8},
            ("firmware", "Installed", 8),
        ),
        (
            "SecurityEventNotification",
            {"type": "StartupOfTheDevice", "timestamp": "2026-03-01T10:00:00Z"},
            ("security", "StartupOfTheDevice", None),
        ),
    ],
)
def test_a_report_is_answered_and_kept(street, database, action, payload, row):
    assert street.call(action, payload) == {}
    assert one(database, "SELECT kind, status, request_id FROM notices") == row


def test_a_certificate_request_is_refused_clearly_and_kept(street, database):
    assert street.call("SignCertificate", {"csr": "PEM\n"}) == {"status": "Rejected"}
    assert one(database, "SELECT kind, detail->>'csr' FROM notices") == (
        "certificate_request",
        "PEM\n",
    )


# Answers to our calls.


@pytest.mark.parametrize(
    ("answer", "outcome", "detail"),
    [
        ('[3,"<id>",{"status":"Accepted","connectorId":1}]', "accepted", ""),
        ('[3,"<id>",{"status":"Accepted"},{}]', "accepted", ""),
        ('[3,"<id>",{"status":"Acc', "failed", 'unreadable answer: [3,"'),
        ('[3,"<id>"]', "failed", "malformed answer: "),
        ('[3,"<id>",null]', "failed", "malformed answer: "),
        ('[4,"<id>",null,"",{}]', "failed", ""),
        ('[4,"<id>"]', "failed", ""),
    ],
)
def test_an_odd_answer_ends_its_command_and_the_next_goes_out(
    street, database, answer, outcome, detail
):
    for session in (1, 2):
        insert(
            database,
            "commands",
            charging_point_id="CP1",
            kind="remote_stop",
            arguments={"session_id": session},
            requested_by="test",
            deadline=ago(seconds=-20),
        )
    database.execute("SELECT pg_notify('commands', 'CP1')")
    message_id = street.receive()[1]
    street.socket.send(answer.replace("<id>", message_id))
    assert street.receive()[3] == {"transactionId": 2}
    row = eventually(
        lambda: one(database, "SELECT outcome, detail FROM commands WHERE state = 'answered'")
    )
    assert row[0] == outcome
    assert row[1].startswith(detail)


# Strict.


def test_a_strict_charging_point_is_refused_what_deviates(run_node, database):
    database.execute("INSERT INTO charging_points (charging_point_id, strict) VALUES ('CP1', true)")
    node = run_node(admit_unknown="true", admit_unknown_tokens="true")
    with Street(node.port) as station:
        station.boot()
        assert station.say('[2,"h","Heartbeat",{"own":1}]')[:3] == [4, "h", "FormationViolation"]
        assert station.say('[2,"h","Heartbeat",null]')[:3] == [4, "h", "FormationViolation"]
        assert station.say('[2,"h","Heartbeat",{}]')[0] == 3
    assert one(database, "SELECT count(*) FROM deviations") == (0,)
