"""Questions to the roaming hub about cards: rows that the relay of third-party-backend answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from charging.authorization import (
    ASKABLE_SECONDS,
    AUTHORIZATIONS_CHANNEL,
    Authorization,
    AuthorizationKind,
    Decision,
    Rule,
)
from charging.database.connection import AsyncCursor
from charging.evse import FREE
from cp_backend.committer import Committer, OnResult
from cp_backend.store.authorizations import GROUP


@dataclass(frozen=True, slots=True)
class HubQuestion:
    """Whether the hub lets a card charge.

    uid: of the card. session_id: what began with it unasked, if anything. seconds: for an answer.
    """

    charging_point_id: str
    uid: str
    session_id: int | None
    seconds: float


class Look(NamedTuple):
    """A look at questions: those that wait, and those of them that wait no longer."""

    waiting: Collection[int]
    over: Collection[int]


class HubQuestions:
    """Writes questions and reads answers."""

    def __init__(self, lookups: Committer) -> None:
        self._lookups = lookups

    def ask(self, question: HubQuestion, on_result: OnResult[int | Authorization | None]) -> None:
        """Ask the hub about a card.

        The result is the authorization's id; None where nobody could answer; or an Authorization
        where the hub is not asked.
        """
        self._lookups.submit(write_questions, question, on_result, key=question.charging_point_id)

    async def answers(self, look: Look) -> dict[int, Authorization | None]:
        """Return the hub's answers; None: it could not be asked, or not in time (`over`)."""
        return await self._lookups.ask(read_answers, look)


_NOT_ROAMING = Authorization(Decision.REFUSED, rule=Rule.NOT_ROAMING)
_REFUSED = Authorization(Decision.REFUSED, rule=Rule.HUB_REFUSED)

# A card is taken to end a session when all EVSEs are busy and one of them with the hub's session.
_ASK = b"""
INSERT INTO authorizations (kind, charging_point_id, id_tag, session_id, deadline)
SELECT CASE WHEN going.session_id IS NULL THEN %(start)s ELSE %(stop)s END,
       t.charging_point_id, t.uid, coalesce(going.session_id, t.session_id),
       now() + make_interval(secs => t.seconds)
FROM unnest(%(ids)s::text[], %(uids)s::text[], %(sessions)s::int[], %(seconds)s::float[])
    WITH ORDINALITY AS t (charging_point_id, uid, session_id, seconds, place)
LEFT JOIN LATERAL (
    SELECT h.session_id FROM hub_sessions AS h
    WHERE h.charging_point_id = t.charging_point_id AND h.state = 'accepted'
      AND h.session_id IS NOT NULL AND t.session_id IS NULL
      AND NOT EXISTS (
          SELECT 1 FROM evses AS e
          WHERE e.charging_point_id = h.charging_point_id AND e.evse_number > 0
            AND e.state = ANY(%(free)s))
    ORDER BY h.session_id DESC LIMIT 1) AS going ON true
WHERE EXISTS (SELECT 1 FROM hub_queues
              WHERE queue = %(start)s AND beaten_at > now() - make_interval(secs => %(askable)s))
ORDER BY t.place
RETURNING authorization_id, pg_notify(%(channel)s, '')
"""


async def write_questions(
    cursor: AsyncCursor, questions: Sequence[HubQuestion]
) -> Sequence[int | Authorization | None]:
    """Write questions to the hub; return their ids, None where no relay could answer.

    A charging point without an EVSE that is offered for roaming never asks, nor does a session at
    another EVSE than those: refused.
    """
    await cursor.execute(
        """
        SELECT DISTINCT t.place
        FROM unnest(%s::text[], %s::int[])
            WITH ORDINALITY AS t (charging_point_id, session_id, place)
        LEFT JOIN sessions AS s ON s.session_id = t.session_id
        JOIN evses AS e ON e.roaming AND e.charging_point_id = t.charging_point_id
            AND (s.session_id IS NULL OR e.evse_number = s.evse_number)
        """,
        [
            [question.charging_point_id for question in questions],
            [question.session_id for question in questions],
        ],
    )
    places = {row[0] - 1 async for row in cursor}
    asked = [questions[place] for place in sorted(places)]
    if not asked:
        return [_NOT_ROAMING] * len(questions)
    await cursor.execute(
        _ASK,
        {
            "start": AuthorizationKind.START.value,
            "stop": AuthorizationKind.STOP.value,
            "ids": [question.charging_point_id for question in asked],
            "uids": [question.uid for question in asked],
            "sessions": [question.session_id for question in asked],
            "seconds": [question.seconds for question in asked],
            "free": [state.value for state in FREE],
            "askable": ASKABLE_SECONDS,
            "channel": AUTHORIZATIONS_CHANNEL,
        },
    )
    # All of them or, without a relay, none; numbered in the order of the questions.
    numbers = iter(sorted([row[0] async for row in cursor]))
    return [
        next(numbers, None) if place in places else _NOT_ROAMING for place in range(len(questions))
    ]


class _Answer(NamedTuple):
    authorization_id: int
    accepted: bool | None
    group: str | None

    def authorization(self) -> Authorization | None:
        if self.accepted is None:
            return None
        if self.accepted:
            return Authorization(
                Decision.ACCEPTED, parent_id_tag=self.group, rule=Rule.HUB_ACCEPTED
            )
        return _REFUSED


async def read_answers(
    cursor: AsyncCursor, looks: Sequence[Look]
) -> Sequence[dict[int, Authorization | None]]:
    """Return answers that are there, and give up those that nobody waits for any more."""
    over = [number for look in looks for number in look.over]
    if over:
        await cursor.execute(
            "UPDATE authorizations SET state = 'expired'"
            " WHERE authorization_id = ANY(%s) AND state = 'asked'",
            [over],
        )
    await cursor.execute(
        f"""
        SELECT a.authorization_id, CASE WHEN a.state = 'answered' THEN a.accepted END,
               CASE WHEN h.origin = 'local' THEN {GROUP} END
        FROM authorizations AS a
        LEFT JOIN hub_sessions AS h ON h.hub_session_id = a.hub_session_id
        WHERE a.authorization_id = ANY(%s) AND a.state <> 'asked'
        """.encode(),
        [[number for look in looks for number in look.waiting]],
    )
    answers = [_Answer(*row) async for row in cursor]
    found = {answer.authorization_id: answer.authorization() for answer in answers}
    return [{name: found[name] for name in look.waiting if name in found} for look in looks]
