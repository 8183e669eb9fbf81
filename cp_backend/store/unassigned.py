"""Billing facts that belong to no session that we know: kept whole, for the operator."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from charging.database.connection import AsyncCursor
from cp_backend.store.readings import digest
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import Raw


async def keep_unassigned(cursor: AsyncCursor, submissions: Sequence[Submission[Raw]]) -> None:
    """Keep messages as they came, each once however often it is sent."""
    payloads = [
        orjson.dumps(each.message.payload, option=orjson.OPT_SORT_KEYS) for each in submissions
    ]
    await cursor.execute(
        """
        INSERT INTO unassigned_facts (charging_point_id, action, payload, digest)
        SELECT charging_point_id, action, payload, digest
        FROM unnest(%s::text[], %s::text[], %s::jsonb[], %s::bigint[])
            AS t (charging_point_id, action, payload, digest)
        ON CONFLICT DO NOTHING
        """,
        [
            [each.charging_point_id for each in submissions],
            [each.message.action for each in submissions],
            [payload.decode() for payload in payloads],
            [digest(payload) for payload in payloads],
        ],
    )
