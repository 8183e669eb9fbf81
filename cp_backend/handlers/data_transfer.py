"""A vendor's own message."""

from __future__ import annotations

from cp_backend.context import Context
from cp_backend.handlers.reply import Reply, after_commit
from cp_backend.vocabulary import DataTransferAnswer, DataTransferred


def on_data_transferred(
    context: Context,
    charging_point_id: str,
    message: DataTransferred,
    reply: Reply[DataTransferAnswer],
) -> None:
    """Keep what a registered vendor sends. Source: OCPP 1.6 section 4.3."""

    def taken(answer: DataTransferAnswer) -> DataTransferAnswer:
        return answer

    context.store.data_transfers.received(charging_point_id, message, after_commit(reply, taken))
