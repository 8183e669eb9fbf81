"""OCPP-J from the charging point's side: one CALL of ours in flight, theirs answered meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
CALL_TIMEOUT_SECONDS = 30.0

Handler = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class DisconnectedError(Exception):
    """The connection went away, or the answer never came."""


class CallRefusedError(Exception):
    """The central system answered with a CALLERROR; retrying is the caller's decision."""

    def __init__(self, action: str, code: str, description: str) -> None:
        super().__init__(f"{action}: {code} {description}".strip())
        self.code = code


class NotImplementedActionError(Exception):
    """Raised by a handler for an action it does not know."""


class Link:
    """A connection on which OCPP is spoken.

    on_call: answers the central system's calls; raises NotImplementedActionError.
    latencies: told action and seconds of every answered call of ours.
    """

    def __init__(
        self,
        connection: ClientConnection,
        on_call: Handler,
        latencies: Callable[[str, float], None],
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> None:
        self._connection = connection
        self._on_call = on_call
        self._latencies = latencies
        self._timeout = timeout_seconds
        self._turn = asyncio.Lock()
        self._ids = itertools.count(1)
        self._pending: tuple[str, asyncio.Future[list[Any]]] | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Call the central system; raises DisconnectedError, CallRefusedError."""
        async with self._turn:
            message_id = f"{next(self._ids)}"
            future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            self._pending = (message_id, future)
            started = time.perf_counter()
            try:
                await self._connection.send(json.dumps([CALL, message_id, action, payload]))
                async with asyncio.timeout(self._timeout):
                    frame = await future
            except ConnectionClosed as error:
                raise DisconnectedError(str(error)) from error
            except TimeoutError as error:
                # Without an answer nobody knows what the central system has: only a new
                # connection and the same message again will tell.
                await self._connection.close()
                raise DisconnectedError(f"{action}: no answer") from error
            finally:
                self._pending = None
                if not future.cancel() and not future.cancelled():
                    future.exception()  # seen, even where the caller is no longer interested
        if frame[0] == CALL_ERROR:
            raise CallRefusedError(action, str(frame[2]), str(frame[3]) if len(frame) > 3 else "")
        self._latencies(action, time.perf_counter() - started)
        answer: dict[str, Any] = frame[2]
        return answer

    async def listen(self) -> None:
        """Hear the central system until the connection ends."""
        try:
            async for text in self._connection:
                self._hear(json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            if self._pending is not None and not self._pending[1].done():
                self._pending[1].set_exception(DisconnectedError("connection lost"))
            for task in self._answering:
                task.cancel()

    async def close(self) -> None:
        """Say goodbye."""
        await self._connection.close()

    def _hear(self, frame: list[Any]) -> None:
        if frame[0] == CALL:
            task = asyncio.create_task(self._answer(frame[1], frame[2], frame[3]))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif (
            self._pending is not None
            and self._pending[0] == frame[1]
            and not self._pending[1].done()
        ):
            self._pending[1].set_result(frame)

    async def _answer(self, message_id: str, action: str, payload: dict[str, Any]) -> None:
        try:
            answer = [CALL_RESULT, message_id, await self._on_call(action, payload)]
        except NotImplementedActionError:
            answer = [CALL_ERROR, message_id, "NotImplemented", action, {}]
        try:
            await self._connection.send(json.dumps(answer))
        except ConnectionClosed:
            return  # nobody there to hear it; the central system asks again if it matters
