"""`operations firmware` and `operations logs`: jobs with files, of one charging point or many."""

from __future__ import annotations

import argparse
from pathlib import Path

from charging.database.connection import Connection
from charging.intents import LogKind
from operations import files, jobs, maintenance
from operations.command_line import jobs as job_options
from operations.command_line import stored_files
from operations.command_line.asker import BY
from operations.command_line.output import print_text, show
from operations.command_line.times import read_time
from operations.errors import InvalidError
from operations.maintenance import MAX_LOG_BYTES, Release

_TRIES = 3


def add_firmware_arguments(
    parser: argparse.ArgumentParser, common: argparse.ArgumentParser
) -> None:
    """Add the actions of `firmware`."""
    actions = parser.add_subparsers(dest="action", required=True)
    update = actions.add_parser(
        "update",
        parents=[common, job_options.many_of_all(until_done=True, tries=_TRIES)],
        help="let charging points fetch and install firmware",
        description="Let charging points fetch firmware, which `files put` keeps, and install it.",
    )
    update.add_argument("firmware", type=int, help="the file's number")
    update.add_argument("charging_points", nargs="*", metavar="charging_point")
    update.add_argument("--at", type=read_time, metavar="TIME", help="to fetch it (default: now)")
    update.add_argument("--install-at", type=read_time, metavar="TIME", help="of signed firmware")
    update.add_argument("--signature", type=Path, help="file with the signature in base64")
    update.add_argument("--certificate", type=Path, help="file with the signing certificate, PEM")
    update.set_defaults(run=update_firmware)


def add_logs_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add the actions of `logs`."""
    actions = parser.add_subparsers(dest="action", required=True)
    many = job_options.many_of_all(until_done=True, tries=_TRIES)
    fetch = actions.add_parser("fetch", parents=[common, many], help="let them send a log")
    fetch.add_argument("charging_points", nargs="*", metavar="charging_point")
    fetch.add_argument("--log", choices=[k.value for k in LogKind], default=LogKind.DIAGNOSTICS)
    fetch.add_argument("--since", type=read_time, metavar="TIME")
    fetch.add_argument("--until", type=read_time, metavar="TIME")
    fetch.add_argument(
        "--max-bytes", type=int, default=MAX_LOG_BYTES, help=f"of a file ({MAX_LOG_BYTES})"
    )
    fetch.add_argument("--to", type=Path, metavar="FOLDER", help="write what has come there")
    fetch.set_defaults(run=fetch_logs)


def update_firmware(connection: Connection, options: argparse.Namespace) -> None:
    """Let charging points fetch and install firmware."""
    names = job_options.names_or_targets(connection, options)
    if not job_options.confirmed(options, "firmware", names):
        return
    release = Release(
        options.firmware,
        options.at,
        options.install_at,
        _text(options.signature),
        _text(options.certificate),
    )
    job = maintenance.update_firmware(
        connection, names, release, by=BY, pace=job_options.pace(options), key=options.key
    )
    job_options.follow(connection, job, options)


def fetch_logs(connection: Connection, options: argparse.Namespace) -> None:
    """Let charging points send a log, and show what has come."""
    names = job_options.names_or_targets(connection, options)
    if not job_options.confirmed(options, "logs", names):
        return
    job = maintenance.fetch_logs(
        connection,
        names,
        log=LogKind(options.log),
        since=options.since,
        until=options.until,
        max_bytes=options.max_bytes,
        by=BY,
        pace=job_options.pace(options),
        key=options.key,
    )
    try:
        job_options.follow(connection, job, options)
    finally:
        if not options.no_wait:
            _show_received(connection, job, options)


def _show_received(connection: Connection, job: int, options: argparse.Namespace) -> None:
    found = files.list_newest(connection, job=job, limit=jobs.MAX_CHARGING_POINTS)
    if not options.json:
        show(stored_files.shown(found), as_json=False, title="Files", empty="no file has come")
    for file in found if options.to else ():
        path = options.to / f"{file.charging_point}-{file.file}-{file.name}".replace("/", "_")
        options.to.mkdir(parents=True, exist_ok=True)
        stored_files.save(files.read(connection, stored_files.store(), file.file), path)
        if not options.json:
            print_text(f"{path}: {file.size_bytes} bytes")


def _text(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"{path} cannot be read: {error}") from None
