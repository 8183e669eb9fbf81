"""`operations audit`."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from charging.database import energy_audits as reports
from charging.database.connection import Connection
from charging.energy_audit import POWER_MARGIN
from charging.service.telemetry import write_document
from operations import energy_audits
from operations.command_line.output import print_text, records, show, show_json
from operations.energy_audits import Made

ALARM = 3
"""The exit code where something has to be looked at; 0: nothing, 1: it could not be made."""


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser(
        "run",
        parents=[common],
        help="hold what meters counted against what is billed, and keep the report",
        epilog=f"Exit code {ALARM}: something has to be looked at.",
    )
    run.add_argument("--day", type=date.fromisoformat, help="UTC; default: yesterday")
    run.add_argument("--until", type=date.fromisoformat, help="audit the days before this one too")
    run.add_argument("--charging-point")
    run.add_argument("--signing-key", type=Path, help="Ed25519, PEM")
    run.add_argument(
        "--power-margin",
        type=float,
        default=POWER_MARGIN,
        help=f"times its EVSE's power that is believed of a session (default: {POWER_MARGIN})",
    )
    run.add_argument("--csv", type=Path, metavar="FILE", help="write the lines there as a table")
    run.add_argument(
        "--metrics",
        metavar="ENVIRONMENT",
        help="write the figures to standard error as a document of CloudWatch metrics",
    )
    run.set_defaults(run=make)
    verify_parser = actions.add_parser(
        "verify", parents=[common], help="check that no report was changed or taken away"
    )
    verify_parser.add_argument("--public-key", help="hexadecimal: of whoever must have signed")
    verify_parser.set_defaults(run=verify)
    list_parser = actions.add_parser("list", parents=[common], help="list the reports")
    list_parser.set_defaults(run=list_all)
    show_parser = actions.add_parser("show", parents=[common], help="show a report as it was kept")
    show_parser.add_argument("day", type=date.fromisoformat)
    show_parser.set_defaults(run=show_day)


def make(connection: Connection, options: argparse.Namespace) -> int:
    """Audit, keep the report, show it."""
    made = energy_audits.make(
        connection,
        options.day or datetime.now(UTC).date() - timedelta(days=1),
        until=options.until,
        charging_point=options.charging_point,
        signing_key=options.signing_key,
        power_margin=options.power_margin,
    )
    if options.csv is not None:
        options.csv.write_text(energy_audits.as_csv(made), newline="")
    if options.metrics is not None:
        write_document(energy_audits.metrics_document(made, options.metrics))
    if options.json:
        show_json({**json.loads(made.report.report), "digest": made.report.digest})
    else:
        _show(made)
    return ALARM if made.report.alarms else 0


def verify(connection: Connection, options: argparse.Namespace) -> int:
    """Check the chain of reports."""
    faults = energy_audits.verify(connection, options.public_key)
    show(
        records(faults),
        as_json=options.json,
        title=f"{len(faults)} faults",
        empty="all reports are as they were made",
    )
    return ALARM if faults else 0


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List the reports, oldest first."""
    rows = [
        {
            "audit": report.audit_number,
            "day": report.day,
            "charging_point": report.charging_point_id,
            "made_at": report.made_at,
            "alarms": report.alarms,
            "alarming_wh": report.alarming_wh,
            "signed": report.signature is not None,
            "digest": report.digest,
        }
        for report in reports.read(connection)
    ]
    show(rows, as_json=options.json, title=f"{len(rows)} reports", empty="no reports yet")


def show_day(connection: Connection, options: argparse.Namespace) -> None:
    """Show the reports of a day as they were kept."""
    show_json(
        [
            {**json.loads(report.report), "digest": report.digest}
            for report in reports.read(connection, day=options.day)
        ]
    )


def _show(made: Made) -> None:
    audit = made.audit
    lines = [
        {
            "charging_point": line.charging_point,
            "evse": line.evse,
            "session": line.session,
            "findings": " ".join(line.findings),
            "energy_wh": line.energy_wh,
            "unbilled_wh": line.unbilled_wh,
            "worth": line.worth,
            "alarm": "ALARM" if line.alarm else "",
            "facts": line.facts,
            "remedy": line.remedy,
        }
        for line in audit.lines
    ]
    show(lines, as_json=False, title=f"{len(lines)} lines, {audit.alarms} alarms", empty="no lines")
    sign = "=" if audit.balances else "is NOT"
    print_text(
        f"{audit.sessions} sessions: metered {audit.metered_wh} Wh {sign} billed"
        f" {audit.billed_wh} Wh + listed {audit.listed_wh} Wh"
    )
    print_text(f"report {made.report.audit_number}, digest {made.report.digest}")
