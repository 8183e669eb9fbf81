"""Who may charge: the decision over a local token, and asking the roaming hub about others.

A question to the hub is a row of `authorizations`: asked → answered, or expired when nobody
answered by its deadline. charging-point-backend asks, the relay of third-party-backend answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

AUTHORIZATIONS_CHANNEL = "authorizations"
"""NOTIFY channel that wakes the relay; the payload is empty."""

AUTHORIZATION_ANSWERS_CHANNEL = "authorization_answers"
"""NOTIFY channel that wakes whoever asked; the payload is the authorization's id."""

ASKABLE_SECONDS = 20
"""The hub can be asked while a worker of the queue of that name has beaten so lately."""


class AuthorizationKind(StrEnum):
    """What is asked: may it begin a session, may it end that of another token?

    The value is also the name of the row in `hub_queues` whose worker answers.
    """

    START = "authorize-start"
    STOP = "authorize-stop"


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
    stranger: bool = False
    """Nobody here knows the token: the roaming hub may."""

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
