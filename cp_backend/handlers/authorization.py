"""Somebody shows a token."""

from __future__ import annotations

from charging.authorization import Authorization
from cp_backend.handlers.desk import Desk, Reply, after_commit
from cp_backend.ocpp.vocabulary import TokenPresented


def on_token_presented(
    desk: Desk, charging_point_id: str, said: TokenPresented, reply: Reply
) -> None:
    """Say whether its bearer may charge."""

    def answer(authorization: Authorization) -> Authorization:
        return authorization

    desk.store.authorize(charging_point_id, said.id_tag, after_commit(reply, answer))
