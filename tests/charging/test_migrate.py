"""Migrations up, down, and by many at once."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from charging.database.migrate import downgrade, upgrade
from tests.databases import new_database

ROOT = Path(__file__).parents[2]


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


CONCURRENTLY = '''"""Of the tests."""

from alembic import op

revision = "9001"
down_revision = "{newest}"


def upgrade() -> None:
    """Index a table that is in use."""
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY of_the_tests ON sessions (started_at)")


def downgrade() -> None:
    """Take it away."""
    op.execute("DROP INDEX of_the_tests")
'''
FAILING = '''"""Of the tests."""

from alembic import op

revision = "9002"
down_revision = "9001"


def upgrade() -> None:
    """Begin, and fail."""
    op.execute("CREATE TABLE half_done (id int)")
    op.execute("SELECT no_such_function()")


def downgrade() -> None:
    """Nothing to do."""
'''


@pytest.fixture
def with_more_migrations(tmp_path):
    """A copy of `charging` with an index that is made outside a transaction, and a failure."""
    shutil.copytree(ROOT / "charging", tmp_path / "charging")
    versions = tmp_path / "charging/database/migrations/versions"
    newest = max(file.name[:4] for file in versions.glob("[0-9]*.py"))
    (versions / "9001_of_the_tests.py").write_text(CONCURRENTLY.format(newest=newest))
    (versions / "9002_of_the_tests.py").write_text(FAILING)
    return tmp_path


def migrate_there(directory, url, *words):
    return subprocess.run(
        [sys.executable, "-m", "charging.database", *words],
        cwd=directory,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_migration_may_leave_its_transaction_and_a_failure_undoes_itself_alone(
    empty_database_url, with_more_migrations
):
    run = migrate_there(with_more_migrations, empty_database_url, "upgrade")
    assert run.returncode != 0
    assert "no_such_function" in run.stderr
    with psycopg.connect(empty_database_url) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        index = connection.execute("SELECT to_regclass('of_the_tests')::text").fetchone()
    assert revision == "9001"
    assert index == ("of_the_tests",)
    assert "half_done" not in tables(empty_database_url)
    # Nobody holds the lock any more, and the way back is open.
    run = migrate_there(with_more_migrations, empty_database_url, "downgrade", "0001")
    assert run.returncode == 0, run.stderr


@pytest.fixture
def of_an_older_version(tmp_path):
    """A copy of `charging` that knows the migrations up to 0010 alone."""
    shutil.copytree(ROOT / "charging", tmp_path / "older/charging")
    for file in (tmp_path / "older/charging/database/migrations/versions").glob("[0-9]*.py"):
        if file.name[:4] > "0010":
            file.unlink()
    return tmp_path / "older"


def test_an_older_versions_migrations_leave_a_newer_schema_as_it_is(
    empty_database_url, of_an_older_version
):
    """The way back: its migrations run before its services, wherever it is deployed."""
    run = migrate_there(of_an_older_version, empty_database_url, "upgrade")
    assert run.returncode == 0, run.stderr
    assert "newer" not in run.stdout
    newest = upgrade(empty_database_url)
    before = tables(empty_database_url)
    run = migrate_there(of_an_older_version, empty_database_url, "upgrade")
    assert run.returncode == 0, run.stderr
    assert f"the schema is at {newest}, newer than this version: it stays as it is" in run.stdout
    assert tables(empty_database_url) == before
    assert upgrade(empty_database_url) == newest
