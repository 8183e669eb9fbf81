"""The description of the API, OpenAPI 3.1, made from its endpoints.

`python -m operations.api.openapi` writes it to generated/openapi.json; a test compares them.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from operations.api import (
    charging_points,
    commands,
    maintenance,
    overview,
    people,
    roaming,
    sessions,
    tokens,
)
from operations.api.endpoints import ENDPOINTS, Endpoint

FILE = Path("generated/openapi.json")
PREFIX = "/api/v1"
PROBLEM: TypeAdapter[Any] = TypeAdapter(dict[str, Any])

_MODULES = (overview, charging_points, commands, sessions, tokens, roaming, maintenance, people)
"""Imported for their endpoints, in the order of the description."""
_REF = "#/components/schemas/{model}"
_ABOUT = """\
What operators can do, for programs. Each call shows a key, which `python -m operations api-keys \
add NAME ROLE` makes and shows once: `Authorization: Bearer vni_…`. An observer may look, an \
operator may ask charging points and settle sessions, an administrator may all. Energy is integer \
Wh, power W, times are RFC 3339 in UTC. What goes wrong is a problem document (RFC 9457), whose \
`detail` says what to do. Pages: `next` of a page is `after` of the next; null at the end.\
"""
_PROBLEM_SCHEMA = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "faults": {
            "type": "array",
            "description": "All that is wrong with the query, the body or the table.",
            "items": {"type": "object"},
        },
    },
}


def rule(endpoint: Endpoint) -> str:
    """Return an endpoint's path as a rule of Flask's."""

    def converter(match: re.Match[str]) -> str:
        name = match.group(1)
        # Identities may hold slashes; numbers are what the database can hold.
        kind = f"int(max={2**63 - 1})" if endpoint.path_parameters[name] is int else "path"
        return f"<{kind}:{name}>"

    return re.sub(r"{(\w+)}", converter, endpoint.path)


@cache
def document() -> dict[str, Any]:
    """Return the description."""
    inputs: list[tuple[str, Literal["validation", "serialization"], TypeAdapter[Any]]] = []
    for endpoint in ENDPOINTS:
        if endpoint.answer is not None:
            inputs.append((f"{endpoint.name} answer", "serialization", endpoint.answer))
        if endpoint.body is not None:
            inputs.append((f"{endpoint.name} body", "validation", TypeAdapter(endpoint.body)))
    found, definitions = TypeAdapter.json_schemas(inputs, ref_template=_REF)
    schemas = {key[0]: schema for key, schema in found.items()}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "VNI operations", "version": "1", "description": _ABOUT},
        "servers": [{"url": PREFIX}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**definitions.get("$defs", {}), "ProblemDocument": _PROBLEM_SCHEMA},
        },
    }


@cache
def text() -> str:
    """Return the description as it stands in the file."""
    return json.dumps(document(), indent=1, sort_keys=True) + "\n"


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    summary, _, rest = endpoint.description.partition(". ")
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": summary.rstrip("."),
        "description": f"{rest} Role: {endpoint.role}.".strip(),
        "tags": [endpoint.path.split("/")[1]],
        "parameters": _parameters(endpoint),
        "responses": {
            str(endpoint.status): _answer(endpoint, schemas),
            "default": {
                "description": "What went wrong",
                "content": {
                    "application/problem+json": {
                        "schema": {"$ref": _REF.format(model="ProblemDocument")}
                    }
                },
            },
        },
    }
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[f"{endpoint.name} body"]}},
        }
    elif "table" in endpoint.hints:
        operation["requestBody"] = {
            "required": True,
            "description": "A table in CSV or JSON",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/json": {"schema": {}},
            },
        }
    return operation


def _answer(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    if endpoint.answer is None:
        return {"description": "Done"}
    schema = schemas[f"{endpoint.name} answer"]
    return {"description": "The answer", "content": {"application/json": {"schema": schema}}}


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, kind in endpoint.path_parameters.items():
        schema: dict[str, Any] = {"type": "string", "minLength": 1}
        if kind is int:
            schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    if endpoint.query is not None:
        schema = endpoint.query.model_json_schema()
        required = schema.get("required", [])
        for name, member in schema["properties"].items():
            # A query has no null: what is not given is left out.
            kinds = [kind for kind in member.pop("anyOf", ()) if kind != {"type": "null"}]
            member |= kinds[0] if kinds else {}
            member.pop("title", None)
            if member.get("default", "") is None:
                del member["default"]
            found.append(
                {"name": name, "in": "query", "required": name in required, "schema": member}
            )
    if endpoint.idempotent_by_key:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same again is the same command or job; 409 for another.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 100},
            }
        )
    return found


def main() -> int:
    """Write the file; say where."""
    FILE.write_text(text())
    print(FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
