"""The official schemas of OCPP 1.6, compiled when an action is first used."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from charging_point_simulator.station.calls import CallError

# JSON schema's keyword → OCPP-J's error code. Source: OCPP-J 1.6 section 4.2.3.
_CODES = {
    "required": "OccurenceConstraintViolation",
    "type": "TypeConstraintViolation",
    "additionalProperties": "FormationViolation",
}


@cache
def _directory() -> Path:
    found = importlib.util.find_spec("ocpp")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("the package `ocpp`, whose schemas are needed, is not installed")
    return Path(found.submodule_search_locations[0]) / "v16" / "schemas"


@cache
def _validator(name: str) -> Any:
    text = (_directory() / f"{name}.json").read_text("utf-8-sig")
    return jsonschema_rs.validator_for(json.loads(text))


@cache
def actions() -> frozenset[str]:
    """Return the actions of OCPP 1.6 and its security extension."""
    names = {file.stem for file in _directory().glob("*.json")}
    return frozenset(name for name in names if f"{name}Response" in names)


def check_request(action: str, payload: Any) -> None:
    """Hold a call against its schema. Raises CallError, with the member's name."""
    if action not in actions():
        raise CallError("NotImplemented", f"unknown action {action[:50]!r}")
    error = next(_validator(action).iter_errors(payload), None)
    if error is not None:
        code = _CODES.get(_keyword(error), "PropertyConstraintViolation")
        raise CallError(code, _sentence(action, error))


def check_answer(action: str, payload: Any) -> None:
    """Hold an answer against its schema. Raises ValueError."""
    error = next(_validator(f"{action}Response").iter_errors(payload), None)
    if error is not None:
        raise ValueError(_sentence(f"answer to {action}", error))


def _keyword(error: Any) -> str:
    return str(error.schema_path[-1]) if error.schema_path else ""


def _sentence(what: str, error: Any) -> str:
    place = ".".join(str(part) for part in error.instance_path) or "payload"
    return f"{what}: {place}: {error.message}"[:255]
