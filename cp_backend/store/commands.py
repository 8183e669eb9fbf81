"""Commands for the charging points whose sockets this node holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from charging.command import CommandKind, CommandResult
from charging.database import commands, following, jobs, local_lists, passwords, variables
from charging.database.commands import Claimed
from charging.database.connection import AsyncCursor
from cp_backend.committer import Committer, OnResult


class Answered(NamedTuple):
    """A command's result."""

    command_id: int
    charging_point_id: str
    kind: CommandKind
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

    async def advance_jobs(self) -> None:
        """Move the jobs a step on, as far as no other node is at it."""
        await self._lookups.ask(advance_jobs, None)

    def answered(self, command: Claimed, result: CommandResult, on_result: OnResult[bool]) -> None:
        """Write a command's result → whether its asker still waited."""
        name = command.charging_point_id
        submission = Answered(command.command_id, name, command.kind, result)
        self._facts.submit(answer_commands, submission, on_result, key=name)

    def done(self, command: Claimed) -> None:
        """Write that what a command asked has been seen done, without waiting for it."""
        self._facts.submit(
            finish_commands, command.command_id, _ignore, key=command.charging_point_id
        )

    def ask_to_boot(self, charging_point_id: str, on_result: OnResult[None]) -> None:
        """Ask a charging point to boot, unless it has been asked within a day."""
        self._lookups.submit(ask_to_boot, charging_point_id, on_result, key=charging_point_id)

    async def claim_commands(
        self, cursor: AsyncCursor, asked: Sequence[None]
    ) -> Sequence[list[Claimed]]:
        """Claim once, however often it is asked."""
        claimed = await commands.claim(cursor, self._node_id, self._kinds)
        return [claimed, *([] for _ in asked[1:])]


_ASK_TO_BOOT = f"""
WITH wanted AS (
    SELECT charging_point_id, %(kind)s AS kind, '{{"message": "boot"}}'::jsonb AS arguments,
           %(requested_by)s AS requested_by, 60::float AS seconds
    FROM charging_points AS p
    WHERE charging_point_id = ANY(%(ids)s) AND boot_status IS NULL
      AND NOT EXISTS (SELECT FROM commands AS c
                      WHERE c.charging_point_id = p.charging_point_id
                        AND c.queued_at > now() - interval '1 day' AND c.kind = %(kind)s
                        AND c.requested_by = %(requested_by)s)
), {commands.QUEUED} {commands.WAKE}
""".encode()


async def ask_to_boot(cursor: AsyncCursor, charging_point_ids: Sequence[str]) -> Sequence[None]:
    """Ask charging points to boot that never have."""
    await cursor.execute(
        _ASK_TO_BOOT,
        {
            "kind": CommandKind.TRIGGER.value,
            "requested_by": "never booted",
            "ids": list(charging_point_ids),
        },
    )
    return [None] * len(charging_point_ids)


async def answer_commands(cursor: AsyncCursor, answered: Sequence[Answered]) -> Sequence[bool]:
    """Write results to commands whose askers still wait, and wake them."""
    in_time = await commands.answer(cursor, [(each.command_id, each.result) for each in answered])
    await _settle_passwords(
        cursor, [each for each in answered if each.kind is CommandKind.SET_PASSWORD]
    )
    told = [(each.charging_point_id, s) for each in answered for s in each.result.settings]
    if told:
        await variables.note(cursor, told)
    lists = [
        each.command_id
        for each in answered
        if each.kind is CommandKind.SEND_LOCAL_LIST and each.result.outcome.accepted
    ]
    if lists:
        await local_lists.take(cursor, lists)
    switched = [
        each.charging_point_id
        for each in answered
        if each.kind is CommandKind.SET_AVAILABILITY and each.result.open
    ]
    if switched:
        # What is as it was asked to be needs no change, and so reports none.
        await following.finish_availability(cursor, switched)
    return [each.command_id in in_time for each in answered]


async def _settle_passwords(cursor: AsyncCursor, answered: Sequence[Answered]) -> None:
    """Take passwords that were accepted, and forget those that were refused.

    Whether the asker still waited does not matter: the charging point has taken it or has not.
    """
    taken = [each.command_id for each in answered if each.result.outcome.accepted]
    refused = [each.command_id for each in answered if not each.result.open]
    if taken:
        await passwords.take(cursor, taken)
    if refused:
        await passwords.withdraw(cursor, refused)


async def advance_jobs(cursor: AsyncCursor, asked: Sequence[None]) -> Sequence[None]:
    """Move the jobs a step on, once however often it is asked."""
    await jobs.advance(cursor)
    return [None] * len(asked)


async def finish_commands(cursor: AsyncCursor, command_ids: Sequence[int]) -> Sequence[None]:
    """Note that commands have been carried out."""
    await following.finish_commands(cursor, command_ids)
    return [None] * len(command_ids)


def _ignore(_: Exception | None) -> None:
    pass
