"""Commands in the database: asked for, taken by a node, answered, or expired.

Only this module and `following`, which ends what was asked, write to `commands`. A row is queued
with a NOTIFY for the nodes; the node that holds the charging point's socket claims it; its
answer, with a NOTIFY, ends the wait. Every wait polls as well: a lost notification costs
POLL_SECONDS, never a command or an answer.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from charging.command import (
    COMMAND_ANSWERS_CHANNEL,
    COMMANDS_CHANNEL,
    DONE_WITHIN_SECONDS,
    SCHEDULED_SECONDS,
    CommandKind,
    CommandResult,
    CommandState,
    Outcome,
)
from charging.database import audit, passwords
from charging.database.audit import Asker
from charging.database.connection import AsyncCursor, Connection, listen
from charging.intents import INTENTS, Intent, SetPassword

POLL_SECONDS = 0.5
NO_NODE = CommandResult(Outcome.OFFLINE, "no node has its connection")
NO_ANSWER = CommandResult(Outcome.TIMEOUT, "no answer in time")
SUPERSEDED = CommandResult(Outcome.REJECTED, "a newer command took its place")

_SECRETS = sorted({name for intent in INTENTS.values() for name in intent.secrets})

# How long what was asked may still take: NULL for what is done with its answer.
_SECONDS = "CASE c.kind {} END".format(
    " ".join(f"WHEN '{kind.value}' THEN {s}" for kind, s in DONE_WITHIN_SECONDS.items())
)
# Firmware is fetched, and installed, when the operator said.
_BEGINS = """greatest(now(), (c.arguments->>'fetch_at')::timestamptz,
                       (c.arguments->>'install_at')::timestamptz)"""

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
    UPDATE commands SET state = 'superseded', done_at = now(), done_outcome = 'failed'
    WHERE charging_point_id = %(charging_point)s AND state = 'queued'
      AND supersedes = %(supersedes)s::text
      -- the same question again is the same command, and takes nobody's place
      AND (%(idempotency_key)s::text IS NULL
           OR idempotency_key IS DISTINCT FROM %(idempotency_key)s::text)
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

# Their numbers are drawn first, so that they come back in order.
_ASK_MANY = f"""
WITH wanted AS MATERIALIZED (
    SELECT t.*, nextval(pg_get_serial_sequence('commands', 'command_id')) AS command_id
    FROM unnest(%s::text[], %s::text[], %s::jsonb[], %s::text[], %s::text[], %s::float[])
        WITH ORDINALITY
        AS t (charging_point_id, kind, arguments, person, program, seconds, place)
    ORDER BY place
), queued AS (
    INSERT INTO commands (command_id, charging_point_id, kind, arguments, requested_by, person,
                          program, deadline)
    OVERRIDING SYSTEM VALUE
    SELECT command_id, charging_point_id, kind, arguments, person, person, program,
           now() + make_interval(secs => seconds)
    FROM wanted
)
SELECT command_id, pg_notify('{COMMANDS_CHANNEL}', charging_point_id) FROM wanted ORDER BY place
""".encode()

_SAME = b"""
SELECT command_id, charging_point_id = %s AND kind = %s AND %s = arguments - %s::text[]
FROM commands WHERE idempotency_key = %s
"""

_LOOK = b"""
SELECT state, outcome, detail, sent_at IS NULL, answer FROM commands WHERE command_id = %s
"""

# What a node has sent may be done all the same: an answer can be lost.
_EXPIRED = f"""
SET state = 'expired', arguments = c.arguments - %s::text[],
    done_at = coalesce(c.done_at, CASE WHEN c.state = 'queued' OR {_SECONDS} IS NULL
                                       THEN now() END),
    done_outcome = coalesce(c.done_outcome, CASE WHEN c.state = 'queued' THEN 'failed'
                                                 WHEN {_SECONDS} IS NULL THEN 'unknown' END),
    done_by = now() + make_interval(secs => coalesce({_SECONDS}, 0))
"""

_GIVE_UP = f"""
UPDATE commands AS c {_EXPIRED}
WHERE c.command_id = %s AND c.state IN ('queued', 'sent')
""".encode()

_CLAIM = b"""
UPDATE commands AS c SET state = 'sent', node_id = k.node_id, sent_at = now()
FROM connections AS k
WHERE c.state = 'queued' AND c.deadline > now()
  -- a newer service may ask what this node cannot do yet
  AND c.kind = ANY(%s)
  AND k.charging_point_id = c.charging_point_id AND k.node_id = %s
RETURNING c.command_id, c.charging_point_id, c.kind,
          -- a charging point that named a session itself knows it by that name alone
          c.arguments || coalesce(
              (SELECT jsonb_strip_nulls(jsonb_build_object('station_session', s.station_session))
               FROM sessions AS s
               WHERE s.session_id = (c.arguments ->> 'session_id')::int), '{}'),
          extract(epoch FROM c.deadline - now())::float, c.priority
"""

_ANSWER = f"""
UPDATE commands AS c
SET state = 'answered', answered_at = now(), outcome = t.outcome, detail = t.detail,
    answer = t.answer::jsonb,
    done_at = CASE WHEN t.open AND {_SECONDS} IS NOT NULL THEN c.done_at
                   ELSE coalesce(c.done_at, now()) END,
    done_outcome = CASE WHEN t.open AND {_SECONDS} IS NOT NULL THEN c.done_outcome
                        ELSE coalesce(c.done_outcome,
                                      CASE WHEN t.accepted THEN 'done' ELSE 'failed' END) END,
    done_by = CASE WHEN t.outcome = 'scheduled'
                   THEN now() + interval '{SCHEDULED_SECONDS} seconds'
                   WHEN t.open THEN {_BEGINS} + make_interval(secs => coalesce({_SECONDS}, 0))
                   ELSE c.done_by END,
    -- a password has done its service; it stands nowhere any more
    arguments = c.arguments - %s::text[]
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::boolean[])
    AS t (command_id, outcome, detail, answer, accepted, open)
WHERE c.command_id = t.command_id AND c.state = 'sent'
RETURNING c.command_id, pg_notify('{COMMAND_ANSWERS_CHANNEL}', c.command_id::text)
""".encode()

# Two conditions, so that the two partial indexes serve: the whole table is large.
_EXPIRE = f"""
UPDATE commands AS c {_EXPIRED}
WHERE (c.state = 'queued' AND c.deadline < now()) OR (c.state = 'sent' AND c.deadline < now())
""".encode()


class IdempotencyError(Exception):
    """A key was used before, for another command."""


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
    if isinstance(intent, SetPassword):
        passwords.offer(connection, charging_point_id, command_id, intent.password.encode())
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
        result = self.wait_without_giving_up(command_id, seconds)
        if result is None:
            with self._connection() as connection:
                result = give_up(connection, command_id)
        return result

    def wait_without_giving_up(self, command_id: int, seconds: float) -> CommandResult | None:
        """Wait for a command's result; None: it has none yet. Raises psycopg.Error."""
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
                    return None
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


class Wanted(NamedTuple):
    """A command of a job, to be queued."""

    job_id: int
    charging_point_id: str
    kind: str
    arguments: dict[str, Any]
    person: str
    program: str
    seconds: float


async def ask_many(cursor: AsyncCursor, wanted: Sequence[Wanted]) -> list[int]:
    """Queue commands, each for another charging point or job; return their ids, in order."""
    await cursor.execute(
        _ASK_MANY,
        [
            [each.charging_point_id for each in wanted],
            [each.kind for each in wanted],
            [json.dumps(each.arguments) for each in wanted],
            [each.person for each in wanted],
            [each.program for each in wanted],
            [each.seconds for each in wanted],
        ],
    )
    return [row[0] async for row in cursor]


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

    What is followed (`following`) is not done with its acceptance; all else is.
    """
    results = [result for _, result in answers]
    await cursor.execute(
        _ANSWER,
        [
            _SECRETS,
            [command_id for command_id, _ in answers],
            [result.outcome.value for result in results],
            [result.detail for result in results],
            [json.dumps(result.answer) if result.answer else None for result in results],
            [result.outcome.accepted for result in results],
            [result.open for result in results],
        ],
    )
    return {row[0] async for row in cursor}


async def expire(cursor: AsyncCursor) -> None:
    """Let commands expire whose deadline has passed, whoever asked for them."""
    await cursor.execute(_EXPIRE, [_SECRETS])
