"""Remote start and stop, from the hub's HTTP request to the charging point's socket and back."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.rows import EVSE, add_charging_point, add_evse, add_session, insert, set_status
from tests.station import Station
from tests.waiting import eventually


@pytest.fixture
def evse(database):
    """EVSE 1 of charging point CP1, known in roaming."""
    add_charging_point(database)
    add_evse(database, 1, EVSE, roaming=True)
    return EVSE


@pytest.fixture
def station(node, evse, database):
    """The charging point, booted and known to be online."""
    with Station(node.port) as station:
        station.boot()
        eventually(lambda: database.execute("SELECT 1 FROM connections").fetchone())
        yield station


@pytest.fixture
def background():
    with ThreadPoolExecutor(8) as pool:
        yield pool


REMOTE = {"RemoteIdentification": {"EvcoID": "DE-DCB-C12345678-X"}}


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"deeper": value}
    return value


def code(answer):
    assert answer["Result"] == (answer["StatusCode"]["Code"] == "000")
    return answer["StatusCode"]["Code"]


def carry_out(station, status="Accepted"):
    """Answer the command that comes next; return its action and payload."""
    _, message_id, action, payload = station.receive()
    station.send([3, message_id, {"status": status}])
    return action, payload


def accepted(hub, station, background):
    """Start remotely; return the hub's session and its token at the charging point."""
    session = str(uuid.uuid4())
    answer = background.submit(hub.start, session=session)
    _, payload = carry_out(station)
    assert code(answer.result()) == "000"
    return session, payload["idTag"]


def test_a_migration_that_adds_a_column_disturbs_nobody(hub, evse, database):
    for _ in range(12):  # each of the pool's connections would have prepared its statements
        assert code(hub.start()) == "501"
    database.execute("ALTER TABLE hub_sessions ADD COLUMN of_the_next_version text")
    try:
        assert {code(hub.start()) for _ in range(12)} == {"501"}
    finally:
        database.execute("ALTER TABLE hub_sessions DROP COLUMN of_the_next_version")


def test_a_remote_start_reaches_the_charging_point_and_its_answer_the_hub(
    hub, station, background, database
):
    answer = background.submit(hub.start, EMPPartnerSessionID="theirs")
    action, payload = carry_out(station)
    assert action == "RemoteStartTransaction"
    assert payload["connectorId"] == 1
    assert len(payload["idTag"]) <= 20
    answer = answer.result()
    assert code(answer) == "000"
    assert answer["EMPPartnerSessionID"] == "theirs"
    assert answer["CPOPartnerSessionID"]
    # What the charging point then starts is the hub's session.
    started = station.start(payload["idTag"])
    assert started["idTagInfo"]["status"] == "Accepted"
    bound = database.execute("SELECT session_id, state FROM hub_sessions").fetchall()
    assert bound == [(started["transactionId"], "accepted")]


def test_a_remote_stop_ends_the_session(hub, station, background, database):
    session, token = accepted(hub, station, background)
    transaction = station.start(token)["transactionId"]
    answer = background.submit(hub.stop, session)
    assert carry_out(station) == ("RemoteStopTransaction", {"transactionId": transaction})
    assert code(answer.result()) == "000"
    station.stop(transaction, 2000)
    assert code(hub.stop(session)) == "400"


def test_a_remote_stop_before_any_car_came_forbids_one_to_charge(hub, station, background):
    session, token = accepted(hub, station, background)
    assert code(hub.stop(session)) == "000"
    assert station.start(token)["idTagInfo"]["status"] == "Invalid"


def test_only_the_provider_that_started_may_stop(hub, station, background):
    session, _ = accepted(hub, station, background)
    assert code(hub.stop(session, provider="DE*OTH")) == "017"
    assert code(hub.stop(session, provider="DE*DCB")) == "000"


def test_an_unknown_session_cannot_be_stopped(hub):
    assert code(hub.stop(str(uuid.uuid4()))) == "400"


def vehicle_first(database):
    insert(
        database,
        "evse_details",
        charging_point_id="CP1",
        evse_number=1,
        details={"vehicle_first": True},
    )
    set_status(database, "Available")


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda database: database.execute("UPDATE evses SET roaming = false"), "604"),
        (lambda database: set_status(database, "Reserved"), "601"),
        (lambda database: set_status(database, "Charging"), "602"),
        (lambda database: set_status(database, "Faulted"), "700"),
        (lambda database: set_status(database, "Unavailable"), "700"),
        (lambda database: add_evse(database, 0, status="Faulted"), "700"),
        (vehicle_first, "510"),
        (lambda database: add_session(database, state="charging"), "602"),
    ],
    ids=[
        "not-in-roaming",
        "reserved",
        "charging",
        "faulted",
        "unavailable",
        "charging-point-faulted",
        "vehicle-first",
        "session-open",
    ],
)
def test_what_stands_against_a_start(hub, station, database, prepare, expected):
    prepare(database)
    assert code(hub.start()) == expected
    assert database.execute("SELECT count(*) FROM commands").fetchone() == (0,)


def test_an_unknown_evse(hub):
    assert code(hub.start("DE*VNI*E404")) == "603"


def test_an_offline_charging_point(hub, evse):
    assert code(hub.start()) == "501"


def test_an_evse_is_known_by_any_spelling(hub, station, background):
    answer = background.submit(hub.start, EVSE.lower().replace("*", ""))
    carry_out(station)
    assert code(answer.result()) == "000"


def test_a_charging_point_that_refuses(hub, station, background, database):
    answer = background.submit(hub.start)
    carry_out(station, "Rejected")
    assert code(answer.result()) == "501"
    row = database.execute("SELECT state, start_refusal FROM hub_sessions").fetchone()
    assert row == ("refused", "rejected")


def test_one_that_accepts_too_late_is_not_let_charge(hub, station, background, database):
    answer = background.submit(hub.start)
    _, message_id, _, payload = station.receive()
    assert code(answer.result()) == "501"
    station.send([3, message_id, {"status": "Accepted"}])
    # It starts all the same: its token is refused, and it is told to stop.
    station.send(
        [
            2,
            "late",
            "StartTransaction",
            {
                "connectorId": 1,
                "idTag": payload["idTag"],
                "meterStart": 0,
                "timestamp": "2026-01-01T00:00:00Z",
            },
        ]
    )
    frames = [station.receive(), station.receive()]
    result = next(frame for frame in frames if frame[0] == 3)
    command = next(frame for frame in frames if frame[0] == 2)
    assert result[2]["idTagInfo"]["status"] == "Invalid"
    assert command[2:] == [
        "RemoteStopTransaction",
        {"transactionId": result[2]["transactionId"]},
    ]


def test_a_repeated_start_gets_the_first_answer_and_starts_nothing_twice(
    hub, station, background, database
):
    session = str(uuid.uuid4())
    twins = [background.submit(hub.start, session=session) for _ in range(4)]
    carry_out(station)
    answers = [twin.result() for twin in twins]
    assert code(answers[0]) == "000"
    assert answers == [answers[0]] * 4
    assert hub.start(session=session) == answers[0]
    assert database.execute("SELECT count(*) FROM commands").fetchone() == (1,)


def test_another_providers_repetition_learns_nothing(hub, station, background):
    session, _ = accepted(hub, station, background)
    assert code(hub.start(session=session, ProviderID="DE*OTH")) == "017"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", "022"),
        ([], "022"),
        ({"SessionID": "x"}, "022"),
        ({"ProviderID": "DE*OTH"}, "017"),
        ({"ProviderID": None, "EMPPartnerSessionID": None, "Surplus": 1}, "603"),
        ({"EvseID": "nonsense"}, "022"),
        ({"Identification": {}}, "022"),
        ({"EMPPartnerSessionID": "x" * 251}, "022"),
        ({"EMPPartnerSessionID": "a\0b"}, "022"),
        ({"EMPPartnerSessionID": "\ud800"}, "022"),
        ({"PartnerProductID": "x" * 101}, "022"),
        ({"SessionID": None}, "022"),
        ({"Surplus": nested(500)}, "603"),
        (b'{"Surplus": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "022"),
    ],
)
def test_what_cannot_be_read_is_still_answered(hub, body, expected):
    if isinstance(body, dict):
        body = {
            "SessionID": str(uuid.uuid4()),
            "EvseID": "DE*VNI*E404",
            "ProviderID": "DE*DCB",
            "Identification": REMOTE,
            **body,
        }
    assert code(hub.post("start", body)) == expected


def test_the_provider_may_stand_percent_encoded_in_the_path_only(hub):
    body = {
        "SessionID": str(uuid.uuid4()),
        "EvseID": "DE*VNI*E404",
        "Identification": REMOTE,
    }
    assert code(hub.post("start", body, provider="DE%2ADCB")) == "603"


@pytest.mark.parametrize(
    "identification",
    [
        {"RemoteIdentification": {}},
        {"RemoteIdentification": "x"},
        {"RemoteIdentification": {"EvcoID": "RUBBISH"}},
        {"RemoteIdentification": {"EvcoID": "DE-DCB-C12345678-X\0"}},
        {"RemoteIdentification": {"EvcoID": 5}},
        {"RemoteIdentification": {"EvcoID": None}},
        {"Foo": {}},
        {"RFIDMifareFamilyIdentification": {"UID": "0A1B2C3D"}},
        {"RFIDIdentification": {"UID": "0A1B2C3D", "RFID": "mifareCls"}},
        {"QRCodeIdentification": {"EvcoID": "DE-DCB-C12345678-X", "PIN": "1234"}},
        {"PlugAndChargeIdentification": {"EvcoID": "DE-DCB-C12345678-X"}},
        {**REMOTE, "QRCodeIdentification": {"EvcoID": "DE-DCB-C12345678-X"}},
        [REMOTE],
        "x",
    ],
)
def test_a_remote_start_takes_the_remote_identification_alone(hub, identification):
    assert code(hub.start("DE*VNI*E404", Identification=identification)) == "022"


def test_a_session_id_is_equal_in_any_case_and_comes_back_as_it_was_written(
    hub, station, background, database
):
    session = str(uuid.uuid4()).upper()
    answer = background.submit(hub.start, session=session)
    carry_out(station)
    assert answer.result()["SessionID"] == session
    assert code(hub.start(session=session.lower())) == "000"
    assert code(hub.stop(session.lower())) == "000"
    kept = database.execute("SELECT hub_session_id, hub_spelling FROM hub_sessions").fetchall()
    assert kept == [(session.lower(), session)]


def test_a_session_id_is_of_one_evse(hub, station, background, database):
    add_evse(database, 2, "DE*VNI*E1*2", roaming=True)
    session, _ = accepted(hub, station, background)
    for elsewhere in ("DE*VNI*E1*2", "DE*VNI*E404"):
        assert code(hub.start(elsewhere, session=session)) == "400"
    assert code(hub.start(session=session)) == "000"
    # Two at once: one begins, and the other is told so.
    name = str(uuid.uuid4())
    database.execute("UPDATE hub_sessions SET state = 'ended', ended_at = now()")
    twins = [background.submit(hub.start, evse, name) for evse in (EVSE, "DE*VNI*E1*2")]
    carry_out(station)
    assert sorted(code(twin.result()) for twin in twins) == ["000", "400"]


def test_a_session_that_is_over_cannot_be_started_again(hub, station, background, database):
    session, _ = accepted(hub, station, background)
    assert code(hub.stop(session)) == "000"
    assert code(hub.start(session=session)) == "400"
    # Nor one whose id a reservation had, or whose record is there.
    for name, table, row in (
        (str(uuid.uuid4()), "reservations", {"state": "cancelled", "expires_at": "now()"}),
        (str(uuid.uuid4()), "deliveries", {}),
    ):
        if table == "reservations":
            insert(
                database, table, hub_session_id=name, provider_id="DE-DCB", charging_point_id="CP1",
                evse_number=1, identification=REMOTE, id_tag="HUB1",
                cpo_partner_session_id="ours", **row,
            )  # fmt: skip
        else:
            insert(database, table, queue="charge-detail-record", key=name)
        assert code(hub.start(session=name)) == "400"


def test_a_start_that_was_stopped_before_its_answer_stays_stopped(
    hub, station, background, database
):
    session = str(uuid.uuid4())
    answer = background.submit(hub.start, session=session)
    _, message_id, _, payload = station.receive()
    assert code(hub.stop(session)) == "000"
    station.send([3, message_id, {"status": "Accepted"}])
    assert code(answer.result()) == "400"
    assert database.execute("SELECT state FROM hub_sessions").fetchone() == ("ended",)
    # The hub knows of no session, so no record is due.
    assert database.execute("SELECT count(*) FROM events").fetchone() == (0,)
    assert station.start(payload["idTag"])["idTagInfo"]["status"] == "Invalid"


def test_a_session_with_the_starts_own_token_proves_the_start(hub, station, background, database):
    answer = background.submit(hub.start)
    _, _, _, payload = station.receive()
    started = station.start(payload["idTag"])
    assert started["idTagInfo"]["status"] == "Accepted"
    # The answer to the command never comes.
    assert code(answer.result()) == "000"
    row = database.execute("SELECT state, session_id FROM hub_sessions").fetchone()
    assert row == ("accepted", started["transactionId"])


def test_while_the_first_driver_may_plug_in_a_second_is_kept_out(
    hub, station, background, database
):
    accepted(hub, station, background)
    database.execute("UPDATE hub_sessions SET created_at = now() - interval '5 minutes'")
    other = {"RemoteIdentification": {"EvcoID": "DE-DCB-C87654321-X"}}
    assert code(hub.start(Identification=other)) == "602"
    # The same driver may try again.
    accepted(hub, station, background)
    database.execute("UPDATE hub_sessions SET created_at = now() - interval '11 minutes'")
    answer = background.submit(hub.start, Identification=other)
    carry_out(station)
    assert code(answer.result()) == "000"


def test_a_lost_stop_does_not_keep_an_evse_for_ever(hub, station, background, database):
    add_session(database, state="charging")
    assert code(hub.start()) == "602"
    set_status(database, "Available")
    accepted(hub, station, background)


def test_the_product_of_the_driver_is_kept(hub, station, background, database):
    answer = background.submit(hub.start, PartnerProductID="AC1")
    carry_out(station)
    assert code(answer.result()) == "000"
    kept = database.execute("SELECT partner_product_id FROM hub_sessions").fetchone()
    assert kept == ("AC1",)


@pytest.fixture
def database_away(server_url, database):
    """The database lets nobody in while the test runs."""
    name = database.info.dbname
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        yield
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_without_its_database_it_lives_is_not_ready_and_answers_a_system_error(hub, database_away):
    assert code(hub.start()) == "021"
    assert get(f"{hub.url}/health/live") == "ok\n"
    with pytest.raises(urllib.error.HTTPError, match="503"):
        get(f"{hub.url}/health/ready")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly(hub, number):
    assert hub.program.stop(number) == 0


def test_its_log_names_no_token(hub, station, background):
    _, token = accepted(hub, station, background)
    lines = hub.program.log.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert any(event.get("event") == "remote start" for event in events)
    assert token not in hub.program.log.read_text()


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()
