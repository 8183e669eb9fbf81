"""The message log: what a node exchanged with its charging points, for people who look into it.

It has a connection of its own and is lossy by design: billing never waits for it. What cannot be
written in time is dropped, the oldest first, and counted.

Heartbeats and readings, nine tenths of all traffic, are kept only of charging points under a lens
(`charging_points.lens_until`), which an operator sets for a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Set
from contextlib import suppress
from datetime import UTC, datetime

import psycopg

from charging.database import messages, retention
from charging.database.connection import AsyncConnection, connect_async
from charging.database.messages import Direction, LoggedMessage
from charging.service.backoff import Backoff
from cp_backend.ocpp.redaction import QUIET, redact_text, redacted_json
from cp_backend.telemetry import Metrics

MAX_WAITING = 20_000
MAX_OF_ONE = 1_000
"""Of one charging point between two writes: one that floods leaves room for the others."""
FLUSH_SECONDS = 0.25
LENSES_SECONDS = 5.0
"""How long it takes at most until a lens that an operator sets is seen."""
BATCH = 2_000
MAX_PAYLOAD_CHARACTERS = 16_384
_MAX_TEXT_CHARACTERS = 255
_PARTITIONS_SECONDS = 3600.0
_LAST_FLUSH_SECONDS = 2.0

log = logging.getLogger(__name__)


class MessageLog:
    """Takes messages at once and writes them in batches, from a task of its own."""

    def __init__(
        self,
        url: str,
        metrics: Metrics,
        *,
        keep_days: int = messages.KEEP_DAYS,
        most_waiting: int = MAX_WAITING,
    ) -> None:
        self._url = url
        self._metrics = metrics
        self._keep_days = keep_days
        self._most_waiting = most_waiting
        self._waiting: deque[LoggedMessage] = deque()
        self._of_each: dict[str, int] = {}
        self._key: bytes | None = None
        self.begun = False
        """Whether it takes messages, or could not begin to."""
        self._lenses: set[str] = set()

    @property
    def depth(self) -> int:
        """How many messages wait to be written."""
        return len(self._waiting)

    def keeps(self, charging_point_id: str, action: str) -> bool:
        """Whether an ordinary message of an action is kept."""
        return action not in QUIET or charging_point_id in self._lenses

    def note(
        self,
        charging_point_id: str,
        direction: Direction,
        kind: str,
        *,
        at: datetime | None = None,
        action: str = "",
        message_id: str = "",
        outcome: str = "",
        latency_milliseconds: float | None = None,
        payload: object = None,
        secrets: Set[str] = frozenset(),
    ) -> None:
        """Keep a message. at: None for now; payload: JSON value, or text as it came; secrets: as
        `redact` takes them.

        Never blocks and never raises for what a charging point sent.
        """
        if self._key is None:
            return  # it has not been ready yet, or the database is away since the start
        of_it = self._of_each.get(charging_point_id, 0) + 1
        if of_it > MAX_OF_ONE:
            self._metrics.count("MessagesNotLogged")
            return
        self._of_each[charging_point_id] = of_it
        if len(self._waiting) >= self._most_waiting:
            self._waiting.popleft()
            self._metrics.count("MessagesNotLogged")
        if payload is None:
            text = ""
        elif isinstance(payload, str):
            text = redact_text(payload[:MAX_PAYLOAD_CHARACTERS], self._key)
        else:
            text = redacted_json(payload, self._key, secrets)
        self._waiting.append(
            LoggedMessage(
                at or datetime.now(UTC),
                charging_point_id,
                direction,
                kind,
                _clean(action, _MAX_TEXT_CHARACTERS),
                _clean(message_id, _MAX_TEXT_CHARACTERS),
                _clean(outcome, _MAX_TEXT_CHARACTERS),
                latency_milliseconds,
                _clean(text, MAX_PAYLOAD_CHARACTERS),
            )
        )

    async def run(self) -> None:
        """Write until cancelled; then what waits is written once more, if it can be.

        The partitions to come of the tables that are parted by months are made here too.
        """
        backoff = Backoff(most_seconds=30.0)
        while True:
            try:
                async with await connect_async(
                    self._url, "charging-point-backend messages"
                ) as connection:
                    await self._keep_partitions(connection)
                    self._key = await messages.token_key(connection)
                    self.begun = True
                    await self._write(connection, backoff)
            except (psycopg.Error, OSError) as error:
                self.begun = True
                self._of_each.clear()  # else each would keep its oldest until the database is back
                log.warning("messages not logged", extra={"error": str(error)[:300]})
            await asyncio.sleep(backoff.seconds())

    async def _write(self, connection: AsyncConnection, backoff: Backoff) -> None:
        loop = asyncio.get_running_loop()
        partitions_due = loop.time() + _PARTITIONS_SECONDS
        lenses_due = loop.time()
        try:
            while True:
                if loop.time() >= partitions_due:
                    await self._keep_partitions(connection)
                    partitions_due = loop.time() + _PARTITIONS_SECONDS
                if loop.time() >= lenses_due:
                    self._lenses = await messages.lenses(connection)
                    lenses_due = loop.time() + LENSES_SECONDS
                await self._flush(connection)
                backoff.reset()
                await asyncio.sleep(FLUSH_SECONDS)
        except asyncio.CancelledError:
            with suppress(psycopg.Error, OSError, TimeoutError):
                async with asyncio.timeout(_LAST_FLUSH_SECONDS):
                    await self._flush(connection)
            raise

    async def _keep_partitions(self, connection: AsyncConnection) -> None:
        await messages.keep_partitions(connection, keep_days=self._keep_days)
        await retention.make_partitions_async(connection)

    async def _flush(self, connection: AsyncConnection) -> None:
        self._of_each.clear()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                await messages.copy(connection, batch)
            except asyncio.CancelledError:
                self._waiting.extendleft(reversed(batch))  # for the last flush
                raise
            except psycopg.Error:
                self._metrics.count("MessagesNotLogged", amount=len(batch))
                raise
            self._metrics.count("MessagesLogged", amount=len(batch))


def _clean(text: str, most: int) -> str:
    """Return text as PostgreSQL keeps it: without NUL and lone surrogates, cut."""
    return text[:most].replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
