"""Erasure of a card: a keyed hash takes its place wherever it stands; all that it did stays.

`PLACES` has every column that may hold a card; a test holds it against the tables there are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from charging.database.connection import Connection

PREFIX = "ERASED"
"""What the hash begins with; in `tokens` it is blocked, should anybody show it as a card."""

_HASH_BYTES = 7  # so that all is as long as a card may be everywhere: 20 characters


@dataclass(frozen=True, slots=True)
class Place:
    """Columns of a table in which a card may stand.

    texts: the card alone; lists: of such texts; documents: JSON that has it as a text of its own.
    """

    table: str
    texts: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()


PLACES = (
    Place("tokens", ("id_tag", "parent_id_tag")),
    Place("sessions", ("id_tag", "stop_id_tag")),
    Place("hub_sessions", ("id_tag",), ("stop_id_tags",), ("identification", "start_answer")),
    Place("reservations", ("id_tag",), (), ("identification", "start_answer")),
    Place("authorizations", ("id_tag",)),
    Place("bill_entries", ("id_tag", "parent_id_tag")),
    Place("bills", ("holder",)),
    Place("commands", (), (), ("arguments", "answer")),
    Place("jobs", (), (), ("arguments",)),
    Place("job_items", (), (), ("arguments",)),
    Place("deliveries", (), (), ("payload", "delivered")),
    Place("events", (), (), ("payload",)),
    Place("notices", (), (), ("detail",)),
    Place("unassigned_facts", (), (), ("payload",)),
    Place("session_corrections", (), (), ("before", "after")),
    Place("audit", ("subject",), (), ("detail",)),
)


def stand_in(connection: Connection, card: str) -> str:
    """Return what takes a card's place: the same each time, and not to be guessed back.

    card: in its compared form. The key is made the first time.
    """
    connection.execute(
        "INSERT INTO hash_keys (name, key)"
        " VALUES ('erasure', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"
        " ON CONFLICT DO NOTHING"
    )
    row = connection.execute("SELECT key FROM hash_keys WHERE name = 'erasure'").fetchone()
    assert row is not None
    digest = hashlib.blake2b(card.encode(), key=bytes(row[0]), digest_size=_HASH_BYTES)
    return PREFIX + digest.hexdigest().upper()


def charging_with(connection: Connection, card: str) -> list[int]:
    """Return the sessions that a card is charging in."""
    rows = connection.execute(
        "SELECT session_id FROM sessions WHERE state = 'charging' AND id_tag = %s", [card]
    )
    return [row[0] for row in rows]


def records_under_way(connection: Connection, card: str) -> list[int]:
    """Return the deliveries with a card that the hub has not taken yet: they still say whose."""
    rows = connection.execute(
        "SELECT d.delivery_id FROM deliveries AS d JOIN hub_sessions AS h USING (hub_session_id)"
        " WHERE d.queue = 'charge-detail-record' AND d.state IN ('waiting', 'parked')"
        " AND (h.id_tag = %(card)s OR h.identification::text ~* %(said)s)",
        {"card": card, "said": _said(card)},
    )
    return [row[0] for row in rows]


def in_local_lists(connection: Connection, card: str) -> list[str]:
    """Return the charging points that let a card charge by themselves."""
    rows = connection.execute(
        "SELECT charging_point_id FROM local_lists WHERE entries::text ~* %s ORDER BY 1",
        [_said(card)],
    )
    return [row[0] for row in rows]


def forget_local_lists(connection: Connection, card: str) -> None:
    """Forget what charging points with a card in their lists have; the next is sent whole."""
    connection.execute("DELETE FROM local_lists WHERE entries::text ~* %s", [_said(card)])


def forget_refusals(connection: Connection, card: str) -> int:
    """Forget where and when a card was refused; return how many rows that were."""
    return connection.execute("DELETE FROM refused_tokens WHERE id_tag = %s", [card]).rowcount


def forget_notes(connection: Connection, card: str) -> None:
    """Forget whose a card is, in its row and where it was noted that it came to be."""
    connection.execute(
        'UPDATE audit SET detail = detail || \'{"note": ""}\' FROM tokens'
        " WHERE tokens.id_tag = %s AND tokens.note <> '' AND audit.detail ->> 'note' = tokens.note",
        [card],
    )
    connection.execute("UPDATE tokens SET note = '', blocked = true WHERE id_tag = %s", [card])


def replace(connection: Connection, place: Place, card: str, by: str) -> int:
    """Put something else in a card's place in one table; return the number of rows.

    Each partition is a statement of its own, so that no transaction becomes long.
    """
    changed = 0
    for table in _tables(connection, place.table):
        values = {"card": card, "by": by, "said": _said(card), "json": f'"{by}"'}
        changed += connection.execute(_statement(table, place), values).rowcount
    return changed


def _statement(table: str, place: Place) -> sql.Composed:
    """Return the statement for one table. Texts and documents are compared in any letters."""
    sets: list[sql.Composable] = []
    where: list[sql.Composable] = []
    for name in map(sql.Identifier, place.texts):
        sets.append(
            sql.SQL("{0} = CASE WHEN upper({0}) = %(card)s THEN %(by)s ELSE {0} END").format(name)
        )
        where.append(sql.SQL("upper({}) = %(card)s").format(name))
    for name in map(sql.Identifier, place.lists):
        sets.append(sql.SQL("{0} = array_replace({0}, %(card)s, %(by)s)").format(name))
        where.append(sql.SQL("%(card)s = ANY({})").format(name))
    for name in map(sql.Identifier, place.documents):
        sets.append(
            sql.SQL("{0} = regexp_replace({0}::text, %(said)s, %(json)s, 'gi')::jsonb").format(name)
        )
        where.append(sql.SQL("{}::text ~* %(said)s").format(name))
    return sql.SQL("UPDATE {} SET {} WHERE {}").format(
        sql.Identifier(table), sql.SQL(", ").join(sets), sql.SQL(" OR ").join(where)
    )


def _tables(connection: Connection, table: str) -> Iterator[str]:
    """Give a table's partitions, or the table where it has none."""
    rows = connection.execute(
        "SELECT relid::regclass::text FROM pg_partition_tree(%s::regclass) WHERE isleaf", [table]
    ).fetchall()
    yield from (row[0] for row in rows or [(table,)])


def _quoted(card: str) -> str:
    """Return a regular expression for what a text is in JSON."""
    return re.escape(json.dumps(card, ensure_ascii=False)[1:-1])


def _said(card: str) -> str:
    """Return a regular expression for a card as a text in JSON, however its bytes are parted."""
    letters = re.fullmatch(r"(?:[0-9A-F]{2})+", card)
    parts = [card[i : i + 2] for i in range(0, len(card), 2)] if letters else [_quoted(card)]
    return rf'"\s*{"[-: ]?".join(parts)}\s*"'
