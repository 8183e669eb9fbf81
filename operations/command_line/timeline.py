"""`operations trace` and `operations explain`: what happened at a charging point."""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime, timedelta

from charging.database.connection import Connection
from charging.database.messages import LoggedMessage
from operations import timeline
from operations.command_line.output import print_text, show_json
from operations.command_line.times import read_time
from operations.plain_text import plain

FOLLOW_SECONDS = 0.5
# A node writes what it exchanged within a quarter of a second; looking further back than the last
# line finds what several nodes wrote out of order.
_OVERLAP = timedelta(seconds=2)


def add_trace_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `trace`."""
    parser.add_argument("charging_point")
    parser.add_argument("--minutes", type=float, default=60, help="how far back (default: 60)")
    parser.add_argument("--follow", action="store_true", help="and what comes, until Ctrl-C")
    parser.add_argument(
        "--lens",
        type=float,
        metavar="MINUTES",
        help="keep heartbeats and readings too, for so many minutes from now; 0: no longer",
    )
    parser.set_defaults(run=trace)


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `explain`."""
    parser.add_argument("charging_point")
    parser.add_argument(
        "--at", type=read_time, metavar="TIME", help="ISO 8601; without a zone: UTC (default: now)"
    )
    parser.add_argument(
        "--minutes", type=float, default=10, help="before and after that time (default: 10)"
    )
    parser.set_defaults(run=explain)


def trace(connection: Connection, options: argparse.Namespace) -> None:
    """Print the frames that were exchanged with a charging point."""
    name = options.charging_point
    if options.lens is not None:
        timeline.keep_everything(connection, name, options.lens)
    last = datetime.now(UTC) - timedelta(minutes=options.minutes)
    seen: set[LoggedMessage] = set()
    try:
        while True:
            now = datetime.now(UTC)
            page = list(
                timeline.trace(connection, name, after=last - _OVERLAP if seen else last, until=now)
            )
            for message in page:
                if message not in seen:
                    _print(message, as_json=options.json)
            if not options.follow:
                return
            seen = {m for m in page if m.at > now - 2 * _OVERLAP}
            last = max((m.at for m in page), default=last)
            time.sleep(FOLLOW_SECONDS)
    except KeyboardInterrupt:
        return


def _print(message: LoggedMessage, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(message._asdict(), default=_as_text), flush=True)
    else:
        at = f"{message.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        print(f"{at}Z {plain(timeline.describe(message))}", flush=True)


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def explain(connection: Connection, options: argparse.Namespace) -> None:
    """Print all that is known of the minutes around a time."""
    at = options.at or datetime.now(UTC)
    moments = timeline.explain(connection, options.charging_point, at=at, minutes=options.minutes)
    if options.json:
        show_json([{"at": m.at, "what": m.what, "text": m.text, **m.detail} for m in moments])
        return
    for moment in moments:
        time_of = f"{moment.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        print_text(f"{time_of}Z {moment.what:<10} {moment.text}")
    if not moments:
        print("nothing is known of that time")
