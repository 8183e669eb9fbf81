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


def test_evses_by_din_are_found_with_and_without_the_plus(empty_database_url):
    upgrade(empty_database_url, "0008")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO charging_points (charging_point_id) VALUES ('CP1')")
        for number, name in enumerate(("49*822*483*1", "+49*822*483*2", "DE*VNI*E3"), 1):
            key = name.replace("*", "")
            connection.execute(
                "INSERT INTO evses (charging_point_id, evse_number, evse_id, evse_id_key, state)"
                " VALUES ('CP1', %s, %s, %s, 'unknown')",
                [number, name, key],
            )
            connection.execute(
                "INSERT INTO deliveries (queue, key) VALUES ('evse-data', %s)", [key]
            )
        upgrade(empty_database_url)
        keys = {"+498224831", "+498224832", "DEVNIE3"}
        assert {key for (key,) in connection.execute("SELECT evse_id_key FROM evses")} == keys
        assert {key for (key,) in connection.execute("SELECT key FROM deliveries")} == keys
