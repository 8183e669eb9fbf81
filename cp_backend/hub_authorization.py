"""Asking the roaming hub about cards that are not registered here.

A question is a row; the relay of third-party-backend asks the hub and writes the answer. One task
a node waits for all answers together: a NOTIFY wakes it, polling guarantees it, and nobody waits
longer than the deadline. Where no relay can ask, the answer is there at once.
"""

from __future__ import annotations

import asyncio
import logging

import psycopg

from charging.authorization import Authorization, Decision, Rule
from charging.identity import redact
from charging.token import Token, TokenKind
from cp_backend.committer import DatabaseAwayError, OnResult
from cp_backend.settings import Settings
from cp_backend.store.hub_questions import HubQuestion, HubQuestions, Look

POLL_SECONDS = 0.5
MAX_WAITING = 2000
"""Questions of a node under way; who asks beyond that is answered as without a hub."""

log = logging.getLogger(__name__)


class HubAuthorization:
    """A node's questions to the hub."""

    def __init__(self, questions: HubQuestions, settings: Settings) -> None:
        self._questions = questions
        self._seconds = settings.roaming_timeout
        self._without_hub = Authorization(
            Decision.ACCEPTED if settings.roaming_without_hub else Decision.REFUSED,
            rule=Rule.HUB_AWAY,
        )
        self._waiting: dict[int, tuple[float, OnResult[Authorization]]] = {}
        self._wake = asyncio.Event()

    def may_ask(self, authorization: Authorization, token: Token) -> bool:
        """Return whether the hub could know more about a token than we."""
        return (
            authorization.decision is Decision.UNKNOWN
            and self._seconds > 0
            and token.kind is TokenKind.CARD
        )

    def ask(
        self,
        charging_point_id: str,
        token: Token,
        on_result: OnResult[Authorization],
        session_id: int | None = None,
    ) -> None:
        """Ask whether a card may charge, or end a session; `on_result` is called once.

        session_id: of the session that began with it, where it did not ask before.
        """
        if len(self._waiting) >= MAX_WAITING:
            on_result(self._without_hub)
            return

        def asked(result: int | Authorization | Exception | None) -> None:
            if isinstance(result, (Authorization, Exception)):
                on_result(result)
            elif result is None:
                log.info(
                    "hub not asked",
                    extra={"charging_point": charging_point_id, "token": redact(token.value)},
                )
                on_result(self._without_hub)
            else:
                deadline = asyncio.get_running_loop().time() + self._seconds
                self._waiting[result] = (deadline, on_result)
                self._wake.set()

        question = HubQuestion(charging_point_id, token.value, session_id, self._seconds)
        self._questions.ask(question, asked)

    def on_notification(self, payload: str) -> None:
        """Take the notification that a question was answered, of this or another node."""
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
        answers: dict[int, Authorization | None]
        try:
            answers = await self._questions.answers(Look(list(self._waiting), sorted(over)))
        except (DatabaseAwayError, psycopg.Error) as error:
            log.warning("answers of the hub not read", extra={"error": str(error)[:300]})
            answers = dict.fromkeys(over, None)
        for number, authorization in answers.items():
            if number not in self._waiting:
                continue
            _, on_result = self._waiting.pop(number)
            try:
                on_result(self._without_hub if authorization is None else authorization)
            except Exception:
                # The other questions' answers must be handed on as well.
                log.exception("answer of the hub not handed on")
