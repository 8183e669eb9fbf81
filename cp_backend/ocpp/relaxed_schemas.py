"""Schemas that what is only read must fit: the official ones with looser limits. Without I/O."""

from __future__ import annotations

from typing import cast

from cp_backend.ocpp.spellings import MAX_KEPT_LENGTH
from cp_backend.vocabulary import JsonObject

# Members that the relaxed schemas do without: a wrong register would be a wrong bill, so none is
# made up; the reader says that it is unknown.
OPTIONAL: dict[str, set[str]] = {
    "StartTransaction": {"meterStart"},
    "StopTransaction": {"meterStop"},
}

# Registers, which the reader rounds: what came is kept beside.
FRACTIONS = frozenset({"meterStart", "meterStop"})


def relaxed(action: str, schema: JsonObject) -> JsonObject:
    """Return a schema without the limits that are of no use in what is only read."""
    document = cast("JsonObject", _relaxed(schema))
    without = OPTIONAL.get(action, set())
    if without & set(document.get("required", ())):
        document["required"] = [name for name in document["required"] if name not in without]
    return document


def _relaxed(schema: object) -> object:
    if isinstance(schema, list):
        return [_relaxed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    loose: JsonObject = {
        name: _relaxed(value) for name, value in schema.items() if name not in ("enum", "minItems")
    }
    for name in ("properties", "definitions", "$defs"):
        if isinstance(schema.get(name), dict):  # members may be called like keywords
            loose[name] = {
                member: {"type": "number"} if member in FRACTIONS else _relaxed(value)
                for member, value in schema[name].items()
            }
    if isinstance(loose.get("maxLength"), int):
        loose["maxLength"] = max(loose["maxLength"], MAX_KEPT_LENGTH)
    return loose
