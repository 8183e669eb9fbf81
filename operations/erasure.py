"""Erasure of a card: whoever asks for it is forgotten, the books stay."""

from __future__ import annotations

from dataclasses import dataclass

from charging.database import audit, erasure
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.identity import id_tag_key, redact
from operations.errors import ConflictError, NotFoundError, valid

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Erased:
    """An erased card. stand_in: what has taken its place; rows: changed, by table."""

    stand_in: str
    rows: dict[str, int]


def erase_token(
    connection: Connection, token: str, *, by: Asker, forget_local_lists: bool = False
) -> Erased:
    """Erase a card from every table: a keyed hash takes its place, so sessions and bills stay.

    It cannot charge any more, as nobody knows it. What was interrupted is finished by a second
    call. forget_local_lists: although charging points have it in their lists, which may admit it
    until a list is sent to them. Raises InvalidError, NotFoundError, ConflictError while it
    charges, while a record with it waits for the hub, or while local lists have it.
    """
    card = valid(id_tag_key, token)
    # The tables are read whole, and no person waits for that on a page.
    connection.execute("SET statement_timeout = 0")
    try:
        _refuse_what_goes_on(connection, card, forget_local_lists)
        stand_in = erasure.stand_in(connection, card)
        with connection.transaction():
            erasure.forget_notes(connection, card)
            rows = {"refused_tokens": erasure.forget_refusals(connection, card)}
            erasure.forget_local_lists(connection, card)
        for place in erasure.PLACES:
            rows[place.table] = erasure.replace(connection, place, card, stand_in)
    finally:
        connection.execute("RESET statement_timeout")
    if not any(rows.values()):
        raise NotFoundError(f"the token {redact(card)} stands nowhere")
    audit.write(connection, by, "erase_token", stand_in, {"rows": rows})
    return Erased(stand_in, {table: count for table, count in rows.items() if count})


def _refuse_what_goes_on(connection: Connection, card: str, forget_local_lists: bool) -> None:
    if sessions := erasure.charging_with(connection, card):
        raise ConflictError(f"it charges in session {_some(sessions)}: wait, or `sessions end` it")
    if deliveries := erasure.records_under_way(connection, card):
        raise ConflictError(
            f"the hub has not taken its record yet (delivery {_some(deliveries)}): `hub` shows why"
        )
    if not forget_local_lists and (points := erasure.in_local_lists(connection, card)):
        raise ConflictError(
            f"charging points have it in their local lists ({_some(points)}): block it and send"
            " them a list with `local-lists send`, or add --forget-local-lists"
        )


def _some(things: list[int] | list[str]) -> str:
    more = f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
    return ", ".join(map(str, things[:_SHOWN])) + more
