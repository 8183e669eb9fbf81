"""The business without I/O: identities and credentials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.credential import hash_password, new_password, new_salt, password_matches
from charging.identity import (
    InvalidIdentityError,
    evse_id_key,
    id_tag_key,
    parse_charging_point_id,
    parse_evse_id,
    redact,
    rfid_uid,
)


@pytest.mark.parametrize(
    "name", ["CP1", "DE*VNI*1", "a b", "x" * 48, "a=_+|@.-", "a:b", "a/b", "ä", "a~,()"]
)
def test_identities_pass_unchanged(name):
    assert parse_charging_point_id(name) == name


@pytest.mark.parametrize("name", ["", "x" * 49, " a", "a ", "*", "..", "a\n", "a\x00", "a\u200b"])
def test_other_identities_are_refused_with_a_sentence(name):
    with pytest.raises(InvalidIdentityError, match="is no charging point id"):
        parse_charging_point_id(name)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("de*vni*e12*3", "DE*VNI*E12*3"),
        (" DEVNIE1 ", "DEVNIE1"),
        ("+49*123*456*7", "+49*123*456*7"),
    ],
)
def test_evse_ids(text, parsed):
    assert parse_evse_id(text) == parsed


@pytest.mark.parametrize("text", ["", "DE*VNI*X1", "DE*VNI*E", "DE-VNI-E1", "49*12*3"])
def test_no_evse_ids(text):
    with pytest.raises(InvalidIdentityError):
        parse_evse_id(text)


def test_two_spellings_of_an_evse_id_compare_equal():
    assert evse_id_key("DE*VNI*E12*3") == evse_id_key("devnie123")
    assert evse_id_key("+49*822*483*1") == evse_id_key("49*822*483*1") == evse_id_key("+498224831")


def test_tokens_are_compared_without_case():
    assert id_tag_key(" aBc ") == "ABC"
    # A card's UID, with or without what charging points put between its bytes.
    for spelling in ("04a1b2c3", "04:A1:B2:C3", "04-a1-b2-c3", "04 A1 B2 C3"):
        assert id_tag_key(spelling) == rfid_uid(spelling) == "04A1B2C3"
    for other in ("04A1-B2C3", "04:A1:B2", "GG:A1:B2:C3", "04A1B2C3D4"):
        assert id_tag_key(other) == other
        assert rfid_uid(other) is None
    for bad in ("", " ", "x" * 37, "a\nb"):
        with pytest.raises(InvalidIdentityError):
            id_tag_key(bad)


def test_a_token_in_a_log_is_only_its_end():
    assert redact("04A1B2C3D4") == "…3D4"
    assert redact("1234") == "…"


@given(st.binary(), st.binary(min_size=1))
def test_only_the_password_matches(password, other):
    salt = new_salt()
    expected = hash_password(password, salt)
    assert password_matches(password, salt, expected)
    assert not password_matches(password + other, salt, expected)
    assert not password_matches(password, new_salt(), expected)


def test_new_passwords_differ_and_fit_every_ocpp_version():
    passwords = {new_password() for _ in range(100)}
    assert len(passwords) == 100
    assert {len(password) for password in passwords} == {24}
