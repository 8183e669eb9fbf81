"""The official schemas of OCPP's messages, compiled when they are first needed.

They are the data files of the PyPI package `ocpp`; its runtime is not imported. Two things are
loosened, because charging points in the field do them and a refusal helps nobody: serial
numbers may be too long, and both spellings of Celsius are read.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from cp_backend.ocpp.errors import CallRefusedError, ErrorCode
from cp_backend.vocabulary import JsonObject

_TEMPERATURE_UNITS = {"Celsius", "Celcius"}

_CODES = {
    "required": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    "minItems": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    "maxItems": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    "type": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    "additionalProperties": ErrorCode.FORMATION_VIOLATION,
}


class Schemas:
    """The messages of one OCPP version.

    directory: holds a file for each request and response: ``<Action>.json`` in 1.6,
    ``<Action>Request.json`` in 2.x, ``<Action>Response.json`` in both. An action without a response
    is never answered.
    """

    def __init__(self, directory: Path) -> None:
        documents = {
            file.stem: _loosen(json.loads(file.read_text("utf-8-sig")))
            for file in sorted(directory.glob("*.json"))
        }
        validators = {
            name: jsonschema_rs.validator_for(document) for name, document in documents.items()
        }
        self._responses = {
            name.removesuffix("Response"): validator
            for name, validator in validators.items()
            if name.endswith("Response")
        }
        # Suffixes only: there is an action RequestStartTransaction.
        self._requests = {
            name.removesuffix("Request"): validator
            for name, validator in validators.items()
            if not name.endswith("Response")
        }

    @property
    def actions(self) -> frozenset[str]:
        """The actions this version knows."""
        return frozenset(self._requests)

    def check_request(self, action: str, payload: JsonObject) -> None:
        """Hold a CALL's payload against its schema.

        Raises CallRefusedError: NotImplemented for an unknown action, otherwise the code of
        the first violation.
        """
        validator = self._requests.get(action)
        if validator is None:
            raise CallRefusedError(ErrorCode.NOT_IMPLEMENTED, f"unknown action {action[:50]!r}")
        _check(validator, payload)

    def check_response(self, action: str, payload: JsonObject) -> None:
        """Hold a CALLRESULT's payload against its schema; raises CallRefusedError."""
        _check(self._responses[action], payload)


@cache
def schemas(version: str) -> Schemas:
    """Return the compiled schemas of a version: ``v16``, ``v201`` or ``v21``."""
    specification = importlib.util.find_spec("ocpp")
    if specification is None or not specification.submodule_search_locations:
        raise RuntimeError("the package `ocpp`, whose schemas are needed, is not installed")
    return Schemas(Path(specification.submodule_search_locations[0]) / version / "schemas")


def _check(validator: Any, payload: JsonObject) -> None:
    try:
        if validator.is_valid(payload):
            return
        refusal = _refusal(validator, payload)
    except ValueError:  # the validator goes 255 levels deep and no further
        refusal = CallRefusedError(ErrorCode.FORMATION_VIOLATION, "payload: nested too deep")
    raise refusal


def _refusal(validator: Any, payload: JsonObject) -> CallRefusedError:
    error = next(iter(validator.iter_errors(payload)))
    keyword = str(error.schema_path[-1])
    # The offending value stays out: it may be a token, and the peer knows it anyway.
    where = "/".join(map(str, error.instance_path)) or "payload"
    code = _CODES.get(keyword, ErrorCode.PROPERTY_CONSTRAINT_VIOLATION)
    missing = f" {error.kind.property!r}" if keyword == "required" else ""
    return CallRefusedError(code, f"{where}: violates {keyword}{missing}")


def _loosen(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_loosen(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    loosened = {name: _loosen(value) for name, value in schema.items()}
    for name, value in loosened.get("properties", {}).items():
        if name.lower().endswith("serialnumber") and isinstance(value, dict):
            value.pop("maxLength", None)
    options = loosened.get("enum")
    if isinstance(options, list) and _TEMPERATURE_UNITS & set(map(str, options)):
        loosened["enum"] = sorted({*options, *_TEMPERATURE_UNITS})
    return loosened
