"""`operations settings`: what charging points are set to, what differs, and putting it right."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from charging.database.connection import Connection
from operations import jobs, settings
from operations.command_line import jobs as job_options
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_fields, show_json
from operations.errors import InvalidError
from operations.settings import MAX_FAILURES, WAVE, WAVE_SECONDS


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    showing = actions.add_parser("show", parents=[common], help="of a charging point, as known")
    showing.add_argument("charging_point")
    showing.set_defaults(run=show_known)
    reading = actions.add_parser(
        "read", parents=[common, job_options.many_of_all()], help="let charging points tell theirs"
    )
    reading.add_argument("charging_points", nargs="*", metavar="charging_point")
    reading.set_defaults(run=read)
    listing = actions.add_parser("templates", parents=[common], help="what models should have")
    listing.set_defaults(run=list_templates)
    putting = actions.add_parser("put-template", parents=[common], help="keep a template")
    putting.add_argument("template", help="its name")
    putting.add_argument("settings", nargs="*", metavar="NAME=VALUE")
    putting.add_argument("--from", type=Path, dest="source", help="JSON object of names and values")
    for name in ("vendor", "model", "firmware"):
        putting.add_argument(f"--{name}", default="*", help="whose it is; * stands for any text")
    putting.set_defaults(run=put_template)
    deleting = actions.add_parser("delete-template", parents=[common], help="forget a template")
    deleting.add_argument("template")
    deleting.set_defaults(run=delete_template)
    drifting = actions.add_parser("drift", parents=[common], help="what differs from a template")
    drifting.add_argument("template")
    drifting.add_argument("charging_points", nargs="*", metavar="charging_point")
    drifting.set_defaults(run=show_drift)
    applying = actions.add_parser(
        "apply",
        parents=[common, job_options.many_of_all()],
        help="write what differs, in waves that stop themselves",
    )
    applying.add_argument("template")
    applying.add_argument("charging_points", nargs="*", metavar="charging_point")
    applying.add_argument("--wave", type=int, default=WAVE, help=f"so many (default: {WAVE})")
    applying.add_argument(
        "--wave-pause",
        type=float,
        default=WAVE_SECONDS,
        metavar="SECONDS",
        help=f"between waves (default: {WAVE_SECONDS:g})",
    )
    applying.set_defaults(run=apply, max_failures=MAX_FAILURES)


def show_known(connection: Connection, options: argparse.Namespace) -> None:
    """Show what is known of a charging point's settings."""
    found = records(settings.of(connection, options.charging_point))
    empty = f"nothing is known; `settings read {options.charging_point}` asks it"
    show(found, as_json=options.json, title="Settings", empty=empty)


def read(connection: Connection, options: argparse.Namespace) -> None:
    """Let charging points tell their settings."""
    names = job_options.names_or_targets(connection, options)
    if job_options.confirmed(options, "read settings", names):
        pace = job_options.pace(options)
        job = settings.read(connection, names, by=BY, pace=pace, key=options.key)
        job_options.follow(connection, job, options)


def list_templates(connection: Connection, options: argparse.Namespace) -> None:
    """List templates."""
    found = records(settings.templates(connection))
    if not options.json:
        for row in found:
            row["settings"] = len(row["settings"])
    show(found, as_json=options.json, title="Templates", empty="no templates yet")


def put_template(connection: Connection, options: argparse.Namespace) -> None:
    """Keep a template."""
    values = _from_file(options.source) if options.source else {}
    for pair in options.settings:
        name, separator, value = pair.partition("=")
        if not separator:
            raise InvalidError(f"{pair!r} is not of the form NAME=VALUE")
        values[name] = value
    settings.put_template(
        connection,
        options.template,
        values,
        vendor=options.vendor,
        model=options.model,
        firmware=options.firmware,
        by=BY,
    )
    drift = settings.drift(connection, options.template)
    _say(options, f"{options.template} is for {drift.charging_points} charging points")


def delete_template(connection: Connection, options: argparse.Namespace) -> None:
    """Forget a template."""
    settings.delete_template(connection, options.template, by=BY)
    _say(options, f"{options.template} is forgotten")


def show_drift(connection: Connection, options: argparse.Namespace) -> None:
    """Show what differs from a template."""
    names = jobs.targets(connection, names=options.charging_points or None)
    found = records([settings.drift(connection, options.template, names)])[0]
    if options.json:
        show_json(found)
        return
    differences = found.pop("differences")
    show_fields(found)
    show(differences, as_json=False, title="Differences", empty="nothing differs")


def apply(connection: Connection, options: argparse.Namespace) -> None:
    """Write what differs from a template."""
    names: list[str] | None = None
    if options.charging_points or job_options.is_for_many(options):
        names = job_options.names_or_targets(connection, options)
    found = settings.drift(connection, options.template, names)
    differ = {each.charging_point for each in found.differences if each.state == "differs"}
    if job_options.confirmed(options, f"apply {options.template}", sorted(differ)):
        pace = job_options.pace(options, wave=options.wave, wave_seconds=options.wave_pause)
        job = settings.apply(connection, options.template, names, by=BY, pace=pace, key=options.key)
        job_options.follow(connection, job, options)


def _from_file(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidError(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise InvalidError(f"{path}: no JSON object")
    return found


def _say(options: argparse.Namespace, sentence: str) -> None:
    if options.json:
        show_json({"template": options.template})
    else:
        print_text(sentence)
