"""Pages of what there is, for whoever looks through 100,000: filtered, in order, a key to go on.

A page has at most PAGE rows and the key of the next one; nothing is counted, since counting what a
filter lets through would read all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from psycopg.rows import class_row

from charging.database.connection import Connection
from charging.database.presence import is_alive, is_online
from charging.evse import EvseState
from charging.identity import redact
from charging.session import SessionState
from operations.errors import InvalidError

PAGE = 100
MAX_TEXT = 100

T = TypeVar("T")

PRESENCES = ("online", "offline")
STATES = tuple(state.value for state in EvseState)
SESSION_STATES = tuple(state.value for state in SessionState)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, in order. after: the key of the last one where there are more, or None."""

    rows: list[T]
    after: str | None


@dataclass(frozen=True, slots=True)
class FoundChargingPoint:
    """A charging point in a list. connectors: number → state, as it was last reported.

    since: when its connection was made, or when it was last seen where it is offline.
    """

    charging_point: str
    online: bool
    since: datetime | None
    registration: str
    connectors: dict[str, str]
    charging: int
    vendor: str | None
    model: str | None
    firmware: str | None
    ocpp_version: str | None


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session in a list. token: its end only."""

    session: int
    charging_point: str
    evse: int
    token: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    energy_wh: int | None
    stop_cause: str | None
    presumed: str | None
    doubts: list[str]


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A registered token in a list, whole: an operator compares it with a card in a hand."""

    token: str
    blocked: bool
    expires_at: datetime | None
    group: str | None
    note: str
    created_at: datetime


def charging_points(
    connection: Connection,
    *,
    text: str = "",
    presence: str = "",
    state: str = "",
    after: str = "",
    limit: int = PAGE,
) -> Page[FoundChargingPoint]:
    """Return charging points by identity.

    text: part of an identity, an EVSE's name, a serial number, a vendor or a model. presence: of
    PRESENCES; state: of STATES, of any connector. Raises InvalidError.
    """
    conditions, values = ["p.charging_point_id > %(after)s"], {"after": after, "limit": limit + 1}
    if text := _checked(text):
        conditions.append(
            """(p.charging_point_id ILIKE %(like)s OR p.serial_number ILIKE %(like)s
                OR p.vendor ILIKE %(like)s OR p.model ILIKE %(like)s
                OR p.charging_point_id IN (SELECT charging_point_id FROM evses
                    WHERE evse_id ILIKE %(like)s OR evse_id_key ILIKE %(like)s))"""
        )
        values["like"] = _like(text)
    if presence:
        _among(presence, PRESENCES)
        conditions.append("n.node_id IS " + ("NOT NULL" if presence == "online" else "NULL"))
    if state:
        _among(state, STATES)
        conditions.append(
            "EXISTS (SELECT 1 FROM evses AS e WHERE e.charging_point_id = p.charging_point_id"
            " AND e.state = %(state)s)"
        )
        values["state"] = state
    statement = f"""
        SELECT p.charging_point_id AS charging_point, n.node_id IS NOT NULL AS online,
               CASE WHEN n.node_id IS NULL THEN p.last_seen_at ELSE c.connected_at END AS since,
               p.registration,
               coalesce((SELECT jsonb_object_agg(e.evse_number, e.state ORDER BY e.evse_number)
                         FROM evses AS e
                         WHERE e.charging_point_id = p.charging_point_id AND e.evse_number > 0
                           AND e.status IS NOT NULL), '{{}}') AS connectors,
               (SELECT count(*) FROM sessions AS s WHERE s.state = 'charging'
                  AND s.charging_point_id = p.charging_point_id) AS charging,
               p.vendor, p.model, p.firmware_version AS firmware, c.ocpp_version
        FROM charging_points AS p
        LEFT JOIN connections AS c USING (charging_point_id)
        LEFT JOIN nodes AS n ON n.node_id = c.node_id AND {is_alive("n")}
        WHERE {" AND ".join(conditions)}
        ORDER BY p.charging_point_id LIMIT %(limit)s
    """
    with connection.cursor(row_factory=class_row(FoundChargingPoint)) as cursor:
        found = cursor.execute(statement.encode(), values).fetchall()
    return _page(found, limit, lambda row: row.charging_point)


def sessions(
    connection: Connection,
    *,
    text: str = "",
    state: str = "",
    charging_point: str = "",
    only_presumed: bool = False,
    after: str = "",
    limit: int = PAGE,
) -> Page[FoundSession]:
    """Return sessions, the newest first. Raises InvalidError.

    text: a charging point's identity, a session's number, or a token.
    """
    conditions: list[str] = []
    values: dict[str, Any] = {"limit": limit + 1}
    if after:
        conditions.append("session_id < %(after)s")
        values["after"] = _number(after)
    if text := _checked(text):
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
        conditions.append(
            "(charging_point_id = %(text)s OR id_tag = upper(%(text)s) OR session_id = %(number)s)"
        )
        values |= {"text": text, "number": number}
    if charging_point:
        conditions.append("charging_point_id = %(charging_point)s")
        values["charging_point"] = charging_point
    if state:
        _among(state, SESSION_STATES)
        conditions.append("state = %(state)s")
        values["state"] = state
    if only_presumed:
        conditions.append("presumed IS NOT NULL")
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    statement = f"""
        SELECT session_id AS session, charging_point_id AS charging_point, evse_number AS evse,
               id_tag AS token, state, started_at, ended_at,
               coalesce(energy_wh, (SELECT greatest(0, m.energy_wh - meter_start_wh)
                   FROM meter_values AS m WHERE m.session_id = page.session_id
                    AND m.energy_wh IS NOT NULL ORDER BY m.sampled_at DESC LIMIT 1)) AS energy_wh,
               stop_cause, presumed, doubts
        FROM (SELECT * FROM sessions {where} ORDER BY session_id DESC LIMIT %(limit)s) AS page
        ORDER BY session_id DESC
    """
    with connection.cursor(row_factory=class_row(FoundSession)) as cursor:
        found = cursor.execute(statement.encode(), values).fetchall()
    page = _page(found, limit, lambda row: str(row.session))
    return Page([replace(row, token=redact(row.token)) for row in page.rows], page.after)


def tokens(
    connection: Connection, *, text: str = "", after: str = "", limit: int = PAGE
) -> Page[FoundToken]:
    """Return registered tokens in order. text: part of one, of its group or of its note."""
    values: dict[str, Any] = {"after": after, "limit": limit + 1}
    condition = ""
    if text := _checked(text):
        condition = (
            "AND (id_tag ILIKE %(like)s OR note ILIKE %(like)s OR parent_id_tag ILIKE %(like)s)"
        )
        values["like"] = _like(text)
    with connection.cursor(row_factory=class_row(FoundToken)) as cursor:
        found = cursor.execute(
            f'SELECT id_tag AS token, blocked, expires_at, parent_id_tag AS "group", note,'
            f" created_at FROM tokens WHERE id_tag > %(after)s {condition}"
            f" ORDER BY id_tag LIMIT %(limit)s".encode(),
            values,
        ).fetchall()
    return _page(found, limit, lambda row: row.token)


def charging_point_of(connection: Connection, text: str) -> str | None:
    """Return the one charging point that a text names: by identity, EVSE or serial number."""
    found = connection.execute(
        "SELECT charging_point_id FROM charging_points WHERE charging_point_id = %(text)s"
        " UNION SELECT charging_point_id FROM evses WHERE evse_id = upper(%(text)s)"
        " UNION SELECT charging_point_id FROM charging_points WHERE serial_number = %(text)s"
        " LIMIT 2",
        {"text": _checked(text)},
    ).fetchall()
    return found[0][0] if len(found) == 1 else None


def is_connected(connection: Connection, charging_point: str) -> bool:
    """Return whether a living node holds a charging point's connection."""
    row = connection.execute(f"SELECT {is_online('%s')}".encode(), [charging_point]).fetchone()
    return bool(row and row[0])


def _page(found: list[T], limit: int, key: Any) -> Page[T]:
    rows = found[:limit]
    return Page(rows, key(rows[-1]) if len(found) > limit else None)


def _checked(text: str) -> str:
    text = text.strip().replace("\x00", "")
    if len(text) > MAX_TEXT:
        raise InvalidError(f"a text to search for has at most {MAX_TEXT} characters")
    return text


def _like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"


def _among(word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise InvalidError(f"{word!r} is none of {', '.join(words)}")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidError(f"{text!r} is no key of a page")
    return int(text)
