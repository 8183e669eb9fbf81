"""The relay's process: it sends the hub what happened, and asks it about cards.

Any number may run. One plans at a time, and each queue is sent by one; the others stand by and
take over within seconds.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType

import psycopg

from charging.authorization import AUTHORIZATIONS_CHANNEL, AuthorizationKind
from charging.database.connection import listen
from charging.delivery import DELIVERIES_CHANNEL, Queue
from charging.event import EVENTS_CHANNEL
from charging.service.telemetry import Metrics, write_document
from third_party_backend.relay import deliveries
from third_party_backend.relay.authorizer import Authorizer
from third_party_backend.relay.client import HubClient, certificate_days
from third_party_backend.relay.database import connect
from third_party_backend.relay.planner import Planner
from third_party_backend.relay.sender import Sender
from third_party_backend.settings import Settings, variable
from third_party_backend.telemetry import dimensions, relay_metrics

FIGURES_SECONDS = 10.0
STOP_SECONDS = 15.0
"""How long all threads have, together, to finish what they do."""

log = logging.getLogger(__name__)


class Relay:
    """Runs until SIGTERM or SIGINT. Raises SettingError where the hub cannot be called so."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self._settings = settings
        self._url = database_url
        self._stopped = threading.Event()
        self._metrics = relay_metrics()
        self._threads: list[threading.Thread] = []
        self._workers: list[Planner | Sender | Authorizer] = []
        if not settings.hub_url:
            return
        self._hub = HubClient(settings)
        self._measure_certificate()
        self._planner = Planner(database_url, settings, self._metrics, self._stopped)
        self._senders = {
            queue: Sender(
                queue,
                database_url,
                self._hub,
                self._metrics,
                self._stopped,
                max_backoff_seconds=settings.hub_max_backoff,
                pace=settings.hub_pace,
            )
            for queue in Queue
        }
        self._authorizers = [
            Authorizer(
                kind, database_url, self._hub, self._metrics, self._stopped, settings.hub_pace
            )
            for kind in AuthorizationKind
        ]
        self._workers = [self._planner, *self._senders.values(), *self._authorizers]
        self._threads = [
            *self._workers,
            threading.Thread(target=self._listen, name="listen", daemon=True),
        ]

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if self._threads:
            log.info(
                "relaying",
                extra={
                    "hub": self._settings.hub_url,
                    "operator": self._settings.operator_id,
                    "mutual_tls": bool(self._settings.hub_certificate),
                },
            )
        else:
            log.warning(
                "idle: there is no hub", extra={"set": variable("hub_url"), "relaying": False}
            )
        for thread in self._threads:
            thread.start()
        failed = self._watch()
        self._stopped.set()
        self._wake_all()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._threads:
            self._hub.close()
            write_document(self._metrics.document(dimensions(self._settings.environment)))
        log.info("stopped")
        return 1 if failed else 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopped.set()

    def _watch(self) -> bool:
        """Write metrics until stopped; return whether a thread died, which none ever should."""
        waited = self._settings.metrics_interval
        while not self._stopped.wait(min(FIGURES_SECONDS, self._settings.metrics_interval)):
            if dead := [thread.name for thread in self._threads if not thread.is_alive()]:
                log.error("a thread died", extra={"threads": dead})
                return True
            if not self._threads:
                continue
            waited += min(FIGURES_SECONDS, self._settings.metrics_interval)
            if waited >= self._settings.metrics_interval:
                waited = 0.0
                self._measure(self._metrics)
        return False

    def _measure(self, metrics: Metrics) -> None:
        try:
            with connect(self._url, "figures") as connection:
                age, parked = deliveries.figures(connection)
        except psycopg.Error as error:
            metrics.count("DatabaseFailures", type(error).__name__)
            log.warning("no figures", extra={"error": str(error)[:300]})
            return
        metrics.gauges["OutboxAge"] = age
        metrics.gauges["DeliveriesParked"] = parked
        self._measure_certificate()
        write_document(metrics.document(dimensions(self._settings.environment)))

    def _measure_certificate(self) -> None:
        days = certificate_days(self._settings)
        if days is None:
            self._metrics.gauges.pop("HubCertificateDays", None)
        else:
            self._metrics.gauges["HubCertificateDays"] = round(days, 2)

    def _wake_all(self) -> None:
        for worker in self._workers:
            worker.wake.set()

    def _listen(self) -> None:
        listen(
            self._url,
            "third-party-backend listen",
            [EVENTS_CHANNEL, DELIVERIES_CHANNEL, AUTHORIZATIONS_CHANNEL],
            self._wake,
            self._stopped,
            on_listening=self._wake_all,
        )

    def _wake(self, channel: str, payload: str) -> None:
        if channel == EVENTS_CHANNEL:
            self._planner.wake.set()
        elif channel == AUTHORIZATIONS_CHANNEL:
            for authorizer in self._authorizers:
                authorizer.wake.set()
        elif payload in self._senders:
            self._senders[Queue(payload)].wake.set()
