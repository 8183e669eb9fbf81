"""Asking the roaming hub about cards that nobody here knows.

A question is a row; the relay of third-party-backend asks the hub and writes the answer. One task
a node waits for all answers together: a NOTIFY wakes it, polling guarantees it, and nobody waits
longer than the deadline. Where no relay can ask, the answer is there at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import psycopg

from charging.authorization import Authorization, AuthorizationStatus
from charging.identity import redact, rfid_uid
from cp_backend.committer import DatabaseAwayError
from cp_backend.settings import Settings
from cp_backend.store import HubQuestion, Store

POLL_SECONDS = 0.5
MAX_WAITING = 2000
"""Questions of a node under way; who asks beyond that is answered as without a hub."""

Told = Callable[[Any], None]

log = logging.getLogger(__name__)


class HubAuthorization:
    """A node's questions to the hub. `told` hears an Authorization, or an exception, once."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._seconds = settings.roaming_timeout
        self._without_hub = Authorization(
            AuthorizationStatus.ACCEPTED
            if settings.roaming_without_hub
            else AuthorizationStatus.INVALID
        )
        self._waiting: dict[int, tuple[float, Told]] = {}
        self._wake = asyncio.Event()

    def may_ask(self, authorization: Authorization, id_tag: str) -> bool:
        """Return whether the hub could know more about a token than we."""
        return authorization.stranger and self._seconds > 0 and rfid_uid(id_tag) is not None

    def ask(
        self, charging_point_id: str, id_tag: str, told: Told, session_id: int | None = None
    ) -> None:
        """Ask whether a card may charge, or end a session.

        session_id: of the transaction that began with it, where it did not ask before.
        """
        uid = rfid_uid(id_tag)
        assert uid is not None
        if len(self._waiting) >= MAX_WAITING:
            told(self._without_hub)
            return

        def asked(authorization_id: int | Authorization | Exception | None) -> None:
            if isinstance(authorization_id, (Authorization, Exception)):
                told(authorization_id)
            elif authorization_id is None:
                log.info(
                    "hub not asked",
                    extra={"charging_point": charging_point_id, "token": redact(uid)},
                )
                told(self._without_hub)
            else:
                deadline = asyncio.get_running_loop().time() + self._seconds
                self._waiting[authorization_id] = (deadline, told)
                self._wake.set()

        self._store.ask_hub(HubQuestion(charging_point_id, uid, session_id, self._seconds), asked)

    def on_notification(self, payload: str) -> None:
        """Hear that an authorization was answered, here or for another node."""
        if payload.isdecimal() and int(payload) in self._waiting:
            self._wake.set()

    async def run(self) -> None:
        """Hand answers on until cancelled."""
        while True:
            if self._waiting:
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    pass
            else:
                await self._wake.wait()
            self._wake.clear()
            if self._waiting:
                await self._look()

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        over = {number for number, (deadline, _) in self._waiting.items() if deadline <= now}
        try:
            answers = await self._store.hub_answers(list(self._waiting), sorted(over))
        except (DatabaseAwayError, psycopg.Error) as error:
            log.warning("answers of the hub not read", extra={"error": str(error)[:300]})
            answers = dict.fromkeys(over, None)
        for number, authorization in answers.items():
            if number in self._waiting:
                _, told = self._waiting.pop(number)
                try:
                    told(self._without_hub if authorization is None else authorization)
                except Exception:
                    # The other questions' answers must be handed on as well.
                    log.exception("answer of the hub not handed on")
