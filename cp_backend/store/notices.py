"""Reports of charging points: kept to look up, and how far the work of commands is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from charging.command import CommandKind
from charging.database import following, variables
from charging.database.connection import AsyncCursor
from charging.database.following import Progress
from cp_backend.committer import Committer, OnResult
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import Notice, NoticeKind


class Notices:
    """Keeps reports."""

    def __init__(self, facts: Committer) -> None:
        self._facts = facts

    def received(self, charging_point_id: str, message: Notice, on_result: OnResult[None]) -> None:
        """Keep a report."""
        submission = Submission(charging_point_id, message)
        self._facts.submit(keep_notices, submission, on_result, key=charging_point_id)


async def keep_notices(
    cursor: AsyncCursor, submissions: Sequence[Submission[Notice]]
) -> Sequence[None]:
    """Keep reports, a row each."""
    notices = [each.message for each in submissions]
    await cursor.execute(
        """
        INSERT INTO notices (charging_point_id, kind, status, request_id, detail, occurred_at)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::text[]::jsonb[],
                             %s::timestamptz[])
        """,
        [
            [each.charging_point_id for each in submissions],
            [notice.kind.value for notice in notices],
            [notice.status for notice in notices],
            [notice.request_id for notice in notices],
            [json.dumps(notice.detail) for notice in notices],
            [notice.occurred_at for notice in notices],
        ],
    )
    told = [(each.charging_point_id, s) for each in submissions for s in each.message.settings]
    if told:
        await variables.note(cursor, told)
    now = datetime.now(UTC)
    await following.progress(
        cursor,
        [
            _progress(each.charging_point_id, each.message, now)
            for each in submissions
            if each.message.kind in _KINDS and not each.message.idle
        ],
    )
    return [None] * len(submissions)


_KINDS = {NoticeKind.FIRMWARE: CommandKind.UPDATE_FIRMWARE, NoticeKind.LOG: CommandKind.UPLOAD_LOG}


def _progress(charging_point_id: str, notice: Notice, now: datetime) -> Progress:
    log = {} if notice.log is None else {"log": notice.log.value}
    return Progress(
        charging_point_id,
        _KINDS[notice.kind],
        notice.request_id,
        notice.occurred_at or now,
        notice.status,
        outcome=notice.ended,
        arguments=log,
    )
