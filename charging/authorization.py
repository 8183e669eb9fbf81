"""Who may charge: the decision over a local token, and asking the roaming hub about others.

A question to the hub is a row of `authorizations`: asked → answered, or expired when nobody
answered by its deadline. charging-point-backend asks, the relay of third-party-backend answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from charging.token import Token, TokenKind

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


class Decision(StrEnum):
    """May a token's bearer charge? What a session began, or ended, with is kept with it."""

    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    """By the operator."""
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    """Nobody here knows the token: the roaming hub may."""
    REFUSED = "refused"
    """Nobody lets it charge: the hub was asked, or is not to be asked here."""


class Rule(StrEnum):
    """Why a decision was made, for whoever asks later."""

    REGISTERED = "registered here"
    BLOCKED = "blocked by an operator"
    EXPIRED = "expired"
    HUB_SESSION = "a session of the roaming hub was made for it"
    ADMITTED = "tokens that are not registered are admitted"
    FREE = "charging is free there"
    WITHOUT_TOKEN = "no token was shown, and charging is not free there"  # noqa: S105
    NOT_REGISTERED = "not registered, and nothing that the roaming hub could know"
    NOT_ROAMING = "not registered, and no EVSE there is offered for roaming"
    HUB_ACCEPTED = "the roaming hub lets it charge"
    HUB_REFUSED = "not registered, and the roaming hub refuses it"
    HUB_AWAY = "not registered, and the roaming hub could not be asked in time"
    CONTRACT_UNCHECKED = "its contract's certificate could not be checked"
    CONTRACT_REFUSED = "its contract's certificate is not good"
    AS_BEFORE = "decided when it was reported first"


@dataclass(frozen=True, slots=True)
class RegisteredToken:
    """A token as the operator registered it. expires_at: aware UTC, None for never."""

    id_tag: str
    blocked: bool = False
    expires_at: datetime | None = None
    parent_id_tag: str | None = None


@dataclass(frozen=True, slots=True)
class HubGrant:
    """What the hub's open sessions at a charging point allow a token.

    may_begin: one waits for it. may_end: one that charges may be ended with it. group: shows a
    charging point that one card may end what another began; None where no card began it.
    """

    may_begin: bool
    may_end: bool
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Authorization:
    """The answer to "may this token charge?". rule: why; the first that applied."""

    decision: Decision
    expires_at: datetime | None = None
    parent_id_tag: str | None = None
    rule: Rule = Rule.NOT_REGISTERED

    @property
    def accepted(self) -> bool:
        """Whether the bearer may charge."""
        return self.decision is Decision.ACCEPTED

    def as_before(self, decision: Decision) -> Authorization:
        """Return the decision that was made first, with what else is known now."""
        rule = self.rule if decision is self.decision else Rule.AS_BEFORE
        return replace(self, decision=decision, rule=rule)


def decide(
    token: Token,
    registered: RegisteredToken | None,
    grant: HubGrant | None,
    now: datetime,
    *,
    begin: bool,
    end: bool,
    admit_unknown: bool,
) -> Authorization:
    """Decide whether a token may begin, or end, a session at a charging point.

    registered, grant: what is known of it, None for nothing. now: aware UTC. begin, end: for
    what it is shown; both when the charging point does not say. admit_unknown: tokens of which
    nothing is known may charge.

    A registered token is the operator's to decide, whatever the hub allows. A token that was
    made for a session of the hub is good for that session only.
    """
    if registered is not None:
        return authorize(registered, now)
    if grant is not None and ((begin and grant.may_begin) or (end and grant.may_end)):
        return Authorization(Decision.ACCEPTED, parent_id_tag=grant.group, rule=Rule.HUB_SESSION)
    if admit_unknown and token.kind is not TokenKind.HUB_SESSION:
        return Authorization(Decision.ACCEPTED, rule=Rule.ADMITTED)
    return Authorization(Decision.UNKNOWN)


def authorize(token: RegisteredToken, now: datetime) -> Authorization:
    """Decide over a token of ours. now: aware UTC; it is expired from the instant `expires_at`."""
    if token.blocked:
        decision, rule = Decision.BLOCKED, Rule.BLOCKED
    elif token.expires_at is not None and token.expires_at <= now:
        decision, rule = Decision.EXPIRED, Rule.EXPIRED
    else:
        decision, rule = Decision.ACCEPTED, Rule.REGISTERED
    return Authorization(decision, token.expires_at, token.parent_id_tag, rule)
