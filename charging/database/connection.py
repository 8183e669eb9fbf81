"""Opening connections to the database as services need them, and listening for notifications.

Everything a program waits for has a limit: connecting, a statement, a lock, a transaction left
open, a peer that vanished without a word. `parameters()` has them all, for a plain connection and
for a pool alike.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from charging.service.backoff import Backoff

Connection = psycopg.Connection[Any]
AsyncConnection = psycopg.AsyncConnection[Any]
AsyncCursor = psycopg.AsyncCursor[Any]

# A peer that vanished is noticed within 10 + 3 x 5 seconds, on either side of the connection.
KEEPALIVE_IDLE_SECONDS = 10
KEEPALIVE_INTERVAL_SECONDS = 5
KEEPALIVE_COUNT = 3
UNACKNOWLEDGED_MILLISECONDS = 25_000

LISTEN_SECONDS = 1.0
"""How long a listening thread takes at most to notice that it shall stop."""
MAX_BACKOFF_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what may take on a connection, in seconds; None: as long as it takes.

    lock: waiting for a row or a table that another transaction holds. idle_in_transaction: between
    two statements of a transaction, after which the server ends the connection and with it the
    locks of a program that hangs.
    """

    connect: int = 5
    statement: float | None = 15
    lock: float | None = None
    idle_in_transaction: float | None = 60


def parameters(name: str, limits: Limits = Limits()) -> dict[str, Any]:
    """Return the arguments of `psycopg.connect`, or of a pool's connections, beside the address.

    name: shown in pg_stat_activity, such as ``third-party-backend outbox``. Times are UTC, and the
    server must accept writes: a standby, or a writer that was demoted, is not connected to.
    Source: PostgreSQL 18, sections 32.1.2 (libpq) and 19 (server configuration).
    """
    settings: dict[str, object] = {
        "timezone": "UTC",
        "tcp_keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "tcp_keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "tcp_keepalives_count": KEEPALIVE_COUNT,
        "tcp_user_timeout": UNACKNOWLEDGED_MILLISECONDS,
    }
    for setting, seconds in (
        ("statement_timeout", limits.statement),
        ("lock_timeout", limits.lock),
        ("idle_in_transaction_session_timeout", limits.idle_in_transaction),
    ):
        if seconds is not None:
            settings[setting] = f"{round(seconds * 1000)}ms"
    return {
        "application_name": name,
        "connect_timeout": limits.connect,
        "target_session_attrs": "read-write",
        "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "keepalives_count": KEEPALIVE_COUNT,
        "tcp_user_timeout": UNACKNOWLEDGED_MILLISECONDS,
        "options": " ".join(f"-c {setting}={value}" for setting, value in settings.items()),
    }


def connect(url: str, name: str, limits: Limits = Limits()) -> Connection:
    """Open a connection in autocommit. Raises psycopg.OperationalError."""
    return psycopg.connect(url, autocommit=True, **parameters(name, limits))


async def connect_async(url: str, name: str, limits: Limits = Limits()) -> AsyncConnection:
    """Open an asyncio connection in autocommit. Raises psycopg.OperationalError."""
    return await psycopg.AsyncConnection.connect(url, autocommit=True, **parameters(name, limits))


def rows(
    connection: Connection,
    statement: str,
    values: Sequence[Any] | Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return a statement's rows as dictionaries by column."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), values).fetchall()


def listen(
    url: str,
    name: str,
    channels: Iterable[str],
    on_notification: Callable[[str, str], None],
    stopped: threading.Event,
    *,
    on_listening: Callable[[], None] = lambda: None,
) -> None:
    """Call back with channel and payload of each notification until stopped; for a thread.

    The database's absence is survived with backoff. Notifications sent meanwhile are lost, so
    `on_listening` is called each time that listening has begun: it looks for what they would have
    announced.
    Both callbacks run in this thread and must neither block nor raise.
    """
    backoff = Backoff(MAX_BACKOFF_SECONDS)
    while not stopped.is_set():
        try:
            with connect(url, name) as connection:
                for channel in channels:
                    connection.execute(f"LISTEN {channel}".encode())
                backoff.reset()
                on_listening()
                while not stopped.is_set():
                    for notification in connection.notifies(timeout=LISTEN_SECONDS):
                        on_notification(notification.channel, notification.payload)
                        if stopped.is_set():
                            return
        except psycopg.Error as error:
            log.warning("not listening", extra={"connection": name, "error": str(error)[:300]})
            stopped.wait(backoff.seconds())
