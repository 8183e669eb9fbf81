"""A vendor's own message."""

from __future__ import annotations

from cp_backend.context import Context
from cp_backend.handlers.reply import Reply
from cp_backend.vocabulary import DataTransferAnswer, DataTransferred


def on_data_transferred(
    context: Context,
    charging_point_id: str,
    message: DataTransferred,
    reply: Reply[DataTransferAnswer],
) -> None:
    """Answer that we do not know this vendor. Source: OCPP 1.6 section 4.3."""
    reply.answer(DataTransferAnswer.UNKNOWN_VENDOR)
