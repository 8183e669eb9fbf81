"""The services' own user of the database."""

import os
import subprocess
import sys

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from charging.database.grant import CONSOLE_WRITES, grant_console
from scripts.world import Node
from tests.station import Station


@pytest.fixture
def services_user(server_url, database_url, worker_id):
    """A name for the user; it goes after the test."""
    name = f"services_{worker_id}"
    yield name
    role = sql.Identifier(name)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def upgrade_and_grant(url, **variables):
    return subprocess.run(
        [sys.executable, "-m", "charging.database", "upgrade", "--grant"],
        env={**os.environ, "DATABASE_URL": url, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def as_user(url, name):
    return make_conninfo(**{**conninfo_to_dict(url), "user": name, "password": "first"})


def test_the_services_run_with_rows_and_nothing_more(database_url, services_user, tmp_path):
    for password in ("first", "second"):
        run = upgrade_and_grant(
            database_url, APPLICATION_USER=services_user, APPLICATION_PASSWORD=password
        )
        assert run.returncode == 0, run.stderr
        assert f"{services_user} may read and write rows" in run.stdout
        assert password not in run.stdout + run.stderr
    with psycopg.connect(as_user(database_url, services_user), autocommit=True) as connection:
        connection.execute("INSERT INTO tokens (id_tag) VALUES ('04AA')")
        connection.execute("DELETE FROM tokens")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE tokens")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE more (id int)")
    parts = conninfo_to_dict(database_url)
    url = f"postgresql://{services_user}@/{parts['dbname']}?host={parts['host']}"
    node = Node(url, tmp_path / "node.log", (), {"admit_unknown": "true"})
    try:
        node.program.wait_until_ready(f"http://127.0.0.1:{node.port}/health/ready")
        with Station(node.port, "CP0001") as station:
            assert station.boot()["status"] == "Accepted"
    finally:
        node.program.stop()


def test_the_consoles_user_writes_where_somebody_decides_and_nowhere_else(
    database_url, services_user
):
    run = subprocess.run(
        [sys.executable, "-m", "charging.database", "upgrade", "--grant-console"],
        env={
            **os.environ,
            "DATABASE_URL": database_url,
            "APPLICATION_USER": services_user,
            "APPLICATION_PASSWORD": "first",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("GRANT DELETE ON bills TO {}").format(sql.Identifier(services_user)))
    grant_console(database_url, services_user, "first")  # an older version gave it more
    with psycopg.connect(as_user(database_url, services_user), autocommit=True) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("2s",)
        tables = [
            table
            for (table,) in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall()
        ]
        assert set(CONSOLE_WRITES) < set(tables)
        for table in tables:
            rights = {
                right
                for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
                if connection.execute(
                    "SELECT has_table_privilege(%s, %s)", (table, right)
                ).fetchone()
                == (True,)
            }
            reads = set() if table == "hash_keys" else {"SELECT"}
            written = set(CONSOLE_WRITES.get(table, "").split(", ")) - {""}
            assert rights == reads | written, table
        for kept in ("meter_values", "bills", "messages", "energy_audits"):
            assert kept in tables
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(kept)))


def test_what_is_missing_is_said(database_url):
    run = upgrade_and_grant(database_url, APPLICATION_USER="somebody", APPLICATION_PASSWORD="")
    assert run.returncode == 2
    assert "set APPLICATION_USER and APPLICATION_PASSWORD, or omit --grant" in run.stderr
