"""Decisions over tokens, kept for people with the rule that made them."""

from __future__ import annotations

from enum import StrEnum

from charging.authorization import Authorization
from charging.database.messages import Direction
from charging.token import Token
from cp_backend.context import Context


class Shown(StrEnum):
    """For what a token was shown."""

    ASKING = "asking"
    """Before anything begins or ends; which of them is not said."""
    START = "start"
    STOP = "stop"


def note_decision(
    context: Context,
    charging_point_id: str,
    token: Token,
    shown: Shown,
    authorization: Authorization,
) -> None:
    """Keep what was decided and why in the message log; count a token that may not charge."""
    context.message_log.note(
        charging_point_id,
        Direction.NODE,
        "decision",
        action=shown.value,
        outcome=f"{authorization.decision.value}: {authorization.rule.value}",
        payload={"token": token.value},
    )
    if not authorization.accepted:
        context.refused_tokens.note(charging_point_id, token, authorization)
