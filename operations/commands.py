"""Commands to charging points: whatever can be asked of one, and starting and stopping sessions.

A command is queued and answered later: each function returns it, and whoever wants its result
waits, a command line with `charging.database.commands.wait`, a server with its `Answers`. What a
command was asked for, and by whom, is written with it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from charging.command import DONE_WITHIN_SECONDS
from charging.database import commands
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.identity import id_tag_key, parse_charging_point_id
from charging.intents import Intent, PasswordSpelling, SetPassword, Start, Stop
from operations import charging_points, sessions
from operations.errors import ConflictError, InvalidError, NotFoundError, valid

DEFAULT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Queued:
    """A command on its way.

    seconds: that the charging point has to answer; done_seconds: how long what it asks may take.
    """

    command: int
    charging_point: str
    seconds: float
    done_seconds: float = 0


def ask(
    connection: Connection,
    charging_point: str,
    intent: Intent,
    *,
    by: Asker,
    seconds: float = DEFAULT_SECONDS,
    idempotency_key: str | None = None,
) -> Queued:
    """Ask a charging point for something. Raises InvalidError, NotFoundError, ConflictError.

    idempotency_key: the same again is the same command; a conflict where it was used for another.
    """
    if not seconds > 0:
        raise InvalidError("the time to answer must be positive (--timeout)")
    name = valid(parse_charging_point_id, charging_point)
    try:
        with connection.transaction():
            charging_points.check_known(connection, name)
            command_id = commands.ask(
                connection,
                name,
                intent,
                by=by,
                seconds=seconds,
                idempotency_key=idempotency_key,
            )
    except commands.IdempotencyError as error:
        raise ConflictError(str(error)) from None
    return Queued(command_id, name, seconds, DONE_WITHIN_SECONDS.get(intent.kind, 0))


def remote_start(
    connection: Connection,
    charging_point: str,
    token: str,
    *,
    by: Asker,
    evse: int = 1,
    seconds: float = DEFAULT_SECONDS,
) -> Queued:
    """Ask a charging point to start a session with a token, which is charged for it.

    evse: its number at the charging point. Raises InvalidError, NotFoundError.
    """
    intent = Start(evse_number=evse, id_tag=valid(id_tag_key, token))
    return ask(connection, charging_point, intent, by=by, seconds=seconds)


def remote_stop(
    connection: Connection, session_id: int, *, by: Asker, seconds: float = DEFAULT_SECONDS
) -> Queued:
    """Ask a charging point to end a session. Raises InvalidError, NotFoundError, ConflictError."""
    found = connection.execute(
        "SELECT charging_point_id, state FROM sessions WHERE session_id = %s", [session_id]
    ).fetchone()
    if found is None:
        raise sessions.unknown(session_id)
    charging_point, state = found
    if state != "charging":
        raise ConflictError(f"session {session_id} has ended")
    return ask(connection, charging_point, Stop(session_id=session_id), by=by, seconds=seconds)


def rotate_password(
    connection: Connection,
    charging_point: str,
    *,
    by: Asker,
    spelling: PasswordSpelling = PasswordSpelling.HEX,
    seconds: float = DEFAULT_SECONDS,
) -> Queued:
    """Give a charging point a new password that nobody has to see.

    It has 20 characters and 15 bytes of entropy: what charging points take that want 16 to 20
    bytes. Raises InvalidError, NotFoundError.
    """
    intent = SetPassword(secrets.token_urlsafe(15), spelling)
    return ask(connection, charging_point, intent, by=by, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it stands. Times are aware UTC.

    state: queued, sent, answered, expired or superseded. outcome: of the answer; done: how what it
    asked ended, None while it goes on. answer: the answers' payloads as they came. progress: what
    the charging point reported since, the oldest first.
    """

    command: int
    charging_point: str
    kind: str
    state: str
    outcome: str | None
    detail: str
    done: str | None
    person: str
    queued_at: datetime
    answered_at: datetime | None
    done_at: datetime | None
    arguments: dict[str, Any]
    answer: list[Any] | None
    progress: list[dict[str, Any]]


_COLUMNS = """
command_id AS command, charging_point_id AS charging_point, kind, state, outcome, detail,
done_outcome AS done, coalesce(person, requested_by) AS person, queued_at, answered_at, done_at,
arguments - ARRAY['password'] AS arguments, answer,
(SELECT coalesce(jsonb_agg(jsonb_build_object('at', at, 'stage', stage, 'detail', p.detail)
                           ORDER BY at), '[]')
 FROM command_progress AS p WHERE p.command_id = commands.command_id) AS progress
"""


def list_newest(
    connection: Connection, charging_point: str | None = None, *, limit: int
) -> list[Command]:
    """Return commands, the newest first. charging_point: None for all. Raises InvalidError."""
    if limit < 1:
        raise InvalidError("--limit must be 1 or more")
    with connection.cursor(row_factory=class_row(Command)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM commands"
            " WHERE %(name)s::text IS NULL OR charging_point_id = %(name)s"
            " ORDER BY command_id DESC LIMIT %(limit)s".encode(),
            {"name": charging_point, "limit": limit},
        ).fetchall()


def show(connection: Connection, command_id: int) -> Command:
    """Return one command. Raises NotFoundError."""
    with connection.cursor(row_factory=class_row(Command)) as cursor:
        found = cursor.execute(
            f"SELECT {_COLUMNS} FROM commands WHERE command_id = %s".encode(), [command_id]
        ).fetchone()
    if found is None:
        raise NotFoundError(f"no command {command_id}; `commands list` shows the newest")
    return found
