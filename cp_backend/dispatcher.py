"""Commands for charging points whose sockets this node holds.

A NOTIFY wakes the dispatcher, polling guarantees it: a lost notification costs a poll interval,
never a command.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from uuid import UUID

import psycopg

from charging.authorization import AUTHORIZATION_ANSWERS_CHANNEL
from charging.command import COMMANDS_CHANNEL, CommandResult, Outcome
from charging.database.commands import Claimed
from charging.database.connection import MAX_BACKOFF_SECONDS, connect_async
from charging.database.files import LINK_SCHEME
from charging.service.backoff import Backoff
from cp_backend.committer import DatabaseAwayError
from cp_backend.conversation.ocpp import OcppConversation
from cp_backend.file_transfers import PATH as FILES_PATH
from cp_backend.registry import Registry
from cp_backend.store.commands import Commands
from cp_backend.store.presence import NODE_CHANNEL_PREFIX
from cp_backend.telemetry import Metrics

POLL_SECONDS = 1.0
_NAME = "charging-point-backend dispatcher"

log = logging.getLogger(__name__)


class Dispatcher:
    """Takes commands from the database to charging points and their answers back.

    on_displaced: called with the charging points that have moved to another node. on_authorized:
    called with the id of an authorization that the hub has answered, of whichever node. files_url:
    the address under which charging points reach this service for files.
    """

    def __init__(
        self,
        url: str,
        node_id: UUID,
        commands: Commands,
        registry: Registry,
        metrics: Metrics,
        on_displaced: Callable[[list[str]], None],
        on_authorized: Callable[[str], None],
        files_url: Callable[[], str],
    ) -> None:
        self._url = url
        self._node_channel = NODE_CHANNEL_PREFIX + node_id.hex
        self._commands = commands
        self._registry = registry
        self._metrics = metrics
        self._on_displaced = on_displaced
        self._on_authorized = on_authorized
        self._files_url = files_url
        self._wake = asyncio.Event()
        self._wake.set()  # what waited for a node to start is taken at once

    async def dispatch(self) -> None:
        """Claim and send commands until cancelled: when woken, and every poll interval.

        Jobs are moved a step on every poll interval.
        """
        step_at = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if time.monotonic() >= step_at:
                step_at = time.monotonic() + POLL_SECONDS
                await self._advance_jobs()
            try:
                claimed = await self._commands.claim()
            except (DatabaseAwayError, psycopg.Error) as error:
                log.debug("commands cannot be claimed", extra={"error": str(error)})
                continue
            for command in claimed:
                self._send(command)

    async def _advance_jobs(self) -> None:
        try:
            await self._commands.advance_jobs()
        except (DatabaseAwayError, psycopg.Error) as error:
            log.warning("jobs not moved on", extra={"error": str(error)[:300]})

    async def listen(self) -> None:
        """Receive notifications until cancelled, on a connection of its own."""
        backoff = Backoff(MAX_BACKOFF_SECONDS)
        while True:
            try:
                async with await connect_async(self._url, _NAME) as connection:
                    await connection.execute(f"LISTEN {COMMANDS_CHANNEL}")
                    await connection.execute(f"LISTEN {AUTHORIZATION_ANSWERS_CHANNEL}")
                    await connection.execute(f"LISTEN {self._node_channel}")
                    backoff.reset()
                    async for notification in connection.notifies():
                        self._on_notification(notification.channel, notification.payload)
            except (psycopg.Error, OSError) as error:
                log.warning("not listening", extra={"error": str(error)[:300]})
            await asyncio.sleep(backoff.seconds())

    def _on_notification(self, channel: str, payload: str) -> None:
        if channel == self._node_channel:
            self._on_displaced(payload.split("\n"))
        elif channel == AUTHORIZATION_ANSWERS_CHANNEL:
            self._on_authorized(payload)
        elif self._registry.get(payload) is not None:
            self._wake.set()

    def _send(self, command: Claimed) -> None:
        claimed_at = time.perf_counter()

        def answered(result: CommandResult) -> None:
            self._metrics.count("CommandsAnswered", result.outcome.value)
            log.info(
                "command answered",
                extra={
                    "charging_point": command.charging_point_id,
                    "command": command.command_id,
                    "kind": command.kind.value,
                    "outcome": result.outcome.value,
                    "milliseconds": round((time.perf_counter() - claimed_at) * 1000),
                },
            )
            self._commands.answered(command, result, on_result)

        def on_result(in_time: bool | Exception) -> None:
            if in_time is not True:
                # Its asker has given up. Where that matters (a start that nobody pays for any
                # more) the store sees it when the session starts, and stops it.
                log.warning("command answered too late", extra={"command": command.command_id})

        connection = self._registry.get(command.charging_point_id)
        if connection is None or not isinstance(connection.conversation, OcppConversation):
            answered(CommandResult(Outcome.OFFLINE, "not connected", sent=False))
            return
        # The command's id is OCPP's requestId.
        arguments = {**command.arguments, "command_id": command.command_id}
        if str(url := arguments.get("url", "")).startswith(LINK_SCHEME):
            link = str(url).removeprefix(LINK_SCHEME)
            arguments["url"] = f"{self._files_url().rstrip('/')}{FILES_PATH}{link}"
        try:
            connection.conversation.command(
                command.kind,
                arguments,
                command.seconds_left,
                answered,
                lambda: self._commands.done(command),
            )
        except Exception:
            # Whatever it is, it ends this command: the others must not wait for it.
            log.exception("command failed", extra={"command": command.command_id})
            answered(CommandResult(Outcome.FAILED, "it could not be sent"))
