"""`operations commands`: ask a charging point for something and wait for its answer."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from charging.command import CommandResult, Done, Outcome
from charging.database.commands import wait
from charging.database.connection import Connection
from charging.database.following import wait_done
from charging.intents import INTENTS, PasswordSpelling
from operations import commands
from operations.command_line import intents, jobs
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_fields, show_json
from operations.commands import DEFAULT_SECONDS, Queued
from operations.errors import OperationError


def add_arguments(
    parser: argparse.ArgumentParser, common: argparse.ArgumentParser, *, many: bool = False
) -> None:
    """Add this subject's actions. many: intents name no charging point: options say which."""
    timing = argparse.ArgumentParser(add_help=False)
    timing.add_argument(
        "--until-done",
        action="store_true",
        help="wait until what was accepted is done, too: a start until its session begins",
    )
    timing.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for its answer (default: {DEFAULT_SECONDS:g})",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    start = actions.add_parser(
        "remote-start", parents=[common, timing], help="let a charging point start a session"
    )
    start.add_argument("charging_point")
    start.add_argument("token", help="which is charged for it; `tokens add` makes it known")
    start.add_argument("--evse", type=int, default=1, help="its number at the charging point")
    start.set_defaults(run=remote_start)
    stop = actions.add_parser("remote-stop", parents=[common, timing], help="let it end a session")
    stop.add_argument("session", type=int)
    stop.set_defaults(run=remote_stop)
    _add_rotate(actions, [common, timing])
    for kind in intents.KINDS:
        text = intents.describe(kind)
        secret = bool(INTENTS[kind].secrets)
        asking = actions.add_parser(
            intents.word(kind),
            parents=[common, timing] if secret else [common, timing, jobs.many()],
            help=text.partition(". ")[0].rstrip("."),
            description=text,
        )
        if secret or not many:
            asking.add_argument("charging_point")
        intents.add_members(asking, kind)
        asking.set_defaults(run=ask, kind=kind)
    listing = actions.add_parser("list", parents=[common], help="the newest commands")
    listing.add_argument("charging_point", nargs="?")
    listing.add_argument("--limit", type=int, default=20, help="at most so many (default: 20)")
    listing.set_defaults(run=show_list)
    showing = actions.add_parser(
        "show", parents=[common], help="one command with its answer and its progress"
    )
    showing.add_argument("command", type=int)
    showing.set_defaults(run=show_one)


def _add_rotate(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    parents: list[argparse.ArgumentParser],
) -> None:
    rotate = actions.add_parser(
        "rotate-password",
        parents=parents,
        help="give a charging point a new password, which is shown to nobody",
        description="Give a charging point a new password, which is shown to nobody. Ours changes"
        " when it accepts; the one before stays valid for an hour.",
    )
    rotate.add_argument("charging_point")
    rotate.add_argument(
        "--spelling",
        choices=[each.value for each in PasswordSpelling],
        default=PasswordSpelling.HEX.value,
        help="how it is written to the charging point (default: hex, as OCPP 1.6 has it)",
    )
    rotate.set_defaults(run=rotate_password)


def ask(connection: Connection, options: argparse.Namespace) -> None:
    """Ask a charging point, or many, for what the options say."""
    if not INTENTS[options.kind].secrets and jobs.is_for_many(options):
        jobs.ask_many(connection, options, intents.intent_of(options.kind, options))
        return
    queued = commands.ask(
        connection,
        options.charging_point,
        intents.intent_of(options.kind, options),
        by=BY,
        seconds=options.timeout,
    )
    _show_result(connection, queued, options)


def show_list(connection: Connection, options: argparse.Namespace) -> None:
    """List commands, the newest first."""
    found = commands.list_newest(connection, options.charging_point, limit=options.limit)
    rows = records(found)
    for row in rows:
        del row["arguments"], row["answer"], row["progress"]
    show(rows, as_json=options.json, title="Commands", empty="no commands yet")


def show_one(connection: Connection, options: argparse.Namespace) -> None:
    """Show a command whole."""
    found = asdict(commands.show(connection, options.command))
    if options.json:
        show_json(found)
        return
    progress = found.pop("progress")
    show_fields(found)
    show(progress, as_json=False, title="Progress", empty="no progress reported")


def remote_start(connection: Connection, options: argparse.Namespace) -> None:
    """Ask a charging point to start a session with a token."""
    queued = commands.remote_start(
        connection,
        options.charging_point,
        options.token,
        by=BY,
        evse=options.evse,
        seconds=options.timeout,
    )
    _show_result(connection, queued, options)


def remote_stop(connection: Connection, options: argparse.Namespace) -> None:
    """Ask a charging point to end a session."""
    queued = commands.remote_stop(connection, options.session, by=BY, seconds=options.timeout)
    _show_result(connection, queued, options)


def rotate_password(connection: Connection, options: argparse.Namespace) -> None:
    """Give a charging point a new password."""
    queued = commands.rotate_password(
        connection,
        options.charging_point,
        by=BY,
        spelling=PasswordSpelling(options.spelling),
        seconds=options.timeout,
    )
    _show_result(connection, queued, options)


def _show_result(connection: Connection, queued: Queued, options: argparse.Namespace) -> None:
    """Wait for a command's answer and show it; what is not accepted is an error.

    With --until-done the end of what was accepted is waited for too, and a failure is an error.
    """
    result = wait(connection, queued.command, queued.seconds)
    name = queued.charging_point
    done = None
    if options.until_done and result.open:
        done = wait_done(connection, queued.command, queued.done_seconds)
    if options.json:
        show_json(
            {
                "charging_point": name,
                "command": queued.command,
                "outcome": result.outcome,
                "detail": result.detail,
                "answer": result.answer,
                **({"done": done} if options.until_done else {}),
            }
        )
    if not result.outcome.accepted and done is not Done.DONE:
        raise OperationError(
            f"{name}: {result.outcome}{f' ({result.detail})' if result.detail else ''}"
        )
    if options.until_done and done is not Done.DONE:
        ended = "goes on" if done is None else f"is {done}"
        raise OperationError(
            f"{name}: accepted, and then it {ended}; `commands show "
            f"{queued.command}` has its progress"
        )
    if not options.json:
        print_text(f"{name}: done" if options.until_done else _accepted(name, result))


def _accepted(name: str, result: CommandResult) -> str:
    """Return what an accepted command's answer says; what it holds beside its status, as JSON."""
    when = {
        Outcome.SCHEDULED: ", for the end of the running session",
        Outcome.REBOOT_REQUIRED: "; it takes effect with the next restart",
    }
    lines = [f"{name} has accepted{when.get(result.outcome, '')}"]
    for answer in result.answer:
        details = {member: value for member, value in answer.items() if member != "status"}
        if details:
            lines.append(json.dumps(details, ensure_ascii=False))
    return lines[0] if len(lines) == 1 else "\n".join(lines)
