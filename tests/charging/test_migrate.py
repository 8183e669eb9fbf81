"""Migrations up, down, and by many at once."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from charging.database.migrate import downgrade, upgrade
from tests.databases import new_database


@pytest.fixture
def empty_database_url(server_url, worker_id):
    with new_database(server_url, f"empty_{worker_id}") as url:
        yield url


def tables(url):
    with psycopg.connect(url) as connection:
        return {
            row[0]
            for row in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            )
        } - {"alembic_version"}


def test_up_and_down_again_leaves_nothing(empty_database_url):
    upgrade(empty_database_url)
    assert {"charging_points", "sessions", "commands"} <= tables(empty_database_url)
    downgrade(empty_database_url, "base")
    assert tables(empty_database_url) == set()
    upgrade(empty_database_url)
    assert "sessions" in tables(empty_database_url)


def test_programs_that_migrate_at_once_wait_for_each_other(empty_database_url):
    with ThreadPoolExecutor(4) as programs:
        list(programs.map(upgrade, [empty_database_url] * 4))
    assert "sessions" in tables(empty_database_url)
