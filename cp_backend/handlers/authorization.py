"""Somebody shows a token."""

from __future__ import annotations

from charging.authorization import Authorization
from cp_backend.handlers.desk import Desk, Reply, after_commit, or_fail
from cp_backend.ocpp.vocabulary import TokenPresented


def on_token_presented(
    desk: Desk, charging_point_id: str, said: TokenPresented, reply: Reply
) -> None:
    """Say whether its bearer may charge; the roaming hub is asked about cards of others."""
    told = after_commit(reply, lambda authorization: authorization)

    def decided(result: Authorization | Exception) -> None:
        if isinstance(result, Authorization) and desk.roaming.may_ask(result, said.id_tag):
            desk.roaming.ask(charging_point_id, said.id_tag, told)
        else:
            told(result)

    desk.store.authorize(charging_point_id, said.id_tag, or_fail(reply, decided))
