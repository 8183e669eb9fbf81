"""`operations sessions`."""

from __future__ import annotations

import argparse
from decimal import Decimal
from typing import Any

from charging.database import corrections
from charging.database.connection import Connection
from charging.session import SessionState
from operations import session_ends, sessions
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_json
from operations.command_line.times import read_time
from operations.session_ends import Outcome


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    list_parser = actions.add_parser("list", parents=[common], help="list sessions, newest first")
    list_parser.add_argument("--charging-point")
    list_parser.add_argument("--state", choices=[state.value for state in SessionState])
    list_parser.add_argument("--limit", type=int, default=100)
    list_parser.set_defaults(run=list_newest)
    show_parser = actions.add_parser(
        "show", parents=[common], help="show a session with its meter values"
    )
    show_parser.add_argument("session", type=int)
    show_parser.set_defaults(run=show_one)
    facts = actions.add_parser(
        "unassigned",
        parents=[common],
        help="ends of sessions that are not known, for an operator to assign",
    )
    facts.set_defaults(run=list_unassigned)
    _add_changes(actions, common)


def _add_changes(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    reason = argparse.ArgumentParser(add_help=False)
    reason.add_argument("--reason", required=True, help="for whoever asks later")
    when = argparse.ArgumentParser(add_help=False)
    when.add_argument("--at", type=read_time, help="its end, ISO 8601; without a zone: UTC")
    when.add_argument("--register-wh", type=int, help="the meter's register at its end")
    end_parser = actions.add_parser(
        "end",
        parents=[common, reason, when],
        help="end a session whose stop will not come, at its last plausible reading",
    )
    end_parser.add_argument("session", type=int)
    end_parser.set_defaults(run=end)
    assign_parser = actions.add_parser(
        "assign",
        parents=[common, reason, when],
        help="end a session by a fact of `sessions unassigned`",
    )
    assign_parser.add_argument("fact", type=int)
    assign_parser.add_argument("session", type=int)
    assign_parser.set_defaults(run=assign)
    settle_parser = actions.add_parser(
        "settle", parents=[common, reason], help="put a fact aside that ends no session"
    )
    settle_parser.add_argument("fact", type=int)
    settle_parser.set_defaults(run=settle)
    correct_parser = actions.add_parser(
        "correct", parents=[common, reason], help="change what an ended session was"
    )
    correct_parser.add_argument("session", type=int)
    for name in ("started-at", "ended-at"):
        correct_parser.add_argument(f"--{name}", type=read_time)
    for name in ("meter-start-wh", "meter-stop-wh"):
        correct_parser.add_argument(f"--{name}", type=int)
    correct_parser.set_defaults(run=correct)


def list_newest(connection: Connection, options: argparse.Namespace) -> None:
    """List sessions with their energy; of one that still charges, by its last reading."""
    found = sessions.list_newest(
        connection,
        charging_point=options.charging_point,
        state=options.state,
        limit=options.limit,
    )
    total_wh = sum(session.energy_wh or 0 for session in found)
    show(
        records(found),
        as_json=options.json,
        title=f"{len(found)} sessions, {Decimal(total_wh) / 1000:.3f} kWh",
        empty="no sessions",
    )


def show_one(connection: Connection, options: argparse.Namespace) -> None:
    """Show a session and each of its readings."""
    session, readings = sessions.get(connection, options.session)
    (row,) = records([session])
    if options.json:
        changes = records(corrections.of_session(connection, options.session))
        show_json({**row, "meter_values": records(readings), "corrections": changes})
        return
    show([row], as_json=False, title=f"Session {options.session}", empty="")
    show(
        [
            {
                "sampled_at": reading.sampled_at,
                "energy_wh": reading.energy_wh,
                "samples": ", ".join(map(_sample, reading.sampled_values)),
            }
            for reading in readings
        ],
        as_json=False,
        title=f"{len(readings)} meter values",
        empty="no meter values",
    )
    changes = records(corrections.of_session(connection, options.session))
    if changes:
        show(changes, as_json=False, title=f"{len(changes)} corrections", empty="")


def list_unassigned(connection: Connection, options: argparse.Namespace) -> None:
    """List billing facts whose session is not known."""
    facts = sessions.list_unassigned(connection)
    show(
        records(facts),
        as_json=options.json,
        title=f"{len(facts)} unassigned facts",
        empty="none: good",
    )


def end(connection: Connection, options: argparse.Namespace) -> None:
    """End a session."""
    _show_outcome(
        session_ends.end(
            connection,
            options.session,
            options.reason,
            by=BY,
            at=options.at,
            register_wh=options.register_wh,
        ),
        as_json=options.json,
    )


def assign(connection: Connection, options: argparse.Namespace) -> None:
    """End a session by a fact."""
    _show_outcome(
        session_ends.assign(
            connection,
            options.fact,
            options.session,
            options.reason,
            by=BY,
            at=options.at,
            register_wh=options.register_wh,
        ),
        as_json=options.json,
    )


def settle(connection: Connection, options: argparse.Namespace) -> None:
    """Put a fact aside."""
    session_ends.settle(connection, options.fact, options.reason, by=BY)
    if options.json:
        show_json({"settled": options.fact})
    else:
        print_text(f"the fact {options.fact} is settled")


def correct(connection: Connection, options: argparse.Namespace) -> None:
    """Change what a session was."""
    _show_outcome(
        session_ends.correct(
            connection,
            options.session,
            options.reason,
            by=BY,
            started_at=options.started_at,
            meter_start_wh=options.meter_start_wh,
            ended_at=options.ended_at,
            meter_stop_wh=options.meter_stop_wh,
        ),
        as_json=options.json,
    )


def _show_outcome(outcome: Outcome, *, as_json: bool) -> None:
    (row,) = records([outcome])
    if as_json:
        show_json(row)
        return
    print_text(f"session {outcome.session} ended with {outcome.energy_wh} Wh")
    if outcome.at_hub:
        print_text(outcome.at_hub)


def _sample(sample: dict[str, Any]) -> str:
    measurand = sample.get("measurand", "energy register")
    phase = f" {sample['phase']}" if "phase" in sample else ""
    return f"{measurand}{phase} {sample['value']} {sample.get('unit', 'Wh')}"
