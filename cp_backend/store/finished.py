"""Sessions as facts that show commands to be carried out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from charging.command import CommandKind
from charging.database import following
from charging.database.connection import AsyncCursor
from charging.database.following import Finished

_ALL = 1000


class Session(Protocol):
    """A session that has begun or ended."""

    @property
    def session_id(self) -> int:
        """Ours."""

    @property
    def charging_point_id(self) -> str:
        """Where."""

    @property
    def token(self) -> str:
        """That it began with."""

    @property
    def evse_number(self) -> int:
        """At which EVSE."""


async def finish_starts(cursor: AsyncCursor, sessions: Sequence[Session]) -> None:
    """End the remote starts that sessions carry out; they may have begun at another EVSE."""
    await following.finish(
        cursor,
        [
            Finished(
                session.charging_point_id,
                CommandKind.REMOTE_START,
                {"id_tag": session.token},
                {"evse_number": session.evse_number},
                stage="session_started",
                detail=f"session {session.session_id} at EVSE {session.evse_number}",
            )
            for session in sessions
        ],
    )


async def finish_stops(cursor: AsyncCursor, sessions: Sequence[Session]) -> None:
    """End the remote stops that the ends of sessions carry out."""
    await following.finish(
        cursor,
        [
            Finished(
                session.charging_point_id,
                CommandKind.REMOTE_STOP,
                {"session_id": session.session_id},
                most=_ALL,
                stage="session_ended",
            )
            for session in sessions
        ],
    )
