"""Connections to the database on which no wait lasts for ever.

Statement timeouts are the server's; keepalives and tcp_user_timeout notice a peer that sends no
acknowledgments. None of them helps where something between us and the server, such as a proxy,
acknowledges what we send and never answers. So this side counts the seconds too.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg.abc import PQGen

T = TypeVar("T")


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection that is closed, with OperationalError, when an answer stays away too long.

    answer_seconds: above the statement timeout at the server.
    """

    answer_seconds: ClassVar[float] = 45.0

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the server as psycopg does, but for answer_seconds at most."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.errors._WaitTimeout:
            # The server may answer yet, and the answer would be taken for that of the next
            # statement.
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the database has not answered for {self.answer_seconds:g} seconds"
            ) from None


class RequestConnection(DeadlineConnection):
    """The same for requests, whose callers wait."""

    answer_seconds: ClassVar[float] = 5.0
