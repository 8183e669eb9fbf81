"""Users of the database: the services' own, the console's, and a second database's."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from charging.database.connection import Connection, Limits, connect

_ROWS = "SELECT, INSERT, UPDATE, DELETE"
_LIMITS = Limits(connect=10, statement=None)
CONSOLE_STATEMENT_TIMEOUT = "2s"
"""What the console's user is given where a connection asks for no other."""

CONSOLE_WRITES = {
    # What is asked of charging points and of the hub.
    "commands": "INSERT, UPDATE",
    "jobs": "INSERT, UPDATE",
    "job_items": "INSERT, UPDATE",
    "local_lists": "INSERT",
    "deliveries": "INSERT, UPDATE, DELETE",
    "hub_queues": "INSERT, UPDATE",
    "hub_sessions": "UPDATE",
    "events": "INSERT, UPDATE",
    "notices": "INSERT",
    "file_links": "INSERT, UPDATE",
    # What is decided about charging points, cards and what they reported.
    "charging_points": "INSERT, UPDATE",
    "other_passwords": "INSERT, DELETE",
    "tokens": "INSERT, UPDATE",
    "refused_tokens": "DELETE",
    "evses": "INSERT, UPDATE",
    "evse_details": "INSERT, UPDATE",
    "setting_templates": "INSERT, UPDATE, DELETE",
    "sessions": "UPDATE",
    "session_corrections": "INSERT",
    "unassigned_facts": "UPDATE",
    "tariffs": "INSERT",
    "price_products": "INSERT, UPDATE, DELETE",
    "data_vendors": "INSERT, UPDATE, DELETE",
    # Who asks, and that they did: nobody changes or removes what the audit has.
    "people": "INSERT, UPDATE",
    "person_sessions": "INSERT, UPDATE, DELETE",
    "sign_in_failures": "INSERT, DELETE",
    "api_keys": "INSERT, UPDATE",
    "audit": "INSERT",
}
"""Table → what the console may do there besides reading; every other table it only reads."""


def grant(url: str, user: str, password: str) -> None:
    """Make the user, or bring its password up to date, and let it read and write rows.

    url: the address that the schema's owner uses. What a later migration makes is covered too.
    Raises psycopg.Error; then nothing has changed. See docs/decisions/0007-two-database-users.md.
    """
    with connect(url, "grant", _LIMITS) as connection, connection.transaction():
        name = _made(connection, user, password)
        for statement in (
            "GRANT USAGE ON SCHEMA public TO {}",
            f"GRANT {_ROWS} ON ALL TABLES IN SCHEMA public TO {{}}",
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {_ROWS} ON TABLES TO {{}}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO {}",
        ):
            connection.execute(sql.SQL(statement).format(name))


def grant_console(url: str, user: str, password: str) -> None:
    """Make the console's user: it reads, and writes where somebody decides (`CONSOLE_WRITES`).

    Readings, bills, the message log and what nodes keep it cannot change, nor the audit's rows;
    what a later version took from the list is taken from it. url: as of `grant`. Raises
    psycopg.Error; then nothing has changed. See docs/decisions/0114-the-consoles-user.md.
    """
    with connect(url, "grant", _LIMITS) as connection, connection.transaction():
        name = _made(connection, user, password)
        connection.execute(
            sql.SQL("ALTER ROLE {} SET statement_timeout = {}").format(
                name, sql.Literal(CONSOLE_STATEMENT_TIMEOUT)
            )
        )
        for statement in (
            "GRANT USAGE ON SCHEMA public TO {}",
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}",
            # With it the hashes that stand for erased cards and logged ones could be guessed back.
            "REVOKE ALL ON hash_keys FROM {}",
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO {}",
        ):
            connection.execute(sql.SQL(statement).format(name))
        for table, rights in CONSOLE_WRITES.items():
            connection.execute(
                sql.SQL(f"GRANT {rights} ON {{}} TO {{}}").format(sql.Identifier(table), name)
            )


def _made(connection: Connection, user: str, password: str) -> sql.Identifier:
    """Make a user, or bring its password up to date; return its name."""
    name = sql.Identifier(user)
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,)).fetchone()
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
            sql.SQL("ALTER" if known else "CREATE"), name, sql.Literal(password)
        )
    )
    return name


def create(url: str, name: str, user: str, password: str) -> str:
    """Make a second database on the same server, owned by a user that has nothing else there.

    url: the address that a user who may make databases and roles uses. Return the address that
    the new database's owner uses. Safe to repeat; the password is brought up to date. Raises
    psycopg.Error.
    """
    database = sql.Identifier(name)
    with connect(url, "create", _LIMITS) as connection:
        owner = _made(connection, user, password)
        there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if not there.fetchone():
            # Whoever makes a database for a role must be a member of it, unless a superuser.
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    parts = conninfo_to_dict(url)
    kept = {key: str(parts[key]) for key in ("host", "port", "sslmode") if parts.get(key)}
    return f"postgresql://{quote(user)}:{quote(password)}@/{quote(name)}?{urlencode(kept)}"
