"""Databases for tests: their addresses, and some that are made and dropped again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo


def with_database(url: str, name: str) -> str:
    """Return the address of another database on the same server, in URL form."""
    parts = conninfo_to_dict(make_conninfo(url))
    host = str(parts.get("host", ""))
    user = str(parts.get("user", "postgres"))
    password = f":{parts['password']}" if parts.get("password") else ""
    if host.startswith("/"):
        port = f"&port={parts['port']}" if parts.get("port") else ""
        return f"postgresql://{user}{password}@/{name}?host={quote(host, safe='/')}{port}"
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{user}{password}@{host}{port}/{name}"


@contextmanager
def new_database(server_url: str, purpose: str) -> Iterator[str]:
    """Yield the address of an empty database, which is dropped afterwards.

    Its name carries the process id: two test runs may share a server.
    """
    name = sql.Identifier(f"{purpose}_{os.getpid()}")
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
    try:
        yield with_database(server_url, f"{purpose}_{os.getpid()}")
    finally:
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
