"""Commands to charging points: whatever can be asked of one, and starting and stopping sessions.

A command is queued and answered later: each function returns it, and whoever wants its result
waits, a command line with `charging.database.commands.wait`, a server with its `Answers`. What a
command was asked for, and by whom, is written with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from charging.database import commands
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.identity import id_tag_key, parse_charging_point_id
from charging.intents import Intent, Start, Stop
from operations import charging_points, sessions
from operations.errors import ConflictError, InvalidError, valid

DEFAULT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Queued:
    """A command on its way. seconds: that the charging point has to answer."""

    command: int
    charging_point: str
    seconds: float


def ask(
    connection: Connection,
    charging_point: str,
    intent: Intent,
    *,
    by: Asker,
    seconds: float = DEFAULT_SECONDS,
) -> Queued:
    """Ask a charging point for something. Raises InvalidError, NotFoundError."""
    if not seconds > 0:
        raise InvalidError("the time to answer must be positive (--timeout)")
    name = valid(parse_charging_point_id, charging_point)
    with connection.transaction():
        charging_points.check_known(connection, name)
        command_id = commands.ask(connection, name, intent, by=by, seconds=seconds)
    return Queued(command_id, name, seconds)


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
