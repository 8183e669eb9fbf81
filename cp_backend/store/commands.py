"""Commands for the charging points whose sockets this node holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from charging.command import CommandKind, CommandResult
from charging.database import commands
from charging.database.commands import Claimed
from charging.database.connection import AsyncCursor
from cp_backend.committer import Committer, OnResult


class Answered(NamedTuple):
    """A command's result."""

    command_id: int
    result: CommandResult


class Commands:
    """Claims commands for a node and writes their results. kinds: that it can carry out."""

    def __init__(
        self, lookups: Committer, facts: Committer, node_id: UUID, kinds: Sequence[CommandKind]
    ) -> None:
        self._lookups = lookups
        self._facts = facts
        self._node_id = node_id
        self._kinds = kinds

    async def claim(self) -> list[Claimed]:
        """Take the commands for charging points whose sockets this node holds."""
        return await self._lookups.ask(self.claim_commands, None)

    def answered(self, command_id: int, result: CommandResult, on_result: OnResult[bool]) -> None:
        """Write a command's result → whether its asker still waited."""
        self._facts.submit(answer_commands, Answered(command_id, result), on_result)

    async def claim_commands(
        self, cursor: AsyncCursor, asked: Sequence[None]
    ) -> Sequence[list[Claimed]]:
        """Claim once, however often it is asked."""
        claimed = await commands.claim(cursor, self._node_id, self._kinds)
        return [claimed, *([] for _ in asked[1:])]


async def answer_commands(cursor: AsyncCursor, answered: Sequence[Answered]) -> Sequence[bool]:
    """Write results to commands whose askers still wait, and wake them."""
    in_time = await commands.answer(cursor, answered)
    return [each.command_id in in_time for each in answered]
