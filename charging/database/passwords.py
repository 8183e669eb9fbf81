"""Passwords that a charging point may come with beside its own, while one takes another's place.

A new password is offered when a charging point is asked to take it, and counts from then on: the
answer can be lost. Accepted, it becomes the charging point's own, and the one before stays valid
for PREVIOUS_SECONDS; refused, it is forgotten; without an answer both stay valid.
"""

from __future__ import annotations

from collections.abc import Sequence

from charging.credential import hash_password, new_salt
from charging.database.connection import AsyncCursor, Connection

PREVIOUS_SECONDS = 3600

_OFFER = b"""
INSERT INTO other_passwords (charging_point_id, command_id, password_salt, password_hash)
VALUES (%s, %s, %s, %s)
"""

# A charging point that needed no password needs one from now on.
_TAKE = f"""
WITH taken AS (
    DELETE FROM other_passwords WHERE command_id = ANY(%s)
    RETURNING charging_point_id, password_salt, password_hash
), kept AS (
    INSERT INTO other_passwords (charging_point_id, password_salt, password_hash, valid_until)
    SELECT charging_point_id, p.password_salt, p.password_hash,
           now() + interval '{PREVIOUS_SECONDS} seconds'
    FROM charging_points AS p JOIN taken USING (charging_point_id)
    WHERE p.password_hash IS NOT NULL
)
UPDATE charging_points AS p
SET password_salt = taken.password_salt, password_hash = taken.password_hash
FROM taken WHERE taken.charging_point_id = p.charging_point_id
""".encode()

_PURGE = b"""
DELETE FROM other_passwords AS o
WHERE o.valid_until < now()
   OR EXISTS (SELECT 1 FROM commands AS c WHERE c.command_id = o.command_id
              AND c.state IN ('expired', 'superseded') AND c.sent_at IS NULL)
"""


def offer(connection: Connection, charging_point_id: str, command_id: int, password: bytes) -> None:
    """Let a password count that a command offers, in the transaction that asks."""
    salt = new_salt()
    connection.execute(_OFFER, [charging_point_id, command_id, salt, hash_password(password, salt)])


async def take(cursor: AsyncCursor, command_ids: Sequence[int]) -> None:
    """Make the passwords that commands offered those of their charging points."""
    await cursor.execute(_TAKE, [list(command_ids)])


async def withdraw(cursor: AsyncCursor, command_ids: Sequence[int]) -> None:
    """Forget the passwords that commands offered: charging points refused them."""
    await cursor.execute(
        "DELETE FROM other_passwords WHERE command_id = ANY(%s)", [list(command_ids)]
    )


async def purge(cursor: AsyncCursor) -> None:
    """Forget passwords whose time is over, and those that no charging point was offered."""
    await cursor.execute(_PURGE)


async def look_up(
    cursor: AsyncCursor, charging_point_ids: Sequence[str]
) -> dict[str, list[tuple[bytes, bytes]]]:
    """Return salts and hashes that count beside charging points' own."""
    await cursor.execute(
        "SELECT charging_point_id, password_salt, password_hash FROM other_passwords"
        " WHERE charging_point_id = ANY(%s) AND (valid_until IS NULL OR valid_until > now())",
        [list(charging_point_ids)],
        binary=True,
    )
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    async for name, salt, digest in cursor:
        found.setdefault(name, []).append((salt, digest))
    return found


def forget(connection: Connection, charging_point_id: str) -> None:
    """Let a charging point's own password alone count from now on."""
    connection.execute(
        "DELETE FROM other_passwords WHERE charging_point_id = %s", [charging_point_id]
    )
