"""What runs for as long as its process: a defect ends a round of it, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from charging.service.backoff import Backoff
from cp_backend.telemetry import Metrics

MAX_BACKOFF_SECONDS = 5.0

log = logging.getLogger(__name__)


class Lasting:
    """The parts of a process that run until cancelled, each begun again where it fails."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._failing: set[str] = set()

    @property
    def healthy(self) -> bool:
        """Whether no part waits to be begun again."""
        return not self._failing

    def begin(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Begin a part. work: runs until cancelled; what it raises is a defect of ours."""
        return asyncio.create_task(self._run(name, work), name=name)

    async def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(MAX_BACKOFF_SECONDS)
        while True:
            began_at = asyncio.get_running_loop().time()
            try:
                await work()
                log.error("a part ended that never should", extra={"part": name})
            except Exception:
                log.exception("a part failed and is begun again", extra={"part": name})
            self._metrics.count("Defects", name)
            if asyncio.get_running_loop().time() - began_at > MAX_BACKOFF_SECONDS:
                backoff.reset()
            self._failing.add(name)
            try:
                await asyncio.sleep(backoff.seconds())
            finally:
                self._failing.discard(name)
