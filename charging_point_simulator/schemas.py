"""The official schemas of one version of OCPP, compiled when an action is first used.

Data files of the PyPI package `ocpp`: 1.6 calls them `X` and `XResponse`, 2.x `XRequest` and
`XResponse`.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs

from charging_point_simulator.station.calls import CallError

_RESPONSE = "Response"


class Schemas:
    """The schemas of a version.

    directory: of the package's. request: what a request's file has after its action. codes: a
    keyword of JSON schema → the error code of OCPP-J for it.
    """

    def __init__(self, directory: str, request: str, codes: dict[str, str]) -> None:
        self._directory = _package() / directory / "schemas"
        self._request = request
        self._codes = codes
        self._validators: dict[str, Any] = {}

    @cached_property
    def actions(self) -> frozenset[str]:
        """The actions of the version that are answered."""
        names = {file.stem for file in self._directory.glob("*.json")}
        answered = {name.removesuffix(_RESPONSE) for name in names if name.endswith(_RESPONSE)}
        return frozenset(name for name in answered if name + self._request in names)

    def check_request(self, action: str, payload: Any) -> None:
        """Hold a call against its schema. Raises CallError, with the member's name."""
        if action not in self.actions:
            raise CallError("NotImplemented", f"unknown action {action[:50]!r}")
        error = next(self._validator(action + self._request).iter_errors(payload), None)
        if error is not None:
            keyword = str(error.schema_path[-1]) if error.schema_path else ""
            code = self._codes.get(keyword, "PropertyConstraintViolation")
            raise CallError(code, _sentence(action, error))

    def check_answer(self, action: str, payload: Any) -> None:
        """Hold an answer against its schema. Raises ValueError."""
        error = next(self._validator(action + _RESPONSE).iter_errors(payload), None)
        if error is not None:
            raise ValueError(_sentence(f"answer to {action}", error))

    def _validator(self, name: str) -> Any:
        validator = self._validators.get(name)
        if validator is None:
            text = (self._directory / f"{name}.json").read_text("utf-8-sig")
            validator = self._validators[name] = jsonschema_rs.validator_for(json.loads(text))
        return validator


@cache
def _package() -> Path:
    found = importlib.util.find_spec("ocpp")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("the package `ocpp`, whose schemas are needed, is not installed")
    return Path(found.submodule_search_locations[0])


def _sentence(what: str, error: Any) -> str:
    place = ".".join(str(part) for part in error.instance_path) or "payload"
    return f"{what}: {place}: {error.message}"[:255]


# Source: OCPP-J 1.6 section 4.2.3.
V16 = Schemas(
    "v16",
    "",
    {
        "required": "OccurenceConstraintViolation",
        "type": "TypeConstraintViolation",
        "additionalProperties": "FormationViolation",
    },
)
# Source: OCPP-J 2.0.1 part 4 section 4.3.
_CODES_2 = {
    "required": "OccurrenceConstraintViolation",
    "type": "TypeConstraintViolation",
    "additionalProperties": "FormatViolation",
}
SCHEMAS = {
    "1.6": V16,
    "2.0.1": Schemas("v201", "Request", _CODES_2),
    "2.1": Schemas("v21", "Request", _CODES_2),
}
"""By version."""
