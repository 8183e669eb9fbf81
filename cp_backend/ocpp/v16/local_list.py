"""OCPP 1.6: a charging point's own list of tokens. Source: sections 3.5.2, 5.10, 5.15 and 9.3.

What a charging point takes is asked first, where a list may be too long for it; what version it
has, where differences are sent, since a charging point that has lost its list takes them too.
"""

from __future__ import annotations

from collections.abc import Sequence

from charging.intents import LocalListEntry, SendLocalList
from cp_backend.ocpp.actions import Exchange, OutgoingCall
from cp_backend.ocpp.times import write_time
from cp_backend.vocabulary import JsonObject

MAX_PART = 500
"""Entries of a local list in one call: about 64 KB. The rest follows as differences."""
ASKED_ABOVE = 20
"""Entries that every charging point with a list takes at once."""

_MOST_IN_A_CALL = "SendLocalListMaxLength"
_MOST_IN_ALL = "LocalAuthListMaxLength"


def send(intent: SendLocalList) -> list[OutgoingCall]:
    """Plan to send a list, or to ask first what the charging point takes and has."""
    if not intent.full and intent.base_version is not None:
        return [OutgoingCall("GetLocalListVersion", {})]
    return _limits(intent) or _parts(intent, full=intent.full, most=MAX_PART)


def go_on(intent: SendLocalList, exchanges: Sequence[Exchange]) -> Sequence[OutgoingCall] | None:
    """Return what follows an answer: the list, or after another version the whole list.

    Raises ValueError for a list that the charging point does not take.
    """
    call, answer = exchanges[-1]
    answers = {each.call.action: each.answer or {} for each in exchanges}
    if call.action == "GetLocalListVersion" and (limits := _limits(intent)):
        return limits
    told = answers.get("GetConfiguration", {})
    most = min(MAX_PART, _limit(told, _MOST_IN_A_CALL) or MAX_PART)
    if call.action in ("GetLocalListVersion", "GetConfiguration"):
        has = answers.get("GetLocalListVersion", {}).get("listVersion")
        other = has not in (None, intent.base_version) and intent.whole is not None
        full = intent.full or other
        _check_length(intent, _limit(told, _MOST_IN_ALL))
        return _parts(intent, full=full, most=most)
    mismatch = answer is not None and answer.get("status") == "VersionMismatch"
    sent_whole = any(each.call.payload.get("updateType") == "Full" for each in exchanges)
    if mismatch and not sent_whole and intent.whole is not None:
        return _parts(intent, full=True, most=most)
    return None


def _limits(intent: SendLocalList) -> list[OutgoingCall]:
    longest = max(len(intent.entries), len(intent.whole or ()))
    if longest <= ASKED_ABOVE:
        return []
    return [OutgoingCall("GetConfiguration", {"key": [_MOST_IN_A_CALL, _MOST_IN_ALL]})]


def _limit(told: JsonObject, name: str) -> int | None:
    for entry in told.get("configurationKey", ()):
        if entry["key"].lower() == name.lower():
            text = str(entry.get("value", "")).strip()
            return int(text) if text.isdecimal() and int(text) > 0 else None
    return None


def _check_length(intent: SendLocalList, most: int | None) -> None:
    length = len(intent.entries) if intent.full else len(intent.whole or ())
    if most is not None and length > most:
        raise ValueError(f"entries: the list has {length}, the charging point takes {most}")


def _parts(intent: SendLocalList, *, full: bool, most: int) -> list[OutgoingCall]:
    """Write a list in parts; the last has the version that is asked for."""
    chosen = intent.whole if full and not intent.full else intent.entries
    entries = [_entry(each) for each in chosen or () if not full or each.allowed is not None]
    parts = [entries[n : n + most] for n in range(0, len(entries), most)] or [[]]
    return [
        OutgoingCall(
            "SendLocalList",
            {
                "listVersion": intent.version - (len(parts) - 1 - place),
                "localAuthorizationList": part,
                "updateType": "Full" if full and place == 0 else "Differential",
            },
        )
        for place, part in enumerate(parts)
    ]


def _entry(entry: LocalListEntry) -> JsonObject:
    written: JsonObject = {"idTag": entry.id_tag}
    if entry.allowed is not None:
        written["idTagInfo"] = {"status": "Accepted" if entry.allowed else "Blocked"}
        if entry.expires_at is not None:
            written["idTagInfo"]["expiryDate"] = write_time(entry.expires_at)
        if entry.group is not None:
            written["idTagInfo"]["parentIdTag"] = entry.group
    return written
