"""Bring a database's schema up (or down) with Alembic, one program at a time."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config

# Any constant will do, as long as it is ours alone.
_ADVISORY_LOCK = 0x564E49


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema up to a revision; a second program waits and finds it done.

    url: a libpq address, ``postgresql://…``. Raises sqlalchemy.exc.OperationalError when the
    database cannot be reached.

    Each migration is a transaction of its own, so that one may leave it for what PostgreSQL does
    only outside, such as an index on a table that is in use:
    ``with op.get_context().autocommit_block(): op.execute("CREATE INDEX CONCURRENTLY …")``.
    A migration that fails leaves those before it done.
    """
    _migrate(url, revision, up=True)


def downgrade(url: str, revision: str) -> None:
    """Take the schema down to a revision (``base`` empties the database)."""
    _migrate(url, revision, up=False)


def _migrate(url: str, revision: str, *, up: bool) -> None:
    configuration = Config()
    configuration.set_main_option(
        "script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%")
    )
    engine = sqlalchemy.create_engine(
        url.replace("postgres://", "postgresql://", 1).replace(
            "postgresql://", "postgresql+psycopg://", 1
        ),
        poolclass=sqlalchemy.NullPool,
    )
    with engine.connect() as connection:
        # Of the session, which ends with the connection: migrations have transactions of their own.
        connection.execute(
            sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK}
        )
        connection.commit()
        configuration.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(configuration, revision)
    engine.dispose()
