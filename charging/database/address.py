"""Where the database is: DATABASE_URL, or else an embedded server under var/."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from charging.database.embedded import EmbeddedServer

DATABASE_URL = "DATABASE_URL"
VNI_STATE_DIRECTORY = "VNI_STATE_DIRECTORY"


def state_directory() -> Path:
    """Return where local state lives: VNI_STATE_DIRECTORY, or ``var`` beside the packages.

    Beside the packages, so that a second clone has a database of its own.
    """
    configured = os.environ.get(VNI_STATE_DIRECTORY)
    return Path(configured) if configured else Path(__file__).resolve().parents[2] / "var"


@contextmanager
def database() -> Iterator[str]:
    """Yield the address of a running database whose schema is up to date.

    With DATABASE_URL set, that database is used as it is: migrations are a deliberate step in
    production (`python -m charging.database upgrade`). With it unset, an embedded server is
    started, or shared, and migrated; it stops when the last program using it leaves.
    """
    configured = os.environ.get(DATABASE_URL)
    if configured:
        yield configured
        return
    # Imported late: production images hold neither the embedded server nor a reason to migrate.
    from charging.database.migrate import upgrade

    with EmbeddedServer(state_directory() / "postgres") as url:
        upgrade(url)
        yield url
