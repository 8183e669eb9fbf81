"""`operations maintain`: what need not be kept any longer goes to the archive, or goes."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from charging.database.address import state_directory
from charging.database.connection import Connection
from charging.database.retention import RULES
from charging.service.file_store import ARCHIVE_STORE, FileStore, file_store
from charging.service.telemetry import write_document
from operations import compaction, retention
from operations.command_line.output import print_text, show
from operations.errors import InvalidError

DESCRIPTION = (
    "Make the partitions to come, archive and drop months that are over, delete old rows. Run it"
    " every day; it goes on where it was interrupted. Archives are Parquet files in"
    f" {ARCHIVE_STORE}: a folder, or s3://bucket/prefix (default: var/archive). Kept for ever are"
    " sessions, bills, records for the hub, audits, and who did what."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    tables = ", ".join(f"{rule.table}={rule.days}" for rule in RULES)
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="TABLE=DAYS",
        type=_days,
        help=f"how long, instead of {tables}",
    )
    parser.add_argument(
        "--metrics",
        metavar="ENVIRONMENT",
        help="write the figures to standard error as a document of CloudWatch metrics",
    )
    parser.add_argument(
        "--compact-readings",
        action="store_true",
        help="then put readings that earlier versions kept whole into a quarter of the room; once"
        " after an upgrade, in hours with little traffic",
    )
    parser.add_argument("--dry-run", action="store_true", help="only list the months that are over")
    parser.set_defaults(run=maintain)


def maintain(connection: Connection, options: argparse.Namespace) -> None:
    """Do what is due, or list it."""
    days = dict(options.keep)
    if options.dry_run:
        due = [asdict(each) for each in retention.due(connection, days=days)]
        show(due, as_json=options.json, title="Due", empty="no month is over")
        return

    def progress(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    left = retention.maintain(connection, _store(), days=days, progress=progress)
    if options.metrics is not None:
        write_document(retention.metrics_document(left, options.metrics))
    if options.json:
        show([asdict(each) for each in left], as_json=True, title="", empty="")
        return
    for each in left:
        where = f", {each.files} files, {each.bytes:,} bytes in the archive" if each.files else ""
        print_text(f"{each.partition or each.table}: {each.rows:,} rows left{where}")
    if not left:
        print_text("nothing was due")
    if options.compact_readings:
        for table in _compact(connection):
            print_text(
                f"{table.table}: {table.compacted:,} readings compacted, {table.whole:,} stay whole"
            )


def _compact(connection: Connection) -> list[compaction.Compacted]:
    def progress(table: str, share: float) -> None:
        print(f"{table}: {share:.0%} compacted", file=sys.stderr, flush=True)

    return compaction.compact(connection, progress)


def _store() -> FileStore:
    try:
        return file_store(state_directory() / "archive", variable=ARCHIVE_STORE)
    except ValueError as error:
        raise InvalidError(str(error)) from None


def _days(text: str) -> tuple[str, int]:
    table, separator, days = text.partition("=")
    if not separator or not days.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not TABLE=DAYS, such as meter_values=800")
    return table, int(days)
