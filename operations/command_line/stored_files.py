"""`operations files`: firmware to hand out, and logs that charging points have sent."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from charging.database.address import state_directory
from charging.database.connection import Connection
from charging.service.file_store import CHUNK_BYTES, FileStore, file_store
from operations import files
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_json
from operations.errors import InvalidError, OperationError


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", parents=[common], help="the newest files")
    listing.add_argument("--kind", choices=[files.FIRMWARE, files.LOG])
    listing.add_argument("--charging-point", help="whose logs")
    listing.add_argument("--limit", type=int, default=20, help="at most so many (default: 20)")
    listing.set_defaults(run=show_list)
    putting = actions.add_parser("put", parents=[common], help="keep firmware")
    putting.add_argument("path", type=Path)
    putting.add_argument("--name", help="as charging points see it (default: the file's)")
    putting.set_defaults(run=put)
    getting = actions.add_parser("get", parents=[common], help="write a file here")
    getting.add_argument("file", type=int)
    getting.add_argument("path", type=Path, nargs="?", help="default: its name")
    getting.set_defaults(run=get)
    deleting = actions.add_parser("delete", parents=[common], help="delete a file and its links")
    deleting.add_argument("file", type=int)
    deleting.set_defaults(run=delete)


def store() -> FileStore:
    """Return where files are kept. Raises InvalidError."""
    try:
        return file_store(state_directory() / "files")
    except ValueError as error:
        raise InvalidError(str(error)) from None


def show_list(connection: Connection, options: argparse.Namespace) -> None:
    """List files, the newest first."""
    found = files.list_newest(
        connection, kind=options.kind, charging_point=options.charging_point, limit=options.limit
    )
    show(shown(found), as_json=options.json, title="Files", empty="no files yet")


def shown(found: list[files.StoredFile]) -> list[dict[str, object]]:
    """Return files as they are listed: where their bytes are is nobody's business."""
    rows = records(found)
    for row in rows:
        del row["key"]
    return rows


def put(connection: Connection, options: argparse.Namespace) -> None:
    """Keep firmware."""
    name = options.name or options.path.name
    try:
        found = files.put(connection, store(), name, _parts(options.path), by=BY)
    except OSError as error:
        raise InvalidError(f"{options.path} cannot be read: {error.strerror}") from None
    if options.json:
        show_json(shown([found])[0])
    else:
        print_text(f"file {found.file}: {found.name}, {found.size_bytes} bytes, {found.sha256}")


def get(connection: Connection, options: argparse.Namespace) -> None:
    """Write a file here; one that is there already stays."""
    found = files.show(connection, options.file)
    path = options.path or Path(found.name)
    written = save(files.read(connection, store(), found.file), path)
    if options.json:
        show_json({"path": str(path), "bytes": written})
    else:
        print_text(f"{path}: {written} bytes")


def save(parts: Iterator[bytes], path: Path) -> int:
    """Write bytes to a new file; return how many. Raises OperationError."""
    try:
        with path.open("xb") as target:
            return sum(target.write(part) for part in parts)
    except OSError as error:
        raise OperationError(f"{path} cannot be written: {error.strerror}") from None


def delete(connection: Connection, options: argparse.Namespace) -> None:
    """Delete a file."""
    files.delete(connection, store(), options.file, by=BY)
    if options.json:
        show_json({"deleted": options.file})
    else:
        print_text(f"file {options.file} is deleted")


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while part := source.read(CHUNK_BYTES):
            yield part
