"""Each dialect's words stay in its room: OCPP's in `cp_backend/ocpp`, OICP's in
`third_party_backend/oicp`. Everywhere else the business has its own (decision 45).

Looked for are strings, not docstrings and comments. A word of several humps (`idTag`,
`StopTransaction`) counts wherever it stands; one that is an English word too (`Reserved`) where it
is the whole string, or stands in quotes, as a literal in SQL does.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("charging", "cp_backend", "third_party_backend", "operations")

OCPP_ROOM = "cp_backend/ocpp/"
OICP_ROOM = "third_party_backend/oicp/"

# Units are everybody's.
UNITS = frozenset({"Wh", "kWh", "kW"})
# Where a dialect's word may stand outside its room, and why.
OCPP_EXCEPTIONS = {
    "charging/master_data.py": "days of the week, and a word of OICP that OCPP has too",
    "charging/registration.py": "operators type it so, and it is the same in all versions",
}
OICP_EXCEPTIONS = {
    "charging/master_data.py": "operators choose among the hub's words (decision 26)",
    "operations/evses.py": "shows what the hub was sent, word for word",
}


@cache
def ocpp_words() -> frozenset[str]:
    """Actions, members and enumerated words of OCPP 1.6, 2.0.1 and 2.1, from their schemas."""
    specification = importlib.util.find_spec("ocpp")
    assert specification is not None
    words: set[str] = set()
    for version in ("v16", "v201", "v21"):
        directory = Path(str(specification.origin)).parent / version / "schemas"
        for file in directory.glob("*.json"):
            words.add(re.sub(r"(Request|Response)$", "", file.stem))
            words |= set(_words_of_schema(json.loads(file.read_text("utf-8-sig"))))
    capitals = re.compile(r"[a-z].*[A-Z]|[A-Z].*[a-z]")
    return frozenset(word for word in words if capitals.search(word)) - UNITS


def _words_of_schema(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (word for word in node.get("enum", ()) if isinstance(word, str))
        yield from (name for name in node.get("properties", ()) if _humps(name))
        for child in node.values():
            yield from _words_of_schema(child)
    elif isinstance(node, list):
        for child in node:
            yield from _words_of_schema(child)


@cache
def oicp_words() -> frozenset[str]:
    """What the OICP room and the hub simulator write in capitals inside a word."""
    files = [*(ROOT / OICP_ROOM).glob("*.py"), *(ROOT / "third_party_hub_simulator").rglob("*.py")]
    return frozenset(
        word
        for file in files
        for text, _ in _strings(file)
        for word in re.findall(r"[A-Za-z]+", text)
        if word[0].isupper() and _humps(word)
    )


def _humps(word: str) -> bool:
    return re.search(r"[a-z0-9.][A-Z]", word) is not None


def _strings(file: Path) -> Iterator[tuple[str, int]]:
    """Yield a file's strings and their lines, docstrings left out."""
    tree = ast.parse(file.read_text())
    prose = {
        id(statement.value)
        for node in ast.walk(tree)
        for statement in ast.iter_child_nodes(node)
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value, node.lineno


def _found(text: str, words: frozenset[str]) -> set[str]:
    if text in words:
        return {text}
    tokens = set(re.findall(r"[A-Za-z][A-Za-z0-9.]*", text))
    quoted = set(re.findall(r"'([A-Za-z0-9.]+)'|\"([A-Za-z0-9.]+)\"", text))
    literals = {part for pair in quoted for part in pair if part}
    return {word for word in tokens if _humps(word) and word in words} | (literals & words)


def strays(rooms: tuple[str, ...], words: frozenset[str]) -> dict[str, set[str]]:
    """Return the words that stand outside their room, by file: each with its line."""
    found: dict[str, set[str]] = {}
    for package in ROOMS:
        for file in (ROOT / package).rglob("*.py"):
            name = str(file.relative_to(ROOT))
            if name.startswith((*rooms, "charging/database/migrations/")):
                continue
            for text, line in _strings(file):
                for word in _found(text, words):
                    found.setdefault(name, set()).add(f"{word} in line {line}")
    return found


def test_the_words_are_found():
    """The lists are those of the specifications, and the search sees what it should."""
    assert {"StopTransaction", "idTag", "SuspendedEV", "Faulted"} <= ocpp_words()
    assert {"EvseID", "SessionID", "OutOfService"} <= oicp_words()
    assert _found("SELECT 1 WHERE status = 'Faulted'", ocpp_words()) == {"Faulted"}
    assert _found("a StopTransaction of Faulted things", ocpp_words()) == {"StopTransaction"}
    assert _found("Reserved", ocpp_words()) == {"Reserved"}


# A word of one dialect may be one of the other's, where it belongs.
@pytest.mark.parametrize(
    ("words", "exceptions"),
    [
        pytest.param(ocpp_words(), OCPP_EXCEPTIONS, id="OCPP"),
        pytest.param(oicp_words(), OICP_EXCEPTIONS, id="OICP"),
    ],
)
def test_a_dialects_words_stand_in_its_room(words, exceptions):
    found = strays((OCPP_ROOM, OICP_ROOM), words)
    assert {name: what for name, what in found.items() if name not in exceptions} == {}
    assert set(exceptions) <= set(found), "an exception that nothing needs any more"
