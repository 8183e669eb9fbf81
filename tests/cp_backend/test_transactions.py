"""Sessions that charging points name themselves, over real sockets: OCPP 2.0.1 and 2.1."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.rows import add_charging_point, add_token
from tests.station import Station, ago, iso
from tests.waiting import eventually

CARD = {"idToken": "04A1B2C3", "type": "ISO14443"}
EVSE = {"id": 1, "connectorId": 1}


class Station2(Station):
    """A charging point that speaks 2.x; its transaction began some minutes ago."""

    def __init__(self, port, identity="CP1", version="2.0.1", **options):
        super().__init__(port, identity, subprotocols=[f"ocpp{version}"], **options)
        self.began_at = ago(minutes=10)

    def boot(self):
        station = {"model": "M", "vendorName": "V"}
        payload = {"reason": "PowerUp", "chargingStation": station}
        return self.call("BootNotification", payload)

    def event(self, kind, number, register=None, *, name="tx-1", seconds=None, **more):
        """Report an event of a transaction; its time follows from its place."""
        at = iso(self.began_at + timedelta(seconds=60 * number if seconds is None else seconds))
        payload = {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": more.pop("trigger", "MeterValuePeriodic"),
            "seqNo": number,
            "transactionInfo": {"transactionId": name, **more.pop("info", {})},
            **more,
        }
        if register is not None:
            payload["meterValue"] = [{"timestamp": at, "sampledValue": [{"value": register}]}]
        return self.call("TransactionEvent", payload)

    def status(self, word, connector=1):
        payload = {
            "timestamp": iso(datetime.now(UTC)),
            "connectorStatus": word,
            "evseId": 1,
            "connectorId": connector,
        }
        assert self.call("StatusNotification", payload) == {}


@pytest.fixture(params=["2.0.1", "2.1"])
def station(request, node, database):
    with Station2(node.port, version=request.param) as station:
        assert station.boot()["status"] == "Accepted"
        yield station


def session(database):
    """The one session: state, EVSE, token, energy, doubts, gaps."""
    (row,) = database.execute(
        "SELECT state, evse_number, id_tag, energy_wh, doubts,"
        " (int4multirange(int4range(0, upper(sequences))) - sequences)::text FROM sessions"
    ).fetchall()
    return row


def test_a_session_is_begun_metered_and_ended(station, database):
    started = station.event("Started", 0, 1000, evse=EVSE, idToken=CARD)
    assert started["idTokenInfo"]["status"] == "Accepted"
    assert station.event("Updated", 1, 1500) == {}
    assert station.event("Ended", 2, 3500, info={"stoppedReason": "EVDisconnected"}) == {}
    assert session(database) == ("ended", 1, "04A1B2C3", 2500, [], "{}")
    rows = database.execute(
        "SELECT energy_wh, session_id, evse_number FROM meter_values ORDER BY sampled_at"
    ).fetchall()
    assert rows == [(1000, 1, 1), (1500, 1, 1), (3500, 1, 1)]
    cause = database.execute("SELECT stop_cause, stop_reason, station_session FROM sessions")
    assert cause.fetchone() == ("unplugged", "EVDisconnected", "tx-1")
    kinds = database.execute("SELECT kind FROM events WHERE kind LIKE 'session%' ORDER BY event_id")
    assert [kind for (kind,) in kinds] == ["session_started", "session_ended"]


EVENTS = {
    0: ("Started", 1000, {"evse": EVSE, "idToken": CARD}),
    1: ("Updated", 1500, {}),
    2: ("Updated", 2500, {}),
    3: ("Ended", 3500, {"info": {"stoppedReason": "Local"}, "idToken": CARD}),
}


@pytest.mark.parametrize(
    "order",
    [
        (0, 1, 2, 3),
        (3, 2, 1, 0),
        (1, 0, 3, 2),
        (2, 3, 0, 1),
        (0, 0, 1, 3, 3, 2, 2),
        (3, 0, 1, 2, 0),
    ],
)
def test_reports_in_any_order_make_the_same_session(node, database, order):
    with Station2(node.port) as station:
        station.boot()
        for number in order:
            kind, register, more = EVENTS[number]
            answer = station.event(kind, number, register, **{**more, "offline": True})
            if "idToken" in more:
                assert answer["idTokenInfo"]["status"] == "Accepted"
        state, evse, token, energy_wh, doubts, gaps = session(database)
        assert (state, evse, token, energy_wh, gaps) == ("ended", 1, "04A1B2C3", 2500, "{}")
        assert doubts == []
        (began_at,) = database.execute("SELECT started_at FROM sessions").fetchone()
        assert abs(began_at - station.began_at) < timedelta(seconds=1)
    registers = database.execute("SELECT energy_wh FROM meter_values ORDER BY 1").fetchall()
    assert registers == [(1000,), (1500,), (2500,), (3500,)]
    sessions = {row[0] for row in database.execute("SELECT session_id FROM meter_values")}
    assert sessions == {1}
    assert database.execute("SELECT count(*) FROM unassigned_facts").fetchone() == (0,)


def test_a_gap_is_kept_until_it_is_filled(station, database):
    station.event("Started", 0, 1000, evse=EVSE, idToken=CARD)
    station.event("Ended", 4, 2000)
    assert session(database)[5] == "{[1,4)}"
    station.event("Updated", 2, 1200, offline=True)
    assert session(database)[5] == "{[1,2),[3,4)}"
    station.event("Updated", 1, 1100, offline=True)
    station.event("Updated", 3, 1300, offline=True)
    assert session(database)[5] == "{}"


def test_the_evse_comes_in_the_first_event_after_the_vehicle(station, database):
    station.event("Started", 0, idToken=CARD, trigger="Authorized")
    assert session(database)[1] == 0
    station.event("Updated", 1, 1000, evse=EVSE, trigger="CablePluggedIn")
    station.event("Ended", 2, 1500)
    state, evse, token, energy_wh, doubts, _ = session(database)
    assert (state, evse, token, energy_wh) == ("ended", 1, "04A1B2C3", 500)
    assert doubts == ["start_register"]


def test_a_token_that_comes_late_is_the_sessions(station, database):
    assert station.event("Started", 0, 1000, evse=EVSE, trigger="CablePluggedIn") == {}
    answer = station.event("Updated", 1, idToken=CARD, trigger="Authorized")
    assert answer["idTokenInfo"]["status"] == "Accepted"
    station.event("Ended", 2, 1500)
    assert session(database)[2] == "04A1B2C3"
    decision = database.execute("SELECT start_decision FROM sessions").fetchone()
    assert decision == ("accepted",)


def test_a_second_end_with_another_register_is_kept_and_changes_nothing(station, database):
    station.event("Started", 0, 1000, evse=EVSE, idToken=CARD)
    station.event("Updated", 1, 1500, offline=True)
    station.event("Ended", 2, 2000, offline=True)
    assert station.event("Ended", 3, 9000) == {}
    assert session(database)[3] == 1000
    (fact,) = database.execute("SELECT action, payload FROM unassigned_facts").fetchall()
    assert fact[0] == "TransactionEvent"
    assert fact[1]["seqNo"] == 3


def test_a_start_button_begins_where_charging_is_free(run_node, database):
    node = run_node()
    add_charging_point(database, "FREE", free_charging=True)
    add_charging_point(database, "PAID")
    for name, word in (("FREE", "Accepted"), ("PAID", "Invalid")):
        with Station2(node.port, name) as station:
            station.boot()
            token = {"idToken": "", "type": "NoAuthorization"}
            answer = station.event("Started", 0, 1000, evse=EVSE, idToken=token)
            assert answer["idTokenInfo"]["status"] == word
            assert station.event("Ended", 1, 1200) == {}
    rows = database.execute("SELECT charging_point_id, energy_wh FROM sessions ORDER BY 1")
    assert rows.fetchall() == [("FREE", 200), ("PAID", 200)]


def test_a_group_is_shown_and_a_blocked_token_refused(run_node, database):
    node = run_node()
    add_charging_point(database, "CP1")
    add_token(database, "04A1B2C3", parent_id_tag="FAMILY")
    add_token(database, "04A1B2C4", blocked=True)
    with Station2(node.port) as station:
        station.boot()
        answer = station.call("Authorize", {"idToken": CARD})
        group = {"idToken": "FAMILY", "type": "Central"}
        assert answer == {"idTokenInfo": {"status": "Accepted", "groupIdToken": group}}
        other = {"idToken": "04A1B2C4", "type": "ISO14443"}
        assert station.call("Authorize", {"idToken": other})["idTokenInfo"]["status"] == "Blocked"
        answer = station.event("Started", 0, 1000, evse=EVSE, idToken=other)
        assert answer["idTokenInfo"]["status"] == "Blocked"


def test_several_sessions_of_several_evses_are_kept_apart(station, database):
    for number in (1, 2):
        name = f"tx-{number}"
        station.event("Started", 0, 1000, name=name, evse={"id": number}, idToken=CARD)
    for number in (1, 2):
        station.event("Ended", 1, 1000 + 100 * number, name=f"tx-{number}")
    rows = database.execute("SELECT evse_number, energy_wh FROM sessions ORDER BY 1").fetchall()
    assert rows == [(1, 100), (2, 200)]


def test_a_remote_start_is_bound_by_its_number(station, database):
    database.execute(
        "INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline)"
        " VALUES ('CP1', 'remote_start', '{\"id_tag\": \"04A1B2C3\"}', 'test', now())"
    )
    (command,) = database.execute("SELECT command_id FROM commands").fetchone()
    info = {"remoteStartId": command}
    answer = station.event("Started", 0, 1000, evse=EVSE, info=info, trigger="RemoteStart")
    assert answer["idTokenInfo"]["status"] == "Accepted"
    assert session(database)[2] == "04A1B2C3"


def test_readings_outside_a_transaction_count_for_the_session_at_their_evse(station, database):
    station.event("Started", 0, 1000, evse=EVSE, idToken=CARD)
    at = iso(ago(minutes=5))
    values = [{"timestamp": at, "sampledValue": [{"value": 1200}]}]
    assert station.call("MeterValues", {"evseId": 1, "meterValue": values}) == {}
    reading = database.execute("SELECT session_id FROM meter_values WHERE energy_wh = 1200")
    assert reading.fetchone() == (1,)


def test_an_event_without_what_it_must_have_is_kept(node, database):
    """The end is not lost for a missing reason, place or type."""
    with Station2(node.port) as station:
        station.boot()
        station.event("Started", 0, 1000, evse=EVSE, idToken=CARD)
        at = iso(station.began_at + timedelta(minutes=5))
        answer = station.call(
            "TransactionEvent",
            {
                "eventType": "Ended",
                "timestamp": at,
                "seqNo": 1,
                "transactionInfo": {"transactionId": "tx-1", "stoppedReason": "Local"},
                "meterValue": [
                    {"timestamp": at, "sampledValue": [{"value": "1.5", "unit": "kWh"}]}
                ],
            },
        )
        assert answer == {}
        assert session(database)[:4] == ("ended", 1, "04A1B2C3", 500)


def test_a_transaction_without_a_name_is_kept_whole(node, database):
    with Station2(node.port) as station:
        station.boot()
        assert station.event("Updated", 1, 1500, name="") == {}
        (fact,) = database.execute("SELECT payload FROM unassigned_facts").fetchall()
        assert fact[0]["meterValue"][0]["sampledValue"] == [{"value": 1500}]


def test_an_evse_is_as_its_busiest_connector(station, database):
    for word, connector, state in (
        ("Available", 1, "available"),
        ("Unavailable", 2, "available"),
        ("Occupied", 1, "occupied"),
        ("Available", 2, "occupied"),
        ("Faulted", 1, "available"),
        ("Faulted", 2, "faulted"),
    ):
        station.status(word, connector)
        row = database.execute("SELECT state FROM evses WHERE evse_number = 1").fetchone()
        assert row == (state,), (word, connector)


def test_the_version_is_the_first_of_the_clients_that_both_speak(run_node, database):
    node = run_node()
    add_charging_point(database, "CP1")
    add_charging_point(database, "OLD", ocpp_versions="{1.6}")
    offered = ["ocpp9", "ocpp2.0.1", "ocpp1.6"]
    for name, chosen in (("CP1", "ocpp2.0.1"), ("OLD", "ocpp1.6")):
        with Station(node.port, name, subprotocols=offered) as station:
            assert station.socket.subprotocol == chosen
    only = run_node(ocpp_versions="2.1,1.6")
    with Station(only.port, "CP1", subprotocols=offered) as station:
        assert station.socket.subprotocol == "ocpp1.6"


def test_one_whose_boot_was_not_accepted_is_not_served_but_its_end_is_kept(run_node, database):
    node = run_node()
    add_charging_point(database, "CP1")
    database.execute("UPDATE charging_points SET registration = 'Rejected'")
    with Station2(node.port) as station:
        assert station.boot()["status"] == "Rejected"
        assert station.call("Heartbeat", {})[0] == "SecurityError"
        assert station.event("Ended", 1, 500) == {}


def test_a_wrong_frame_is_a_framework_error(station):
    station.send('[2,"id-1","Heartbeat","text"]')
    assert station.receive()[:3] == [4, "id-1", "RpcFrameworkError"]


def test_a_report_that_is_sent_is_never_answered(node, database):
    stream = {"id": 1, "pending": 0, "basetime": iso(ago()), "data": [{"t": 0, "v": "230"}]}
    with Station2(node.port, version="2.1") as station:
        station.boot()
        station.send([6, "s-1", "NotifyPeriodicEventStream", stream])
        station.send([6, "s-2", "NotifyPeriodicEventStream", {"id": "wrong"}])
        station.send([6, "s-3"])
        station.send([5, "x-1", "FormatViolation", "", {}])
        assert "currentTime" in station.call("Heartbeat", {})

    def kept():
        return database.execute("SELECT kind, detail FROM notices").fetchall()

    assert eventually(kept) == [("event", stream)]


def test_one_that_speaks_2_0_1_has_no_frames_of_2_1(node, database):
    with Station2(node.port) as station:
        station.boot()
        station.send([6, "s-1", "NotifyPeriodicEventStream", {"id": 1}])
        assert "currentTime" in station.call("Heartbeat", {})
    assert database.execute("SELECT count(*) FROM notices").fetchone() == (0,)
