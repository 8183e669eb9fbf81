"""What becomes of the hub's answers about cards."""

from __future__ import annotations

import uuid

import pytest

from charging.authorization import AuthorizationKind
from tests.rows import (
    EVSE,
    add_charging_point,
    add_evse,
    add_hub_session,
    add_session,
    insert,
)
from third_party_backend.oicp.verdicts import Answer, Verdict
from third_party_backend.relay.authorizer import Question, note_answer
from third_party_backend.relay.database import connect

CARD = "04A1B2C3"
USED = "b2688855-7f00-0002-6d8e-48d883f6abb6"


@pytest.fixture
def connection(database, database_url):
    add_charging_point(database)
    add_evse(database, 1, EVSE, roaming=True)
    with connect(database_url, "test") as connection:
        yield connection


@pytest.fixture
def ask(database, connection):
    """Let the hub answer a question about CARD: ``ask({"SessionID": …}, session_id=…)``."""

    def run(body, session_id=None, deadline="1 minute"):
        row = insert(
            database,
            "authorizations",
            kind="authorize-start",
            charging_point_id="CP1",
            id_tag=CARD,
            session_id=session_id,
            deadline="2099-01-01",
        )
        number = row["authorization_id"]
        database.execute(
            "UPDATE authorizations SET deadline = now() + %s::interval WHERE authorization_id = %s",
            [deadline, number],
        )
        question = Question(number, "CP1", CARD, session_id, f"ours{number}", 1.0, EVSE, None)
        answer = Answer(Verdict.DONE, body={"AuthorizationStatus": "Authorized", **body})
        note_answer(connection, AuthorizationKind.START, question, answer)
        return database.execute(
            "SELECT accepted FROM authorizations WHERE authorization_id = %s", [number]
        ).fetchone()[0]

    return run


def authorized(**more):
    return {"SessionID": str(uuid.uuid4()), "ProviderID": "DE-EMP", **more}


def sessions(database):
    return dict(
        database.execute(
            "SELECT hub_session_id, state FROM hub_sessions WHERE hub_session_id <> %s", [USED]
        ).fetchall()
    )


@pytest.mark.parametrize(
    "more",
    [
        {"SessionID": None},
        {"SessionID": "None"},
        {"SessionID": "12345"},
        {"SessionID": 12345},
        {"SessionID": [USED]},
        {"SessionID": USED},
        {"SessionID": USED.upper()},
        {"SessionID": USED + "\0"},
        {"ProviderID": None},
        {"ProviderID": ""},
        {"ProviderID": {"a": 1}},
    ],
)
@pytest.mark.parametrize("used_by", ["session", "record"])
def test_a_card_whose_session_cannot_be_kept_is_refused_and_the_operator_told(
    database, ask, more, used_by
):
    if used_by == "session":
        add_hub_session(database, USED, state="ended", session_id=add_session(database))
    else:
        insert(database, "deliveries", queue="charge-detail-record", key=USED, payload={})
    assert ask(authorized(**more)) is False
    assert sessions(database) == {}
    (reason,) = database.execute("SELECT reason FROM deliveries WHERE state = 'parked'").fetchone()
    assert "the card was refused" in reason


@pytest.mark.parametrize(
    "stops", [None, [], "x", 5, {"a": 1}, [None, 5, {"RFIDMifareFamilyIdentification": 5}]]
)
def test_what_is_of_no_weight_in_an_answer_refuses_nobody(database, ask, stops):
    more = {"AuthorizationStopIdentifications": stops, "EMPPartnerSessionID": 5}
    assert ask(authorized(**more)) is True
    assert list(sessions(database).values()) == ["accepted"]


def test_a_session_id_in_capital_letters_is_kept_as_it_was_written(database, ask):
    name = str(uuid.uuid4())
    assert ask(authorized(SessionID=name.upper()))
    row = database.execute("SELECT hub_session_id, hub_spelling FROM hub_sessions").fetchone()
    assert row == (name, name.upper())


def closed(database):
    return [
        name
        for (name,) in database.execute(
            "SELECT payload ->> 'hub_session_id' FROM events WHERE kind = 'hub_session_closed'"
        )
    ]


def test_a_second_authorization_closes_the_first_at_the_hub(database, ask):
    first, second = authorized(), authorized()
    assert ask(first)
    assert ask(second)
    assert sessions(database) == {first["SessionID"]: "ended", second["SessionID"]: "accepted"}
    assert closed(database) == [first["SessionID"]]


def test_one_that_charges_stays_as_it_is(database, ask):
    first, second, third = authorized(), authorized(), authorized()
    session = add_session(database, state="charging", id_tag=CARD)
    assert ask(first, session_id=session)
    assert ask(second)
    # A transaction that has its session already needs no second.
    assert ask(third, session_id=session)
    assert sessions(database) == {
        first["SessionID"]: "accepted",
        second["SessionID"]: "accepted",
        third["SessionID"]: "ended",
    }
    assert closed(database) == [third["SessionID"]]


def test_what_is_authorized_too_late_is_closed(database, ask):
    late = authorized()
    ask(late, deadline="-1 second")
    assert sessions(database) == {late["SessionID"]: "ended"}
    assert closed(database) == [late["SessionID"]]


def test_a_start_from_afar_with_the_same_card_keeps_its_place(database, ask):
    add_hub_session(database, USED, id_tag=CARD)
    local = authorized()
    ask(local)
    assert sessions(database) == {local["SessionID"]: "ended"}
    assert closed(database) == [local["SessionID"]]
