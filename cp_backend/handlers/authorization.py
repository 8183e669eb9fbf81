"""A token is shown."""

from __future__ import annotations

from charging.authorization import Authorization
from cp_backend.context import Context
from cp_backend.handlers.decisions import Shown, note_decision
from cp_backend.handlers.reply import Reply, after_commit, or_fail
from cp_backend.vocabulary import TokenPresented


def on_token_presented(
    context: Context, charging_point_id: str, message: TokenPresented, reply: Reply[Authorization]
) -> None:
    """Answer whether its bearer may charge; the roaming hub is asked about unknown cards."""

    def answer(authorization: Authorization) -> Authorization:
        note_decision(context, charging_point_id, message.token, Shown.ASKING, authorization)
        return authorization

    on_result = after_commit(reply, answer)

    def decided(result: Authorization | Exception) -> None:
        if isinstance(result, Exception) or not context.hub.may_ask(result, message.token):
            on_result(result)
        else:
            context.hub.ask(charging_point_id, message.token, on_result)

    context.store.authorizations.shown(charging_point_id, message.token, or_fail(reply, decided))
