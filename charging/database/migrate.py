"""Bring a database's schema up (or down) with Alembic, one program at a time."""

from __future__ import annotations

import time
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

# Any constant will do, as long as it is ours alone.
_ADVISORY_LOCK = 0x564E49
_ASK_AGAIN_SECONDS = 0.2


def upgrade(url: str, revision: str = "head") -> str:
    """Bring the schema up to a revision; a second program waits and finds it done.

    Return the newest revision that the schema has. A schema that has a newer one than the newest
    known here is left as it is: the services of this version run on it, as each migration is made
    (docs/decisions/0046), and going back to them must not end at their own migrations.

    url: a libpq address, ``postgresql://…``. Raises sqlalchemy.exc.OperationalError when the
    database cannot be reached.

    Each migration is a transaction of its own, so that one may leave it for what PostgreSQL does
    only outside, such as an index on a table that is in use:
    ``with op.get_context().autocommit_block(): op.execute("CREATE INDEX CONCURRENTLY …")``.
    A migration that fails leaves those before it done.
    """
    return _migrate(url, revision, up=True)


def downgrade(url: str, revision: str) -> None:
    """Take the schema down to a revision (``base`` empties the database)."""
    _migrate(url, revision, up=False)


def is_known(revision: str) -> bool:
    """Return whether a revision is one of the migrations here, none included (an empty text)."""
    return revision <= newest_known()


def newest_known() -> str:
    """Return the newest revision of the migrations here."""
    return str(ScriptDirectory.from_config(_configuration()).get_current_head())


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option(
        "script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%")
    )
    return configuration


def _migrate(url: str, revision: str, *, up: bool) -> str:
    configuration = _configuration()
    engine = sqlalchemy.create_engine(
        url.replace("postgres://", "postgresql://", 1).replace(
            "postgresql://", "postgresql+psycopg://", 1
        ),
        poolclass=sqlalchemy.NullPool,
    )
    with engine.connect() as connection:
        _wait_for_turn(connection)
        configuration.attributes["connection"] = connection
        if not up or is_known(_current(connection)):
            (command.upgrade if up else command.downgrade)(configuration, revision)
        current = _current(connection)
    engine.dispose()
    return current


def _wait_for_turn(connection: sqlalchemy.Connection) -> None:
    """Take the lock of migrations, of the session: migrations have transactions of their own.

    Asked for again and again: a statement that waits for it is what CREATE INDEX CONCURRENTLY of
    the program that has it would wait for.
    """
    taken = sqlalchemy.text("SELECT pg_try_advisory_lock(:key)")
    while not connection.execute(taken, {"key": _ADVISORY_LOCK}).scalar():
        connection.commit()
        time.sleep(_ASK_AGAIN_SECONDS)
    connection.commit()


def _current(connection: sqlalchemy.Connection) -> str:
    """Return the newest revision that the schema has; an empty text where it has none."""
    heads = MigrationContext.configure(connection).get_current_heads()
    connection.commit()
    return max(heads, default="")
