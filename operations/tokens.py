"""Tokens that may charge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.rows import class_row

from charging.authorization import Rule
from charging.database import audit, refused_tokens
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.identity import id_tag_key, redact
from operations.errors import ExistsError, InvalidError, NotFoundError, valid

_ADOPT = "`tokens adopt NUMBER` lets it charge"
ADVICE: dict[str, str] = {
    Rule.BLOCKED: "`tokens unblock TOKEN` lets it charge again",
    Rule.EXPIRED: "`tokens set-expiry TOKEN --expires-at TIME` lets it charge until then",
    Rule.WITHOUT_TOKEN: "the charging point began by itself: let it ask for cards",
    Rule.NOT_REGISTERED: _ADOPT,
    Rule.NOT_ROAMING: f"{_ADOPT}; `evses offer` lets the hub's drivers charge there",
    Rule.HUB_REFUSED: f"its provider refuses it, or does not know it; {_ADOPT}",
    Rule.HUB_AWAY: f"`hub` shows whether the hub answers; {_ADOPT}",
}
"""Rule by which a token was refused → what to do about it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A token that was shown and may not charge. rule: why, the last time; advice: what to do."""

    number: int
    token: str
    charging_point: str
    decision: str
    rule: str
    count: int
    first_at: datetime
    last_at: datetime
    advice: str


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
        refused_tokens.forget(connection, key)
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
            raise _unknown(key)
        audit.write(connection, by, "block_token" if blocked else "unblock_token", redact(key), {})
    return key


def set_expiry(
    connection: Connection, token: str, *, by: Asker, expires_at: datetime | None
) -> str:
    """Set the time from which a token no longer charges, None for never; return its compared form.

    expires_at: aware UTC. Raises InvalidError, NotFoundError.
    """
    key = valid(id_tag_key, token)
    with connection.transaction():
        changed = connection.execute(
            "UPDATE tokens SET expires_at = %s WHERE id_tag = %s", [expires_at, key]
        )
        if changed.rowcount == 0:
            raise _unknown(key)
        detail = {"expires_at": expires_at.isoformat() if expires_at else None}
        audit.write(connection, by, "set_token_expiry", redact(key), detail)
    return key


def list_refused(
    connection: Connection,
    *,
    charging_point: str | None = None,
    limit: int = 100,
    reveal: bool = False,
) -> list[Refused]:
    """Return tokens that may not charge and were shown, the latest first. Raises InvalidError.

    reveal: as in `list_all`.
    """
    if not 1 <= limit <= refused_tokens.MOST_ROWS:
        raise InvalidError(f"--limit must be 1 to {refused_tokens.MOST_ROWS}")
    return [
        Refused(
            each.refusal_id,
            each.id_tag if reveal else redact(each.id_tag),
            each.charging_point_id,
            each.decision,
            each.rule,
            each.count,
            each.first_at,
            each.last_at,
            ADVICE.get(each.rule, ""),
        )
        for each in refused_tokens.read(connection, charging_point=charging_point, limit=limit)
    ]


def adopt(
    connection: Connection,
    number: int,
    *,
    by: Asker,
    expires_at: datetime | None = None,
    parent: str | None = None,
    note: str = "",
) -> str:
    """Let a refused token charge from now on; return the form in which it is compared.

    number: in `list_refused`. Raises InvalidError, NotFoundError, ExistsError.
    """
    refused = refused_tokens.find(connection, number)
    if refused is None:
        raise NotFoundError(f"no refused token {number}; `tokens refused` shows those there are")
    if not refused.id_tag:
        raise InvalidError(f"the token {number} could not be read: there is nothing to adopt")
    with connection.transaction():
        return add(
            connection, refused.id_tag, by=by, expires_at=expires_at, parent=parent, note=note
        )


def _unknown(key: str) -> NotFoundError:
    return NotFoundError(f"no token {redact(key)}; `tokens list` shows those there are")


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
