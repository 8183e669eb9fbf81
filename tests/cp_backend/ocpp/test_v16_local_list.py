"""A local list is sent as the charging point can take it, whole or as differences."""

import pytest

from charging.intents import LocalListEntry, SendLocalList
from cp_backend.ocpp.actions import Exchange
from cp_backend.ocpp.v16.local_list import MAX_PART, go_on, send


def entries(count):
    return tuple(LocalListEntry(f"TAG{n}") for n in range(count))


def talk(intent, **answers):
    """The calls that a charging point gets that answers each action so, until it takes the list."""
    sent, exchanges, calls = [], [], list(send(intent))
    while calls:
        call = calls.pop(0)
        sent.append(call)
        answer = answers.get(call.action, {"status": "Accepted"})
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else {"status": "Accepted"}
        exchanges.append(Exchange(call, answer))
        more = go_on(intent, exchanges)
        calls = calls if more is None else list(more)
    return sent


def lists(sent):
    return [
        (p["updateType"], p["listVersion"], len(p["localAuthorizationList"]))
        for action, p in sent
        if action == "SendLocalList"
    ]


def limits(in_a_call, in_all):
    return {
        "configurationKey": [
            {"key": "sendLocalListMaxLength", "readonly": True, "value": in_a_call},
            {"key": "LocalAuthListMaxLength", "readonly": True, "value": in_all},
        ]
    }


def test_a_short_list_is_one_call():
    assert lists(talk(SendLocalList(3, entries(20)))) == [("Full", 3, 20)]
    assert [call.action for call in talk(SendLocalList(3, entries(20)))] == ["SendLocalList"]


def test_a_long_one_is_sent_in_parts_of_which_the_last_has_its_version():
    sent = talk(SendLocalList(10, entries(250)), GetConfiguration=limits("100", "1000"))
    assert lists(sent) == [("Full", 8, 100), ("Differential", 9, 100), ("Differential", 10, 50)]


@pytest.mark.parametrize("answer", [None, {}, {"unknownKey": ["A"]}, limits("", "many")])
def test_limits_that_are_not_told_are_ours(answer):
    sent = talk(SendLocalList(10, entries(MAX_PART + 1)), GetConfiguration=answer)
    assert lists(sent) == [("Full", 9, MAX_PART), ("Differential", 10, 1)]


def test_a_list_that_does_not_fit_is_not_sent():
    with pytest.raises(ValueError, match="the list has 21, the charging point takes 20"):
        talk(SendLocalList(10, entries(21)), GetConfiguration=limits("10", "20"))


def difference(**more):
    return SendLocalList(7, entries(1), full=False, base_version=6, whole=entries(5), **more)


def test_differences_are_for_the_version_that_it_has():
    sent = talk(difference(), GetLocalListVersion={"listVersion": 6})
    assert lists(sent) == [("Differential", 7, 1)]


@pytest.mark.parametrize("has", [0, 5, 8, -1])
def test_another_version_gets_the_whole_list(has):
    sent = talk(difference(), GetLocalListVersion={"listVersion": has})
    assert lists(sent) == [("Full", 7, 5)]


@pytest.mark.parametrize("has", [{"listVersion": 6}, None])
def test_a_mismatch_gets_the_whole_list_once(has):
    mismatch = [{"status": "VersionMismatch"}] * 3
    sent = talk(difference(), GetLocalListVersion=has, SendLocalList=mismatch)
    assert lists(sent) == [("Differential", 7, 1), ("Full", 7, 5)]


def test_what_is_taken_off_has_no_place_in_a_whole_list():
    off = SendLocalList(2, (LocalListEntry("A"), LocalListEntry("B", allowed=None)), full=False)
    ((_, payload),) = talk(off)
    assert payload["localAuthorizationList"][1] == {"idTag": "B"}
    whole = SendLocalList(2, (LocalListEntry("A"), LocalListEntry("B", allowed=None)))
    assert lists(talk(whole)) == [("Full", 2, 1)]
