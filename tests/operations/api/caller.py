"""A program that calls the API with a key."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from charging.database.audit import Asker
from operations import api_keys
from operations.api.openapi import PREFIX
from tests.rows import Database

TESTER = Asker("tester", "tests")


class Caller:
    """Calls with the key of a role."""

    def __init__(self, app: Flask, database: Database, role: str) -> None:
        self.client = app.test_client()
        self.key = api_keys.add(database, f"a {role}", role, by=TESTER)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        more = {} if body is None else {"json": body}
        return self.client.open(
            PREFIX + path,
            method=method,
            headers={"Authorization": f"Bearer {self.key}", **headers},
            **more,
        )
