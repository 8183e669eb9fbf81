"""Who may charge: what is known of tokens, for the decision in `charging.authorization`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from charging.authorization import (
    Authorization,
    Decision,
    HubGrant,
    RegisteredToken,
    Rule,
    decide,
)
from charging.database.connection import AsyncCursor
from charging.token import Token, TokenKind
from cp_backend.committer import Committer, OnResult
from cp_backend.store.terms import Submission

GROUP = "'HUB' || upper(left(replace(h.cpo_partner_session_id, '-', ''), 17))"
"""SQL: the group of a session `h` of the hub, by which a charging point sees that one card may end
what another began. Of 20 characters, as OCPP 1.6 allows them."""


class Authorizations:
    """Decides over tokens that are shown. admit_unknown: unknown ones may charge."""

    def __init__(self, lookups: Committer, *, admit_unknown: bool) -> None:
        self._lookups = lookups
        self._admit_unknown = admit_unknown

    def shown(
        self, charging_point_id: str, token: Token, on_result: OnResult[Authorization]
    ) -> None:
        """Decide over a token."""
        submission = Submission(charging_point_id, token)
        self._lookups.submit(self.decide_over_shown, submission, on_result, key=charging_point_id)

    async def decide_over_shown(
        self, cursor: AsyncCursor, submissions: Sequence[Submission[Token]]
    ) -> Sequence[Authorization]:
        """Decide over tokens that are shown to begin or to end: OCPP 1.6 does not say which."""
        return await decide_over(
            cursor, submissions, begin=True, end=True, admit_unknown=self._admit_unknown
        )


async def decide_over(
    cursor: AsyncCursor,
    shown: Sequence[Submission[Token]],
    *,
    begin: bool,
    end: bool,
    admit_unknown: bool,
) -> list[Authorization]:
    """Decide whether tokens may begin, or end, a session at their charging points."""
    await cursor.execute(
        "SELECT id_tag, blocked, expires_at, parent_id_tag FROM tokens WHERE id_tag = ANY(%s)",
        [[each.message.value for each in shown]],
    )
    registered = {row[0]: RegisteredToken(*row) async for row in cursor}
    unknown = [
        each for each in shown if each.message.value not in registered and each.message.concerns_hub
    ]
    grants = await _hub_grants(cursor, unknown) if unknown else {}
    now = datetime.now(UTC)
    return [
        decide(
            each.message,
            registered.get(each.message.value),
            grants.get((each.charging_point_id, each.message.value)),
            now,
            begin=begin,
            end=end,
            admit_unknown=admit_unknown,
        )
        for each in shown
    ]


async def decide_without_token(
    cursor: AsyncCursor, shown: Sequence[Submission[Token]], authorizations: list[Authorization]
) -> None:
    """Decide over starts without a token: accepted where charging is free, else refused.

    authorizations: of all that was shown, in its order; those without a token are replaced.
    """
    without = [place for place, each in enumerate(shown) if not each.message.value]
    if not without:
        return
    await cursor.execute(
        "SELECT charging_point_id FROM charging_points"
        " WHERE free_charging AND charging_point_id = ANY(%s)",
        [[shown[place].charging_point_id for place in without]],
    )
    free = {row[0] async for row in cursor}
    for place in without:
        authorizations[place] = (
            Authorization(Decision.ACCEPTED, rule=Rule.FREE)
            if shown[place].charging_point_id in free
            else Authorization(Decision.REFUSED, rule=Rule.WITHOUT_TOKEN)
        )


async def refuse_where_not_offered(
    cursor: AsyncCursor,
    shown: Sequence[Submission[Token]],
    evse_numbers: Sequence[int],
    authorizations: list[Authorization],
) -> None:
    """Refuse cards that the hub authorized at EVSEs that are not offered to it.

    A card can be shown before anybody knows where it charges; a record that names another EVSE
    than the hub's is nobody's to pay. What a remote start carried names its EVSE itself.
    authorizations: of all that was shown, in its order; those of such cards are replaced.
    """
    places = [
        place
        for place, each in enumerate(shown)
        if authorizations[place].rule is Rule.HUB_SESSION
        and each.message.kind is not TokenKind.HUB_SESSION
    ]
    if not places:
        return
    await cursor.execute(
        "SELECT charging_point_id, evse_number FROM evses"
        " WHERE roaming AND charging_point_id = ANY(%s)",
        [[shown[place].charging_point_id for place in places]],
    )
    offered = {tuple(row) async for row in cursor}
    for place in places:
        if (shown[place].charging_point_id, evse_numbers[place]) not in offered:
            authorizations[place] = Authorization(Decision.REFUSED, rule=Rule.NOT_ROAMING)


class _Grant(NamedTuple):
    charging_point_id: str
    token: str
    may_begin: bool
    may_end: bool
    group: str | None


async def _hub_grants(
    cursor: AsyncCursor, shown: Sequence[Submission[Token]]
) -> dict[tuple[str, str], HubGrant]:
    """Return what the hub's open sessions allow tokens, by charging point and token.

    These are ours to answer, never the hub's: what its remote start carried, and the cards that
    it has authorized to begin or to end a session.
    """
    await cursor.execute(
        f"""
        SELECT t.charging_point_id, t.id_tag,
               bool_or(h.id_tag = t.id_tag AND h.session_id IS NULL),
               bool_or(h.state = 'accepted' AND h.session_id IS NOT NULL),
               min({GROUP}) FILTER (WHERE h.origin = 'local')
        FROM (SELECT DISTINCT * FROM unnest(%s::text[], %s::text[]) AS t (charging_point_id, id_tag)
             ) AS t
        JOIN hub_sessions AS h ON h.charging_point_id = t.charging_point_id
        WHERE h.state IN ('asked', 'accepted')
          AND (h.id_tag = t.id_tag OR t.id_tag = ANY(h.stop_id_tags))
        GROUP BY 1, 2
        """.encode(),
        [[each.charging_point_id for each in shown], [each.message.value for each in shown]],
    )
    grants = [_Grant(*row) async for row in cursor]
    return {
        (grant.charging_point_id, grant.token): HubGrant(
            grant.may_begin, grant.may_end, grant.group
        )
        for grant in grants
    }
