"""The official schemas of OCPP's messages, compiled when they are first needed.

They are the data files of the PyPI package `ocpp`; its runtime is not imported. What deviates from
them is for `tolerance` to repair.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from cp_backend.ocpp.errors import CallRefusedError, ErrorCode
from cp_backend.ocpp.spellings import letters
from cp_backend.ocpp.tolerance import Form
from cp_backend.vocabulary import JsonObject

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
            file.stem: json.loads(file.read_text("utf-8-sig"))
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
        self._documents = documents
        self._forms: dict[str, Form] = {}
        self._spelled = {letters(action): action for action in self._requests}
        self.actions = frozenset(self._requests)
        """The actions that this version knows."""

    def action(self, word: str) -> str:
        """Return the action that a word in other letters means; the word itself for none.

        Some charging points call it by the name of its message: HeartbeatRequest, Heartbeat.req.
        """
        spelled = letters(word).removeprefix("ocpp")
        for suffix in ("", "request", "req"):
            name = spelled.removesuffix(suffix)
            action = self._spelled.get(name) or self._spelled.get(f"{name}s")
            if action is not None:
                return action
        return word

    def accepts_request(self, action: str, payload: JsonObject) -> bool:
        """Return whether a CALL's payload fits its schema."""
        validator = self._requests.get(action)
        try:
            return validator is not None and bool(validator.is_valid(payload))
        except ValueError:  # the validator goes 255 levels deep and no further
            return False

    def accepts_response(self, action: str, payload: JsonObject) -> bool:
        """Return whether a CALLRESULT's payload fits its schema."""
        try:
            return bool(self._responses[action].is_valid(payload))
        except ValueError:
            return False

    def request_form(self, action: str) -> Form:
        """Return how a CALL that deviates is repaired. Raises CallRefusedError (NotImplemented)."""
        if action not in self._requests:
            raise _unknown(action)
        return self._form(action if action in self._documents else f"{action}Request", action)

    def response_form(self, action: str) -> Form:
        """Return how a CALLRESULT that deviates is repaired."""
        return self._form(f"{action}Response", action)

    def _form(self, name: str, action: str) -> Form:
        form = self._forms.get(name)
        if form is None:
            answer = name.endswith("Response")
            form = self._forms[name] = Form(action, self._documents[name], answer=answer)
        return form

    def check_request(self, action: str, payload: JsonObject) -> None:
        """Hold a CALL's payload against its schema.

        Raises CallRefusedError: NotImplemented for an unknown action, otherwise the code of
        the first violation.
        """
        validator = self._requests.get(action)
        if validator is None:
            raise _unknown(action)
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


def _unknown(action: str) -> CallRefusedError:
    return CallRefusedError(ErrorCode.NOT_IMPLEMENTED, f"unknown action {action[:50]!r}")


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
