"""Somebody with a browser without script, who looks at the console and fills in its forms."""

from __future__ import annotations

import html
import re
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from charging.database.audit import Asker
from operations import people
from tests.rows import Database

TESTER = Asker("tester", "tests")


class Visitor:
    """Keeps cookies, and sends the token of the page it looked at last with each form."""

    def __init__(self, app: Flask, address: str = "192.0.2.1") -> None:
        self.client = app.test_client()
        self.address = address
        self.form_token = ""

    def get(self, path: str, **headers: str) -> TestResponse:
        return self._kept(self.client.get(path, headers=headers, environ_base=self._environ))

    def post(self, path: str, headers: dict[str, str] | None = None, **form: Any) -> TestResponse:
        data = {"form_token": self.form_token, **form}
        return self._kept(
            self.client.post(path, data=data, headers=headers, environ_base=self._environ)
        )

    def sign_in(self, name: str, password: str) -> TestResponse:
        answer = self.post("/sign-in", name=name, password=password)
        if answer.status_code == 302:
            self.get("/")
        return answer

    @property
    def _environ(self) -> dict[str, str]:
        return {"REMOTE_ADDR": self.address}

    def _kept(self, answer: TestResponse) -> TestResponse:
        if found := re.search(r'name="form_token" value="([^"]+)"', answer.text):
            self.form_token = html.unescape(found[1])
        return answer


def visit_as(app: Flask, database: Database, role: str) -> Visitor:
    """Somebody with an account of a role, signed in."""
    password = people.add(database, f"a-{role}", role, by=TESTER)
    visitor = Visitor(app)
    assert visitor.sign_in(f"a-{role}", password).status_code == 302
    return visitor
