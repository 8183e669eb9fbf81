"""What happened at a charging point: the frames it exchanged, and all that was decided around them.

`trace` reads the message log alone; `explain` puts sessions, commands, events and what the audit
knows beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from charging.database import audit, messages
from charging.database.connection import Connection, rows
from charging.database.messages import LoggedMessage
from operations import charging_points
from operations.errors import InvalidError

PAGE = 500
MAX_EXPLAINED = 2_000


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened. what: a word for the kind; text: a line for a person.

    detail: the facts behind it; JSON values.
    """

    at: datetime
    what: str
    text: str
    detail: dict[str, Any]


def trace(
    connection: Connection, charging_point: str, *, after: datetime, until: datetime
) -> Iterator[LoggedMessage]:
    """Yield what was exchanged with a charging point, the oldest first. Raises NotFoundError."""
    charging_points.check_known(connection, charging_point)
    shown: set[LoggedMessage] = set()
    while True:
        page = messages.read(connection, charging_point, after=after, until=until, limit=PAGE)
        yield from (message for message in page if message not in shown)
        if len(page) < PAGE:
            return
        # A page may end among messages of one instant: those that are left come with the next.
        last = page[-1].at
        shown = {message for message in page if message.at == last}
        after = last if page[0].at == last else last - timedelta(microseconds=1)


def keep_everything(connection: Connection, charging_point: str, minutes: float) -> None:
    """Keep heartbeats and readings of a charging point too, for so many minutes; 0: no longer.

    Raises InvalidError, NotFoundError.
    """
    if not 0 <= minutes <= 7 * 24 * 60:
        raise InvalidError("--lens takes 0 to 10080 minutes")
    time = timedelta(minutes=minutes) if minutes else None
    if not messages.set_lens(connection, charging_point, time):
        raise charging_points.unknown(charging_point)


def explain(
    connection: Connection, charging_point: str, *, at: datetime, minutes: float
) -> list[Moment]:
    """Return all that is known of the minutes around a time, the oldest first.

    At most MAX_EXPLAINED frames. Raises InvalidError, NotFoundError.
    """
    if not 0 < minutes <= 24 * 60:
        raise InvalidError("--minutes must be more than 0 and at most 1440")
    charging_points.check_known(connection, charging_point)
    span = timedelta(minutes=minutes)
    try:
        after, until = at - span, at + span
    except OverflowError:
        raise InvalidError(f"{at} is too far away") from None
    between = {"name": charging_point, "after": after, "until": until}
    frames = messages.read(
        connection, charging_point, after=after, until=until, limit=MAX_EXPLAINED
    )
    moments = [Moment(m.at, _kind(m), describe(m), m._asdict()) for m in frames]
    moments += [
        Moment(row.pop("at"), row.pop("what"), row.pop("text"), row)
        for row in rows(connection, _HAPPENED, between)
    ]
    moments += [
        Moment(entry.at, "audit", f"{entry.by.person}: {entry.action}", entry.detail)
        for entry in audit.read(connection, subject=charging_point, limit=PAGE)
        if after < entry.at <= until
    ]
    return sorted(moments, key=lambda moment: moment.at)


def describe(message: LoggedMessage) -> str:
    """Return a logged message as a line: direction, action, what came of it, payload."""
    arrow = {"in": "→", "out": "←", "node": "·"}[message.direction]
    words = [arrow, message.action or message.kind]
    if message.action and message.kind != "call":
        words.append(message.kind)
    if message.outcome:
        words.append(f"({message.outcome})")
    if message.latency_milliseconds is not None:
        words.append(f"{message.latency_milliseconds:.1f} ms")
    return " ".join([*words, message.payload]).rstrip()


def _kind(message: LoggedMessage) -> str:
    if message.direction == "node":
        return "decision" if message.kind == "decision" else "connection"
    return "frame"


_HAPPENED = """
SELECT s.start_received_at AS at, 'session' AS what,
       format('session %%s began at EVSE %%s: token %%s, register %%s Wh',
              session_id, evse_number, start_decision, meter_start_wh) AS text,
       session_id AS number, started_at AS reported_at
FROM sessions AS s
WHERE charging_point_id = %(name)s
  AND start_received_at > %(after)s AND start_received_at <= %(until)s
UNION ALL
SELECT s.stop_received_at, 'session',
       format('session %%s ended at EVSE %%s (%%s): %%s Wh', session_id, evse_number,
              coalesce(stop_cause, 'no cause reported'), energy_wh),
       session_id, ended_at
FROM sessions AS s
WHERE charging_point_id = %(name)s
  AND stop_received_at > %(after)s AND stop_received_at <= %(until)s
UNION ALL
SELECT queued_at, 'command',
       format('%%s asked for %%s (command %%s)', coalesce(person, requested_by), kind, command_id),
       command_id, deadline
FROM commands
WHERE charging_point_id = %(name)s AND queued_at > %(after)s AND queued_at <= %(until)s
UNION ALL
SELECT answered_at, 'command',
       format('command %%s answered: %%s %%s', command_id, outcome, detail), command_id, deadline
FROM commands
WHERE charging_point_id = %(name)s AND queued_at > %(after)s - interval '1 day'
  AND answered_at > %(after)s AND answered_at <= %(until)s
UNION ALL
SELECT done_at, 'command', format('command %%s %%s', command_id, done_outcome), command_id, deadline
FROM commands
WHERE charging_point_id = %(name)s AND queued_at > %(after)s - interval '2 days'
  AND done_at > %(after)s AND done_at <= %(until)s
UNION ALL
SELECT a.asked_at, 'hub',
       format('the hub was asked about a card (%%s): %%s', a.kind,
              CASE WHEN a.state = 'answered' AND a.accepted THEN 'it may charge'
                   WHEN a.state = 'answered' THEN 'it may not charge' ELSE a.state END),
       a.authorization_id, a.deadline
FROM authorizations AS a
WHERE charging_point_id = %(name)s AND a.asked_at > %(after)s AND a.asked_at <= %(until)s
UNION ALL
SELECT d.settled_at, 'hub',
       format('%%s of session %%s: %%s after %%s attempts %%s', d.queue, h.session_id, d.state,
              d.attempts, d.reason),
       d.delivery_id, d.queued_at
FROM deliveries AS d
JOIN hub_sessions AS h ON h.hub_session_id = d.hub_session_id
WHERE h.charging_point_id = %(name)s AND d.settled_at > %(after)s AND d.settled_at <= %(until)s
UNION ALL
SELECT h.received_at, 'state',
       format('EVSE %%s is %%s (%%s, %%s)', h.evse_number, h.state, h.status,
              coalesce(h.error_code, 'no error')),
       h.history_id, h.changed_at
FROM state_history AS h
WHERE h.charging_point_id = %(name)s AND h.received_at > %(after)s AND h.received_at <= %(until)s
UNION ALL
SELECT r.last_at, 'handshake',
       format('%%s handshakes refused since %%s from %%s: %%s (%%s)', r.count,
              to_char(r.first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), r.address,
              r.cause, r.detail),
       r.count, r.first_at
FROM refused_handshakes AS r
WHERE right(r.path, length(%(name)s) + 1) = '/' || %(name)s
  AND r.last_at > %(after)s AND r.last_at <= %(until)s
"""
