"""Users of the database: the services' own, who reads and writes rows, and a second database's."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from charging.database.connection import Limits, connect

_ROWS = "SELECT, INSERT, UPDATE, DELETE"
_LIMITS = Limits(connect=10, statement=None)


def grant(url: str, user: str, password: str) -> None:
    """Make the user, or bring its password up to date, and let it read and write rows.

    url: the address that the schema's owner uses. What a later migration makes is covered too.
    Raises psycopg.Error; then nothing has changed. See docs/decisions/0007-two-database-users.md.
    """
    name = sql.Identifier(user)
    with connect(url, "grant", _LIMITS) as connection, connection.transaction():
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,)).fetchone()
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                sql.SQL("ALTER" if known else "CREATE"), name, sql.Literal(password)
            )
        )
        for statement in (
            "GRANT USAGE ON SCHEMA public TO {}",
            f"GRANT {_ROWS} ON ALL TABLES IN SCHEMA public TO {{}}",
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {_ROWS} ON TABLES TO {{}}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO {}",
        ):
            connection.execute(sql.SQL(statement).format(name))


def create(url: str, name: str, user: str, password: str) -> str:
    """Make a second database on the same server, owned by a user that has nothing else there.

    url: the address that a user who may make databases and roles uses. Return the address that
    the new database's owner uses. Safe to repeat; the password is brought up to date. Raises
    psycopg.Error.
    """
    database, owner = sql.Identifier(name), sql.Identifier(user)
    with connect(url, "create", _LIMITS) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,)).fetchone()
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                sql.SQL("ALTER" if known else "CREATE"), owner, sql.Literal(password)
            )
        )
        there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if not there.fetchone():
            # Whoever makes a database for a role must be a member of it, unless a superuser.
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    parts = conninfo_to_dict(url)
    kept = {key: str(parts[key]) for key in ("host", "port", "sslmode") if parts.get(key)}
    return f"postgresql://{quote(user)}:{quote(password)}@/{quote(name)}?{urlencode(kept)}"
