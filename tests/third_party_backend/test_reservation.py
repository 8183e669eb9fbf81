"""Reservations, from the hub to the charging point's socket, and their records back."""

from __future__ import annotations

import json
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.rows import EVSE
from tests.waiting import eventually

WHO = {"RemoteIdentification": {"EvcoID": "DE-DCB-C12345678-X"}}


@pytest.fixture
def ask(hub):
    """Call as the hub does: ``ask("start", SessionID=…)``."""

    def call(action, provider="DE-DCB", **body):
        body = {"ProviderID": provider, "EvseID": EVSE, **body}
        if action == "start":
            body.setdefault("Identification", WHO)
        request = urllib.request.Request(
            f"{hub.url}/api/oicp/reservation/v11/providers/{provider}/reservation-{action}-request",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=15) as response:
            return json.load(response)

    return call


@pytest.fixture
def reserve(ask, station, background):
    """Reserve, the charging point answering so; return answer and what it was told."""

    def run(says="Accepted", **body):
        answer = background.submit(ask, "start", **body)
        _, message_id, action, payload = station.receive()
        assert action == "ReserveNow"
        station.send([3, message_id, {"status": says}])
        return answer.result(), payload

    return run


def code(answer):
    assert answer["Result"] == (answer["StatusCode"]["Code"] == "000")
    return answer["StatusCode"]["Code"]


def test_a_reservation_reaches_the_charging_point(reserve, database):
    session = str(uuid.uuid4())
    answer, payload = reserve(SessionID=session, Duration=20)
    assert (code(answer), answer["SessionID"]) == ("000", session)
    assert payload["connectorId"] == 1
    assert len(payload["idTag"]) <= 20
    left = datetime.fromisoformat(payload["expiryDate"]) - datetime.now(UTC)
    assert timedelta(minutes=19) < left <= timedelta(minutes=20)
    row = database.execute("SELECT reservation_id, state FROM reservations").fetchone()
    assert row == (payload["reservationId"], "reserved")
    # A card reserves for itself; the hub may leave the session's name to us.
    card = {"RFIDMifareFamilyIdentification": {"UID": "04A1B2C3"}}
    answer, payload = reserve(EvseID="DE*VNI*E1*2", Identification=card)
    assert payload["idTag"] == "04A1B2C3"
    assert answer["SessionID"]


def test_what_the_charging_point_says_becomes_a_code(reserve, ask, station, background, database):
    for says, expected, refusal in (
        ("Rejected", "320", "not_offered"),
        ("Occupied", "602", "in_use"),
        ("Faulted", "700", "out_of_service"),
        ("Unavailable", "700", "out_of_service"),
    ):
        session = str(uuid.uuid4())
        answer, _ = reserve(says, SessionID=session)
        assert code(answer) == expected
        assert database.execute(
            "SELECT start_refusal FROM reservations WHERE hub_session_id = %s", [session]
        ).fetchone() == (refusal,)
        # Said again it is answered the same, and nobody else is asked.
        assert ask("start", SessionID=session) == answer
        assert code(ask("stop", SessionID=session)) == "400"
    answer = background.submit(ask, "start")
    _, message_id, _, _ = station.receive()
    station.send([4, message_id, "NotImplemented", "", {}])
    assert code(answer.result()) == "320"


def test_one_that_answers_too_late_is_told_to_forget_it(ask, station, background):
    answer = background.submit(ask, "start")
    _, message_id, _, payload = station.receive()
    assert code(answer.result()) == "501"
    station.send([3, message_id, {"status": "Accepted"}])
    assert station.receive()[2:] == [
        "CancelReservation",
        {"reservationId": payload["reservationId"]},
    ]


def test_what_cannot_be_is_answered_by_its_code(ask, station, database):
    for body, expected in (
        ({"Duration": 0}, "022"),
        ({"Duration": 100}, "022"),
        ({"EvseID": "DE*VNI*E404"}, "603"),
        ({"SessionID": "x"}, "022"),
        ({"Identification": None}, "022"),
        ({"Duration": None, "SessionID": None, "EvseID": "DE*VNI*E404"}, "603"),
    ):
        assert code(ask("start", **body)) == expected, body
    database.execute(
        'UPDATE evse_details SET details = details || \'{"value_added_services": ["None"]}\''
    )
    assert code(ask("start")) == "320"


def test_what_is_reserved_is_for_one_contract_alone(reserve, ask, hub, station, background):
    _, payload = reserve()
    station.report("Reserved")
    assert code(ask("start", provider="DE-OTH")) == "601"
    assert code(hub.start(ProviderID="DE-OTH")) == "601"
    other = {"RemoteIdentification": {"EvcoID": "DE-DCB-C87654321-X"}}
    assert code(hub.start(Identification=other)) == "601"
    # Whose it is starts with the token that the charging point keeps the EVSE for.
    started = background.submit(hub.start)
    _, message_id, action, start = station.receive()
    station.send([3, message_id, {"status": "Accepted"}])
    assert (action, start["idTag"]) == ("RemoteStartTransaction", payload["idTag"])
    assert code(started.result()) == "000"


@pytest.mark.parametrize("same_session", [True, False])
def test_a_used_reservation_ends_in_one_record_a_session(
    reserve, hub, station, background, database, run_relay, simulator, same_session
):
    run_relay(simulator.url)
    answer = background.submit(
        simulator.control.post, "/reserve", evse_id=EVSE, provider_id="DE-EMP"
    )
    _, message_id, *_ = station.receive()
    station.send([3, message_id, {"status": "Accepted"}])
    reservation = answer.result()["session"]
    more = {"session_id": reservation} if same_session else {}
    answer = background.submit(
        simulator.control.post, "/start", evse_id=EVSE, provider_id="DE-EMP", **more
    )
    _, message_id, _, start = station.receive()
    station.send([3, message_id, {"status": "Accepted"}])
    session = answer.result()["session"]
    transaction = station.start(start["idTag"], 0)["transactionId"]
    states = database.execute("SELECT state FROM reservations").fetchall()
    assert states == [("used",)]
    station.stop(transaction, 700)
    sessions = eventually(
        lambda: (s := simulator.sessions()) and all(x["cdr"] for x in s.values()) and s, 20
    )
    assert sessions[session]["energy_wh"] == 700
    assert len(sessions) == (1 if same_session else 2)
    if not same_session:
        assert sessions[reservation]["energy_wh"] == 0
    assert simulator.violations() == []


def test_a_cancelled_reservation_is_closed_by_a_record_of_nothing(
    station, background, run_relay, simulator
):
    run_relay(simulator.url)
    answer = background.submit(
        simulator.control.post, "/reserve", evse_id=EVSE, provider_id="DE-EMP"
    )
    _, message_id, _, payload = station.receive()
    station.send([3, message_id, {"status": "Accepted"}])
    session = answer.result()["session"]
    answer = background.submit(simulator.control.post, "/cancel", session_id=session)
    _, message_id, action, cancelled = station.receive()
    assert (action, cancelled["reservationId"]) == ("CancelReservation", payload["reservationId"])
    station.send([3, message_id, {"status": "Accepted"}])
    assert answer.result()["code"] == "000"
    closed = eventually(lambda: (s := simulator.session(session))["cdr"] and s)
    assert closed["energy_wh"] == 0
    # Said again it is done already; the other provider has no say.
    assert simulator.control.post("/cancel", session_id=session)["code"] == "000"
    assert simulator.violations() == []


def test_one_that_nobody_used_expires_and_is_closed(reserve, ask, database, run_relay, simulator):
    run_relay(simulator.url)
    answer, _ = reserve()
    # Another provider has no say, and what cannot be found cannot be cancelled.
    assert code(ask("stop", provider="DE-OTH", SessionID=answer["SessionID"])) == "017"
    assert code(ask("stop", SessionID=str(uuid.uuid4()))) == "400"
    assert code(ask("stop")) == "022"
    database.execute("UPDATE reservations SET expires_at = now()")
    record = eventually(
        lambda: database.execute(
            "SELECT payload ->> 'ConsumedEnergy' FROM deliveries WHERE key = %s",
            [answer["SessionID"]],
        ).fetchone(),
        20,
    )
    assert record == ("0.000",)
