"""Counts tokens that may not charge."""

from __future__ import annotations

from charging.authorization import Authorization
from charging.database import refused_tokens
from charging.database.refused_tokens import CountedToken
from charging.token import Token
from cp_backend.committer import Committer
from cp_backend.counts import Counts

FLUSH_SECONDS = 1.0
MAX_TOKENS = 5_000
"""Counted between two writes; further ones are passed over."""


class RefusedTokens(Counts[tuple[str, str], Authorization, CountedToken]):
    """Refusals by token and charging point, each with the last decision."""

    def __init__(self, lookups: Committer) -> None:
        super().__init__(
            lookups,
            refused_tokens.record,
            lambda key, count, each: CountedToken(
                *key, each.decision.value, each.rule.value, count
            ),
            most=MAX_TOKENS,
            seconds=FLUSH_SECONDS,
        )

    def note(self, charging_point_id: str, token: Token, authorization: Authorization) -> None:
        """Count one. A token that could not be read counts too, as an empty one."""
        self.add((token.value, charging_point_id), authorization)
