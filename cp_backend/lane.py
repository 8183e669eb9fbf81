"""Group commit: one connection to the database, many charging points.

Whatever is submitted while a batch is being committed makes the next batch, so gathering costs
no waiting: an idle lane commits a lone message at once, a busy one hundreds together. Each
submission learns its result only after the commit.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import psycopg

from cp_backend.telemetry import Metrics

Item = TypeVar("Item")
Result = TypeVar("Result")

Statement = Callable[[psycopg.AsyncCursor[Any], Sequence[Item]], Awaitable[Sequence[Result]]]
"""Does something for many items in one transaction; returns a result for each, in order.

It may run a second time for a part of its items, after the first time was rolled back.
"""

Done = Callable[[Any], None]
"""Told the result, or the exception that stood in its way."""

BATCH_TIMEOUT_SECONDS = 15
CONNECT_TIMEOUT_SECONDS = 5
_MAX_BACKOFF_SECONDS = 5.0
# The database rolled one of two back that waited for each other; it is well, and can be asked again.
_CONFLICTS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_TRIES = 5
_FIRST_PAUSE_SECONDS = 0.02

log = logging.getLogger(__name__)


class DatabaseAwayError(Exception):
    """The database cannot be asked now, or too much waits for it already."""


class Lane:
    """Carries submissions to the database, batch after batch.

    order: statements of a batch run in this order; what is not listed comes last.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        order: Sequence[Statement[Any, Any]],
        batch_limit: int,
        max_depth: int,
        metrics: Metrics,
    ) -> None:
        self._name = name
        self._url = url
        self._order = {statement: place for place, statement in enumerate(order)}
        self._batch_limit = batch_limit
        self._max_depth = max_depth
        self._metrics = metrics
        self._waiting: deque[tuple[Statement[Any, Any], Any, Done]] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._backoff = 0.0
        self.healthy = False
        """Whether the database answered the last time it was asked."""

    @property
    def depth(self) -> int:
        """How much waits."""
        return len(self._waiting)

    def submit(
        self, statement: Statement[Item, Any], item: Item, done: Done, *, urgent: bool = False
    ) -> None:
        """Have a statement done for an item; `done` is called from the loop, once.

        Never blocks. Beyond max_depth `done` hears DatabaseAwayError at once. urgent: before
        all that waits, however much that is.
        """
        if urgent:
            self._waiting.appendleft((statement, item, done))
        elif len(self._waiting) >= self._max_depth:
            done(DatabaseAwayError("too much waits for the database"))
            return
        else:
            self._waiting.append((statement, item, done))
        self._idle.clear()
        self._wake.set()

    async def ask(
        self, statement: Statement[Item, Result], item: Item, *, urgent: bool = False
    ) -> Result:
        """Submit and wait for the result. Raises what `done` would hear."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(result: Any) -> None:
            if future.done():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(statement, item, done, urgent=urgent)
        return await future

    async def flushed(self) -> None:
        """Wait until nothing waits."""
        await self._idle.wait()

    async def run(self) -> None:
        """Carry batches until cancelled."""
        try:
            while True:
                await self._wake.wait()
                await self._carry()
                if not self._waiting:
                    self._wake.clear()
                    self._idle.set()
        finally:
            await self._disconnect()

    async def _carry(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch_limit))]
        started = time.perf_counter()
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_SECONDS):
                results = await self._commit(batch)
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError, TimeoutError) as error:
            await self._away(error, [done for _, _, done in batch])
            return
        self.healthy = True
        self._backoff = 0.0
        self._metrics.sample("CommitBatchSize", len(batch))
        self._metrics.sample("CommitLatency", (time.perf_counter() - started) * 1000)
        for (_, _, done), result in zip(batch, results, strict=True):
            _tell(done, result)

    async def _commit(self, batch: Sequence[tuple[Statement[Any, Any], Any, Done]]) -> list[Any]:
        """Return a result or an exception for each submission of a batch."""
        connection = await self._connected()
        try:
            return await self._try(connection, batch)
        except (psycopg.OperationalError, OSError, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - it is handed on as a result
            # One item is at fault (a text with NUL, a reference to something deleted, a defect
            # in a statement): the others must not suffer for it. Halves find it in few
            # transactions.
            self._metrics.count("DatabaseFailures", type(error).__name__)
            log.warning("batch split", extra={"lane": self._name, "error": str(error)[:300]})
            if len(batch) == 1:
                return [error]
            half = len(batch) // 2
            return [*await self._commit(batch[:half]), *await self._commit(batch[half:])]

    async def _try(
        self,
        connection: psycopg.AsyncConnection[Any],
        batch: Sequence[tuple[Statement[Any, Any], Any, Done]],
    ) -> list[Any]:
        """Transact; once more where another node's transaction stood in the way."""
        for attempt in range(_TRIES - 1):
            try:
                return await self._transact(connection, batch)
            except _CONFLICTS as error:
                self._metrics.count("DatabaseFailures", type(error).__name__)
                pause = _FIRST_PAUSE_SECONDS * 2**attempt
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - jitter
        return await self._transact(connection, batch)

    async def _transact(
        self,
        connection: psycopg.AsyncConnection[Any],
        batch: Sequence[tuple[Statement[Any, Any], Any, Done]],
    ) -> list[Any]:
        groups: dict[Statement[Any, Any], list[int]] = {}
        for place, (statement, _, _) in enumerate(batch):
            groups.setdefault(statement, []).append(place)
        results: list[Any] = [None] * len(batch)
        last = len(self._order)
        async with connection.transaction(), connection.cursor() as cursor:
            for statement in sorted(groups, key=lambda s: self._order.get(s, last)):
                places = groups[statement]
                answers = await statement(cursor, [batch[place][1] for place in places])
                for place, answer in zip(places, answers, strict=True):
                    results[place] = answer
        return results

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name=f"charging-point-backend {self._name}",
                options=f"-c statement_timeout={BATCH_TIMEOUT_SECONDS}s -c timezone=UTC",
            )
        return self._connection

    async def _away(self, error: Exception, batch: list[Done]) -> None:
        """Tell everybody who waits, let go of the connection, and wait before the next try."""
        self.healthy = False
        self._metrics.count("DatabaseFailures", type(error).__name__)
        log.error("database away", extra={"lane": self._name, "error": str(error)[:300]})
        waiting = [done for _, _, done in self._waiting]
        self._waiting.clear()
        refusal = DatabaseAwayError("the database cannot be reached")
        for done in (*batch, *waiting):
            _tell(done, refusal)
        await self._disconnect()
        self._backoff = min(_MAX_BACKOFF_SECONDS, self._backoff * 2 or 0.1)
        await asyncio.sleep(self._backoff * random.uniform(0.5, 1))  # noqa: S311 - jitter

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                    await connection.close()
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.debug("closing a broken connection", extra={"error": str(error)})


def _tell(done: Done, result: Any) -> None:
    try:
        done(result)
    except Exception:
        # The commit stands whatever its listener does; the other listeners must hear.
        log.exception("listener of a commit failed")
