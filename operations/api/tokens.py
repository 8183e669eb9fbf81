"""Tokens that may charge, and those that were refused."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import AwareDatetime, Field

from charging.database.audit import Asker
from charging.database.connection import Connection
from operations import erasure, search, tokens
from operations.api.endpoints import Body, Query, endpoint
from operations.erasure import Erased
from operations.people import Role
from operations.search import PAGE, FoundToken, Page
from operations.tokens import Refused


class TokenQuery(Query):
    """Part of a token, of its group or of its note; after: the key of the page before."""

    text: str = Field("", max_length=search.MAX_TEXT)
    after: str = ""
    limit: int = Field(PAGE, ge=1, le=1000)


class NewToken(Body):
    """A token that may charge. group: of tokens that may stop each other's sessions."""

    token: str
    expires_at: AwareDatetime | None = None
    group: str | None = None
    note: str = Field("", max_length=200)


class TokenChange(Body):
    """Whether it is blocked."""

    blocked: bool


@dataclass(frozen=True)
class TokenKey:
    """A token as it is compared: upper case."""

    token: str


@endpoint("GET", "/tokens")
def list_tokens(connection: Connection, query: TokenQuery) -> Page[FoundToken]:
    """List registered tokens, a page of them."""
    return search.tokens(connection, **query.model_dump())


@endpoint("POST", "/tokens", Role.OPERATOR, status=201)
def add_token(connection: Connection, by: Asker, body: NewToken) -> TokenKey:
    """Let a token charge."""
    return TokenKey(
        tokens.add(
            connection,
            body.token,
            by=by,
            expires_at=body.expires_at,
            parent=body.group,
            note=body.note,
        )
    )


@endpoint("PUT", "/tokens/{token}/blocked", Role.OPERATOR, status=204)
def set_token_blocked(connection: Connection, by: Asker, token: str, body: TokenChange) -> None:
    """Block a token, or let it charge again."""
    tokens.set_blocked(connection, token, by=by, blocked=body.blocked)


class Expiry(Body):
    """From when it no longer charges; null: never."""

    expires_at: AwareDatetime | None


class RefusedQuery(Query):
    """Where; everywhere, where no charging point is given."""

    charging_point: str | None = None
    limit: int = Field(100, ge=1, le=1000)


class Adoption(Body):
    """What is noted of a refused token that may charge from now on."""

    expires_at: AwareDatetime | None = None
    group: str | None = None
    note: str = Field("", max_length=200)


@endpoint("PUT", "/tokens/{token}/expiry", Role.OPERATOR, status=204)
def set_token_expiry(connection: Connection, by: Asker, token: str, body: Expiry) -> None:
    """Set when a token ends."""
    tokens.set_expiry(connection, token, by=by, expires_at=body.expires_at)


class Erasure(Body):
    """forget_local_lists: erase it although charging points have it in their local lists."""

    forget_local_lists: bool = False


@endpoint("POST", "/tokens/{token}/erasure", Role.ADMINISTRATOR)
def erase_token(connection: Connection, by: Asker, token: str, body: Erasure) -> Erased:
    """Erase a card from every table: a keyed hash takes its place; sessions and bills stay."""
    return erasure.erase_token(connection, token, by=by, forget_local_lists=body.forget_local_lists)


@endpoint("GET", "/refused-tokens")
def list_refused_tokens(connection: Connection, query: RefusedQuery) -> list[Refused]:
    """List tokens that were shown and may not charge, why, and what to do."""
    return tokens.list_refused(connection, **query.model_dump())


@endpoint("POST", "/refused-tokens/{refusal}/adopt", Role.OPERATOR, status=201)
def adopt_refused_token(
    connection: Connection, by: Asker, refusal: int, body: Adoption
) -> TokenKey:
    """Let a refused token charge from now on."""
    key = tokens.adopt(
        connection,
        refusal,
        by=by,
        expires_at=body.expires_at,
        parent=body.group,
        note=body.note,
    )
    return TokenKey(key)
