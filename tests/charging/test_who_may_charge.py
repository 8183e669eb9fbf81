"""Who may charge: each row of the tables is what is known of a token, and the decision."""

from datetime import UTC, datetime, timedelta

import pytest

from charging.authorization import Decision, HubGrant, RegisteredToken, decide
from charging.identity import new_hub_token
from charging.token import Token, TokenKind, token_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CARD = token_of("04:a1:b2:c3")
FOR_SESSION = token_of(new_hub_token())
OTHER = token_of("fleet-17")
TO_BEGIN = HubGrant(may_begin=True, may_end=False)
TO_END = HubGrant(may_begin=False, may_end=True, group="HUB1")


def known(**what):
    return RegisteredToken("04A1B2C3", **what)


def decided(token, registered=None, grant=None, *, begin=True, end=True, admit_unknown=False):
    return decide(token, registered, grant, NOW, begin=begin, end=end, admit_unknown=admit_unknown)


@pytest.mark.parametrize(
    ("registered", "status"),
    [
        (known(), Decision.ACCEPTED),
        (known(expires_at=NOW), Decision.EXPIRED),
        (known(expires_at=NOW + timedelta(microseconds=1)), Decision.ACCEPTED),
        (known(blocked=True), Decision.BLOCKED),
        (known(blocked=True, expires_at=NOW), Decision.BLOCKED),
    ],
)
@pytest.mark.parametrize("grant", [None, TO_BEGIN, TO_END])
@pytest.mark.parametrize("admit_unknown", [False, True])
def test_a_registered_token_is_the_operators_to_decide(registered, status, grant, admit_unknown):
    decision = decided(CARD, registered, grant, admit_unknown=admit_unknown)
    assert decision.decision is status
    assert decision.accepted == (status is Decision.ACCEPTED)
    assert decision.expires_at == registered.expires_at


def test_a_registered_token_has_the_group_that_the_operator_gave_it():
    assert decided(CARD, known(parent_id_tag="FAMILY"), TO_END).parent_id_tag == "FAMILY"


@pytest.mark.parametrize(
    ("token", "grant", "begin", "end", "accepted"),
    [
        (CARD, None, True, True, False),
        (CARD, TO_BEGIN, True, False, True),
        (CARD, TO_BEGIN, True, True, True),
        (CARD, TO_BEGIN, False, True, False),
        (CARD, TO_END, True, False, False),
        (CARD, TO_END, True, True, True),
        (CARD, TO_END, False, True, True),
        (CARD, HubGrant(may_begin=False, may_end=False), True, True, False),
        (FOR_SESSION, None, True, True, False),
        (FOR_SESSION, TO_BEGIN, True, False, True),
        (FOR_SESSION, TO_END, False, True, True),
    ],
)
def test_a_token_of_the_hub_may_do_what_its_session_allows(token, grant, begin, end, accepted):
    decision = decided(token, None, grant, begin=begin, end=end)
    assert decision.accepted is accepted
    assert (decision.decision is Decision.UNKNOWN) is not accepted
    assert decision.parent_id_tag == (grant.group if accepted else None)


@pytest.mark.parametrize(
    ("token", "accepted"), [(CARD, True), (OTHER, True), (token_of(""), True), (FOR_SESSION, False)]
)
def test_unknown_tokens_may_charge_where_the_operator_wants_it(token, accepted):
    assert decided(token, admit_unknown=True).accepted is accepted
    assert not decided(token, admit_unknown=False).accepted


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("04:a1:b2:c3", Token("04A1B2C3", TokenKind.CARD)),
        ("04a1b2c3d4e5f6", Token("04A1B2C3D4E5F6", TokenKind.CARD)),
        ("HUB0123456789ABCDEF", Token("HUB0123456789ABCDEF", TokenKind.HUB_SESSION)),
        ("hub0123456789abcdef", Token("HUB0123456789ABCDEF", TokenKind.HUB_SESSION)),
        (" fleet-17 ", Token("FLEET-17", TokenKind.OTHER)),
        ("", Token("", TokenKind.OTHER)),
        ("x" * 37, Token("", TokenKind.OTHER)),
        ("a\nb", Token("", TokenKind.OTHER)),
    ],
)
def test_a_token_has_one_value_and_a_kind(text, token):
    assert token_of(text) == token
    assert token_of(text).concerns_hub is (token.kind is not TokenKind.OTHER)
