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
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
        )
        configuration.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(configuration, revision)
    engine.dispose()
