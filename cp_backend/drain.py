"""Stopping without a stampede: connections end one after another, in random order.

Closed all at once, 100,000 charging points would come back all at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random

from cp_backend.connection import Connection
from cp_backend.registry import Registry

SERVICE_RESTART = 1012
"""Close code for "come back in a moment". Source: IANA WebSocket close code registry."""

STEP_SECONDS = 0.05
# So many closes a second are harmless, however few connections there are.
LEAST_PACE = 20.0
# A loop that was held up may catch up by so much, and never in a burst.
_HASTE = 1.5

log = logging.getLogger(__name__)


async def drain(registry: Registry, seconds: float, grace_seconds: float) -> int:
    """Close every connection with 1012 over so many seconds; return how many there were.

    One that is being answered is put off to the end, so that it gets its answer first.
    grace_seconds: after the last close, for closing handshakes that are under way.
    """
    waiting: list[Connection] = list(registry)
    random.shuffle(waiting)
    total = len(waiting)
    loop = asyncio.get_running_loop()
    started = last = loop.time()
    pace = max(LEAST_PACE, total / seconds) if seconds else math.inf
    log.info("draining", extra={"connections": total, "seconds": seconds})
    deadline = started + seconds + grace_seconds
    allowance = 1.0
    while waiting and (now := loop.time()) < deadline:
        left = max(STEP_SECONDS, started + seconds - now)
        rate = min(_HASTE * pace, max(pace, len(waiting) / left))
        allowance += rate * min(now - last, 2 * STEP_SECONDS) if seconds else len(waiting)
        last = now
        count = min(len(waiting), int(allowance))
        allowance -= count
        busy = []
        for connection in waiting[:count]:
            if connection.conversation.busy:
                busy.append(connection)
            else:
                connection.close(SERVICE_RESTART, "service restart")
        waiting = waiting[count:] + busy
        await asyncio.sleep(STEP_SECONDS)
    # Connections that came while we were closing, and closing handshakes under way.
    for connection in registry:
        connection.close(SERVICE_RESTART, "service restart")

    while len(registry) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(STEP_SECONDS)
    left_over = len(registry)
    for connection in registry:
        connection.abort("drained")
    log.info("drained", extra={"connections": total, "cut_off": left_over})
    return total
