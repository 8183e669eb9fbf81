"""What the routes of one worker process work with."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app
from psycopg_pool import ConnectionPool

from charging.database.commands import Answers
from charging.database.connection import Connection, Limits, parameters
from charging.service.telemetry import Metrics
from third_party_backend.deadlines import RequestConnection
from third_party_backend.partners.evses import Evses
from third_party_backend.partners.remote_sessions import RemoteSessions
from third_party_backend.partners.reservations import Reservations
from third_party_backend.settings import Settings
from third_party_backend.telemetry import Reporter, web_metrics

POOL_TIMEOUT_SECONDS = 1.5
STATEMENT_SECONDS = 3.0
MAX_CONNECTIONS = 8
"""Few are enough for many threads: one that waits for a charging point holds none."""
_EXTENSION = "third_party_backend"


@dataclass(frozen=True, slots=True)
class Services:
    """Threads and connections of a worker; `close` ends them."""

    settings: Settings
    pool: ConnectionPool[Connection]
    remote_sessions: RemoteSessions
    reservations: Reservations
    answers: Answers
    metrics: Metrics
    reporter: Reporter

    @classmethod
    def open(cls, settings: Settings, database_url: str) -> Services:
        """Connect and start; a database that is away is not waited for."""
        name = "third-party-backend"
        pool: ConnectionPool[Connection] = ConnectionPool(
            database_url,
            connection_class=RequestConnection,
            min_size=1,
            max_size=min(MAX_CONNECTIONS, settings.threads + 1),
            timeout=POOL_TIMEOUT_SECONDS,
            kwargs=parameters(name, Limits(connect=3, statement=STATEMENT_SECONDS)),
            check=ConnectionPool.check_connection,
            open=True,
        )
        metrics = web_metrics()
        evses = Evses(settings.presence_timeout, settings.start_timeout)
        return cls(
            settings,
            pool,
            RemoteSessions(pool, evses),
            Reservations(pool, evses),
            Answers(database_url, f"{name} answers", pool.connection),
            metrics,
            Reporter(metrics, settings.environment, settings.metrics_interval),
        )

    def attach(self, app: Flask) -> None:
        """Make them those of an application."""
        app.extensions[_EXTENSION] = self

    def close(self) -> None:
        """End the threads, with a last metric document, and close the connections."""
        self.answers.stop()
        self.reporter.stop()
        self.pool.close()


def services(app: Flask | None = None) -> Services:
    """Return the services of an application; by default of the one that handles the request."""
    found: Services = (app or current_app).extensions[_EXTENSION]
    return found
