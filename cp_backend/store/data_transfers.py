"""Vendors' own messages: those of registered vendors are kept, all others are told so."""

from __future__ import annotations

from collections.abc import Sequence

from charging.database.connection import AsyncCursor
from cp_backend.committer import Committer, OnResult
from cp_backend.store.notices import keep_notices
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import (
    DataTransferAnswer,
    DataTransferred,
    JsonObject,
    Notice,
    NoticeKind,
)


class DataTransfers:
    """Takes vendors' own messages."""

    def __init__(self, facts: Committer) -> None:
        self._facts = facts

    def received(
        self,
        charging_point_id: str,
        message: DataTransferred,
        on_result: OnResult[DataTransferAnswer],
    ) -> None:
        """Keep a message, if its vendor and its kind are registered."""
        submission = Submission(charging_point_id, message)
        self._facts.submit(receive_data, submission, on_result, key=charging_point_id)


async def receive_data(
    cursor: AsyncCursor, submissions: Sequence[Submission[DataTransferred]]
) -> Sequence[DataTransferAnswer]:
    """Keep messages of registered vendors, a notice each; return how each is answered."""
    await cursor.execute(
        "SELECT vendor_id, message_id FROM data_vendors WHERE vendor_id = ANY(%s)",
        [list({each.message.vendor_id for each in submissions})],
    )
    registered = {(vendor, message) async for vendor, message in cursor}
    vendors = {vendor for vendor, _ in registered}
    answers = []
    for each in submissions:
        vendor, message = each.message.vendor_id, each.message.message_id or ""
        if vendor not in vendors:
            answers.append(DataTransferAnswer.UNKNOWN_VENDOR)
        elif (vendor, message) in registered or (vendor, "") in registered:
            answers.append(DataTransferAnswer.ACCEPTED)
        else:
            answers.append(DataTransferAnswer.UNKNOWN_MESSAGE)
    taken = [
        Submission(each.charging_point_id, _notice(each.message))
        for each, answer in zip(submissions, answers, strict=True)
        if answer is DataTransferAnswer.ACCEPTED
    ]
    if taken:
        await keep_notices(cursor, taken)
    return answers


def _notice(message: DataTransferred) -> Notice:
    detail: JsonObject = {"vendor": message.vendor_id, "data": message.data}
    return Notice(NoticeKind.DATA, message.message_id or "", None, None, detail)
