"""Keys of programs that use the API: shown once, kept as a digest, each with a role."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from charging.database import audit
from charging.database.audit import Asker
from charging.database.connection import Connection
from operations.errors import InvalidError, NotFoundError
from operations.people import Role

PREFIX = "vni_"
"""So that a key that stands where it should not is found by those who look for such."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key. revoked_at: None while it opens the API."""

    api_key: int
    name: str
    role: str
    created_by: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API: the key's number and role, and how the audit names it."""

    api_key: int
    role: Role
    asker: Asker


def add(connection: Connection, name: str, role: str, *, by: Asker) -> str:
    """Make a key and return it; it is kept nowhere. Raises InvalidError."""
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise InvalidError("a key's name has 1 to 100 printable characters")
    if role not in list(Role):
        raise InvalidError(f"{role!r} is none of {', '.join(Role)}")
    key = PREFIX + secrets.token_urlsafe(32)
    with connection.transaction():
        connection.execute(
            "INSERT INTO api_keys (digest, name, role, created_by) VALUES (%s, %s, %s, %s)",
            [_digest(key), name, role, by.person],
        )
        audit.write(connection, by, "add_api_key", name, {"role": role})
    return key


def list_all(connection: Connection) -> list[ApiKey]:
    """Return all keys, the oldest first."""
    with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(
            "SELECT api_key_id AS api_key, name, role, created_by, created_at, revoked_at"
            " FROM api_keys ORDER BY api_key_id"
        ).fetchall()


def revoke(connection: Connection, api_key: int, *, by: Asker) -> None:
    """Let a key open nothing any more. Raises NotFoundError."""
    with connection.transaction():
        row = connection.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE api_key_id = %s AND revoked_at IS NULL"
            " RETURNING name",
            [api_key],
        ).fetchone()
        if row is None:
            raise NotFoundError(f"no key {api_key} that could be revoked; `api-keys list` has all")
        audit.write(connection, by, "revoke_api_key", row[0], {"api_key": api_key})


def caller(connection: Connection, key: str) -> Caller | None:
    """Return whose key it is; None: nobody's, or no longer."""
    row = connection.execute(
        "SELECT api_key_id, role, name FROM api_keys WHERE digest = %s AND revoked_at IS NULL",
        [_digest(key)],
    ).fetchone()
    return Caller(row[0], Role(row[1]), Asker(row[2], "API")) if row else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
