"""The relay's connections to the database: one a thread, opened again when they are lost."""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import simplejson
from psycopg.types.json import set_json_dumps, set_json_loads

from charging.authorization import AuthorizationKind
from charging.database.connection import MAX_BACKOFF_SECONDS, Connection, Limits, parameters
from charging.delivery import DELIVERIES_CHANNEL, Queue
from charging.service.backoff import Backoff
from charging.service.telemetry import Metrics
from third_party_backend.deadlines import DeadlineConnection

Json = dict[str, Any]

LIMITS = Limits(connect=3, statement=30)
MAX_DEFECT_BACKOFF_SECONDS = 60.0
LOCK_SECONDS = 2.0
"""How often a lock is tried that another holds."""
BEAT_SECONDS = 5.0
"""How often the holder of a queue's lock notes that it lives."""
WORKER = f"{socket.gethostname()}:{os.getpid()}"
"""This process, as `hub_queues` names it."""

_LOCKS = 0x564E49
_PLANNING = 0
_LOCK_NUMBERS = {
    queue.value: number for number, queue in enumerate((*Queue, *AuthorizationKind), 1)
}

log = logging.getLogger(__name__)


def connect(url: str, name: str, kind: type[DeadlineConnection] = DeadlineConnection) -> Connection:
    """Open a connection in autocommit; jsonb's numbers are Decimal on it. Raises psycopg.Error."""
    connection = kind.connect(
        url, autocommit=True, **parameters(f"third-party-backend {name}", LIMITS)
    )
    set_json_loads(partial(simplejson.loads, parse_float=Decimal), connection)
    set_json_dumps(partial(simplejson.dumps, use_decimal=True), connection)
    return connection


def keep_connected(
    url: str,
    name: str,
    stopped: threading.Event,
    metrics: Metrics,
    work: Callable[[Connection], None],
    kind: type[DeadlineConnection] = DeadlineConnection,
) -> None:
    """Call work with a connection until stopped; with a new one whenever the database was away.

    work: returns when stopped is set. It leaves psycopg.Error to us, and whatever else it meets.
    """
    backoff, after_defect = Backoff(MAX_BACKOFF_SECONDS), Backoff(MAX_DEFECT_BACKOFF_SECONDS)
    while not stopped.is_set():
        try:
            with connect(url, name, kind) as connection:
                backoff.reset()
                work(connection)
        except psycopg.Error as error:
            metrics.count("DatabaseFailures", type(error).__name__)
            log.warning("database away", extra={"part": name, "error": str(error)[:300]})
            stopped.wait(backoff.seconds())
        except Exception:
            # The other threads must not end by it, nor this one: what it stands at may be mended.
            metrics.count("Defects", name)
            log.exception("a part failed and is begun again", extra={"part": name})
            stopped.wait(after_defect.seconds())


def may_plan(connection: Connection) -> bool:
    """Return whether this transaction alone turns events into deliveries."""
    row = connection.execute(
        "SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCKS, _PLANNING]
    ).fetchone()
    assert row is not None
    return bool(row[0])


def work_when_locked(
    connection: Connection,
    queue: Queue | AuthorizationKind,
    stopped: threading.Event,
    work: Callable[[Connection], None],
) -> None:
    """Call work while the queue's lock is ours, until stopped; try again while it is another's."""
    while not stopped.is_set():
        if _lock(connection, queue):
            work(connection)
        stopped.wait(LOCK_SECONDS * random.uniform(0.5, 1))  # noqa: S311


def _lock(connection: Connection, queue: Queue | AuthorizationKind) -> bool:
    """Take a queue for this connection alone, for as long as it lives."""
    row = connection.execute(
        "SELECT pg_try_advisory_lock(%s, %s)", [_LOCKS, _LOCK_NUMBERS[queue.value]]
    ).fetchone()
    assert row is not None
    return bool(row[0])


def dump(payload: Json | None) -> str | None:
    """Write a payload as PostgreSQL reads jsonb; Decimal goes as the number it is."""
    return None if payload is None else simplejson.dumps(payload, use_decimal=True)


def wake(connection: Connection, queues: Iterable[Queue]) -> None:
    """Wake the senders of queues, once this transaction has committed."""
    for queue in sorted(queues):
        connection.execute("SELECT pg_notify(%s, %s)", [DELIVERIES_CHANNEL, queue.value])
