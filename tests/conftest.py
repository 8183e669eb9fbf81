"""What many tests share: a real PostgreSQL with a database for each worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from charging.database.address import state_directory
from charging.database.embedded import EmbeddedServer
from charging.database.migrate import upgrade
from scripts.world import Node
from tests.databases import new_database
from tests.hub import HubSimulator

# A shell's background job ignores SIGINT and so would every program that we start, and stop by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class OneWorkerForAnEnvironment(LoadScopeScheduling):
    """Shares tests out one by one, but those of a file in `tests/cloud` go to one worker.

    They share an environment in an emulated cloud, which takes half a minute to build.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("::")[0] if nodeid.startswith("tests/cloud/") else nodeid


def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> OneWorkerForAnEnvironment | None:
    """Share the tests out where xdist would by its default."""
    return OneWorkerForAnEnvironment(config, log) if config.getvalue("dist") == "load" else None


# Beside the developer's own local database, never in it.
TEST_SERVER = state_directory() / "postgres-test"


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The address of a PostgreSQL server on which databases may be made."""
    configured = os.environ.get("TEST_DATABASE_URL")
    if configured:
        yield configured
        return
    with EmbeddedServer(TEST_SERVER) as url:
        yield url


@pytest.fixture(scope="session")
def worker_database_url(server_url: str, worker_id: str) -> Iterator[str]:
    """A migrated database of this test worker's own."""
    with new_database(server_url, f"test_{worker_id}") as url:
        upgrade(url)
        yield url


@pytest.fixture
def database_url(worker_database_url: str) -> Iterator[str]:
    """The worker's database, empty again after the test."""
    yield worker_database_url
    with psycopg.connect(worker_database_url, autocommit=True) as connection:
        # What a test left open must not keep the tables from being emptied.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        _empty(connection)


def _empty(connection: psycopg.Connection[Any]) -> None:
    """Empty the tables that have rows and begin the sequences again that gave a number.

    To empty a table costs files, whether it had rows or not: all of them took 42 ms, to ask
    which have any takes 2.
    """
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'alembic_version'"
    ).fetchall()
    filled = connection.execute(
        sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(
                sql.Literal(name), sql.Identifier(name)
            )
            for (name,) in tables
        )
    ).fetchall()
    if filled:
        connection.execute(
            sql.SQL("TRUNCATE {} CASCADE").format(
                sql.SQL(", ").join(sql.Identifier(name) for (name,) in filled)
            )
        )
    connection.execute(
        "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)"
        " FROM pg_sequences WHERE last_value IS NOT NULL"
    )


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the worker's database, in autocommit, to look and to prepare."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def run_node(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Start real nodes on the worker's database: ``run_node(admit_unknown="true", …)``."""
    nodes: list[Node] = []

    def run(*words: str, **settings: str) -> Node:
        settings.setdefault("settle_time", "0")
        node = Node(database_url, tmp_path / f"node{len(nodes)}.log", words, settings)
        nodes.append(node)
        node.wait_until_ready()
        return node

    yield run
    for node in nodes:
        node.program.stop()


@pytest.fixture
def run_hub_simulator(tmp_path: Path) -> Iterator[Callable[..., HubSimulator]]:
    """Start hub simulators: ``run_hub_simulator("--token", "04A1B2C3", operator_port=9100)``."""
    hubs: list[HubSimulator] = []

    def run(*words: object, operator_port: int | None = None) -> HubSimulator:
        hubs.append(HubSimulator(tmp_path, *words, operator_port=operator_port))
        return hubs[-1]

    yield run
    for hub in hubs:
        hub.control.close()
        hub.program.stop()


@pytest.fixture
def node(run_node: Callable[..., Node]) -> Node:
    """A node that admits everybody, as the local targets run it."""
    return run_node(admit_unknown="true", admit_unknown_tokens="true")
