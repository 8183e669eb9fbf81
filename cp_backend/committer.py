"""Group commit: one connection to the database, many charging points.

Whatever is submitted while a batch is being committed makes the next batch, so gathering costs
no waiting: an idle committer commits a lone message at once, a busy one hundreds together. Each
submission gets its result only after the commit.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import psycopg

from charging.database.connection import (
    MAX_BACKOFF_SECONDS,
    AsyncConnection,
    AsyncCursor,
    Limits,
    connect_async,
)
from charging.service.backoff import Backoff
from cp_backend.telemetry import Metrics

M = TypeVar("M")
R = TypeVar("R")

Statement = Callable[[AsyncCursor, Sequence[M]], Awaitable[Sequence[R]]]
"""Does something for many submissions in one transaction; returns a result for each, in order.

It may run a second time for a part of them, after the first time was rolled back.
"""

OnResult = Callable[[R | Exception], None]
"""Called with the result, or with the exception that stood in its way."""

BATCH_TIMEOUT_SECONDS = 15
# A batch under way for longer is no sign of a database that answers.
_SLOW_SECONDS = 5.0
# Longer than the database takes to find a deadlock (1 s), which is better solved by it.
_LIMITS = Limits(statement=BATCH_TIMEOUT_SECONDS, lock=2)
# The parts of a batch that met a locked row, and the items of a charging point whose rows were
# found locked so lately, wait no longer than this for a lock.
_BRIEF_LOCK_TIMEOUT_SECONDS = 0.1
_LOCKED_FOR_SECONDS = 10.0
# Halving a full batch down to one locked item takes 12 waits; where there are many more locked
# rows (a whole table, an import of ours), the rest of the batch is refused.
_MAX_LOCK_WAITS = 24
# The database rolled one of two back that waited for each other; it can be asked again.
_CONFLICTS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_TRIES = 5
_FIRST_PAUSE_SECONDS = 0.02

# Errors that say nothing of the items: the connection or the server is of no use.
_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # Demoted, or kept from writing: another connection finds its successor.
    psycopg.errors.ReadOnlySqlTransaction,
    OSError,
    TimeoutError,
)

log = logging.getLogger(__name__)


class DatabaseAwayError(Exception):
    """The database cannot be asked now, or too much waits for it already."""


# A queue holds submissions of every kind: what goes with what is checked where they are submitted.
_Statement = Statement[Any, Any]


class _Waiting(NamedTuple):
    """What waits for a commit. key: whose rows it touches, as far as that is known."""

    statement: _Statement
    item: Any
    on_result: OnResult[Any]
    key: str


class Committer:
    """Carries submissions to the database, batch after batch.

    A row that somebody else keeps locked stops only who needs it: the batch is split, the item
    that waited gets LockNotAvailable, and for a while the items of its key make transactions
    of their own, in which nobody waits long.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        batch_limit: int,
        max_depth: int,
        metrics: Metrics,
    ) -> None:
        self._name = name
        self._url = url
        self._order: dict[_Statement, int] = {}
        self._batch_limit = batch_limit
        self._max_depth = max_depth
        self._metrics = metrics
        self._waiting: deque[_Waiting] = deque()
        self._locked: dict[str, float] = {}
        self._lock_waits = 0
        self._brief = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._connection: AsyncConnection | None = None
        self._backoff = Backoff(MAX_BACKOFF_SECONDS)
        self._answered = False
        self._began_at: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether the database answered the last time it was asked, and does so in good time."""
        began_at = self._began_at
        return self._answered and (
            began_at is None or time.perf_counter() - began_at < _SLOW_SECONDS
        )

    @property
    def depth(self) -> int:
        """How much waits."""
        return len(self._waiting)

    def run_in_order(self, *statements: _Statement) -> None:
        """Run these statements of a batch in this order, and what is not listed after them."""
        self._order = {statement: place for place, statement in enumerate(statements)}

    def submit(
        self,
        statement: Statement[M, R],
        item: M,
        on_result: OnResult[R],
        *,
        key: str = "",
        urgent: bool = False,
    ) -> None:
        """Run a statement for an item; `on_result` is called from the loop, once.

        Never blocks. Beyond max_depth `on_result` gets DatabaseAwayError at once. key: the
        charging point whose rows it touches. urgent: before all that waits, however much that is.
        """
        if urgent:
            self._waiting.appendleft(_Waiting(statement, item, on_result, key))
        elif len(self._waiting) >= self._max_depth:
            _hand_on(on_result, DatabaseAwayError("too much waits for the database"))
            return
        else:
            self._waiting.append(_Waiting(statement, item, on_result, key))
        self._idle.clear()
        self._wake.set()

    async def ask(self, statement: Statement[M, R], item: M, *, urgent: bool = False) -> R:
        """Submit and wait for the result. Raises what `on_result` would get."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def on_result(result: R | Exception) -> None:
            if future.done():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(statement, item, on_result, urgent=urgent)
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
        self._began_at = time.perf_counter()
        self._lock_waits = 0
        free, locked = self._apart(batch) if self._locked else (batch, [])
        try:
            if not free or await self._commit_all(free, brief=False):
                if locked:
                    await self._commit_all(locked, brief=True)
            else:
                self._refuse(locked)
        finally:
            self._began_at = None

    def _apart(self, batch: list[_Waiting]) -> tuple[list[_Waiting], list[_Waiting]]:
        """Return a batch's items without those whose rows were found locked lately, and those."""
        now = time.perf_counter()
        self._locked = {key: until for key, until in self._locked.items() if until > now}
        return (
            [each for each in batch if each.key not in self._locked],
            [each for each in batch if each.key in self._locked],
        )

    async def _commit_all(self, batch: list[_Waiting], *, brief: bool) -> bool:
        """Commit a batch and hand its results on; return False where the database is away.

        brief: wait for locks no longer than _BRIEF_LOCK_TIMEOUT_SECONDS.
        """
        started = time.perf_counter()
        self._brief = brief
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_SECONDS):
                results = await self._commit(batch)
        except _AWAY as error:
            await self._away(error, batch)
            return False
        except Exception as error:
            # A defect of ours; whether it was committed nobody knows, so all are told to try again.
            log.exception("batch failed", extra={"committer": self._name})
            self._metrics.count("Defects", self._name)
            await self._disconnect()
            self._refuse(batch, error)
            return True
        self._answered = True
        self._backoff.reset()
        self._metrics.sample("CommitBatchSize", len(batch))
        self._metrics.sample("CommitLatency", (time.perf_counter() - started) * 1000)
        for each, result in zip(batch, results, strict=True):
            _hand_on(each.on_result, result)
        return True

    async def _commit(self, batch: Sequence[_Waiting]) -> list[Any]:
        """Return a result or an exception for each submission of a batch."""
        connection = await self._connected()
        try:
            return await self._try(connection, batch)
        except psycopg.errors.LockNotAvailable as error:
            return await self._commit_around_lock(batch, error)
        except _AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - it is handed on as a result
            # One item is at fault (a text with NUL, a reference to something deleted, a defect
            # in a statement): the others must not suffer for it. Halves find it in few
            # transactions.
            self._metrics.count("DatabaseFailures", type(error).__name__)
            log.warning("batch split", extra={"committer": self._name, "error": str(error)[:300]})
            if len(batch) == 1:
                return [error]
            half = len(batch) // 2
            return [*await self._commit(batch[:half]), *await self._commit(batch[half:])]

    async def _commit_around_lock(
        self, batch: Sequence[_Waiting], error: psycopg.errors.LockNotAvailable
    ) -> list[Any]:
        """Commit what a locked row does not concern; the error is the result of the rest."""
        self._lock_waits += 1
        self._brief = True
        self._metrics.count("DatabaseFailures", type(error).__name__)
        if len(batch) > 1 and self._lock_waits < _MAX_LOCK_WAITS:
            half = len(batch) // 2
            return [*await self._commit(batch[:half]), *await self._commit(batch[half:])]
        log.warning(
            "rows are locked",
            extra={"committer": self._name, "keys": [each.key for each in batch[:10]]},
        )
        if len(batch) == 1 and batch[0].key:
            self._locked[batch[0].key] = time.perf_counter() + _LOCKED_FOR_SECONDS
        return [error] * len(batch)

    async def _try(
        self,
        connection: AsyncConnection,
        batch: Sequence[_Waiting],
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
        connection: AsyncConnection,
        batch: Sequence[_Waiting],
    ) -> list[Any]:
        groups: dict[_Statement, list[int]] = {}
        for place, each in enumerate(batch):
            groups.setdefault(each.statement, []).append(place)
        results: list[Any] = [None] * len(batch)
        last = len(self._order)
        async with connection.transaction(), connection.cursor() as cursor:
            if self._brief:
                await cursor.execute(
                    f"SET LOCAL lock_timeout = {_BRIEF_LOCK_TIMEOUT_SECONDS * 1000:.0f}"
                )
            for statement in sorted(groups, key=lambda s: self._order.get(s, last)):
                places = groups[statement]
                answers = await statement(cursor, [batch[place].item for place in places])
                for place, answer in zip(places, answers, strict=True):
                    results[place] = answer
        return results

    async def _connected(self) -> AsyncConnection:
        if self._connection is None or self._connection.closed:
            self._connection = await connect_async(
                self._url, f"charging-point-backend {self._name}", _LIMITS
            )
        return self._connection

    async def _away(self, error: Exception, batch: Sequence[_Waiting]) -> None:
        """Refuse all that waits, drop the connection, and wait before the next try."""
        self._answered = False
        self._metrics.count("DatabaseFailures", type(error).__name__)
        log.error("database away", extra={"committer": self._name, "error": str(error)[:300]})
        waiting = list(self._waiting)
        self._waiting.clear()
        self._refuse([*batch, *waiting])
        await self._disconnect()
        await asyncio.sleep(self._backoff.seconds())

    def _refuse(self, batch: Sequence[_Waiting], why: Exception | None = None) -> None:
        refusal = why or DatabaseAwayError("the database cannot be reached")
        for each in batch:
            _hand_on(each.on_result, refusal)

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                async with asyncio.timeout(_LIMITS.connect):
                    await connection.close()
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.debug("closing a broken connection", extra={"error": str(error)})


def _hand_on(on_result: OnResult[Any], result: object) -> None:
    try:
        on_result(result)
    except Exception:
        # The commit stands whatever its callback does; the other callbacks must be called.
        log.exception("callback of a commit failed")
