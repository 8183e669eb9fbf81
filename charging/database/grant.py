"""Let the services' own user read and write rows, and no more."""

from __future__ import annotations

import psycopg
from psycopg import sql

_ROWS = "SELECT, INSERT, UPDATE, DELETE"


def grant(url: str, user: str, password: str) -> None:
    """Make the user, or bring its password up to date, and let it read and write rows.

    url: the address that the schema's owner uses. What a later migration makes is covered too.
    Raises psycopg.Error; then nothing has changed. See docs/decisions/0007-two-database-users.md.
    """
    name = sql.Identifier(user)
    with psycopg.connect(url) as connection:
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
