"""Jobs: one thing asked of many charging points, at a pace.

A job is a row with its charging points; any node moves it on, a step a second, so no program has
to stay for it. It stops itself where too many refuse, do not answer, or go silent after they
accepted; what is under way then still ends. Stopped, it can be resumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from charging.command import CommandKind
from charging.database import audit, commands
from charging.database.audit import Asker
from charging.database.commands import IdempotencyError
from charging.database.connection import AsyncCursor, Connection
from charging.database.presence import is_online
from charging.intents import Intent

SILENT_MINUTES = 10
"""One that accepted so lately and is offline now counts as gone silent."""

# A restart takes the connection away, and is meant to.
_MAY_LEAVE = (CommandKind.RESET, CommandKind.UPDATE_FIRMWARE)

# What failed waits for another try, where there is one and the job still runs.
_SETTLE = b"""
WITH answered AS (
    SELECT j.job_id, j.until_done, j.retry_seconds, i.charging_point_id, c.done_outcome,
           coalesce(c.outcome IN ('accepted', 'scheduled', 'reboot_required'), false) AS accepted,
           i.tried < j.tries AND (j.deadline IS NULL
                                  OR j.deadline > now() + make_interval(secs => j.retry_seconds))
               AS may_again
    FROM job_items AS i
    JOIN jobs AS j USING (job_id)
    JOIN commands AS c USING (command_id)
    WHERE i.job_id = ANY(%s) AND i.accepted IS NULL
      AND c.state IN ('answered', 'expired', 'superseded')
), ended AS (
    SELECT *, CASE WHEN until_done THEN done_outcome = 'done' ELSE accepted END AS succeeded
    FROM answered
    -- accepted is not done: a failure may still be followed by another try of its own
    WHERE NOT (until_done AND accepted AND done_outcome IS NULL)
)
UPDATE job_items AS i
SET accepted = CASE WHEN e.succeeded OR NOT e.may_again THEN e.succeeded END,
    answered_at = now(),
    command_id = CASE WHEN e.succeeded OR NOT e.may_again THEN i.command_id END,
    not_before = now() + make_interval(secs => e.retry_seconds)
FROM ended AS e
WHERE i.job_id = e.job_id AND i.charging_point_id = e.charging_point_id
"""

_END_OF_TIME = b"""
UPDATE job_items AS i SET accepted = false, answered_at = now()
FROM jobs AS j
WHERE j.job_id = ANY(%s) AND j.deadline < now() AND i.job_id = j.job_id AND i.accepted IS NULL
"""

# Another node may be at it: then it is left alone.
_LOCK = b"""
SELECT job_id, state = 'running' FROM jobs AS j
WHERE state = 'running' OR EXISTS (
    SELECT 1 FROM job_items AS i
    WHERE i.job_id = j.job_id AND i.command_id IS NOT NULL AND i.accepted IS NULL)
FOR UPDATE SKIP LOCKED
"""

_STOP_ITSELF = f"""
UPDATE jobs AS j SET state = 'stopped', ended_at = now(),
    reason = format('%%s refused or did not answer, %%s went silent', f.failed, f.silent)
FROM (
    SELECT j.job_id,
           (SELECT count(*) FROM job_items AS i
            WHERE i.job_id = j.job_id AND i.accepted = false AND i.answered_at > j.started_at)
               AS failed,
           CASE WHEN j.kind = ANY(%s) THEN 0 ELSE (
               SELECT count(*) FROM job_items AS i
               WHERE i.job_id = j.job_id AND i.accepted
                 AND i.answered_at > greatest(
                     j.started_at, now() - interval '{SILENT_MINUTES} minutes')
                 AND NOT {is_online("i.charging_point_id")}) END AS silent
    FROM jobs AS j WHERE j.job_id = ANY(%s) AND j.max_failures IS NOT NULL
) AS f
WHERE f.job_id = j.job_id AND f.failed + f.silent >= j.max_failures
RETURNING j.job_id
""".encode()

_FINISH = b"""
UPDATE jobs AS j SET state = 'done', ended_at = now(),
    reason = CASE WHEN deadline < now() THEN 'its deadline passed' ELSE '' END
WHERE j.job_id = ANY(%s) AND NOT EXISTS (
    SELECT 1 FROM job_items AS i WHERE i.job_id = j.job_id AND i.accepted IS NULL)
RETURNING j.job_id
"""

# What the pace allows since it was last used, at most a second's worth more than none.
_NEXT = b"""
WITH paces AS (
    SELECT j.job_id, j.kind, j.arguments, j.person, j.program, j.seconds, j.per_minute,
           least(
               floor(extract(epoch FROM now() - greatest(j.paced_at, now() - interval '1 minute'))
                     * j.per_minute / 60 + 1e-9)::int,
               j.at_once - (SELECT count(*)::int FROM job_items AS i WHERE i.job_id = j.job_id
                            AND i.command_id IS NOT NULL AND i.accepted IS NULL)
           ) AS most_by_pace,
           -- of a wave; the next begins when all of it have ended, and some time has passed
           CASE WHEN j.wave IS NULL THEN NULL
                WHEN mod(begun.tried, j.wave) > 0 OR begun.tried = 0
                    THEN j.wave - mod(begun.tried, j.wave)
                WHEN begun.under_way = 0
                    AND begun.last_at < now() - make_interval(secs => j.wave_seconds) THEN j.wave
                ELSE 0 END AS most_of_wave
    FROM jobs AS j CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE i.tried > 0)::int AS tried,
               count(*) FILTER (WHERE i.command_id IS NOT NULL AND i.accepted IS NULL) AS under_way,
               max(i.answered_at) AS last_at
        FROM job_items AS i WHERE i.job_id = j.job_id AND j.wave IS NOT NULL
    ) AS begun
    WHERE j.job_id = ANY(%s)
), allowed AS (
    SELECT *, least(most_by_pace, most_of_wave) AS most FROM paces
), paced AS (
    UPDATE jobs AS j SET paced_at = greatest(j.paced_at, now() - interval '1 minute')
                                    + make_interval(secs => a.most * 60.0 / a.per_minute)
    FROM allowed AS a WHERE a.job_id = j.job_id AND a.most > 0
)
SELECT a.job_id, i.charging_point_id, a.kind, a.arguments || i.arguments, a.person, a.program,
       a.seconds
FROM allowed AS a CROSS JOIN LATERAL (
    SELECT charging_point_id, arguments FROM job_items AS i
    WHERE i.job_id = a.job_id AND i.command_id IS NULL AND i.accepted IS NULL
      AND (i.not_before IS NULL OR i.not_before <= now())
    ORDER BY i.place LIMIT greatest(a.most, 0)
) AS i
"""

_ASSIGN = b"""
UPDATE job_items AS i SET command_id = t.command_id, tried = i.tried + 1
FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS t (job_id, charging_point_id, command_id)
WHERE i.job_id = t.job_id AND i.charging_point_id = t.charging_point_id
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a job goes, how often it tries, and when it stops itself.

    per_minute, at_once: charging points. max_failures: that refuse, do not answer, or are offline
    soon after they accepted; None: it never stops itself. seconds: that each has to answer. tries:
    how often each is asked at most, retry_seconds after it failed. until_done: one has succeeded
    when it has done what was asked, not when it accepted. deadline: when what is left has failed.
    wave: so many are asked, and the next ones when these have ended wave_seconds ago.
    """

    per_minute: int = 600
    at_once: int = 100
    max_failures: int | None = None
    seconds: float = 30.0
    tries: int = 1
    retry_seconds: float = 60.0
    until_done: bool = False
    deadline: datetime | None = None
    wave: int | None = None
    wave_seconds: float = 0


def create(
    connection: Connection,
    intent: Intent,
    charging_points: Mapping[str, Mapping[str, Any]],
    *,
    by: Asker,
    pace: Pace,
    idempotency_key: str | None = None,
) -> int:
    """Make a job that runs from now on; return its number.

    charging_points: by identity, in the order in which they are asked; the arguments of each stand
    beside the intent's, or in their place. The same key twice is the same job. To be called in a
    transaction. Raises IdempotencyError.
    """
    row = connection.execute(
        "INSERT INTO jobs (kind, arguments, person, program, per_minute, at_once, max_failures,"
        " seconds, tries, retry_seconds, until_done, deadline, wave, wave_seconds,"
        " idempotency_key, paced_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " now() - make_interval(secs => 60.0 / %s))"
        " ON CONFLICT (idempotency_key) DO NOTHING RETURNING job_id",
        [
            intent.kind.value,
            Jsonb(intent.arguments()),
            by.person,
            by.program,
            pace.per_minute,
            pace.at_once,
            pace.max_failures,
            pace.seconds,
            pace.tries,
            pace.retry_seconds,
            pace.until_done,
            pace.deadline,
            pace.wave,
            pace.wave_seconds,
            idempotency_key,
            pace.per_minute,
        ],
    ).fetchone()
    if row is None:
        return _made_before(connection, intent, str(idempotency_key))
    job_id: int = row[0]
    connection.execute(
        "INSERT INTO job_items (job_id, place, charging_point_id, arguments)"
        " SELECT %s, place, name, arguments::jsonb"
        " FROM unnest(%s::text[], %s::jsonb[]) WITH ORDINALITY AS t (name, arguments, place)",
        [job_id, list(charging_points), [Jsonb(dict(a)) for a in charging_points.values()]],
    )
    detail = {"kind": intent.kind.value, "arguments": intent.arguments()}
    audit.write(
        connection, by, "job", f"job {job_id}", {**detail, "charging_points": len(charging_points)}
    )
    return job_id


def _made_before(connection: Connection, intent: Intent, idempotency_key: str) -> int:
    row = connection.execute(
        "SELECT job_id, kind = %s AND arguments = %s FROM jobs WHERE idempotency_key = %s",
        [intent.kind.value, Jsonb(intent.arguments()), idempotency_key],
    ).fetchone()
    assert row is not None
    if not row[1]:
        raise IdempotencyError(f"{idempotency_key!r} was used for another job before")
    found: int = row[0]
    return found


def stop(connection: Connection, job_id: int, *, by: Asker, reason: str) -> bool:
    """Stop a job: nobody else is asked. Return whether it ran."""
    changed = connection.execute(
        "UPDATE jobs SET state = 'stopped', reason = %s, ended_at = now()"
        " WHERE job_id = %s AND state = 'running'",
        [reason, job_id],
    )
    return _changed(connection, changed.rowcount, "stop_job", job_id, by)


def resume(connection: Connection, job_id: int, *, by: Asker, failed: bool = False) -> bool:
    """Let a job go on. failed: those that failed are asked again. Return whether it had ended.

    What failed or went silent before no longer counts towards its stop.
    """
    changed = connection.execute(
        "UPDATE jobs SET state = 'running', reason = '', ended_at = NULL, paced_at = now(),"
        " started_at = clock_timestamp() WHERE job_id = %s AND state <> 'running'",
        [job_id],
    )
    if changed.rowcount and failed:
        connection.execute(
            "UPDATE job_items SET command_id = NULL, accepted = NULL, answered_at = NULL,"
            " tried = 0, not_before = NULL WHERE job_id = %s AND NOT accepted",
            [job_id],
        )
    return _changed(connection, changed.rowcount, "resume_job", job_id, by)


def _changed(connection: Connection, rows: int, action: str, job_id: int, by: Asker) -> bool:
    if rows:
        audit.write(connection, by, action, f"job {job_id}", {})
    return bool(rows)


# For the nodes.


async def advance(cursor: AsyncCursor) -> None:
    """Move all jobs a step on: note answers, stop or finish, ask the next."""
    await cursor.execute(_LOCK)
    found: dict[int, bool] = {row[0]: row[1] async for row in cursor}
    if not found:
        return
    await cursor.execute(_SETTLE, [list(found)])
    running = {job_id for job_id, runs in found.items() if runs}
    leaving = [kind.value for kind in _MAY_LEAVE]
    await cursor.execute(_STOP_ITSELF, [leaving, list(running)])
    running -= {row[0] async for row in cursor}
    await cursor.execute(_END_OF_TIME, [list(running)])
    await cursor.execute(_FINISH, [list(running)])
    running -= {row[0] async for row in cursor}
    await cursor.execute(_NEXT, [list(running)])
    wanted = [commands.Wanted(*row) async for row in cursor]
    if wanted:
        asked = await commands.ask_many(cursor, wanted)
        await cursor.execute(
            _ASSIGN, [[w.job_id for w in wanted], [w.charging_point_id for w in wanted], asked]
        )


def targets(connection: Connection, where: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the identities of the charging points that match all conditions, in order.

    where: by one of TARGETS, patterns of which one must match; ``*`` stands for any text.
    """
    conditions = " AND ".join(f"{TARGETS[name]} LIKE ANY(%s)" for name in where) or "true"
    rows = connection.execute(
        f"SELECT charging_point_id FROM charging_points AS p WHERE {conditions}"
        " ORDER BY charging_point_id".encode(),
        [[pattern(text) for text in texts] for texts in where.values()],
    )
    return [name for (name,) in rows]


TARGETS = {
    "id": "p.charging_point_id",
    "vendor": "p.vendor",
    "model": "p.model",
    "firmware": "p.firmware_version",
    "site": "(SELECT min(d.details->>'name') FROM evse_details AS d"
    " WHERE d.charging_point_id = p.charging_point_id)",
}
"""What charging points are chosen by; site: the name of their EVSEs' master data."""


def pattern(text: str) -> str:
    """Return a LIKE pattern of a text in which ``*`` stands for any text."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
