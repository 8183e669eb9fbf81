"""An endpoint is a typed function of the back office with a method, a path and a role.

Its signature says all: what stands in the path, what may stand in the query or must in the body
(pydantic models), and what it answers. From it the request is read, the answer written and the
description made, so that none of them can differ from the others.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from charging.database.connection import Connection
from operations.people import Role

Connections = Callable[[], AbstractContextManager[Connection]]
"""Gives a connection for a moment."""


class Query(BaseModel):
    """What may stand in a query; anything else there is an error."""

    model_config = ConfigDict(extra="forbid")


class Body(BaseModel):
    """What must stand in a body; anything else there is an error."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Endpoint:
    """One operation. path: below /api/v1, with names in braces; status: of its answer."""

    method: str
    path: str
    role: Role
    function: Callable[..., Any]
    status: int
    idempotent_by_key: bool

    @property
    def name(self) -> str:
        """Its name, unique: that of its function."""
        return self.function.__name__

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The types of its parameters, and of what it returns."""
        return typing.get_type_hints(self.function)

    @property
    def query(self) -> type[Query] | None:
        """What its query may hold."""
        return self.hints.get("query")

    @cached_property
    def repeated(self) -> frozenset[str]:
        """What its query may hold several times."""
        fields = self.query.model_fields if self.query else {}
        return frozenset(
            name
            for name, field in fields.items()
            if list in (typing.get_origin(field.annotation), field.annotation)
        )

    @property
    def body(self) -> type[Body] | None:
        """What its body must hold."""
        return self.hints.get("body")

    @property
    def waits(self) -> bool:
        """Whether it may wait, so that it takes connections for moments only."""
        return "connections" in self.hints

    @cached_property
    def path_parameters(self) -> dict[str, type]:
        """Names in the path → str or int."""
        return {name: self.hints[name] for name in re.findall(r"{(\w+)}", self.path)}

    @cached_property
    def answer(self) -> TypeAdapter[Any] | None:
        """How its answer is written; None: it has none."""
        kind = self.hints["return"]
        return None if kind is type(None) else TypeAdapter(kind)

    @property
    def description(self) -> str:
        """Its description: the function's docstring, without its errors."""
        text = " ".join((inspect.getdoc(self.function) or "").split())
        return re.sub(r" Raises [\w, ]+\.", "", text)


ENDPOINTS: list[Endpoint] = []
"""All of them, in the order of the description."""

F = typing.TypeVar("F", bound=Callable[..., Any])


def endpoint(
    method: str,
    path: str,
    role: Role = Role.OBSERVER,
    *,
    status: int = 200,
    idempotent_by_key: bool = False,
) -> Callable[[F], F]:
    """Make a function an endpoint.

    Its parameters: `connection`, `by` (the Asker), `key` (an Idempotency-Key that is the caller's
    own, or None), `query`, `body`, `table` (a body in CSV or JSON, as text), and those in braces
    in the path. One that waits takes `connections` and `answers` instead of a connection.
    """

    def register(function: F) -> F:
        ENDPOINTS.append(Endpoint(method, path, role, function, status, idempotent_by_key))
        return function

    return register
