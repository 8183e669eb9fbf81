"""The console on the worker's database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from operations.console.app import create_app
from operations.console.services import services
from operations.console.settings import Settings
from tests.operations.console.visitor import Visitor, visit_as
from tests.rows import Database


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    """The console."""
    app = create_app(Settings(), database_url)
    yield app
    services(app).close()


@pytest.fixture
def visit(app: Flask, database: Database) -> Callable[[str], Visitor]:
    """Somebody of a role, signed in: ``visit("operator")``."""
    return lambda role: visit_as(app, database, role)
