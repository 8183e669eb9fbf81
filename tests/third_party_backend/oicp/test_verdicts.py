"""What the hub answers, in all its forms, and what follows from it."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from third_party_backend.oicp.authorizations import (
    UnusableError,
    is_authorized,
    read_authorization,
)
from third_party_backend.oicp.verdicts import Verdict, judge, lost

NAMES = st.sampled_from(
    [
        *("Result", "StatusCode", "Code", "Description", "AdditionalInfo", "AuthorizationStatus"),
        *("SessionID", "ProviderID", "AuthorizationStopIdentifications", "message"),
        *("validationErrors", "statuscode"),
    ]
)


def answer(http, body=b"", retry_after=None):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(http, text, retry_after, "p-1")


def acknowledgment(code, **more):
    return {"Result": code == "000", "StatusCode": {"Code": code, "Description": None}, **more}


VALIDATION = {
    "message": "Error parsing/validating JSON.",
    "validationErrors": [{"fieldReference": "SessionID", "errorMessage": "must not be null"}],
}


@pytest.mark.parametrize(
    ("http", "body", "verdict"),
    [
        (200, acknowledgment("000"), Verdict.DONE),
        (
            200,
            {"AuthorizationStatus": "NotAuthorized", "StatusCode": {"Code": "102"}},
            Verdict.DONE,
        ),
        (200, acknowledgment("001"), Verdict.AGAIN),
        (200, acknowledgment("009"), Verdict.AGAIN),
        (200, acknowledgment("022"), Verdict.REFUSED),
        (200, acknowledgment("018"), Verdict.REFUSED),
        (200, b"<html>", Verdict.AGAIN),
        (400, VALIDATION, Verdict.REFUSED),
        (401, acknowledgment("017"), Verdict.REFUSED),
        (403, b"<html>Forbidden</html>", Verdict.REFUSED),
        (403, acknowledgment("210"), Verdict.REFUSED),
        (404, acknowledgment("300"), Verdict.REFUSED),
        (404, acknowledgment("400"), Verdict.REFUSED),
        (408, b"", Verdict.AGAIN),
        (429, b"", Verdict.AGAIN),
        (500, acknowledgment("001"), Verdict.AGAIN),
        (503, b"<html>", Verdict.AGAIN),
        (302, b"", Verdict.AGAIN),
        (308, b"<html>moved</html>", Verdict.AGAIN),
        (201, acknowledgment("000"), Verdict.DONE),
        (204, b"", Verdict.AGAIN),
        (200, b"[" * 100_000, Verdict.AGAIN),
        (200, {}, Verdict.AGAIN),
        (200, {"error": "upstream"}, Verdict.AGAIN),
        (200, [acknowledgment("000")], Verdict.AGAIN),
        (200, {"Result": "true", "StatusCode": {"Code": "000"}}, Verdict.DONE),
        (200, {"Result": None, "StatusCode": {"Code": "000"}}, Verdict.DONE),
        (200, {"StatusCode": {"Code": 0}}, Verdict.DONE),
        (200, {"StatusCode": "000"}, Verdict.DONE),
        (200, {"result": True, "statusCode": {"code": "0"}}, Verdict.DONE),
        (200, {"Result": False, "StatusCode": {"Code": "000"}}, Verdict.REFUSED),
        (200, {"Result": "false", "StatusCode": {"Code": " 22 "}}, Verdict.REFUSED),
        (200, {"Result": False, "StatusCode": {"Code": 1.0}}, Verdict.AGAIN),
        (200, {"Result": False, "StatusCode": None}, Verdict.REFUSED),
        (400, {"message": 5, "validationErrors": True}, Verdict.REFUSED),
        (400, {"validationErrors": {"a": 1}}, Verdict.REFUSED),
    ],
)
def test_what_to_do(http, body, verdict):
    assert answer(http, body).verdict is verdict
    assert answer(http, body).process_id == "p-1"


def test_the_reason_says_what_an_operator_needs():
    assert answer(400, VALIDATION).reason == (
        "HTTP 400; Error parsing/validating JSON.; SessionID: must not be null"
    )
    assert answer(403, b"<html>no</html>").reason == "HTTP 403; the hub does not admit our address"
    assert answer(200, acknowledgment("022")).reason == "022 Data error"
    body = {"Result": False, "StatusCode": {"Code": 17, "AdditionalInfo": "not you"}}
    assert answer(401, body).reason == "HTTP 401; 017 Not authorized to do this; not you"
    assert len(answer(404, b"x" * 100_000).reason) <= 1000


def test_it_may_have_arrived_unless_it_surely_has_not():
    assert answer(500).uncertain
    assert answer(408).uncertain
    assert not answer(429).uncertain
    assert not answer(503).uncertain
    assert lost("ReadTimeout", sent=True).uncertain
    assert not lost("ConnectError", sent=False).uncertain


def test_whether_it_is_us_or_the_message():
    assert answer(401, acknowledgment("017")).whole
    assert answer(403, b"<html>").whole
    assert not answer(400, VALIDATION).whole
    # A message that upsets the hub is not the same as a hub that is away.
    assert not answer(500).busy
    assert answer(503).busy


def test_a_session_that_the_hub_knows_or_does_not():
    assert answer(404, acknowledgment("400")).is_known
    assert answer(200, acknowledgment("400")).is_known
    assert not answer(404, acknowledgment("300")).is_known


@given(
    st.integers(100, 599),
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(NAMES | st.text(), inner),
        max_leaves=8,
    ).map(lambda body: json.dumps(body).encode()),
    st.none() | st.text(st.characters(max_codepoint=255)),
)
def test_whatever_comes_is_judged_and_what_is_kept_of_it_can_be_stored(http, body, retry_after):
    found = judge(http, body, retry_after, "p\x85")
    assert all(text.isprintable() for text in (found.code, found.reason, found.process_id or ""))
    assert len(found.code) <= 100
    assert found.retry_after is None or 0 <= found.retry_after < 1e9
    if found.verdict is Verdict.DONE and is_authorized(found.body):
        with suppress(UnusableError):
            read_authorization(found.body)


def test_a_code_is_read_and_shown_in_any_spelling():
    assert answer(200, {"Result": False, "StatusCode": {"Code": 400}}).is_known
    assert answer(200, {"Result": False, "statuscode": {"CODE": "400 "}}).is_known
    told = {"Result": False, "StatusCode": {"Code": "022", "AdditionalInfo": "a\x00b\ud800"}}
    assert answer(200, told).reason == "022 Data error; a b "


def test_numbers_are_exact_and_waiting_times_are_read():
    assert answer(200, b'{"Result": true, "x": 0.1}').body["x"] == Decimal("0.1")
    assert answer(429, retry_after="7").retry_after == 7
    assert answer(429, retry_after="soon").retry_after is None
