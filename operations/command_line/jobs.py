"""`operations jobs`, and `operations commands … --all`: one thing asked of many charging points."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Group
from rich.live import Live

from charging.database.connection import Connection
from charging.intents import Intent
from operations import jobs
from operations.command_line.asker import BY
from operations.command_line.output import (
    console,
    print_text,
    records,
    show,
    show_fields,
    show_json,
    table,
)
from operations.commands import DEFAULT_SECONDS
from operations.errors import InvalidError, OperationError
from operations.jobs import DEFAULT_PACE, Job, Pace

WATCH_SECONDS = 0.5
_ROWS = 15


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", parents=[common], help="the newest jobs")
    listing.add_argument("--limit", type=int, default=20, help="at most so many (default: 20)")
    listing.set_defaults(run=show_list)
    for name, run, text in (
        ("show", show_one, "one job and its charging points"),
        ("watch", watch_one, "one job until it ends"),
        ("stop", stop, "ask nobody else; what is under way still ends"),
        ("resume", resume, "let a job go on"),
    ):
        action = actions.add_parser(name, parents=[common], help=text)
        action.add_argument("job", type=int)
        action.set_defaults(run=run)
        if name == "show":
            action.add_argument("--failed", action="store_true", help="only what failed")
            action.add_argument("--limit", type=int, default=100, help="at most (default: 100)")
        if name == "resume":
            action.add_argument("--failed", action="store_true", help="ask those again that failed")


def many() -> argparse.ArgumentParser:
    """Return the options of a command for many charging points, a parent of its parser."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("many charging points")
    group.add_argument("--all", action="store_true", help="all that are registered")
    group.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="NAME=PATTERN",
        help="of vendor, model, firmware, site or id; * stands for any text; all must match",
    )
    group.add_argument("--file", type=Path, help="identities, one a line")
    group.add_argument(
        "--per-minute",
        type=int,
        default=DEFAULT_PACE.per_minute,
        help=f"pace (default: {DEFAULT_PACE.per_minute})",
    )
    group.add_argument(
        "--at-once",
        type=int,
        default=DEFAULT_PACE.at_once,
        help=f"under way at most (default: {DEFAULT_PACE.at_once})",
    )
    group.add_argument(
        "--max-failures",
        type=int,
        help="stop when so many refused, did not answer or went silent (default: never)",
    )
    group.add_argument("--tries", type=int, default=1, help="ask each so often (default: 1)")
    group.add_argument(
        "--retry-after",
        type=float,
        default=DEFAULT_PACE.retry_seconds,
        metavar="SECONDS",
        help=f"until it is asked again (default: {DEFAULT_PACE.retry_seconds:g})",
    )
    group.add_argument(
        "--within", type=float, metavar="HOURS", help="what is left after that has failed"
    )
    group.add_argument("--key", help="a job with the same key is not made twice")
    group.add_argument("--dry-run", action="store_true", help="only say who would be asked")
    group.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    group.add_argument("--no-wait", action="store_true", help="do not watch it until it ends")
    return parser


def many_of_all(*, until_done: bool = False, tries: int = 1) -> argparse.ArgumentParser:
    """Return the options of what is always a job, a parent of its parser."""
    parser = argparse.ArgumentParser(add_help=False, parents=[many()])
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for an answer (default: {DEFAULT_SECONDS:g})",
    )
    parser.set_defaults(until_done=until_done, tries=tries)
    return parser


def says_many(words: Sequence[str]) -> bool:
    """Return whether the words of a command line mean many charging points."""
    return any(word.partition("=")[0] in ("--all", "--where", "--file") for word in words)


def is_for_many(options: argparse.Namespace) -> bool:
    """Return whether many charging points are meant. Raises InvalidError."""
    ways = [options.all, bool(options.where), options.file is not None]
    if sum(ways) > 1:
        raise InvalidError("--all, --where and --file exclude each other")
    return any(ways)


def ask_many(connection: Connection, options: argparse.Namespace, intent: Intent) -> None:
    """Make a job of an intent, after it was confirmed, and watch it."""
    names = targets(connection, options)
    if not confirmed(options, intent.kind, names):
        return
    job = jobs.start(
        connection, intent, names, by=BY, pace=pace(options), idempotency_key=options.key
    )
    follow(connection, job, options)


def names_or_targets(connection: Connection, options: argparse.Namespace) -> list[str]:
    """Return the charging points that are named, or that the options mean.

    Raises InvalidError, NotFoundError.
    """
    if is_for_many(options):
        if options.charging_points:
            raise InvalidError("name charging points, or choose them by options: not both")
        return targets(connection, options)
    if not options.charging_points:
        raise InvalidError("which charging points? Name them, or use --all, --where or --file")
    if len(options.charging_points) == 1:
        options.yes = True
    return jobs.targets(connection, names=options.charging_points)


def targets(connection: Connection, options: argparse.Namespace) -> list[str]:
    """Return the charging points that the options mean. Raises InvalidError, NotFoundError."""
    return jobs.targets(connection, where=_where(options.where), names=_names(options.file))


def pace(options: argparse.Namespace, *, wave: int | None = None, wave_seconds: float = 0) -> Pace:
    """Return the pace that the options say."""
    within = options.within
    return Pace(
        options.per_minute,
        options.at_once,
        options.max_failures,
        options.timeout,
        options.tries,
        options.retry_after,
        until_done=options.until_done,
        deadline=None if within is None else datetime.now(UTC) + timedelta(hours=within),
        wave=wave,
        wave_seconds=wave_seconds,
    )


def confirmed(options: argparse.Namespace, what: str, names: list[str]) -> bool:
    """Return whether charging points shall be asked: not in a dry run, which shows them.

    Raises OperationError where it is refused, InvalidError where nobody can be asked.
    """
    if options.dry_run:
        _show_targets(names, as_json=options.json)
        return False
    if names and not options.yes:
        _confirm(what, names)
    return True


def follow(connection: Connection, job: int, options: argparse.Namespace) -> None:
    """Watch a job until it ends, unless that is not wanted; a failure is an error."""
    if options.no_wait:
        if options.json:
            show_json({"job": job})
        else:
            print_text(f"job {job} runs; `jobs watch {job}` shows it")
        return
    _watch(connection, job, as_json=options.json)
    ended = jobs.show(connection, job)
    if ended.failed or ended.state != "done":
        raise OperationError(
            f"job {job}: {ended.accepted} accepted, {ended.failed} failed, {ended.waiting} not"
            f" asked{f'; stopped: {ended.reason}' if ended.state == 'stopped' else ''};"
            f" `jobs show {job} --failed` has them, `jobs resume {job}` goes on"
        )


def show_list(connection: Connection, options: argparse.Namespace) -> None:
    """List jobs, the newest first."""
    found = jobs.list_newest(connection, limit=options.limit)
    show(records(found), as_json=options.json, title="Jobs", empty="no jobs yet")


def show_one(connection: Connection, options: argparse.Namespace) -> None:
    """Show a job and its charging points."""
    job = jobs.show(connection, options.job)
    found = jobs.items(connection, options.job, limit=options.limit, failed=options.failed)
    if options.json:
        show_json({**records([job])[0], "items": records(found)})
        return
    show_fields(records([job])[0])
    show(records(found), as_json=False, title="Charging points", empty="none")


def watch_one(connection: Connection, options: argparse.Namespace) -> None:
    """Show a job until it ends, or Ctrl-C."""
    jobs.show(connection, options.job)
    _watch(connection, options.job, as_json=options.json)


def stop(connection: Connection, options: argparse.Namespace) -> None:
    """Stop a job."""
    jobs.stop(connection, options.job, by=BY)
    _show_state(connection, options)


def resume(connection: Connection, options: argparse.Namespace) -> None:
    """Let a job go on."""
    jobs.resume(connection, options.job, by=BY, failed=options.failed)
    _show_state(connection, options)


def _show_state(connection: Connection, options: argparse.Namespace) -> None:
    job = jobs.show(connection, options.job)
    if options.json:
        show_json(records([job])[0])
    else:
        print_text(f"job {job.job} is {job.state}: {job.waiting} charging points wait")


def _where(words: list[str]) -> dict[str, list[str]]:
    where: dict[str, list[str]] = {}
    for word in words:
        name, separator, pattern = word.partition("=")
        if not separator:
            raise InvalidError(f"--where: {word!r} is not of the form NAME=PATTERN")
        where.setdefault(name, []).append(pattern)
    return where


def _names(file: Path | None) -> list[str] | None:
    if file is None:
        return None
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"--file {file}: {error}") from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _show_targets(names: list[str], *, as_json: bool) -> None:
    if as_json:
        show_json({"charging_points": names})
        return
    print_text(f"{len(names)} charging points would be asked")
    for name in names[:_ROWS]:
        print_text(f"  {name}")
    if len(names) > _ROWS:
        print_text(f"  … and {len(names) - _ROWS} more")


def _confirm(what: str, names: list[str]) -> None:
    if not sys.stdin.isatty():
        raise InvalidError(f"{len(names)} charging points would be asked: confirm with --yes")
    print_text(f"{what}: {len(names)} charging points, {', '.join(names[:3])} …")
    if input("Ask them all? [y/N] ").strip().lower() not in ("y", "yes"):
        raise OperationError("nothing was asked")


def _watch(connection: Connection, job_id: int, *, as_json: bool) -> None:
    """Show a job and its newest answers until it has ended and nothing is under way."""
    screen = console()
    if as_json or not screen.is_terminal:
        job = jobs.show(connection, job_id)
        while _goes_on(job):
            time.sleep(WATCH_SECONDS)
            job = jobs.show(connection, job_id)
        if as_json:
            show_json(records([job])[0])
        else:
            screen.print(_view(connection, job))
        return
    with Live(console=screen, auto_refresh=False) as live:
        while True:
            job = jobs.show(connection, job_id)
            live.update(_view(connection, job), refresh=True)
            if not _goes_on(job):
                return
            time.sleep(WATCH_SECONDS)


def _goes_on(job: Job) -> bool:
    return job.state == "running" or job.under_way > 0


def _view(connection: Connection, job: Job) -> Group:
    counts = {
        name: getattr(job, name)
        for name in ("state", "waiting", "under_way", "accepted", "failed", "done")
    }
    parts = [table([counts], title=f"Job {job.job}: {job.kind}, {job.charging_points} of them")]
    newest = records(jobs.items(connection, job.job, limit=_ROWS))
    if newest:
        parts.append(table(newest, title="Newest answers"))
    return Group(*parts)
