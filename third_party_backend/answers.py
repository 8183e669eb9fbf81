"""Waiting for the answers to commands: a NOTIFY wakes, polling guarantees."""

from __future__ import annotations

import logging
import random
import threading
import time

import psycopg

from charging.command import COMMAND_ANSWERS_CHANNEL, Outcome
from third_party_backend.store import Store

POLL_SECONDS = 0.5
_LISTEN_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 5.0

log = logging.getLogger(__name__)


class Answers:
    """One listening thread a process; the threads that serve the hub wait on it."""

    def __init__(self, url: str, store: Store) -> None:
        self._url = url
        self._store = store
        self._waiting: dict[int, list[threading.Event]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="answers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopped.set()
        self._thread.join(timeout=_LISTEN_SECONDS * 3)

    def wait(self, command_id: int, seconds: float) -> tuple[Outcome, str]:
        """Return the outcome and detail of a command; after so many seconds it is given up.

        Raises psycopg.Error.
        """
        deadline = time.monotonic() + seconds
        event = threading.Event()
        with self._lock:
            self._waiting.setdefault(command_id, []).append(event)
        try:
            while True:
                answer = self._store.answer_of(command_id)
                if answer is not None:
                    return answer
                left = deadline - time.monotonic()
                if left <= 0:
                    return self._store.give_up(command_id)
                event.wait(min(POLL_SECONDS, left))
                event.clear()
        finally:
            with self._lock:
                self._waiting[command_id].remove(event)
                if not self._waiting[command_id]:
                    del self._waiting[command_id]

    def _listen(self) -> None:
        backoff = 0.1
        while not self._stopped.is_set():
            try:
                with psycopg.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=3,
                    application_name="third-party-backend answers",
                ) as connection:
                    connection.execute(f"LISTEN {COMMAND_ANSWERS_CHANNEL}")
                    backoff = 0.1
                    while not self._stopped.is_set():
                        for notification in connection.notifies(timeout=_LISTEN_SECONDS):
                            self._wake(notification.payload)
            except psycopg.Error as error:
                log.warning("not listening", extra={"error": str(error)[:300]})
                self._stopped.wait(backoff * random.uniform(0.5, 1))  # noqa: S311 - jitter
                backoff = min(_MAX_BACKOFF_SECONDS, backoff * 2)

    def _wake(self, payload: str) -> None:
        with self._lock:
            for event in self._waiting.get(int(payload), ()):
                event.set()
