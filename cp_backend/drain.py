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

log = logging.getLogger(__name__)


async def drain(registry: Registry, seconds: float, grace_seconds: float) -> int:
    """Close every connection with 1012 over so many seconds; return how many there were.

    One that is being answered is put off to the end, so that it hears its answer first.
    grace_seconds: after the last close, for goodbyes that are still under way.
    """
    waiting: list[Connection] = list(registry)
    random.shuffle(waiting)
    total = len(waiting)
    log.info("draining", extra={"connections": total, "seconds": seconds})
    steps = max(1, round(seconds / STEP_SECONDS))
    a_step = math.ceil(total / steps)
    deadline = asyncio.get_running_loop().time() + seconds + grace_seconds
    while waiting:
        busy = []
        for connection in waiting[:a_step]:
            if connection.conversation.busy:
                busy.append(connection)
            else:
                connection.close(SERVICE_RESTART, "service restart")
        waiting = waiting[a_step:] + busy
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(STEP_SECONDS)
    # Whoever came in while we were closing, and goodbyes under way.
    for connection in registry:
        connection.close(SERVICE_RESTART, "service restart")

    while len(registry) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(STEP_SECONDS)
    left = len(registry)
    for connection in registry:
        connection.abort("drained")
    log.info("drained", extra={"connections": total, "cut_off": left})
    return total
