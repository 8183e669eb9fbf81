"""Files of charging points: what there is, and links by which charging points get at it.

A link is a name that cannot be guessed, for one charging point, one purpose and a while. Whoever
knows it may use it: charging points send no credentials for a file. The bytes are in a
`charging.service.file_store.FileStore`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from charging.database import following
from charging.database.connection import AsyncCursor, Connection

LINK_SCHEME = "file:"
"""How a link stands where a command has a URL; the node puts its own address before it."""

MAX_FETCHES = 1000
"""A charging point on a bad line asks for the rest of a file again and again."""
MAX_RECEIVED = 10
"""Files that one link takes: some charging points send their logs in several."""

_USE = b"""
WITH used AS (
    UPDATE file_links AS l SET uses = uses + 1
    FROM (SELECT DISTINCT unnest(%s::text[]) AS link) AS wanted
    WHERE l.link = wanted.link AND l.expires_at > now() AND l.uses < l.max_uses
    RETURNING l.link, l.charging_point_id, l.file_id, l.max_bytes
)
SELECT u.link, u.charging_point_id, u.max_bytes, f.key, f.size_bytes, f.sha256
FROM used AS u LEFT JOIN files AS f USING (file_id)
"""

_RECEIVE = b"""
INSERT INTO files (kind, name, key, size_bytes, sha256, charging_point_id, command_id)
SELECT 'log', r.name, r.key, r.size_bytes, r.sha256, r.charging_point_id, c.command_id
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[])
    AS r (link, charging_point_id, name, key, size_bytes, sha256)
LEFT JOIN LATERAL (
    SELECT command_id FROM commands AS c
    WHERE c.charging_point_id = r.charging_point_id AND c.kind = 'upload_log'
      AND c.arguments->>'url' = %s || r.link || '/'
    ORDER BY command_id DESC LIMIT 1
) AS c ON true
RETURNING command_id
"""


class Link(NamedTuple):
    """A link that may be used now. key: of the file to fetch, None where one is to be sent.

    size_bytes, sha256: of the file; max_bytes: of one that is sent.
    """

    link: str
    charging_point_id: str
    max_bytes: int
    key: str | None
    size_bytes: int | None
    sha256: str | None


class Received(NamedTuple):
    """A file that a charging point has sent. name: its own; key: in the store; sha256: in hex."""

    link: str
    charging_point_id: str
    name: str
    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file. charging_point, command: whose log, and what asked for it."""

    file: int
    kind: str
    name: str
    size_bytes: int
    sha256: str
    charging_point: str | None
    command: int | None
    created_at: datetime
    key: str


# For the nodes.


async def use(cursor: AsyncCursor, links: Sequence[str]) -> dict[str, Link]:
    """Count a use of links; return those that may be used, by name."""
    await cursor.execute(_USE, [list(links)])
    return {row[0]: Link(*row) async for row in cursor}


async def receive(cursor: AsyncCursor, received: Sequence[Received]) -> None:
    """Note files that have come, and that the commands that asked for them are done."""
    await cursor.execute(_RECEIVE, [*map(list, zip(*received, strict=True)), LINK_SCHEME])
    commands = [row[0] async for row in cursor if row[0] is not None]
    if commands:
        await following.finish_commands(cursor, commands)


# For the back office.


def add(
    connection: Connection, kind: str, name: str, key: str, *, size_bytes: int, sha256: str
) -> int:
    """Note a file that stands in the store; return its number."""
    row = connection.execute(
        "INSERT INTO files (kind, name, key, size_bytes, sha256) VALUES (%s, %s, %s, %s, %s)"
        " RETURNING file_id",
        [kind, name, key, size_bytes, sha256],
    ).fetchone()
    assert row is not None
    number: int = row[0]
    return number


def link(
    connection: Connection,
    charging_points: Sequence[str],
    *,
    file: int | None,
    max_bytes: int = 0,
    expires_at: datetime,
) -> dict[str, str]:
    """Make a link for each charging point; return what a command has for its URL, by identity.

    file: to fetch; None: the charging point sends files, each of at most so many bytes.
    """
    links = [secrets.token_urlsafe(16) for _ in charging_points]
    connection.execute(
        "INSERT INTO file_links (link, charging_point_id, file_id, max_bytes, max_uses, expires_at)"
        " SELECT link, name, %s, %s, %s, %s FROM unnest(%s::text[], %s::text[]) AS t (link, name)",
        [
            file,
            max_bytes,
            MAX_RECEIVED if file is None else MAX_FETCHES,
            expires_at,
            links,
            list(charging_points),
        ],
    )
    return {
        name: f"{LINK_SCHEME}{link}/" for name, link in zip(charging_points, links, strict=True)
    }


def read(
    connection: Connection,
    *,
    file: int | None = None,
    kind: str | None = None,
    charging_point: str | None = None,
    job: int | None = None,
    limit: int = 1,
) -> list[StoredFile]:
    """Return files that match all that is given, the newest first. job: that asked for them."""
    rows = connection.execute(
        """
        SELECT file_id, kind, name, size_bytes, sha256, charging_point_id, command_id, created_at,
               key
        FROM files
        WHERE (%(file)s::bigint IS NULL OR file_id = %(file)s)
          AND (%(kind)s::text IS NULL OR kind = %(kind)s)
          AND (%(charging_point)s::text IS NULL OR charging_point_id = %(charging_point)s)
          AND (%(job)s::bigint IS NULL OR command_id IN (
              SELECT command_id FROM job_items WHERE job_id = %(job)s))
        ORDER BY file_id DESC LIMIT %(limit)s
        """,
        {"file": file, "kind": kind, "charging_point": charging_point, "job": job, "limit": limit},
    )
    return [StoredFile(*row) for row in rows]


def forget(connection: Connection, file: int) -> None:
    """Forget a file and its links; links that have expired go with it."""
    connection.execute("DELETE FROM files WHERE file_id = %s", [file])
    connection.execute("DELETE FROM file_links WHERE expires_at < now()")
