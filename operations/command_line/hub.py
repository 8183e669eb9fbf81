"""`operations hub`."""

from __future__ import annotations

import argparse

from charging.database.connection import Connection
from operations import hub
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_json


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    show_parser = actions.add_parser("show", parents=[common], help="the queues to the hub")
    show_parser.set_defaults(run=show_queues)
    parked = actions.add_parser(
        "parked", parents=[common], help="what the hub refused, and why; waits for you"
    )
    parked.add_argument("--queue", choices=hub.QUEUES)
    parked.add_argument("--payload", action="store_true", help="show the messages too")
    parked.set_defaults(run=list_parked)
    requeue_parser = actions.add_parser(
        "requeue", parents=[common], help="try parked deliveries again, once the cause is mended"
    )
    requeue_parser.add_argument("deliveries", type=int, nargs="*", metavar="DELIVERY")
    requeue_parser.add_argument("--queue", choices=hub.QUEUES, help="all of one queue")
    requeue_parser.add_argument("--all", action="store_true", help="everything that is parked")
    requeue_parser.add_argument(
        "--found-right",
        action="store_true",
        help="somebody has looked into them: bill them although they are not plausible",
    )
    requeue_parser.set_defaults(run=requeue)
    doubtful = actions.add_parser(
        "doubtful",
        parents=[common],
        help="records that count as delivered although the hub did not say so",
    )
    doubtful.set_defaults(run=list_doubtful)
    confirm_parser = actions.add_parser(
        "confirm", parents=[common], help="note that a doubtful delivery was looked into"
    )
    confirm_parser.add_argument("delivery", type=int)
    confirm_parser.add_argument("--reason", required=True, help="what was found")
    confirm_parser.set_defaults(run=confirm)
    drop_parser = actions.add_parser(
        "drop", parents=[common], help="give up a parked delivery for good"
    )
    drop_parser.add_argument("delivery", type=int)
    drop_parser.add_argument("--reason", required=True, help="for whoever asks later")
    drop_parser.set_defaults(run=drop)
    load_parser = actions.add_parser(
        "full-load", parents=[common], help="push everything of a queue anew"
    )
    load_parser.add_argument("queue", choices=hub.FULL_LOADS)
    load_parser.set_defaults(run=full_load)
    sessions = actions.add_parser(
        "sessions", parents=[common], help="sessions of the hub, and how their records stand"
    )
    sessions.add_argument("--limit", type=int, default=100)
    sessions.set_defaults(run=list_sessions)


def show_queues(connection: Connection, options: argparse.Namespace) -> None:
    """Show each queue: what waits, since when, what was delivered and parked, who works on it."""
    queues = hub.list_queues(connection)
    show(records(queues), as_json=options.json, title="Queues to the roaming hub", empty="")
    if options.json:
        return
    if nameless := hub.offered_without_master_data(connection):
        print_text(
            f"{nameless} EVSEs are offered for roaming without master data, so the hub does "
            "not get them; `evses import` fills it in"
        )
    if any(queue.parked for queue in queues):
        print_text("`hub parked` lists what the hub refused and why")
    if any(queue.doubtful for queue in queues):
        print_text("`hub doubtful` lists what may not have arrived")


def list_doubtful(connection: Connection, options: argparse.Namespace) -> None:
    """List what counts as delivered although the hub did not say so."""
    found = hub.list_doubtful(connection)
    title = f"{len(found)} doubtful"
    show(records(found), as_json=options.json, title=title, empty="nothing is doubtful: good")


def confirm(connection: Connection, options: argparse.Namespace) -> None:
    """Note that a doubtful delivery was looked into."""
    hub.confirm(connection, options.delivery, options.reason, by=BY)
    if options.json:
        show_json({"confirmed": options.delivery})
    else:
        print_text(f"{options.delivery} is not doubtful any more")


def list_parked(connection: Connection, options: argparse.Namespace) -> None:
    """List what is parked, oldest first."""
    rows = records(hub.list_parked(connection, options.queue))
    if not options.payload:
        for row in rows:
            del row["payload"]
    show(rows, as_json=options.json, title=f"{len(rows)} parked", empty="nothing is parked: good")


def requeue(connection: Connection, options: argparse.Namespace) -> None:
    """Queue parked deliveries again."""
    requeued = hub.requeue(
        connection,
        options.deliveries,
        by=BY,
        queue=options.queue,
        everything=options.all,
        found_right=options.found_right,
    )
    if options.json:
        show_json({"requeued": requeued})
    else:
        print_text(f"{len(requeued)} deliveries wait again")


def drop(connection: Connection, options: argparse.Namespace) -> None:
    """Give up a parked delivery."""
    hub.drop(connection, options.delivery, options.reason, by=BY)
    if options.json:
        show_json({"dropped": options.delivery})
    else:
        print_text(f"{options.delivery} will not be sent")


def full_load(connection: Connection, options: argparse.Namespace) -> None:
    """Have a queue's whole pushed again."""
    hub.request_full_load(connection, options.queue, by=BY)
    if options.json:
        show_json({"queue": options.queue, "full_load": True})
    else:
        print_text(f"all of {options.queue} will be pushed anew")


def list_sessions(connection: Connection, options: argparse.Namespace) -> None:
    """List the hub's sessions, newest first."""
    found = hub.list_sessions(connection, limit=options.limit)
    show(
        records(found),
        as_json=options.json,
        title=f"{len(found)} sessions of the hub",
        empty="no sessions of the hub yet",
    )
