"""A vendor's own message."""

from __future__ import annotations

from cp_backend.handlers.desk import Desk, Reply
from cp_backend.ocpp.vocabulary import DataTransferAnswer, DataTransferred


def on_data_transferred(
    desk: Desk, charging_point_id: str, said: DataTransferred, reply: Reply
) -> None:
    """Say that we do not know this vendor. Source: OCPP 1.6 section 4.3."""
    reply.answer(DataTransferAnswer("UnknownVendorId"))
