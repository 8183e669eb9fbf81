"""What the pages of one process work with: connections, and one look at all for all viewers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from flask import Flask, current_app, g
from psycopg_pool import ConnectionPool

from charging.database.commands import Answers
from charging.database.connection import Connection, Limits, parameters
from operations import overview
from operations.console.balancer_sign_in import BalancerSignIn
from operations.console.settings import Settings
from operations.overview import Figures, WorkList

FIGURES_SECONDS = 2.0
WORK_SECONDS = 5.0
POOL_TIMEOUT_SECONDS = 2.0
_EXTENSION = "operations.console"

T = TypeVar("T")


@dataclass(slots=True)
class Shared(Generic[T]):
    """A result that is as old as `seconds` at most, made once however many ask for it."""

    seconds: float
    make: Callable[[], T]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _made: tuple[float, T] | None = None

    def get(self) -> T:
        """Return it; whoever comes while it is made waits for that one."""
        made = self._made
        if made is None or time.monotonic() - made[0] > self.seconds:
            with self._lock:
                made = self._made
                if made is None or time.monotonic() - made[0] > self.seconds:
                    made = self._made = (time.monotonic(), self.make())
        return made[1]


class Services:
    """Connections and shared results of a process; `close` ends them."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self.settings = settings
        self.balancer = BalancerSignIn(settings) if settings.oidc_signer else None
        """Who signs people in, where it is not we."""
        self.pool: ConnectionPool[Connection] = ConnectionPool(
            database_url,
            min_size=1,
            max_size=min(8, settings.threads + 1),
            timeout=POOL_TIMEOUT_SECONDS,
            kwargs={
                "autocommit": True,
                **parameters(
                    "console", Limits(connect=3, statement=settings.statement_timeout, lock=2)
                ),
            },
            check=ConnectionPool.check_connection,
            open=True,
        )
        self.answers = Answers(database_url, "console answers", self.pool.connection)
        self._figures: dict[datetime, Shared[Figures]] = {}
        self._work = Shared(WORK_SECONDS, self._read_work)

    def attach(self, app: Flask) -> None:
        """Make them those of an application."""
        app.extensions[_EXTENSION] = self

    def figures(self, since: datetime) -> Figures:
        """Return how all is; since: a midnight, of which there are as many as time zones."""
        shared = self._figures.get(since)
        if shared is None:
            self._figures = {
                midnight: kept
                for midnight, kept in self._figures.items()
                if abs((midnight - since).total_seconds()) < 2 * 86400
            }
            shared = self._figures.setdefault(
                since, Shared(FIGURES_SECONDS, lambda: self._read_figures(since))
            )
        return shared.get()

    def work(self) -> list[WorkList]:
        """Return what waits for somebody."""
        return self._work.get()

    def close(self) -> None:
        """Close the connections."""
        self.answers.stop()
        self.pool.close()

    def _read_figures(self, since: datetime) -> Figures:
        with self.pool.connection() as connection:
            return overview.figures(connection, since=since)

    def _read_work(self) -> list[WorkList]:
        with self.pool.connection() as connection:
            return overview.work(connection)


def services(app: Flask | None = None) -> Services:
    """Return the services of an application; by default of the one that handles the request."""
    found: Services = (app or current_app).extensions[_EXTENSION]
    return found


def connection() -> Connection:
    """Return this request's connection, in autocommit; it goes back to the pool at its end."""
    if "connection" not in g:
        g.connection = services().pool.getconn()
    found: Connection = g.connection
    return found


def release(error: BaseException | None = None) -> None:
    """Give the request's connection back; for `teardown_appcontext`."""
    del error
    taken = g.pop("connection", None)
    if taken is not None:
        services().pool.putconn(taken)
