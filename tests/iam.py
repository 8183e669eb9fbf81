"""Who may do what, decided from policy documents as IAM decides it, as far as ours go.

Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements". What our policies
do not use (NotAction, NotResource, NotPrincipal, other operators) is refused and not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]

_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


def is_allowed(
    policies: Sequence[Document],
    action: str,
    resource: str,
    context: Mapping[str, str],
    boundary: Document | None = None,
) -> bool:
    """Return whether policies allow an action on a resource.

    context: condition key → value of the request; keys are compared without regard to case, and
    a key that is not there fulfils nothing but Null. boundary: must allow it
    too, where there is one.
    """
    if not _decide(policies, action, resource, context):
        return False
    return boundary is None or _decide([boundary], action, resource, context)


def _decide(
    policies: Sequence[Document], action: str, resource: str, context: Mapping[str, str]
) -> bool:
    effects = {
        statement["Effect"]
        for document in policies
        for statement in document["Statement"]
        if _applies(statement, action, resource, context)
    }
    return "Allow" in effects and "Deny" not in effects


def _applies(
    statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]
) -> bool:
    unknown = statement.keys() - _ELEMENTS
    assert not unknown, f"the evaluator does not know {unknown}"
    assert statement["Effect"] in ("Allow", "Deny")
    return (
        any(_matches(one.lower(), action.lower()) for one in _list(statement["Action"]))
        and any(_matches(_filled(one, context), resource) for one in _list(statement["Resource"]))
        and _fulfilled(statement.get("Condition", {}), context)
    )


def _fulfilled(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    known = {key.lower(): value for key, value in context.items()}
    for operator, keys in conditions.items():
        for key, wanted in keys.items():
            given = known.get(key.lower())
            values = [str(value) for value in _list(wanted)]
            match operator:
                case "Bool":
                    held = given is not None and given.lower() in [v.lower() for v in values]
                case "Null":
                    held = str(given is None).lower() in [v.lower() for v in values]
                case "StringEquals":
                    held = given in values
                case "ForAllValues:StringEquals":
                    # Of nothing, all are. Here a request has one value, or none.
                    held = given is None or given in values
                case "ForAllValues:StringLike":
                    held = given is None or any(_matches(v, given) for v in values)
                case "ArnEquals":
                    held = given is not None and any(_matches(v, given) for v in values)
                case _:
                    raise AssertionError(f"the evaluator does not know {operator}")
            if not held:
                return False
    return True


def _matches(pattern: str, text: str) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _filled(pattern: str, context: Mapping[str, str]) -> str:
    """Fill in policy variables, such as ``${aws:username}``."""
    return re.sub(r"\$\{([^}]+)\}", lambda found: context[found[1]], pattern)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def resolved(value: Any, parameters: Mapping[str, str]) -> Any:
    """Return part of a template as CloudFormation would hand it on: Sub and Ref of parameters."""
    if isinstance(value, list):
        return [resolved(one, parameters) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return parameters[value["Ref"]]
    if set(value) == {"Fn::Sub"}:
        text = re.sub(r"\$\{([^!}]+)\}", lambda found: parameters[found[1]], value["Fn::Sub"])
        return text.replace("${!", "${")
    assert not any(key.startswith("Fn::") for key in value), f"not resolved here: {value}"
    return {key: resolved(one, parameters) for key, one in value.items()}
