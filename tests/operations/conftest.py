"""The console on the worker's database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from flask import Flask
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from charging.database.grant import grant_console
from operations.console.app import create_app
from operations.console.services import services
from operations.console.settings import Settings
from tests.operations.console.visitor import Visitor, visit_as
from tests.rows import Database


@pytest.fixture(scope="session")
def console_url(worker_database_url: str, worker_id: str) -> Iterator[str]:
    """The worker's database, as the console's own user reaches it: with no right but its own."""
    name = f"console_{worker_id}"
    grant_console(worker_database_url, name, "not asked for here")
    parts = conninfo_to_dict(worker_database_url)
    yield f"postgresql://{name}:not+asked@/{parts['dbname']}?host={parts['host']}"
    with psycopg.connect(worker_database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def app(database_url: str, console_url: str) -> Iterator[Flask]:
    """The console, with the rights at the database that it has in the cloud."""
    del database_url  # empties the tables afterwards
    app = create_app(Settings(), console_url)
    yield app
    services(app).close()


@pytest.fixture
def visit(app: Flask, database: Database) -> Callable[[str], Visitor]:
    """Somebody of a role, signed in: ``visit("operator")``."""
    return lambda role: visit_as(app, database, role)
