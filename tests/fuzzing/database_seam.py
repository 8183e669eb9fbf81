"""Messages of charging points down to PostgreSQL: what the database refuses comes to light here."""

from __future__ import annotations

import asyncio
import json
from random import Random
from uuid import uuid4

import psycopg

from cp_backend.conversation.ocpp import OcppConversation
from cp_backend.ocpp.dialect import DIALECTS
from cp_backend.settings import Settings
from cp_backend.store.store import Store
from cp_backend.telemetry import Metrics
from cp_backend.vocabulary import Registration
from tests.fuzzing.fast_store import LastWire, context
from tests.fuzzing.seams import Calls, Defect

AT_ONCE = 40
"""Charging points whose messages are committed together."""


class Database(Calls):
    """The calls of a version through the real store; an input is a line a charging point."""

    at_once = AT_ONCE

    def __init__(self, random: Random, version: str, url: str) -> None:
        super().__init__(random, version)
        self.name = f"database {version}"
        self._loop = asyncio.get_event_loop()
        settings = Settings(admit_unknown=True, admit_unknown_tokens=True, settle_time=0)
        self._store = Store(url, uuid4(), settings, Metrics(), [])
        self._tasks = [
            self._loop.create_task(each.run()) for each in (self._store.lookups, self._store.facts)
        ]
        self._context = context(self._store)
        names = [f"{version}-{n}" for n in range(AT_ONCE)]
        with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO charging_points (charging_point_id, vendor) VALUES (%s, 'V')"
                " ON CONFLICT DO NOTHING",
                [[name] for name in names],
            )
        self._pairs = []
        for name in names:
            wire = LastWire()
            wire.charging_point_id = name
            conversation = OcppConversation(
                wire, self._context, DIALECTS[version], Registration.ACCEPTED
            )
            self._pairs.append((wire, conversation))

    def make(self) -> bytes:
        # Line ends never stand in JSON but as an escape.
        made = (super(Database, self).make() for _ in range(AT_ONCE))
        return b"\n".join(each.replace(b"\n", b" ") for each in made)

    def try_one(self, data: bytes) -> str:
        return self._loop.run_until_complete(self._try(data.split(b"\n")))

    async def _try(self, lines: list[bytes]) -> str:
        pairs = self._pairs[: len(lines)]
        for (wire, conversation), line in zip(pairs, lines, strict=False):
            wire.sent.clear()
            conversation.on_text(line)
        async with asyncio.timeout(60):
            while any(conversation.busy for _, conversation in pairs):
                await self._store.facts.flushed()
                await self._store.lookups.flushed()
                await asyncio.sleep(0)
        self._context.message_log._of_each.clear()
        outcome = set()
        for (wire, _), line in zip(pairs, lines, strict=False):
            for text in wire.sent:
                answer = json.loads(text)
                if answer[0] == 4 and answer[2] == "InternalError":
                    raise Defect(f"InternalError to {line[:2000]!r}")
                outcome.add(str(answer[0]))
        self._logged.check()
        return " ".join(sorted(outcome))

    def close(self) -> None:
        super().close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
