"""Files: firmware to hand out, and logs that charging points have sent.

A charging point gets at a file by a link of its own (`charging.database.files`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from charging.database import audit, files
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.files import StoredFile as StoredFile
from charging.service.file_store import FileStore, new_key
from operations.errors import InvalidError, NotFoundError, OperationError

FIRMWARE = "firmware"
LOG = "log"


def put(
    connection: Connection, store: FileStore, name: str, parts: Iterable[bytes], *, by: Asker
) -> StoredFile:
    """Keep firmware. name: as charging points see it. Raises InvalidError, OperationError."""
    if not name or "/" in name or not name.isprintable() or len(name) > 100:
        raise InvalidError(f"{name[:110]!r} is no name: 1 to 100 printable characters, no slash")
    digest, size = hashlib.sha256(), 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for part in parts:
            digest.update(part)
            size += len(part)
            yield part

    key = new_key(FIRMWARE)
    try:
        store.write(key, counted())
    except OSError as error:
        raise OperationError(f"{name} cannot be kept: {error}") from None
    with connection.transaction():
        number = files.add(
            connection, FIRMWARE, name, key, size_bytes=size, sha256=digest.hexdigest()
        )
        detail = {"name": name, "bytes": size, "sha256": digest.hexdigest()}
        audit.write(connection, by, "put_file", f"file {number}", detail)
    return show(connection, number)


def show(connection: Connection, file: int) -> StoredFile:
    """Return a file. Raises NotFoundError."""
    found = files.read(connection, file=file)
    if not found:
        raise NotFoundError(f"no file {file}; `files list` shows those there are")
    return found[0]


def list_newest(
    connection: Connection,
    *,
    kind: str | None = None,
    charging_point: str | None = None,
    job: int | None = None,
    limit: int,
) -> list[StoredFile]:
    """Return files, the newest first. job: that asked for them. Raises InvalidError."""
    if limit < 1:
        raise InvalidError("--limit must be 1 or more")
    return files.read(connection, kind=kind, charging_point=charging_point, job=job, limit=limit)


def read(connection: Connection, store: FileStore, file: int) -> Iterator[bytes]:
    """Return a file's bytes in parts. Raises NotFoundError, and OperationError as it goes."""
    key = show(connection, file).key

    def parts() -> Iterator[bytes]:
        try:
            yield from store.read(key)
        except OSError as error:
            raise OperationError(f"file {file} cannot be read: {error}") from None

    return parts()


def delete(connection: Connection, store: FileStore, file: int, *, by: Asker) -> None:
    """Delete a file; links to it no longer open. Raises NotFoundError, OperationError."""
    found = show(connection, file)
    with connection.transaction():
        files.forget(connection, file)
        audit.write(connection, by, "delete_file", f"file {file}", {"name": found.name})
    try:
        store.delete(found.key)
    except OSError as error:
        raise OperationError(f"its row is gone, {found.key} is not: {error}") from None
