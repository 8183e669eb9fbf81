"""Tokens that may charge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.rows import class_row

from charging.database import audit
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.identity import id_tag_key, redact
from operations.errors import ExistsError, NotFoundError, valid


@dataclass(frozen=True, slots=True)
class Token:
    """A registered token. parent: the group of tokens that may stop each other's sessions."""

    token: str
    blocked: bool
    expires_at: datetime | None
    parent: str | None
    note: str
    created_at: datetime


def add(
    connection: Connection,
    token: str,
    *,
    by: Asker,
    expires_at: datetime | None = None,
    parent: str | None = None,
    note: str = "",
) -> str:
    """Let a token charge; return the form in which it is compared.

    expires_at: aware UTC. Raises InvalidError, ExistsError.
    """
    key = valid(id_tag_key, token)
    group = valid(id_tag_key, parent) if parent else None
    with connection.transaction():
        added = connection.execute(
            "INSERT INTO tokens (id_tag, expires_at, parent_id_tag, note) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [key, expires_at, group, note],
        )
        if added.rowcount == 0:
            raise ExistsError(f"the token {redact(key)} is there already")
        audit.write(connection, by, "add_token", redact(key), {"note": note})
    return key


def set_blocked(connection: Connection, token: str, *, by: Asker, blocked: bool) -> str:
    """Block a token, or let it charge again; return its compared form.

    Raises InvalidError, NotFoundError.
    """
    key = valid(id_tag_key, token)
    with connection.transaction():
        changed = connection.execute(
            "UPDATE tokens SET blocked = %s WHERE id_tag = %s", [blocked, key]
        )
        if changed.rowcount == 0:
            raise NotFoundError(f"no token {redact(key)}; `tokens list` shows those there are")
        audit.write(connection, by, "block_token" if blocked else "unblock_token", redact(key), {})
    return key


def list_all(connection: Connection, *, reveal: bool = False) -> list[Token]:
    """Return all tokens, oldest first. reveal: whole; otherwise their ends, for they are keys."""
    with connection.cursor(row_factory=class_row(Token)) as cursor:
        tokens = cursor.execute(
            "SELECT id_tag AS token, blocked, expires_at, parent_id_tag AS parent, note, created_at"
            " FROM tokens ORDER BY created_at, id_tag"
        ).fetchall()
    if reveal:
        return tokens
    return [
        replace(token, token=redact(token.token), parent=token.parent and redact(token.parent))
        for token in tokens
    ]
