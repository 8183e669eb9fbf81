"""Jobs: one thing asked of many charging points, at a pace, stopped and resumed.

A job needs no program that stays: the nodes move it on (`charging.database.jobs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from charging.database import jobs
from charging.database.audit import Asker
from charging.database.commands import IdempotencyError
from charging.database.connection import Connection
from charging.database.jobs import Pace as Pace
from charging.database.jobs import pattern as pattern
from charging.intents import Intent
from operations.errors import ConflictError, InvalidError, NotFoundError

MAX_CHARGING_POINTS = 200_000
DEFAULT_PACE = Pace()


def check(pace: Pace) -> None:
    """Raise InvalidError where a number makes no sense."""
    for name, value in (
        ("--per-minute", pace.per_minute),
        ("--at-once", pace.at_once),
        ("--max-failures", pace.max_failures),
        ("--timeout", pace.seconds),
        ("--tries", pace.tries),
        ("--retry-after", pace.retry_seconds),
        ("--wave", pace.wave),
    ):
        if value is not None and not value > 0:
            raise InvalidError(f"{name} must be more than 0")


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. charging_points: all; the counts after it are parts of it.

    waiting: not asked yet; under_way: asked, without an answer; done: accepted and carried out.
    """

    job: int
    kind: str
    state: str
    reason: str
    charging_points: int
    waiting: int
    under_way: int
    accepted: int
    failed: int
    done: int
    person: str
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Item:
    """One charging point of a job. state: of its command, ``waiting`` before it has one."""

    charging_point: str
    command: int | None
    state: str
    outcome: str | None
    detail: str
    done: str | None


def targets(
    connection: Connection,
    *,
    where: Mapping[str, Sequence[str]] | None = None,
    names: Sequence[str] | None = None,
) -> list[str]:
    """Return the charging points that are meant. Raises InvalidError, NotFoundError.

    where: patterns by vendor, model, firmware, site or id, all of which must match; empty: all.
    names: from a file; each must be known.
    """
    if names is not None:
        known = set(jobs.targets(connection, {}))
        unknown = [name for name in names if name not in known]
        if unknown:
            shown = ", ".join(map(repr, unknown[:5]))
            raise NotFoundError(f"{len(unknown)} charging points are not registered: {shown}")
        return list(dict.fromkeys(names))
    for name in where or {}:
        if name not in jobs.TARGETS:
            raise InvalidError(f"--where: {name!r} is none of {', '.join(jobs.TARGETS)}")
    return jobs.targets(connection, where or {})


def start(
    connection: Connection,
    intent: Intent,
    charging_points: Mapping[str, Mapping[str, Any]] | Sequence[str],
    *,
    by: Asker,
    pace: Pace,
    idempotency_key: str | None = None,
) -> int:
    """Ask many charging points for something; return the job's number.

    charging_points: by identity what is asked of each beside the intent. Raises InvalidError,
    ConflictError.
    """
    check(pace)
    if intent.secrets:
        raise InvalidError("a secret is for one charging point alone")
    if not charging_points:
        raise InvalidError("no charging point matches")
    if len(charging_points) > MAX_CHARGING_POINTS:
        raise InvalidError(f"more than {MAX_CHARGING_POINTS} charging points")
    if not isinstance(charging_points, Mapping):
        charging_points = {name: {} for name in charging_points}
    try:
        with connection.transaction():
            return jobs.create(
                connection,
                intent,
                charging_points,
                by=by,
                pace=pace,
                idempotency_key=idempotency_key,
            )
    except IdempotencyError as error:
        raise ConflictError(str(error)) from None


_JOBS = """
SELECT j.job_id AS job, j.kind, j.state, j.reason, counted.*, j.person, j.created_at, j.ended_at
FROM jobs AS j CROSS JOIN LATERAL (
    SELECT count(*) AS charging_points,
           count(*) FILTER (WHERE i.command_id IS NULL AND i.accepted IS NULL) AS waiting,
           count(*) FILTER (WHERE i.command_id IS NOT NULL AND i.accepted IS NULL) AS under_way,
           count(*) FILTER (WHERE i.accepted) AS accepted,
           count(*) FILTER (WHERE NOT i.accepted) AS failed,
           count(*) FILTER (WHERE c.done_outcome = 'done') AS done
    FROM job_items AS i LEFT JOIN commands AS c USING (command_id) WHERE i.job_id = j.job_id
) AS counted
"""


def show(connection: Connection, job_id: int) -> Job:
    """Return a job. Raises NotFoundError."""
    with connection.cursor(row_factory=class_row(Job)) as cursor:
        found = cursor.execute(f"{_JOBS} WHERE j.job_id = %s".encode(), [job_id]).fetchone()
    if found is None:
        raise NotFoundError(f"no job {job_id}; `jobs list` shows the newest")
    return found


def list_newest(connection: Connection, *, limit: int) -> list[Job]:
    """Return jobs, the newest first. Raises InvalidError."""
    if limit < 1:
        raise InvalidError("--limit must be 1 or more")
    with connection.cursor(row_factory=class_row(Job)) as cursor:
        return cursor.execute(
            f"{_JOBS} WHERE j.job_id IN (SELECT job_id FROM jobs ORDER BY job_id DESC LIMIT %s)"
            " ORDER BY j.job_id DESC".encode(),
            [limit],
        ).fetchall()


def items(connection: Connection, job_id: int, *, limit: int, failed: bool = False) -> list[Item]:
    """Return a job's charging points, those first that were answered last.

    failed: only those that refused or did not answer.
    """
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(
            """
            SELECT i.charging_point_id AS charging_point, i.command_id AS command,
                   coalesce(c.state, 'waiting') AS state, c.outcome,
                   coalesce(c.detail, '') AS detail, c.done_outcome AS done
            FROM job_items AS i LEFT JOIN commands AS c USING (command_id)
            WHERE i.job_id = %s AND (NOT %s OR NOT i.accepted)
            ORDER BY i.answered_at DESC NULLS LAST, i.place LIMIT %s
            """,
            [job_id, failed, limit],
        ).fetchall()


def stop(connection: Connection, job_id: int, *, by: Asker) -> None:
    """Ask nobody else; what is under way still ends. Raises NotFoundError, ConflictError."""
    show(connection, job_id)
    with connection.transaction():
        if not jobs.stop(connection, job_id, by=by, reason=f"by {by.person}"):
            raise ConflictError(f"job {job_id} does not run")


def resume(connection: Connection, job_id: int, *, by: Asker, failed: bool = False) -> None:
    """Let a job go on. failed: those that failed are asked again.

    Raises NotFoundError, ConflictError.
    """
    show(connection, job_id)
    with connection.transaction():
        if not jobs.resume(connection, job_id, by=by, failed=failed):
            raise ConflictError(f"job {job_id} runs")
