"""Who may charge: the decision over a local token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AuthorizationStatus(StrEnum):
    """What a token's bearer is told. Source: OCPP 1.6 section 7.2 AuthorizationStatus."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the operator registered it. expires_at: aware UTC, None for never."""

    id_tag: str
    blocked: bool = False
    expires_at: datetime | None = None
    parent_id_tag: str | None = None


@dataclass(frozen=True, slots=True)
class Authorization:
    """The answer to "may this token charge?"."""

    status: AuthorizationStatus
    expires_at: datetime | None = None
    parent_id_tag: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the bearer may charge."""
        return self.status is AuthorizationStatus.ACCEPTED


def authorize(token: Token | None, now: datetime) -> Authorization:
    """Decide over a token; None is a token nobody registered.

    now: aware UTC. A token is expired from the very instant `expires_at`.
    """
    if token is None:
        return Authorization(AuthorizationStatus.INVALID)
    if token.blocked:
        status = AuthorizationStatus.BLOCKED
    elif token.expires_at is not None and token.expires_at <= now:
        status = AuthorizationStatus.EXPIRED
    else:
        status = AuthorizationStatus.ACCEPTED
    return Authorization(status, token.expires_at, token.parent_id_tag)
