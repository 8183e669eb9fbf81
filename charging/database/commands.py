"""Commands in the database: asked for, taken by a node, answered, or expired.

No other module writes to `commands`. A row is queued with a NOTIFY for the nodes; the node that
holds the charging point's socket claims it; its answer, with a NOTIFY, ends the wait. Every wait
polls as well: a lost notification costs POLL_SECONDS, never a command or an answer.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from charging.command import (
    COMMAND_ANSWERS_CHANNEL,
    COMMANDS_CHANNEL,
    CommandKind,
    CommandResult,
    CommandState,
    Done,
    Outcome,
)
from charging.database import audit
from charging.database.audit import Asker
from charging.database.connection import AsyncCursor, Connection, listen
from charging.intents import INTENTS, Intent

POLL_SECONDS = 0.5
NO_NODE = CommandResult(Outcome.OFFLINE, "no node has its connection")
NO_ANSWER = CommandResult(Outcome.TIMEOUT, "no answer in time")
SUPERSEDED = CommandResult(Outcome.REJECTED, "a newer command took its place")
FORGET_UNDONE_SECONDS = 24 * 3600
"""What was accepted and never reported done within this time is unknown."""

_FOLLOWED = sorted(kind.value for kind in CommandKind if kind.followed)
_SECRETS = sorted({name for intent in INTENTS.values() for name in intent.secrets})

QUEUED = """
queued AS (
    INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline)
    SELECT charging_point_id, kind, arguments, requested_by, now() + make_interval(secs => seconds)
    FROM wanted
    RETURNING command_id, charging_point_id
)
"""
"""An item of a WITH list: a command for each row of the item `wanted` before it.

Columns of `wanted`: charging_point_id text, kind text, arguments jsonb, requested_by text,
seconds double precision (until its deadline).
"""

WAKE = f"SELECT pg_notify('{COMMANDS_CHANNEL}', charging_point_id) FROM queued"
"""Wakes the nodes that own what QUEUED wrote; ends the statement."""

_QUEUE = f"""
WITH wanted AS (
    SELECT %(charging_point)s::text AS charging_point_id, %(kind)s::text AS kind,
           %(arguments)s::jsonb AS arguments, %(requested_by)s::text AS requested_by,
           %(seconds)s::float AS seconds
), {QUEUED}
SELECT command_id, pg_notify('{COMMANDS_CHANNEL}', charging_point_id) FROM queued
""".encode()

# A queued one with the same key to supersede is given up; the same idempotency key is not queued
# twice.
_ASK = f"""
WITH superseded AS (
    UPDATE commands SET state = 'superseded'
    WHERE charging_point_id = %(charging_point)s AND state = 'queued'
      AND supersedes = %(supersedes)s::text
), queued AS (
    INSERT INTO commands (charging_point_id, kind, arguments, requested_by, person, program,
                          deadline, idempotency_key, supersedes, priority)
    VALUES (%(charging_point)s, %(kind)s, %(arguments)s, %(person)s, %(person)s, %(program)s,
            now() + make_interval(secs => %(seconds)s), %(idempotency_key)s, %(supersedes)s,
            %(priority)s)
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING command_id, charging_point_id
)
SELECT command_id, pg_notify('{COMMANDS_CHANNEL}', charging_point_id) FROM queued
""".encode()

_SAME = b"""
SELECT command_id, charging_point_id = %s AND kind = %s AND %s = arguments - %s::text[]
FROM commands WHERE idempotency_key = %s
"""

_LOOK = b"""
SELECT state, outcome, detail, sent_at IS NULL, answer FROM commands WHERE command_id = %s
"""

_GIVE_UP = b"""
UPDATE commands SET state = 'expired', arguments = arguments - %s::text[]
WHERE command_id = %s AND state IN ('queued', 'sent')
"""

_CLAIM = b"""
UPDATE commands AS c SET state = 'sent', node_id = k.node_id, sent_at = now()
FROM connections AS k
WHERE c.state = 'queued' AND c.deadline > now()
  -- a newer service may ask what this node cannot do yet
  AND c.kind = ANY(%s)
  AND k.charging_point_id = c.charging_point_id AND k.node_id = %s
RETURNING c.command_id, c.charging_point_id, c.kind, c.arguments,
          extract(epoch FROM c.deadline - now())::float, c.priority
"""

_ANSWER = f"""
UPDATE commands AS c
SET state = 'answered', answered_at = now(), outcome = t.outcome, detail = t.detail,
    answer = t.answer::jsonb,
    done_at = CASE WHEN t.accepted AND c.kind = ANY(%s) THEN c.done_at
                   ELSE coalesce(c.done_at, now()) END,
    done_outcome = CASE WHEN t.accepted AND c.kind = ANY(%s) THEN c.done_outcome
                        ELSE coalesce(c.done_outcome,
                                      CASE WHEN t.accepted THEN 'done' ELSE 'failed' END) END,
    -- a password has done its service; it stands nowhere any more
    arguments = c.arguments - %s::text[]
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::boolean[])
    AS t (command_id, outcome, detail, answer, accepted)
WHERE c.command_id = t.command_id AND c.state = 'sent'
RETURNING c.command_id, pg_notify('{COMMAND_ANSWERS_CHANNEL}', c.command_id::text)
""".encode()

# Two conditions, so that the two partial indexes serve: the whole table is large.
_EXPIRE = b"""
UPDATE commands SET state = 'expired', arguments = arguments - %s::text[]
WHERE (state = 'queued' AND deadline < now()) OR (state = 'sent' AND deadline < now())
"""

_FORGET = b"""
UPDATE commands SET done_at = now(), done_outcome = 'unknown'
WHERE state IN ('sent', 'answered') AND done_at IS NULL
  AND deadline < now() - make_interval(secs => %s)
"""

_FINISH = f"""
UPDATE commands AS c SET done_at = now(), done_outcome = t.outcome
FROM unnest(%s::text[], %s::text[], %s::jsonb[], %s::text[])
    AS t (charging_point_id, kind, arguments, outcome)
WHERE c.charging_point_id = t.charging_point_id AND c.kind = t.kind
  AND c.state IN ('sent', 'answered') AND c.done_at IS NULL AND c.arguments @> t.arguments
RETURNING c.command_id, pg_notify('{COMMAND_ANSWERS_CHANNEL}', c.command_id::text)
""".encode()

_PROGRESS = f"""
WITH reported AS (
    SELECT * FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::text[],
                         %s::text[])
        AS t (charging_point_id, command_id, at, stage, detail, outcome)
), written AS (
    INSERT INTO command_progress (command_id, at, stage, detail)
    SELECT command_id, at, stage, reported.detail
    FROM reported JOIN commands USING (command_id, charging_point_id)
    ON CONFLICT DO NOTHING
)
UPDATE commands AS c SET done_at = now(), done_outcome = r.outcome
FROM reported AS r
WHERE c.command_id = r.command_id AND c.charging_point_id = r.charging_point_id
  AND r.outcome IS NOT NULL AND c.done_at IS NULL
RETURNING pg_notify('{COMMAND_ANSWERS_CHANNEL}', c.command_id::text)
""".encode()


class IdempotencyError(Exception):
    """A key was used before, for another command."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a charging point did shows that a command has been carried out.

    arguments: those that the command must have, beside others; JSON.
    """

    charging_point_id: str
    kind: CommandKind
    arguments: dict[str, Any]
    outcome: Done = Done.DONE


@dataclass(frozen=True, slots=True)
class Progress:
    """What a charging point reports of a command's work; outcome: None while it goes on.

    stage: a word of ours or the charging point's own; detail: for a person.
    """

    charging_point_id: str
    command_id: int
    at: datetime
    stage: str
    detail: str = ""
    outcome: Done | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A command that a node has taken; seconds_left: until its deadline."""

    command_id: int
    charging_point_id: str
    kind: CommandKind
    arguments: dict[str, Any]
    seconds_left: float


# For whoever asks.


def queue(
    connection: Connection,
    charging_point_id: str,
    kind: CommandKind,
    arguments: dict[str, Any],
    *,
    requested_by: str,
    seconds: float,
) -> int:
    """Queue a command that is to be answered within so many seconds; return its id.

    It goes out with the commit of the connection's transaction. arguments: as CommandKind
    describes them.
    """
    row = connection.execute(
        _QUEUE,
        {
            "charging_point": charging_point_id,
            "kind": kind.value,
            "arguments": Jsonb(arguments),
            "requested_by": requested_by,
            "seconds": seconds,
        },
    ).fetchone()
    assert row is not None
    command_id: int = row[0]
    return command_id


def ask(
    connection: Connection,
    charging_point_id: str,
    intent: Intent,
    *,
    by: Asker,
    seconds: float,
    idempotency_key: str | None = None,
    supersedes: str | None = None,
    priority: int = 0,
) -> int:
    """Queue a command that is to be answered within so many seconds, and note who asked.

    Return its id; that of the first where the idempotency key was used for the same before.
    supersedes: a command queued with the same words for this charging point, and not yet taken by
    a node, is given up. priority: the higher goes first. It goes out with the commit of the
    connection's transaction. Raises IdempotencyError.
    """
    arguments = intent.arguments()
    row = connection.execute(
        _ASK,
        {
            "charging_point": charging_point_id,
            "kind": intent.kind.value,
            "arguments": Jsonb(arguments),
            "person": by.person,
            "program": by.program,
            "seconds": seconds,
            "idempotency_key": idempotency_key,
            "supersedes": supersedes,
            "priority": priority,
        },
    ).fetchone()
    if row is None:
        return _asked_before(connection, charging_point_id, intent, str(idempotency_key))
    command_id: int = row[0]
    shown = {name: value for name, value in arguments.items() if name not in intent.secrets}
    detail = {"command": command_id, "arguments": shown}
    audit.write(connection, by, intent.kind.value, charging_point_id, detail)
    return command_id


def _asked_before(
    connection: Connection, charging_point_id: str, intent: Intent, idempotency_key: str
) -> int:
    row = connection.execute(
        _SAME,
        [
            charging_point_id,
            intent.kind.value,
            Jsonb({n: v for n, v in intent.arguments().items() if n not in intent.secrets}),
            _SECRETS,
            idempotency_key,
        ],
    ).fetchone()
    assert row is not None
    command_id, same = row
    if not same:
        raise IdempotencyError(f"{idempotency_key!r} was used for another command before")
    found: int = command_id
    return found


def result_of(connection: Connection, command_id: int) -> CommandResult | None:
    """Return how a command ended, None while it has not.

    One that expired is NO_NODE where no node had taken it, NO_ANSWER where one had; so is one
    that does not exist.
    """
    row = connection.execute(_LOOK, [command_id]).fetchone()
    if row is None:
        return NO_ANSWER
    state, outcome, detail, unclaimed, answer = row
    if state == CommandState.ANSWERED:
        return CommandResult(Outcome(outcome), detail, tuple(answer or ()))
    if state == CommandState.SUPERSEDED:
        return SUPERSEDED
    if state == CommandState.EXPIRED:
        return NO_NODE if unclaimed else NO_ANSWER
    return None


def give_up(connection: Connection, command_id: int) -> CommandResult:
    """Let a command expire; return its result, which may have come just now."""
    connection.execute(_GIVE_UP, [_SECRETS, command_id])
    return result_of(connection, command_id) or NO_ANSWER


def wait(connection: Connection, command_id: int, seconds: float) -> CommandResult:
    """Wait for a command's result; after so many seconds it is given up.

    connection: in autocommit, and not used by others meanwhile. Raises psycopg.Error.
    """
    deadline = time.monotonic() + seconds
    # Listening before the first look: an answer may be faster than we are.
    connection.execute(f"LISTEN {COMMAND_ANSWERS_CHANNEL}".encode())
    try:
        while True:
            if (result := result_of(connection, command_id)) is not None:
                return result
            if (left := deadline - time.monotonic()) <= 0:
                return give_up(connection, command_id)
            for notification in connection.notifies(timeout=min(POLL_SECONDS, left)):
                if notification.payload == str(command_id):
                    break
    finally:
        if not connection.closed:
            connection.execute(f"UNLISTEN {COMMAND_ANSWERS_CHANNEL}".encode())


class Answers:
    """Waits for results in many threads of one process, with one connection that listens.

    connection: gives a connection to look with, such as a pool's `connection` method; a thread
    holds it for the moment of a look only. name: of the listening connection.
    """

    def __init__(
        self, url: str, name: str, connection: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._connection = connection
        self._waiting: dict[str, list[threading.Event]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=listen,
            args=(url, name, [COMMAND_ANSWERS_CHANNEL], self._on_notification, self._stopped),
            name="answers",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """End the listening; what still waits polls."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def wait(self, command_id: int, seconds: float) -> CommandResult:
        """Wait for a command's result; after so many seconds it is given up.

        Raises psycopg.Error.
        """
        deadline = time.monotonic() + seconds
        event = threading.Event()
        with self._lock:
            self._waiting.setdefault(str(command_id), []).append(event)
        try:
            while True:
                with self._connection() as connection:
                    if (result := result_of(connection, command_id)) is not None:
                        return result
                    if (left := deadline - time.monotonic()) <= 0:
                        return give_up(connection, command_id)
                event.wait(min(POLL_SECONDS, left))
                event.clear()
        finally:
            with self._lock:
                self._waiting[str(command_id)].remove(event)
                if not self._waiting[str(command_id)]:
                    del self._waiting[str(command_id)]

    def _on_notification(self, channel: str, payload: str) -> None:
        del channel
        with self._lock:
            for event in self._waiting.get(payload, ()):
                event.set()


# For the node that has the socket.


async def claim(cursor: AsyncCursor, node_id: UUID, kinds: Sequence[CommandKind]) -> list[Claimed]:
    """Take the queued commands for charging points whose sockets a node holds.

    By priority, then oldest first. kinds: that this node can carry out.
    """
    await cursor.execute(_CLAIM, [[kind.value for kind in kinds], node_id])
    claimed = [
        (-priority, Claimed(command_id, name, CommandKind(kind), arguments, seconds_left))
        async for command_id, name, kind, arguments, seconds_left, priority in cursor
    ]
    claimed.sort(key=lambda item: (item[0], item[1].command_id))
    return [command for _, command in claimed]


async def answer(cursor: AsyncCursor, answers: Sequence[tuple[int, CommandResult]]) -> set[int]:
    """Write results to commands, by id; return those whose askers still waited, and wake them.

    What a kind asks that is followed is not done with its acceptance; all else is.
    """
    results = [result for _, result in answers]
    await cursor.execute(
        _ANSWER,
        [
            *(_FOLLOWED, _FOLLOWED, _SECRETS),
            [command_id for command_id, _ in answers],
            [result.outcome.value for result in results],
            [result.detail for result in results],
            [json.dumps(result.answer) if result.answer else None for result in results],
            [result.outcome.accepted for result in results],
        ],
    )
    return {row[0] async for row in cursor}


async def finish(cursor: AsyncCursor, finished: Sequence[Finished]) -> None:
    """Note that commands have been carried out, and wake who waits for that."""
    await cursor.execute(
        _FINISH,
        [
            [f.charging_point_id for f in finished],
            [f.kind.value for f in finished],
            [json.dumps(f.arguments) for f in finished],
            [f.outcome.value for f in finished],
        ],
    )


async def progress(cursor: AsyncCursor, reports: Sequence[Progress]) -> None:
    """Keep what charging points report of their own commands' work; what names another is not."""
    await cursor.execute(
        _PROGRESS,
        [
            [r.charging_point_id for r in reports],
            [r.command_id for r in reports],
            [r.at for r in reports],
            [r.stage for r in reports],
            [r.detail for r in reports],
            [None if r.outcome is None else r.outcome.value for r in reports],
        ],
    )


async def expire(cursor: AsyncCursor) -> None:
    """Let commands expire whose deadline has passed, whoever asked for them.

    What was accepted a day ago and never reported done counts as unknown.
    """
    await cursor.execute(_EXPIRE, [_SECRETS])
    await cursor.execute(_FORGET, [FORGET_UNDONE_SECONDS])
