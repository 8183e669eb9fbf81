"""What the message log keeps of a payload: no secret, no token."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_backend.ocpp import redaction
from cp_backend.ocpp.redaction import (
    CUT,
    TOO_DEEP,
    hash_token,
    redact,
    redact_text,
    redacted_json,
)
from cp_backend.ocpp.spellings import TOKEN_NAMES

KEY = b"0123456789abcdef"
CARD = "04A1B2C3D4"


@pytest.mark.parametrize(
    "payload",
    [
        {"idTag": CARD},
        {"idTag": CARD.lower()},
        {"idTagInfo": {"status": "Accepted", "parentIdTag": CARD}},
        {"localAuthorizationList": [{"idTag": CARD}]},
        {"idToken": {"idToken": CARD, "type": "ISO14443"}},
        {"idtag": CARD},
        {"id_tag": CARD},
        {"tagId": [CARD]},
        {"idTag": {"#text": CARD}},
        {"own": {"rfid": CARD}},
    ],
)
def test_a_token_is_a_hash_that_is_the_same_wherever_it_stands(payload):
    text = json.dumps(redact(payload, KEY))
    assert CARD not in text.upper()
    assert hash_token(CARD, KEY) in text


@pytest.mark.parametrize(
    "text",
    [
        f'[2,"s","StartTransaction",{{"idTag":"{CARD}","meterStart":',
        f"[2,'s','StartTransaction',{{'idTag':'{CARD}','meterStart':",
        f"[2,s,StartTransaction,{{idTag:{CARD},meterStart:",
        f'{{"id_tag" : ["{CARD}"',
    ],
)
def test_a_token_is_hashed_in_a_text_that_is_no_json(text):
    redacted = redact_text(text, KEY)
    assert CARD not in redacted
    assert hash_token(CARD, KEY) in redacted


def test_what_is_nested_too_deep_is_left_out():
    payload = {"idTag": CARD}
    for _ in range(2000):
        payload = {"data": [payload]}
    text = redacted_json(payload, KEY)
    assert TOO_DEEP in text
    assert CARD not in text
    json.loads(text)


def test_another_key_gives_another_hash():
    assert hash_token(CARD, KEY) != hash_token(CARD, KEY[::-1])


@pytest.mark.parametrize(
    "payload",
    [
        {"key": "AuthorizationKey", "value": "hunter22"},
        {
            "setVariableData": [
                {"variable": {"name": "BasicAuthPassword"}, "attributeValue": "hunter22"}
            ]
        },
        {"password": "hunter22"},
        {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": "hunter22"}]},
        {"location": "hunter22"},
    ],
)
def test_a_secret_is_cut_out(payload):
    text = json.dumps(redact(payload, KEY, {"location"}))
    assert "hunter22" not in text
    assert CUT in text


def test_all_else_stays_as_it_is():
    payload = {
        "connectorId": 1,
        "key": "HeartbeatInterval",
        "value": "300",
        "x": [1, None, {"a": 2}],
    }
    assert redact(payload, KEY) == payload


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("idTag"), inner),
    max_leaves=10,
)


def test_the_quick_look_finds_whatever_would_be_redacted():
    for name in {*TOKEN_NAMES, *redaction._SECRETS, *redaction._SECRET_SETTINGS}:
        assert any(word in name.lower() for word in redaction._SENSITIVE)


@given(JSON)
def test_whatever_comes_is_redacted_without_error(payload):
    assert json.loads(redacted_json(payload, KEY)) == redact(payload, KEY)


@pytest.mark.parametrize(
    "text",
    [
        f'[2,"1","Authorize",{{"idTag":"{CARD}"',
        f'[2,"1","StartTransaction",{{"idTag" : "{CARD}","meterStart":',
        f'{{"idTag":{CARD}',
    ],
)
def test_a_text_that_is_no_json_shows_no_token_either(text):
    assert CARD not in redact_text(text, KEY)


def test_whoever_asked_sees_cards_and_no_password():
    told = {
        "idTag": "04A1",
        "configurationKey": [{"key": "AuthorizationKey", "value": "hunter22"}],
        "getVariableResult": [
            {"variable": {"name": "BasicAuthPassword"}, "attributeValue": "hunter22"}
        ],
    }
    (seen,) = redaction.without_secrets([told])
    assert seen["idTag"] == "04A1"
    assert seen["configurationKey"] == [{"key": "AuthorizationKey", "value": redaction.CUT}]
    assert "hunter22" not in str(seen)
