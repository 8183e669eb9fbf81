"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(look: Callable[[], Value], seconds: float = 10) -> Value:
    """Return what `look` returns once it is true; fail when it never is."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = look()
        if value:
            return value
        assert time.monotonic() < deadline, "it never became true"
        pause.wait(0.02)


async def eventually_async(look: Callable[[], Value], seconds: float = 10) -> Value:
    """Return what `look` returns once it is true, letting the event loop run meanwhile."""
    async with asyncio.timeout(seconds):
        while not (value := look()):
            await asyncio.sleep(0.01)
    return value
