"""The Flask application of the API: who calls, what they ask, and the answer, all by endpoints.

Whoever calls shows a key (`Authorization: Bearer vni_…`); what goes wrong is told as a problem
document. Source: RFC 6750, RFC 9457 (Problem Details for HTTP APIs).
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import psycopg
from flask import Flask, Response, g, request
from psycopg_pool import ConnectionPool, PoolTimeout
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, Unauthorized, UnsupportedMediaType

from charging.database.commands import Answers
from charging.database.connection import Connection
from operations import api_keys
from operations.api import openapi
from operations.api.endpoints import ENDPOINTS, Endpoint
from operations.api_keys import Caller
from operations.errors import (
    ConflictError,
    ExistsError,
    NotFoundError,
    OperationError,
    TableFaultsError,
)

MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""Of a table to import at most."""
MAX_KEY = 100
_PROBLEM = "application/problem+json"
_STATUS = {NotFoundError: 404, ConflictError: 409, ExistsError: 409}
# A value that PostgreSQL cannot hold or compare, such as a text with U+0000: the caller's mistake.
_CALLERS_MISTAKES = (psycopg.DataError,)

log = logging.getLogger(__name__)


def create_app(pool: ConnectionPool[Connection], answers: Answers) -> Flask:
    """Return the application. pool, answers: of the process, which closes them."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    for endpoint in ENDPOINTS:
        rule = openapi.rule(endpoint)
        view = _View(endpoint, pool, answers)
        app.add_url_rule(rule, endpoint.name, view, methods=[endpoint.method])
    app.add_url_rule("/openapi.json", "openapi", _description, methods=["GET"])
    for error, handler in (
        (OperationError, _on_operation_error),
        (ValidationError, _on_validation_error),
        (HTTPException, _on_http_error),
        (psycopg.Error, _on_database_error),
        (PoolTimeout, _on_database_error),
    ):
        app.register_error_handler(error, handler)
    app.after_request(_finish)
    return app


class _View:
    """An endpoint as Flask calls it."""

    def __init__(
        self, endpoint: Endpoint, pool: ConnectionPool[Connection], answers: Answers
    ) -> None:
        self.endpoint = endpoint
        self._pool = pool
        self._answers = answers

    def __call__(self, **path: Any) -> Response:
        """Read the request, call the function, write its answer."""
        endpoint = self.endpoint
        with self._pool.connection() as connection:
            caller = _caller(connection)
            if not caller.role.may(endpoint.role):
                return problem(403, f"that takes the role {endpoint.role}; yours is {caller.role}")
            arguments = {**path, **self._read(caller)}
            if not endpoint.waits:
                if "connection" in endpoint.hints:
                    arguments["connection"] = connection
                return self._write(endpoint.function(**arguments))
        # What waits holds no connection meanwhile.
        arguments |= {"connections": self._pool.connection, "answers": self._answers}
        return self._write(endpoint.function(**arguments))

    def _read(self, caller: Caller) -> dict[str, Any]:
        endpoint, arguments = self.endpoint, dict[str, Any]()
        if "by" in endpoint.hints:
            arguments["by"] = caller.asker
        if "key" in endpoint.hints:
            arguments["key"] = _idempotency_key(caller)
        if "table" in endpoint.hints:
            arguments["table"] = _table()
        if endpoint.query is not None:
            arguments["query"] = endpoint.query.model_validate(_query(endpoint))
        elif request.args:
            raise OperationError(f"{next(iter(request.args))}: this takes no query")
        if endpoint.body is not None:
            if request.get_data() and not request.is_json:
                raise UnsupportedMediaType("the body must be application/json")
            arguments["body"] = endpoint.body.model_validate_json(request.get_data() or b"{}")
        return arguments

    def _write(self, answer: Any) -> Response:
        endpoint = self.endpoint
        if endpoint.answer is None:
            return Response(status=endpoint.status)
        return Response(
            endpoint.answer.dump_json(answer),
            status=endpoint.status,
            content_type="application/json",
        )


def problem(status: int, detail: str, **more: Any) -> Response:
    """Return a problem document. detail: a sentence for a person; more: members beside it."""
    document = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    response = Response(openapi.PROBLEM.dump_json(document), status=status, content_type=_PROBLEM)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="VNI operations"'
    return response


def _caller(connection: Connection) -> Caller:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized("say `Authorization: Bearer KEY`; `operations api-keys add` makes one")
    found = api_keys.caller(connection, key.strip())
    if found is None:
        raise Unauthorized("this key is unknown or revoked; `operations api-keys list` shows all")
    g.caller = found
    return found


def _idempotency_key(caller: Caller) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY or not key.isprintable():
        raise OperationError(f"Idempotency-Key: 1 to {MAX_KEY} printable characters")
    # Another caller's same word is another key.
    return f"api {caller.api_key}: {key}"


def _table() -> str:
    try:
        return request.get_data().decode()
    except UnicodeDecodeError:
        raise OperationError("the table is no UTF-8") from None


def _query(endpoint: Endpoint) -> dict[str, Any]:
    """Return the query by name: a list where the endpoint takes several, else the only value."""
    found: dict[str, Any] = {}
    for name, values in request.args.lists():
        if name in endpoint.repeated:
            found[name] = values
        elif len(values) > 1:
            raise OperationError(f"{name}: is given {len(values)} times")
        else:
            found[name] = values[0]
    return found


def _description() -> Response:
    return Response(openapi.text(), content_type="application/json")


def _finish(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _on_operation_error(error: OperationError) -> Response:
    if isinstance(error, TableFaultsError):
        faults = [{"row": fault.row, "fault": str(fault)} for fault in error.faults]
        return problem(400, str(error).split("\n", 1)[0], faults=faults)
    return problem(_STATUS.get(type(error), 400), str(error))


def _on_validation_error(error: ValidationError) -> Response:
    faults = [
        {"field": ".".join(map(str, each["loc"])), "fault": each["msg"]}
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = faults[0]
    name = f"{first['field']}: " if first["field"] else ""
    return problem(400, f"{name}{first['fault']}", faults=faults)


def _on_http_error(error: HTTPException) -> Response | HTTPException:
    if error.code is None or error.code < 400:
        return error
    response = problem(error.code, error.description or "")
    if "Allow" in (headers := dict(error.get_headers())):
        response.headers["Allow"] = headers["Allow"]
    return response


def _on_database_error(error: Exception) -> Response:
    if isinstance(error, _CALLERS_MISTAKES):
        return problem(400, f"the database cannot hold that: {_first_line(error)}")
    log.error("API call failed", exc_info=error, extra={"path": request.path})
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return problem(403, "this service has no right to that at the database; a shell has")
    if isinstance(error, psycopg.errors.QueryCanceled):
        return problem(503, "the database took too long; ask for less, or try again")
    if isinstance(error, psycopg.OperationalError | PoolTimeout):
        return problem(503, "the database cannot be reached; try again in a moment")
    return problem(500, "something went wrong; the log has it")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
