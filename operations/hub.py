"""What the roaming hub was told, what waits, and what it refused."""

from __future__ import annotations

import argparse
from typing import Any

import psycopg
from psycopg.rows import dict_row

from charging.delivery import DELIVERIES_CHANNEL, OUTBOX, Queue
from charging.event import EVENTS_CHANNEL, EventKind
from operations.output import OperationError, show, show_json

Connection = psycopg.Connection[Any]

FULL_LOADS = (Queue.EVSE_DATA.value, Queue.EVSE_STATUS.value)


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    queues = [queue.value for queue in Queue]
    show_parser = actions.add_parser("show", parents=[common], help="the queues to the hub")
    show_parser.set_defaults(run=show_queues)
    parked = actions.add_parser(
        "parked", parents=[common], help="what the hub refused, and why; waits for you"
    )
    parked.add_argument("--queue", choices=[*queues, OUTBOX])
    parked.add_argument("--payload", action="store_true", help="show the messages too")
    parked.set_defaults(run=list_parked)
    requeue_parser = actions.add_parser(
        "requeue", parents=[common], help="try parked deliveries again, once the cause is mended"
    )
    requeue_parser.add_argument("deliveries", type=int, nargs="*", metavar="DELIVERY")
    requeue_parser.add_argument("--queue", choices=[*queues, OUTBOX], help="all of one queue")
    requeue_parser.add_argument("--all", action="store_true", help="everything that is parked")
    requeue_parser.set_defaults(run=requeue)
    drop_parser = actions.add_parser(
        "drop", parents=[common], help="give up a parked delivery for good"
    )
    drop_parser.add_argument("delivery", type=int)
    drop_parser.add_argument("--reason", required=True, help="for whoever asks later")
    drop_parser.set_defaults(run=drop)
    load_parser = actions.add_parser(
        "full-load", parents=[common], help="push everything of a queue anew"
    )
    load_parser.add_argument("queue", choices=FULL_LOADS)
    load_parser.set_defaults(run=full_load)
    sessions = actions.add_parser(
        "sessions", parents=[common], help="sessions of the hub, and how their records stand"
    )
    sessions.add_argument("--limit", type=int, default=100)
    sessions.set_defaults(run=list_sessions)


def show_queues(connection: Connection, options: argparse.Namespace) -> None:
    """Show each queue: what waits, since when, what was sent, what is parked, who works."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            """
            SELECT names.queue,
                   count(*) FILTER (WHERE d.state = 'waiting') AS waiting,
                   round(extract(epoch FROM now() - min(d.queued_at)
                         FILTER (WHERE d.state = 'waiting')))::int AS oldest_seconds,
                   count(*) FILTER (WHERE d.state = 'parked') AS parked,
                   count(*) FILTER (WHERE d.state = 'delivered'
                                      AND d.settled_at > now() - interval '1 hour')
                       AS delivered_last_hour,
                   min(q.full_load_at) AS full_load_at, min(q.worker) AS worker,
                   min(q.beaten_at) AS seen_at
            FROM unnest(%s::text[]) WITH ORDINALITY AS names (queue, place)
            LEFT JOIN deliveries AS d USING (queue)
            LEFT JOIN hub_queues AS q USING (queue)
            GROUP BY names.queue, names.place ORDER BY names.place
            """,
            [[*(queue.value for queue in Queue), OUTBOX]],
        )
        .fetchall()
    )
    unread = connection.execute("SELECT count(*) FROM events WHERE relayed_at IS NULL").fetchone()
    for row in rows:
        if row["queue"] == OUTBOX:
            row["waiting"] = unread[0] if unread else 0
    show(rows, as_json=options.json, title="Queues to the roaming hub", empty="")
    if options.json:
        return
    nameless = connection.execute(
        "SELECT count(*) FROM evses LEFT JOIN evse_details USING (charging_point_id, evse_number)"
        " WHERE roaming AND evse_id IS NOT NULL AND details IS NULL"
    ).fetchone()
    if nameless and nameless[0]:
        print(
            f"{nameless[0]} EVSEs are offered for roaming without master data, so the hub is not "
            "told of them; `evses import` fills it in"
        )
    if any(row["parked"] for row in rows):
        print("`hub parked` says what the hub refused and why")


def list_parked(connection: Connection, options: argparse.Namespace) -> None:
    """List what is parked, oldest first."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            "SELECT delivery_id AS delivery, queue, key, reason, attempts, settled_at AS parked_at,"
            " process_id AS hub_process, payload"
            " FROM deliveries WHERE state = 'parked' AND (%(queue)s::text IS NULL"
            " OR queue = %(queue)s) ORDER BY delivery_id",
            {"queue": options.queue},
        )
        .fetchall()
    )
    if not options.payload:
        for row in rows:
            del row["payload"]
    show(rows, as_json=options.json, title=f"{len(rows)} parked", empty="nothing is parked: good")


def requeue(connection: Connection, options: argparse.Namespace) -> None:
    """Queue parked deliveries again.

    A record that could not be written is written anew from its session, an event read again.
    """
    if not (options.deliveries or options.queue or options.all):
        raise OperationError("say which: numbers of deliveries, --queue NAME or --all")
    chosen = connection.execute(
        """
        SELECT delivery_id, queue, key, payload IS NULL AS unwritten, hub_session_id
        FROM deliveries
        WHERE state = 'parked' AND (%(all)s OR queue = %(queue)s OR delivery_id = ANY(%(ids)s))
        ORDER BY delivery_id FOR UPDATE
        """,
        {"all": options.all, "queue": options.queue, "ids": options.deliveries},
    ).fetchall()
    missing = sorted(set(options.deliveries) - {row[0] for row in chosen})
    if missing:
        raise OperationError(
            f"not parked: {', '.join(map(str, missing))}; `hub parked` lists what is"
        )
    for delivery_id, queue, key, unwritten, hub_session_id in chosen:
        if queue == OUTBOX:
            connection.execute("DELETE FROM deliveries WHERE delivery_id = %s", [delivery_id])
            connection.execute(
                "UPDATE events SET relayed_at = NULL WHERE event_id = %s", [int(key)]
            )
        elif unwritten and hub_session_id is not None:
            connection.execute("DELETE FROM deliveries WHERE delivery_id = %s", [delivery_id])
            _tell_again(connection, queue, hub_session_id)
        else:
            connection.execute(
                "UPDATE deliveries SET state = 'waiting', attempts = 0, next_attempt_at = now(),"
                " queued_at = now() WHERE delivery_id = %s",
                [delivery_id],
            )
    connection.execute("SELECT pg_notify(%s, '')", [EVENTS_CHANNEL])
    for queue in sorted({row[1] for row in chosen}):
        connection.execute("SELECT pg_notify(%s, %s)", [DELIVERIES_CHANNEL, queue])
    if options.json:
        show_json({"requeued": [row[0] for row in chosen]})
    else:
        print(f"{len(chosen)} deliveries wait again")


def _tell_again(connection: Connection, queue: str, hub_session_id: str) -> None:
    """Write the event anew from which the relay writes the message."""
    ended = queue == Queue.CHARGE_DETAIL_RECORD
    connection.execute(
        """
        INSERT INTO events (kind, charging_point_id, payload, occurred_at)
        SELECT %s, charging_point_id, jsonb_build_object('session_id', session_id), now()
        FROM hub_sessions WHERE hub_session_id = %s AND session_id IS NOT NULL
        """,
        [
            (EventKind.SESSION_ENDED if ended else EventKind.SESSION_STARTED).value,
            hub_session_id,
        ],
    )
    connection.execute(
        """
        INSERT INTO events (kind, charging_point_id, payload, occurred_at)
        SELECT %s, charging_point_id,
               jsonb_build_object('hub_session_id', hub_session_id, 'why', 'stopped'), now()
        FROM hub_sessions WHERE hub_session_id = %s AND session_id IS NULL
        """,
        [EventKind.HUB_SESSION_CLOSED.value, hub_session_id],
    )
    connection.execute(
        """
        INSERT INTO events (kind, charging_point_id, payload, occurred_at)
        SELECT %s, charging_point_id, jsonb_build_object('reservation_id', reservation_id), now()
        FROM reservations WHERE hub_session_id = %s
          AND state IN ('used', 'cancelled', 'expired')
        """,
        [EventKind.RESERVATION_ENDED.value, hub_session_id],
    )


def drop(connection: Connection, options: argparse.Namespace) -> None:
    """Give up a parked delivery; it stays in the books with the reason."""
    dropped = connection.execute(
        "UPDATE deliveries SET state = 'dropped', settled_at = now(),"
        " reason = left(%s || ' (was: ' || reason || ')', 1000)"
        " WHERE delivery_id = %s AND state = 'parked'",
        [options.reason, options.delivery],
    )
    if dropped.rowcount == 0:
        raise OperationError(f"{options.delivery} is not parked; `hub parked` lists what is")
    if options.json:
        show_json({"dropped": options.delivery})
    else:
        print(f"{options.delivery} will not be sent")


def full_load(connection: Connection, options: argparse.Namespace) -> None:
    """Have a queue's whole pushed again, which replaces what the hub has."""
    connection.execute(
        "INSERT INTO hub_queues (queue, full_load_wanted) VALUES (%s, true)"
        " ON CONFLICT (queue) DO UPDATE SET full_load_wanted = true",
        [options.queue],
    )
    connection.execute("SELECT pg_notify(%s, %s)", [DELIVERIES_CHANNEL, options.queue])
    if options.json:
        show_json({"queue": options.queue, "full_load": True})
    else:
        print(f"all of {options.queue} will be pushed anew")


def list_sessions(connection: Connection, options: argparse.Namespace) -> None:
    """List the hub's sessions, newest first, with ours and with their records."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            """
            SELECT h.hub_session_id AS hub_session, h.provider_id AS provider, h.origin, h.state,
                   h.charging_point_id AS charging_point, h.evse_number AS evse,
                   h.session_id AS session, s.energy_wh, d.state AS record,
                   d.settled_at AS record_at, d.reason, h.created_at
            FROM hub_sessions AS h
            LEFT JOIN sessions AS s USING (session_id)
            LEFT JOIN deliveries AS d ON d.queue = %s AND d.key = h.hub_session_id
            ORDER BY h.created_at DESC LIMIT %s
            """,
            [Queue.CHARGE_DETAIL_RECORD.value, options.limit],
        )
        .fetchall()
    )
    show(
        rows,
        as_json=options.json,
        title=f"{len(rows)} sessions of the hub",
        empty="no sessions of the hub yet",
    )
