"""A node and a database for all cases; each case has a charging point of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import trustme

from charging.database.migrate import upgrade
from scripts.ocpp_pages.conformance import number_of
from scripts.world import Node
from tests.conformance.bench import BLOCKED, EXPIRED, GROUP, SAME_GROUP, VALID, Bench, TlsNode
from tests.databases import new_database
from tests.rows import add_token
from tests.station import ago


@pytest.fixture(scope="session")
def conformance_database(server_url: str, worker_id: str) -> Iterator[str]:
    """A database with the tokens that the cases need."""
    with new_database(server_url, f"conformance_{worker_id}") as url:
        upgrade(url)
        with psycopg.connect(url, autocommit=True) as database:
            add_token(database, VALID, parent_id_tag=GROUP)
            add_token(database, SAME_GROUP, parent_id_tag=GROUP)
            add_token(database, EXPIRED, expires_at=ago(days=1))
            add_token(database, BLOCKED, blocked=True)
        yield url


@pytest.fixture(scope="session")
def conformance_node(
    conformance_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node that admits registered charging points alone."""
    directory = tmp_path_factory.mktemp("conformance")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    authority.private_key_pem.write_to_path(directory / "ca.key")
    settings = {
        "roaming_timeout": "0",
        "signing_certificate": str(directory / "ca.pem"),
        "signing_key": str(directory / "ca.key"),
    }
    node = Node(conformance_database, directory / "node.log", (), settings)
    node.wait_until_ready()
    yield node
    node.program.stop()


@pytest.fixture(scope="session")
def tls(conformance_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsNode]:
    """A node that speaks TLS itself, and asks for client certificates."""
    node = TlsNode(conformance_database, tmp_path_factory.mktemp("tls"))
    yield node
    node.node.program.stop()


@pytest.fixture
def books(conformance_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the cases' database, in autocommit."""
    with psycopg.connect(conformance_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def bench(
    conformance_node: Node, books: psycopg.Connection[Any], request: pytest.FixtureRequest
) -> Iterator[Bench]:
    """The case's charging point, named by the case's number."""
    number = number_of(request.node.name)
    assert number is not None
    bench = Bench(conformance_node.port, books, number)
    yield bench
    bench.station.close()
