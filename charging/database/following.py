"""What became of commands: done, still going on, or never reported.

"Accepted" is a charging point's word; a command is done when a fact shows it. A start is done when
its session begins, a stop when it ends, a reset with the next boot, availability with the state
that follows, firmware and logs by their status messages. `charging.command.DONE_WITHIN_SECONDS`
says how long each is waited for; then it is unknown. A fact counts before the answer too, and
where the answer was lost.

Only this module and `commands` write to `commands`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from charging.command import COMMAND_ANSWERS_CHANNEL, CommandKind, Done
from charging.database.commands import POLL_SECONDS
from charging.database.connection import AsyncCursor, Connection

_OPEN = "c.done_at IS NULL AND c.state IN ('sent', 'answered', 'expired')"

# A fact ends as many commands as it says, those first that have what it prefers, then the oldest.
_FINISH = f"""
WITH facts AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::jsonb[], %s::jsonb[], %s::int[], %s::text[],
                         %s::text[], %s::text[])
        AS t (charging_point_id, kind, arguments, preferred, most, outcome, stage, detail)
), ended AS (
    SELECT found.command_id, min(outcome) AS outcome, min(stage) AS stage, min(detail) AS detail
    FROM facts AS f CROSS JOIN LATERAL (
        SELECT c.command_id FROM commands AS c
        WHERE c.charging_point_id = f.charging_point_id AND c.kind = f.kind AND {_OPEN}
          AND c.arguments @> f.arguments
        ORDER BY c.arguments @> f.preferred DESC, c.command_id LIMIT f.most
    ) AS found GROUP BY found.command_id
), finished AS (
    UPDATE commands AS c SET done_at = now(), done_outcome = ended.outcome
    FROM ended WHERE ended.command_id = c.command_id
    RETURNING c.command_id, ended.stage, ended.detail
), noted AS (
    INSERT INTO command_progress (command_id, at, stage, detail)
    SELECT command_id, now(), stage, detail FROM finished WHERE stage <> ''
    ON CONFLICT DO NOTHING
)
SELECT pg_notify('{COMMAND_ANSWERS_CHANNEL}', command_id::text) FROM finished
""".encode()

_FINISH_ONE = f"""
WITH finished AS (
    UPDATE commands AS c SET done_at = now(), done_outcome = 'done'
    WHERE c.command_id = ANY(%s) AND {_OPEN}
    RETURNING c.command_id
)
SELECT pg_notify('{COMMAND_ANSWERS_CHANNEL}', command_id::text) FROM finished
""".encode()

# The charging point as a whole (0) is inoperative when it says so, or when none of its EVSEs can
# be used; it is operative when nothing of it is unavailable.
_FINISH_AVAILABILITY = f"""
WITH finished AS (
    UPDATE commands AS c SET done_at = now(), done_outcome = 'done'
    FROM (
        SELECT c.command_id,
               bool_or(e.state = 'unavailable') AS one_off,
               bool_or(e.state = 'unavailable' AND e.evse_number = 0) AS whole_off,
               bool_and(e.state IN ('unavailable', 'faulted')) FILTER (WHERE e.evse_number > 0)
                   AS all_off
        FROM commands AS c
        JOIN evses AS e ON e.charging_point_id = c.charging_point_id AND e.status IS NOT NULL
         AND (c.arguments->'evse_number' = '0' OR c.arguments->'evse_number' IS NULL
              OR c.arguments->'evse_number' = to_jsonb(e.evse_number))
        WHERE c.charging_point_id = ANY(%s) AND c.kind = '{CommandKind.SET_AVAILABILITY}'
          AND c.done_at IS NULL AND c.state IN ('answered', 'expired')
        GROUP BY c.command_id
    ) AS now_is
    WHERE now_is.command_id = c.command_id
      AND CASE WHEN c.arguments->>'availability' = 'operative' THEN NOT one_off
               ELSE whole_off OR coalesce(all_off, false) END
    RETURNING c.command_id
)
SELECT pg_notify('{COMMAND_ANSWERS_CHANNEL}', command_id::text) FROM finished
""".encode()

# 1.6 says of unsigned firmware and of diagnostics not whose they are: the newest's that is not
# done. A failure is often followed by another try, so it may still become done.
_PROGRESS = f"""
WITH reported AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::jsonb[], %s::timestamptz[],
                         %s::text[], %s::text[], %s::text[])
        WITH ORDINALITY
        AS t (charging_point_id, kind, request_id, arguments, at, stage, detail, outcome, place)
), belonging AS (
    SELECT r.*, found.command_id
    FROM reported AS r CROSS JOIN LATERAL (
        SELECT c.command_id FROM commands AS c
        WHERE c.charging_point_id = r.charging_point_id AND c.kind = r.kind
          -- those that an index has
          AND c.kind IN ('update_firmware', 'upload_log')
          AND c.state IN ('sent', 'answered', 'expired')
          AND (c.done_at IS NULL OR c.done_outcome <> 'done')
          AND c.done_by > now() - interval '1 day'
          AND CASE WHEN r.request_id IS NULL THEN c.arguments @> r.arguments
                   ELSE c.command_id = r.request_id END
        ORDER BY c.command_id DESC LIMIT 1
    ) AS found
), written AS (
    INSERT INTO command_progress (command_id, at, stage, detail)
    SELECT command_id, at, stage, detail FROM belonging ORDER BY place
    ON CONFLICT DO NOTHING
), last AS (
    SELECT DISTINCT ON (command_id) command_id, outcome FROM belonging
    ORDER BY command_id, place DESC
), finished AS (
    UPDATE commands AS c
    SET done_at = CASE WHEN last.outcome IS NOT NULL THEN now() END, done_outcome = last.outcome
    FROM last WHERE last.command_id = c.command_id
    RETURNING c.command_id
)
SELECT pg_notify('{COMMAND_ANSWERS_CHANNEL}', command_id::text) FROM finished
""".encode()

_FORGET = f"""
WITH finished AS (
    UPDATE commands AS c SET done_at = now(), done_outcome = 'unknown'
    WHERE c.done_at IS NULL AND c.done_by < now() AND c.state IN ('sent', 'answered', 'expired')
    RETURNING c.command_id
)
SELECT pg_notify('{COMMAND_ANSWERS_CHANNEL}', command_id::text) FROM finished
""".encode()


@dataclass(frozen=True, slots=True)
class Finished:
    """What a charging point did shows that a command has been carried out.

    arguments: those that the command must have, beside others; preferred: those that it has
    rather than another; JSON. most: how many commands the fact ends. stage, detail: a row of
    progress, where there is something to say.
    """

    charging_point_id: str
    kind: CommandKind
    arguments: dict[str, Any] = field(default_factory=dict)
    preferred: dict[str, Any] = field(default_factory=dict)
    most: int = 1
    outcome: Done = Done.DONE
    stage: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a charging point reports of a command's work; outcome: None while it goes on.

    request_id: the command's id; None where it names none: then it is the newest's of that kind
    that has these arguments. stage: a word of ours or the charging point's own; detail: for a
    person.
    """

    charging_point_id: str
    kind: CommandKind
    request_id: int | None
    at: datetime
    stage: str
    detail: str = ""
    outcome: Done | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


# For the node that has the socket.


async def finish(cursor: AsyncCursor, facts: Sequence[Finished]) -> None:
    """Note that commands have been carried out, and wake who waits for that."""
    if not facts:
        return
    await cursor.execute(
        _FINISH,
        [
            [f.charging_point_id for f in facts],
            [f.kind.value for f in facts],
            [json.dumps(f.arguments) for f in facts],
            [json.dumps(f.preferred) for f in facts],
            [f.most for f in facts],
            [f.outcome.value for f in facts],
            [f.stage for f in facts],
            [f.detail for f in facts],
        ],
    )


async def finish_commands(cursor: AsyncCursor, command_ids: Sequence[int]) -> None:
    """Note that these commands have been carried out, and wake who waits for that."""
    await cursor.execute(_FINISH_ONE, [list(command_ids)])


async def finish_availability(cursor: AsyncCursor, charging_point_ids: Sequence[str]) -> None:
    """End the changes of availability that the states of EVSEs show to be done."""
    await cursor.execute(_FINISH_AVAILABILITY, [list(charging_point_ids)])


async def progress(cursor: AsyncCursor, reports: Sequence[Progress]) -> None:
    """Keep what charging points report of their own commands' work; what names another is not."""
    if not reports:
        return
    await cursor.execute(
        _PROGRESS,
        [
            [r.charging_point_id for r in reports],
            [r.kind.value for r in reports],
            [r.request_id for r in reports],
            [json.dumps(r.arguments) for r in reports],
            [r.at for r in reports],
            [r.stage for r in reports],
            [r.detail for r in reports],
            [None if r.outcome is None else r.outcome.value for r in reports],
        ],
    )


async def forget(cursor: AsyncCursor) -> None:
    """Give up waiting for what was accepted and not seen done in its time: it is unknown."""
    await cursor.execute(_FORGET)


# For whoever asked.


def wait_done(connection: Connection, command_id: int, seconds: float) -> Done | None:
    """Wait until what a command asked has ended; None when it goes on after so many seconds.

    connection: in autocommit, and not used by others meanwhile. Raises psycopg.Error.
    """
    deadline = time.monotonic() + seconds
    connection.execute(f"LISTEN {COMMAND_ANSWERS_CHANNEL}".encode())
    try:
        while True:
            row = connection.execute(
                "SELECT done_outcome FROM commands WHERE command_id = %s", [command_id]
            ).fetchone()
            if row is None or row[0] is not None:
                return Done.UNKNOWN if row is None else Done(row[0])
            if (left := deadline - time.monotonic()) <= 0:
                return None
            for notification in connection.notifies(timeout=min(POLL_SECONDS, left)):
                if notification.payload == str(command_id):
                    break
    finally:
        if not connection.closed:
            connection.execute(f"UNLISTEN {COMMAND_ANSWERS_CHANNEL}".encode())
