"""Where the database is: DATABASE_URL or its parts, or else an embedded server under var/."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from charging.database.embedded import EmbeddedServer

DATABASE_URL = "DATABASE_URL"
# The parts that a container gets when the password comes from a secret of its own.
DATABASE_HOST = "DATABASE_HOST"
DATABASE_PORT = "DATABASE_PORT"
DATABASE_NAME = "DATABASE_NAME"
DATABASE_USER = "DATABASE_USER"
DATABASE_PASSWORD = "DATABASE_PASSWORD"  # noqa: S105 - a variable's name
# Who else may use the database: the services, when the owner migrates it for them.
APPLICATION_USER = "APPLICATION_USER"
APPLICATION_PASSWORD = "APPLICATION_PASSWORD"  # noqa: S105 - a variable's name
VNI_STATE_DIRECTORY = "VNI_STATE_DIRECTORY"


def state_directory() -> Path:
    """Return where local state lives: VNI_STATE_DIRECTORY, or ``var`` beside the packages.

    Beside the packages, so that a second clone has a database of its own.
    """
    configured = os.environ.get(VNI_STATE_DIRECTORY)
    return Path(configured) if configured else Path(__file__).resolve().parents[2] / "var"


def configured_url() -> str | None:
    """Return the address that the environment names, or None: use the embedded server.

    DATABASE_URL wins; otherwise DATABASE_HOST and its companions are put together, and TLS is
    demanded, since those come from a cloud.
    """
    if url := os.environ.get(DATABASE_URL):
        return url
    if host := os.environ.get(DATABASE_HOST):
        user = quote(os.environ.get(DATABASE_USER, "postgres"), safe="")
        password = quote(os.environ.get(DATABASE_PASSWORD, ""), safe="")
        port = os.environ.get(DATABASE_PORT, "5432")
        name = quote(os.environ.get(DATABASE_NAME, "vni"), safe="")
        return f"postgresql://{user}:{password}@{host}:{port}/{name}?sslmode=require"
    return None


def application_user() -> tuple[str, str]:
    """Return name and password of the services' user. Raises ValueError where one is missing."""
    user = os.environ.get(APPLICATION_USER)
    password = os.environ.get(APPLICATION_PASSWORD)
    if not user or not password:
        raise ValueError(f"set {APPLICATION_USER} and {APPLICATION_PASSWORD}, or omit --grant")
    return user, password


@contextmanager
def database() -> Iterator[str]:
    """Yield the address of a running database whose schema is up to date.

    With DATABASE_URL (or DATABASE_HOST and its companions) set, that database is used as it is:
    migrations are a deliberate step in production (`python -m charging.database upgrade`). With it
    unset, an embedded server is
    started, or shared, and migrated; it stops when the last program using it leaves.
    """
    if configured := configured_url():
        yield configured
        return
    # Imported late: production images hold neither the embedded server nor a reason to migrate.
    from charging.database.migrate import upgrade

    with EmbeddedServer(state_directory() / "postgres") as url:
        upgrade(url)
        yield url
