"""The planner: events become deliveries, each in one transaction.

Of all relays one plans at a time (an advisory lock of the transaction). An event that was read is
marked, not passed: identity order is not commit order, so a cursor could pass over a late commit.
Beside the events there are facts that only time brings about: charging points that stay offline,
vehicles that never come, progress. Periodic jobs look for those.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg

from charging.database.connection import Connection
from charging.event import EventKind
from charging.service.telemetry import Metrics
from third_party_backend.relay import planned
from third_party_backend.relay.database import Json, keep_connected, may_plan
from third_party_backend.relay.planning import (
    catalogue,
    notifications,
    presence,
    prices,
    reservations,
    sessions,
)
from third_party_backend.relay.planning.context import BATCH, STATUS_BATCH, Context, Event
from third_party_backend.relay.planning.reconciliation import Reconciliation
from third_party_backend.settings import Settings

POLL_SECONDS = 1.0

log = logging.getLogger(__name__)

Plan = Callable[[Context, Sequence[Event]], None]
Job = Callable[[Context], None]


def _statuses_changed(context: Context, events: Sequence[Event]) -> None:
    names = sorted({event.charging_point_id for event in events})
    catalogue.plan_statuses(context.connection, names)
    sessions.faulted(context, events)


PLANNERS: dict[EventKind, Plan] = {
    EventKind.EVSE_CHANGED: catalogue.changed,
    EventKind.EVSE_STATUS_CHANGED: _statuses_changed,
    EventKind.PRICES_CHANGED: prices.changed,
    EventKind.SESSION_STARTED: sessions.started,
    EventKind.SESSION_ENDED: sessions.ended,
    EventKind.HUB_SESSION_CLOSED: sessions.closed,
    EventKind.RESERVATION_ENDED: reservations.ended,
}
"""What plans the deliveries of each kind of event. Of one batch they run in this order."""


@dataclass(slots=True)
class PeriodicJob:
    """Work that is done every so many seconds, in a transaction of its own."""

    every_seconds: float
    run: Job
    next_at: float = 0.0


class Row(NamedTuple):
    """A row of `events`."""

    event_id: int
    kind: str
    charging_point_id: str
    payload: Json


class Planner(threading.Thread):
    """Plans until stopped. wake: set when an event was written."""

    def __init__(
        self, url: str, settings: Settings, metrics: Metrics, stopped: threading.Event
    ) -> None:
        super().__init__(name="planner", daemon=True)
        self.wake = threading.Event()
        self._url = url
        self._settings = settings
        self._metrics = metrics
        self._stopped = stopped
        self._reconciliation = Reconciliation()
        self._jobs = [
            PeriodicJob(3.0, self._reconciliation.begin),
            PeriodicJob(3.0, presence.watch),
            PeriodicJob(min(2.0, settings.start_timeout), sessions.close_unstarted),
            PeriodicJob(5.0, reservations.expire),
            PeriodicJob(min(10.0, settings.progress_interval), sessions.progress),
            PeriodicJob(30.0, notifications.drop_late_notifications),
        ]

    def run(self) -> None:
        """Plan; survive the database's absence."""
        keep_connected(self._url, "planner", self._stopped, self._metrics, self._work)

    def _work(self, connection: Connection) -> None:
        context = Context(connection, self._settings)
        while not self._stopped.is_set():
            self.wake.clear()
            relayed = relay_events(context)
            self._run_jobs(context)
            if self._reconciliation.under_way:
                run_alone(context, self._reconciliation.step)
            elif relayed < BATCH:
                self.wake.wait(POLL_SECONDS)

    def _run_jobs(self, context: Context) -> None:
        now = time.monotonic()
        for job in self._jobs:
            if job.next_at <= now:
                run_alone(context, job.run)
                job.next_at = now + job.every_seconds * random.uniform(0.8, 1.2)  # noqa: S311


def run_alone(context: Context, job: Job) -> None:
    """Run a periodic job in a transaction, unless another relay is planning.

    A job that fails is logged, and tried again in its turn. Raises psycopg.Error.
    """
    try:
        with context.connection.transaction():
            if may_plan(context.connection):
                job(context)
    except psycopg.Error:
        raise
    except Exception:
        log.exception("periodic job failed", extra={"job": job.__name__})


def relay_events(context: Context) -> int:
    """Turn a batch of events into deliveries; return how many events there were.

    One transaction, unless another relay is planning. A batch that fails is taken again event by
    event, and the event at fault is parked. Raises psycopg.OperationalError.
    """
    connection = context.connection
    with connection.transaction():
        if not may_plan(connection):
            return 0
        rows = _unrelayed(connection)
        if not rows:
            return 0
        try:
            with connection.transaction():
                plan(context, rows)
        except psycopg.OperationalError:
            raise
        except Exception:
            log.warning("batch split", exc_info=True)
            for row in rows:
                _plan_one(context, row)
        connection.execute(
            "UPDATE events SET relayed_at = now() WHERE event_id = ANY(%s)",
            [[row.event_id for row in rows]],
        )
    return len(rows)


def plan(context: Context, rows: Sequence[Row]) -> None:
    """Hand events to the planners of their kinds. Raises whatever is wrong with one of them."""
    by_kind: dict[EventKind, list[Event]] = {}
    for row in rows:
        by_kind.setdefault(EventKind(row.kind), []).append(
            Event(row.charging_point_id, row.payload)
        )
    for kind, planner in PLANNERS.items():
        if kind in by_kind:
            planner(context, by_kind[kind])


def _plan_one(context: Context, row: Row) -> None:
    """Plan one event; one that cannot be planned is parked for an operator to look at."""
    try:
        with context.connection.transaction():
            plan(context, [row])
    except psycopg.OperationalError:
        raise
    except Exception as error:
        log.exception("event parked", extra={"event_id": row.event_id, "kind": row.kind})
        reason = f"{row.kind}: {error!r}"[:1000]
        planned.event_parked(context.connection, row.event_id, reason)


def _unrelayed(connection: Connection) -> list[Row]:
    # A crowd of changed statuses must not stand in the way of a session's record.
    return [
        Row(*row)
        for condition, limit in (("<>", BATCH), ("=", STATUS_BATCH))
        for row in connection.execute(
            "SELECT event_id, kind, charging_point_id, payload FROM events"
            f" WHERE relayed_at IS NULL AND kind {condition} %s"
            " ORDER BY event_id LIMIT %s".encode(),
            [EventKind.EVSE_STATUS_CHANGED.value, limit],
        ).fetchall()
    ]
