"""What a node reads and writes, each statement for many charging points at once.

Every state change and the event that tells of it are in one transaction. Statements repeat
safely: a charging point that did not hear our answer says the same again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import psycopg

from charging.authorization import (
    ASKABLE_SECONDS,
    AUTHORIZATIONS_CHANNEL,
    Authorization,
    AuthorizationKind,
    AuthorizationStatus,
    Token,
    authorize,
)
from charging.command import COMMAND_ANSWERS_CHANNEL, COMMANDS_CHANNEL, CommandKind, CommandResult
from charging.event import EVENTS_CHANNEL, EventKind
from charging.identity import id_tag_key, is_hub_token, rfid_uid
from cp_backend.committer import Committer
from cp_backend.settings import Settings
from cp_backend.telemetry import Metrics
from cp_backend.vocabulary import (
    Booted,
    MeterRead,
    Reading,
    Registration,
    SessionEnded,
    SessionEndedAnswer,
    SessionStarted,
    SessionStartedAnswer,
    StatusReported,
)

Cursor = psycopg.AsyncCursor[Any]

NODE_STALE_SECONDS = 15
"""A node that was silent for longer takes its presence with it."""
NODE_FORGOTTEN_SECONDS = 60
STOP_COMMAND_SECONDS = 30

_MAX_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """Who stands at the door. register: make it known if it is not."""

    charging_point_id: str
    register: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the database knows of a charging point at the door."""

    password_salt: bytes | None
    password_hash: bytes | None
    boot_status: Registration | None


@dataclass(frozen=True, slots=True)
class Presence:
    """A connection as its row shows it."""

    charging_point_id: str
    connection_id: int
    ocpp_version: str
    remote_address: str
    connected_at: datetime


@dataclass(frozen=True, slots=True)
class From:
    """Something that a charging point said."""

    charging_point_id: str
    said: Any


@dataclass(frozen=True, slots=True)
class Claimed:
    """A command that this node has taken on."""

    command_id: int
    charging_point_id: str
    kind: CommandKind
    arguments: dict[str, Any]
    seconds_left: float


@dataclass(frozen=True, slots=True)
class HubQuestion:
    """Whether the hub lets a card charge. session_id: what began with it unasked, if anything."""

    charging_point_id: str
    uid: str
    session_id: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class NodeBeat:
    """A node's sign of life. It is False, for the row, when the row was gone and is anew."""

    node_id: UUID
    address: str
    process_id: int
    draining: bool
    figures: dict[str, Any]


Told = Callable[[Any], None]


class Store:
    """The node's way to the database: one lane to look up, one for facts.

    Two lanes, so that a storm of reconnecting charging points does not stand in the way of
    billing facts, nor the other way round. Every method returns at once; `told` hears the
    result after the commit, or an exception.
    """

    def __init__(self, url: str, node_id: UUID, settings: Settings, metrics: Metrics) -> None:
        self.node_id = node_id
        self._settings = settings
        limits = {
            "batch_limit": settings.batch_limit,
            "max_depth": settings.max_lane_depth,
        }
        self.lookups = Committer("lookups", url, order=[], metrics=metrics, **limits)
        self.facts = Committer(
            "facts",
            url,
            # A connection's beginning before its end; a boot before what follows it.
            order=[beat, self._connected, boot, start_sessions, _record_readings, end_sessions],
            metrics=metrics,
            **limits,
        )

    @property
    def depth(self) -> int:
        """How much waits for the database."""
        return self.lookups.depth + self.facts.depth

    @property
    def healthy(self) -> bool:
        """Whether both look-ups and facts are served."""
        return self.lookups.healthy and self.facts.healthy

    def admit(self, request: AdmissionRequest, told: Told) -> None:
        """Look up who stands at the door → Admitted, or None for an unknown one."""
        self.lookups.submit(admit, request, told, key=request.charging_point_id)

    def authorize(self, charging_point_id: str, id_tag: str, told: Told) -> None:
        """Decide over a token → Authorization."""
        self.lookups.submit(
            authorize_tokens,
            From(charging_point_id, (id_tag, self._settings.admit_unknown_tokens)),
            told,
            key=charging_point_id,
        )

    def ask_hub(self, question: HubQuestion, told: Told) -> None:
        """Ask the hub about a card → the authorization's id, None where nobody could answer, or
        an Authorization where the hub is not asked.
        """
        self.lookups.submit(ask_hub, question, told, key=question.charging_point_id)

    async def hub_answers(
        self, waiting: Sequence[int], over: Sequence[int]
    ) -> dict[int, Authorization | None]:
        """Return what the hub has said; None: it could not be asked, or not in time (`over`)."""
        return await self.lookups.ask(hub_answers, (waiting, over))

    def session_accepted(self, session_id: int, told: Told) -> None:
        """Note that a session's token may charge after all."""
        self.facts.submit(accept_sessions, session_id, told)

    def connected(self, presence: Presence, told: Told) -> None:
        """Take over a charging point; another node that held it is notified."""
        self.facts.submit(self._connected, presence, told, key=presence.charging_point_id)

    def disconnected(self, charging_point_id: str, connection_id: int, told: Told) -> None:
        """Give up a charging point, unless somebody newer has it."""
        self.facts.submit(
            disconnect, (charging_point_id, connection_id), told, key=charging_point_id
        )

    def booted(self, charging_point_id: str, said: Booted, told: Told) -> None:
        """Note a boot → Registration."""
        self.facts.submit(boot, From(charging_point_id, said), told, key=charging_point_id)

    def status_reported(self, charging_point_id: str, said: StatusReported, told: Told) -> None:
        """Note a status, and an event where it is a new one."""
        self.facts.submit(report_status, From(charging_point_id, said), told, key=charging_point_id)

    def session_started(self, charging_point_id: str, said: SessionStarted, told: Told) -> None:
        """Begin a session, or find it begun → SessionStartedAnswer."""
        self.facts.submit(
            start_sessions,
            From(charging_point_id, (said, self._settings.admit_unknown_tokens)),
            told,
            key=charging_point_id,
        )

    def session_ended(self, charging_point_id: str, said: SessionEnded, told: Told) -> None:
        """End a session, or find it ended → SessionEndedAnswer."""
        self.facts.submit(
            end_sessions,
            From(charging_point_id, (said, self._settings.admit_unknown_tokens)),
            told,
            key=charging_point_id,
        )

    def meter_read(self, charging_point_id: str, said: MeterRead, told: Told) -> None:
        """Keep readings, each once however often it is said."""
        self.facts.submit(
            _record_readings, From(charging_point_id, said), told, key=charging_point_id
        )

    def command_answered(self, command_id: int, result: CommandResult, told: Told) -> None:
        """Answer a command → whether its asker still waited."""
        self.facts.submit(answer_commands, (command_id, result), told)

    async def beat(self, node: NodeBeat) -> bool:
        """Say that the node lives; return False when its row had to be made anew.

        It comes before all that waits: a node that is busy must not be taken for dead.
        """
        return await self.facts.ask(beat, node, urgent=True)

    async def leave(self) -> None:
        """Take the node and its presence out of the database."""
        await self.facts.ask(leave, self.node_id)

    async def claim_commands(self) -> list[Claimed]:
        """Take on the commands for charging points whose sockets this node holds."""
        return await self.lookups.ask(claim_commands, self.node_id)

    async def sessions_in_progress(self) -> int:
        """Return how many sessions charge at the moment, on all nodes."""
        return await self.lookups.ask(count_sessions, None)

    async def owners(self, charging_point_ids: Sequence[str]) -> dict[str, int]:
        """Return the connection ids that own charging points by now."""
        return await self.lookups.ask(owners, charging_point_ids)

    async def _connected(self, cursor: Cursor, presences: Sequence[Presence]) -> list[None]:
        # Two sockets of one charging point in a batch: the later one is the newer one.
        latest = {presence.charging_point_id: presence for presence in presences}
        await cursor.execute(
            """
            WITH newcomers AS (
                SELECT * FROM unnest(
                    %(ids)s::text[], %(connections)s::bigint[], %(versions)s::text[],
                    %(addresses)s::text[], %(times)s::timestamptz[]
                ) AS t (charging_point_id, connection_id, ocpp_version, remote_address,
                        connected_at)
            ), losers AS (
                SELECT charging_point_id, node_id FROM connections
                WHERE charging_point_id = ANY(%(ids)s::text[]) AND node_id <> %(node)s
            ), taken AS (
                INSERT INTO connections (charging_point_id, node_id, connection_id,
                                         ocpp_version, remote_address, connected_at)
                SELECT charging_point_id, node_id, connection_id, ocpp_version,
                       remote_address, connected_at
                -- a node whose row was cleared away writes all its presence with the next beat
                FROM newcomers JOIN nodes ON node_id = %(node)s ORDER BY charging_point_id
                ON CONFLICT (charging_point_id) DO UPDATE
                SET node_id = excluded.node_id, connection_id = excluded.connection_id,
                    ocpp_version = excluded.ocpp_version,
                    remote_address = excluded.remote_address,
                    connected_at = excluded.connected_at
                WHERE connections.connected_at <= excluded.connected_at
                RETURNING charging_point_id
            ), numbered AS (
                SELECT node_id, charging_point_id,
                       (row_number() OVER (PARTITION BY node_id)) / 100 AS part
                FROM losers JOIN taken USING (charging_point_id)
            )
            SELECT pg_notify(%(channel)s || replace(node_id::text, '-', ''),
                             string_agg(charging_point_id, E'\\n'))
            FROM numbered GROUP BY node_id, part
            """,
            {
                "node": self.node_id,
                "channel": NODE_CHANNEL_PREFIX,
                "ids": list(latest),
                "connections": [p.connection_id for p in latest.values()],
                "versions": [p.ocpp_version for p in latest.values()],
                "addresses": [p.remote_address for p in latest.values()],
                "times": [p.connected_at for p in latest.values()],
            },
        )
        return [None] * len(presences)


NODE_CHANNEL_PREFIX = "node_"
"""NOTIFY channel of one node: its id in hex follows. The payload is the ids of charging points
that have moved to another node, one a line."""


async def admit(cursor: Cursor, requests: Sequence[AdmissionRequest]) -> list[Admitted | None]:
    """Look up charging points; register the unknown ones where that is wanted."""
    to_register = sorted({r.charging_point_id for r in requests if r.register})
    if to_register:
        await cursor.execute(
            "INSERT INTO charging_points (charging_point_id)"
            " SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING",
            [to_register],
        )
    await cursor.execute(
        "SELECT charging_point_id, password_salt, password_hash, boot_status, registration"
        " FROM charging_points WHERE charging_point_id = ANY(%s)",
        [[r.charging_point_id for r in requests]],
        binary=True,
    )
    known = {
        row[0]: Admitted(row[1], row[2], _effective_boot_status(row[3], row[4]))
        async for row in cursor
    }
    return [known.get(r.charging_point_id) for r in requests]


def _effective_boot_status(boot_status: str | None, registration: str) -> Registration | None:
    """Return the last boot's answer, which an operator may since have taken back."""
    if boot_status is None:
        return None
    return Registration(boot_status if boot_status != "Accepted" else registration)


async def disconnect(cursor: Cursor, ends: Sequence[tuple[str, int]]) -> list[None]:
    """Remove connections, comparing their ids: an old socket's end evicts no successor.

    It waits for nobody, so it can stand in nobody's way: a row that is locked is being taken by
    a newer connection, a charging point that is locked is being seen by somebody else.
    """
    await cursor.execute(
        """
        WITH ends AS (
            SELECT charging_point_id FROM connections
            JOIN unnest(%(ids)s::text[], %(connections)s::bigint[])
                AS t (charging_point_id, connection_id) USING (charging_point_id, connection_id)
            FOR UPDATE OF connections SKIP LOCKED
        ), gone AS (
            DELETE FROM connections USING ends
            WHERE connections.charging_point_id = ends.charging_point_id
            RETURNING connections.charging_point_id
        ), seen AS (
            SELECT charging_point_id FROM charging_points JOIN gone USING (charging_point_id)
            FOR NO KEY UPDATE OF charging_points SKIP LOCKED
        )
        UPDATE charging_points SET last_seen_at = now() FROM seen
        WHERE charging_points.charging_point_id = seen.charging_point_id
        """,
        {"ids": [end[0] for end in ends], "connections": [end[1] for end in ends]},
    )
    return [None] * len(ends)


async def boot(cursor: Cursor, boots: Sequence[From]) -> list[Registration]:
    """Note boots; a charging point is answered what the operator decided."""
    # Sorted, so that two nodes that boot the same charging points lock them in one order.
    in_order = sorted(boots, key=lambda b: b.charging_point_id)
    latest: dict[str, Booted] = {b.charging_point_id: b.said for b in in_order}
    await cursor.execute(
        """
        UPDATE charging_points AS c
        SET boot_status = registration, booted_at = now(), last_seen_at = now(),
            vendor = t.vendor, model = t.model, serial_number = t.serial_number,
            firmware_version = t.firmware_version
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
            AS t (charging_point_id, vendor, model, serial_number, firmware_version)
        WHERE c.charging_point_id = t.charging_point_id
        RETURNING c.charging_point_id, c.registration
        """,
        [
            list(latest),
            [b.vendor for b in latest.values()],
            [b.model for b in latest.values()],
            [b.serial_number for b in latest.values()],
            [b.firmware_version for b in latest.values()],
        ],
    )
    registrations = {row[0]: Registration(row[1]) async for row in cursor}
    # One that was removed while connected is no longer ours.
    return [registrations.get(b.charging_point_id, Registration.REJECTED) for b in boots]


async def report_status(cursor: Cursor, reports: Sequence[From]) -> list[None]:
    """Note statuses; those that are new become events."""
    latest: dict[tuple[str, int], StatusReported] = {
        (r.charging_point_id, r.said.evse_number): r.said for r in reports
    }
    await cursor.execute(
        """
        WITH said AS (
            SELECT * FROM unnest(%(ids)s::text[], %(numbers)s::int[], %(statuses)s::text[],
                                 %(errors)s::text[], %(times)s::timestamptz[])
            AS t (charging_point_id, evse_number, status, error_code, status_at)
        ), before AS (
            SELECT evses.* FROM evses JOIN said USING (charging_point_id, evse_number)
        ), noted AS (
            INSERT INTO evses (charging_point_id, evse_number, status, error_code, status_at)
            SELECT * FROM said ORDER BY charging_point_id, evse_number
            ON CONFLICT (charging_point_id, evse_number) DO UPDATE
            SET status = excluded.status, error_code = excluded.error_code,
                status_at = excluded.status_at
        ), told AS (
            INSERT INTO events (kind, charging_point_id, payload, occurred_at)
            SELECT %(kind)s, said.charging_point_id,
                   jsonb_build_object('evse_number', said.evse_number, 'status', said.status,
                                      'error_code', said.error_code),
                   said.status_at
            FROM said LEFT JOIN before USING (charging_point_id, evse_number)
            WHERE before.status IS DISTINCT FROM said.status
            RETURNING 1
        )
        SELECT pg_notify(%(channel)s, '') FROM told LIMIT 1
        """,
        {
            "kind": EventKind.EVSE_STATUS_CHANGED.value,
            "channel": EVENTS_CHANNEL,
            "ids": [key[0] for key in latest],
            "numbers": [key[1] for key in latest],
            "statuses": [s.status for s in latest.values()],
            "errors": [s.error_code for s in latest.values()],
            "times": [s.at or datetime.now(UTC) for s in latest.values()],
        },
    )
    return [None] * len(reports)


async def authorize_tokens(cursor: Cursor, asked: Sequence[From]) -> list[Authorization]:
    """Decide over tokens. said: (id_tag, whether unknown ones may charge)."""
    asked_by = [(a.charging_point_id, a.said[0], a.said[1]) for a in asked]
    # Shown to begin as well as to end: OCPP 1.6 does not say which.
    return await _authorize(cursor, asked_by, begin=True, end=True)


async def _authorize(
    cursor: Cursor, asked: Sequence[tuple[str, str, bool]], *, begin: bool, end: bool
) -> list[Authorization]:
    """Decide whether tokens may begin, or end, a session at their charging points."""
    keys = [_key(id_tag) for _, id_tag, _ in asked]
    await cursor.execute(
        "SELECT id_tag, blocked, expires_at, parent_id_tag FROM tokens WHERE id_tag = ANY(%s)",
        [keys],
    )
    tokens = {row[0]: Token(*row) async for row in cursor}
    strangers = [
        (charging_point_id, key)
        for (charging_point_id, _, _), key in zip(asked, keys, strict=True)
        if key not in tokens and _may_be_of_hub(key)
    ]
    of_hub = await _hub_tokens(cursor, strangers) if strangers else {}
    now = datetime.now(UTC)
    answers = []
    for (charging_point_id, _, admit_unknown), key in zip(asked, keys, strict=True):
        if key in tokens:
            answers.append(authorize(tokens[key], now))
            continue
        may_begin, may_end, group = of_hub.get((charging_point_id, key), (False, False, None))
        if (begin and may_begin) or (end and may_end):
            answers.append(Authorization(AuthorizationStatus.ACCEPTED, parent_id_tag=group))
        elif admit_unknown and not is_hub_token(key):
            answers.append(_ACCEPTED)
        else:
            answers.append(_STRANGER)
    return answers


def _may_be_of_hub(id_tag: str) -> bool:
    """Return whether a token has the form of one that the hub has to do with."""
    return is_hub_token(id_tag) or rfid_uid(id_tag) is not None


async def _hub_tokens(
    cursor: Cursor, strangers: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[bool, bool, str | None]]:
    """Return, for tokens of the hub's open sessions: may begin, may end, group.

    These are ours to answer, never the hub's: what its remote start carried, and the cards that
    it has authorized to begin or to end a session. A group lets a charging point see that one
    card may end what another began.
    """
    await cursor.execute(
        f"""
        SELECT t.charging_point_id, t.id_tag,
               bool_or(h.id_tag = t.id_tag AND h.session_id IS NULL),
               bool_or(h.state = 'accepted' AND h.session_id IS NOT NULL),
               min({_GROUP}) FILTER (WHERE h.origin = 'local')
        FROM (SELECT DISTINCT * FROM unnest(%s::text[], %s::text[]) AS t (charging_point_id, id_tag)
             ) AS t
        JOIN hub_sessions AS h ON h.charging_point_id = t.charging_point_id
        WHERE h.state IN ('asked', 'accepted')
          AND (h.id_tag = t.id_tag OR t.id_tag = ANY(h.stop_id_tags))
        GROUP BY 1, 2
        """.encode(),
        [[name for name, _ in strangers], [key for _, key in strangers]],
    )
    return {(row[0], row[1]): (row[2], row[3], row[4]) async for row in cursor}


# Of 20 characters, as OCPP 1.6 allows them.
_GROUP = "'HUB' || upper(left(replace(h.cpo_partner_session_id, '-', ''), 17))"
_ACCEPTED = Authorization(AuthorizationStatus.ACCEPTED)
_INVALID = Authorization(AuthorizationStatus.INVALID)
_STRANGER = Authorization(AuthorizationStatus.INVALID, stranger=True)


async def ask_hub(
    cursor: Cursor, questions: Sequence[HubQuestion]
) -> list[int | Authorization | None]:
    """Write questions to the hub; return their ids, None where no relay could answer.

    Where no EVSE is offered for roaming the hub is none of our drivers' business: refused. A card is taken to end a session when all EVSEs are busy and one of them with the hub's
    session; otherwise to begin one.
    """
    await cursor.execute(
        "SELECT DISTINCT charging_point_id FROM evses WHERE roaming AND charging_point_id = ANY(%s)",
        [[question.charging_point_id for question in questions]],
    )
    roaming = {row[0] async for row in cursor}
    asked: list[int | Authorization | None] = []
    for question in questions:
        if question.charging_point_id not in roaming:
            asked.append(_INVALID)
            continue
        await cursor.execute(
            """
            INSERT INTO authorizations (kind, charging_point_id, id_tag, session_id, deadline)
            SELECT CASE WHEN going.session_id IS NULL THEN %(start)s ELSE %(stop)s END,
                   %(charging_point)s, %(uid)s,
                   coalesce(going.session_id, %(session)s::int), now() + %(within)s
            FROM (SELECT 1) AS one
            LEFT JOIN LATERAL (
                SELECT h.session_id FROM hub_sessions AS h
                WHERE h.charging_point_id = %(charging_point)s AND h.state = 'accepted'
                  AND h.session_id IS NOT NULL AND %(session)s::int IS NULL
                  AND NOT EXISTS (
                      SELECT 1 FROM evses AS e
                      WHERE e.charging_point_id = h.charging_point_id AND e.evse_number > 0
                        AND e.status IN ('Available', 'Preparing', 'Reserved'))
                ORDER BY h.session_id DESC LIMIT 1) AS going ON true
            WHERE EXISTS (SELECT 1 FROM hub_queues
                          WHERE queue = %(start)s AND beaten_at > now() - %(askable)s)
            RETURNING authorization_id, pg_notify(%(channel)s, '')
            """,
            {
                "start": AuthorizationKind.START.value,
                "stop": AuthorizationKind.STOP.value,
                "charging_point": question.charging_point_id,
                "uid": question.uid,
                "session": question.session_id,
                "within": timedelta(seconds=question.seconds),
                "askable": timedelta(seconds=ASKABLE_SECONDS),
                "channel": AUTHORIZATIONS_CHANNEL,
            },
        )
        row = await cursor.fetchone()
        asked.append(row[0] if row is not None else None)
    return asked


async def hub_answers(
    cursor: Cursor, looks: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[dict[int, Authorization | None]]:
    """Return answers that are there, and give up those that nobody waits for any more."""
    waiting, over = looks[0]
    if over:
        await cursor.execute(
            "UPDATE authorizations SET state = 'expired'"
            " WHERE authorization_id = ANY(%s) AND state = 'asked'",
            [list(over)],
        )
    await cursor.execute(
        f"""
        SELECT a.authorization_id, CASE WHEN a.state = 'answered' THEN a.accepted END,
               CASE WHEN h.origin = 'local' THEN {_GROUP} END
        FROM authorizations AS a
        LEFT JOIN hub_sessions AS h ON h.hub_session_id = a.hub_session_id
        WHERE a.authorization_id = ANY(%s) AND a.state <> 'asked'
        """.encode(),
        [list(waiting)],
    )
    answers: dict[int, Authorization | None] = {}
    async for number, accepted, group in cursor:
        if accepted is None:
            answers[number] = None
        elif accepted:
            answers[number] = Authorization(AuthorizationStatus.ACCEPTED, parent_id_tag=group)
        else:
            answers[number] = _INVALID
    return [answers, *({} for _ in looks[1:])]


async def accept_sessions(cursor: Cursor, session_ids: Sequence[int]) -> list[None]:
    """Note that sessions' tokens may charge, for a charging point that asks again."""
    await cursor.execute(
        "UPDATE sessions SET start_status = 'Accepted' WHERE session_id = ANY(%s)",
        [list(session_ids)],
    )
    return [None] * len(session_ids)


def _key(id_tag: str) -> str:
    try:
        return id_tag_key(id_tag)
    except ValueError:
        return ""  # matches no token: the answer is Invalid, and a session is kept all the same


async def start_sessions(cursor: Cursor, started: Sequence[From]) -> list[SessionStartedAnswer]:
    """Begin sessions. said: (SessionStarted, whether unknown tokens may charge).

    OCPP 1.6 gives a start no key of its own: charging point, connector, token, time and meter
    together are it. A repeated start finds the first one's row, and its answer.
    """
    authorizations = await _authorize(
        cursor,
        [(s.charging_point_id, s.said[0].id_tag, s.said[1]) for s in started],
        begin=True,
        end=False,
    )
    columns = {
        "ids": [s.charging_point_id for s in started],
        "numbers": [s.said[0].evse_number for s in started],
        "tags": [_key(s.said[0].id_tag) for s in started],
        "times": [s.said[0].started_at for s in started],
        "meters": [s.said[0].meter_start_wh for s in started],
        "statuses": [a.status.value for a in authorizations],
    }
    await cursor.execute(
        """
        INSERT INTO sessions (charging_point_id, evse_number, id_tag, state, started_at,
                              meter_start_wh, start_status)
        SELECT charging_point_id, evse_number, id_tag, 'charging', started_at, meter_start_wh,
               start_status
        FROM unnest(%(ids)s::text[], %(numbers)s::int[], %(tags)s::text[],
                    %(times)s::timestamptz[], %(meters)s::bigint[], %(statuses)s::text[])
            AS t (charging_point_id, evse_number, id_tag, started_at, meter_start_wh,
                  start_status)
        ON CONFLICT DO NOTHING
        RETURNING session_id, charging_point_id, evse_number, id_tag, started_at
        """,
        columns,
    )
    new = {row[0]: row[1:] async for row in cursor}
    await cursor.execute(
        """
        SELECT DISTINCT ON (place) place, session_id, start_status
        FROM unnest(%(ids)s::text[], %(numbers)s::int[], %(tags)s::text[],
                    %(times)s::timestamptz[], %(meters)s::bigint[])
            WITH ORDINALITY AS t (charging_point_id, evse_number, id_tag, started_at,
                                  meter_start_wh, place)
        JOIN sessions USING (charging_point_id, evse_number, id_tag, started_at, meter_start_wh)
        -- one that has ended can have had the same facts: a clock without a battery
        ORDER BY place, session_id DESC
        """,
        columns,
    )
    rows = await cursor.fetchall()
    if new:
        await _tell_of_new_sessions(cursor, new)
    return [
        SessionStartedAnswer(
            session_id,
            Authorization(
                AuthorizationStatus(status),
                authorization.expires_at,
                authorization.parent_id_tag,
                authorization.stranger and status == AuthorizationStatus.INVALID,
            ),
        )
        for (_, session_id, status), authorization in zip(rows, authorizations, strict=True)
    ]


async def _tell_of_new_sessions(cursor: Cursor, new: dict[int, Any]) -> None:
    """Write sessions' events, and settle those that may be the hub's."""
    perhaps_hubs = [
        session_id for session_id, (_, _, id_tag, _) in new.items() if _may_be_of_hub(id_tag)
    ]
    if perhaps_hubs:
        await _settle_with_hub(cursor, perhaps_hubs)
    await _write_session_events(cursor, EventKind.SESSION_STARTED, "started_at", list(new))


async def _settle_with_hub(cursor: Cursor, session_ids: Sequence[int]) -> None:
    """Bind sessions to the hub's, end reservations that they use, stop what nobody wants."""
    await cursor.execute(
        """
        UPDATE hub_sessions AS h
        SET session_id = s.session_id, evse_number = coalesce(h.evse_number, s.evse_number)
        FROM sessions AS s
        WHERE s.session_id = ANY(%s) AND h.id_tag = s.id_tag
          AND h.charging_point_id = s.charging_point_id
          AND h.session_id IS NULL AND h.state IN ('asked', 'accepted')
        """,
        [session_ids],
    )
    await cursor.execute(
        """
        WITH used AS (
            UPDATE reservations AS r SET state = 'used', ended_at = now()
            FROM sessions AS s
            WHERE s.session_id = ANY(%s) AND r.charging_point_id = s.charging_point_id
              AND r.evse_number = s.evse_number AND r.id_tag = s.id_tag AND r.state = 'reserved'
            RETURNING r.reservation_id, r.charging_point_id
        )
        INSERT INTO events (kind, charging_point_id, payload, occurred_at)
        SELECT %s, charging_point_id, jsonb_build_object('reservation_id', reservation_id), now()
        FROM used
        """,
        [session_ids, EventKind.RESERVATION_ENDED.value],
    )
    # A remote start that was given up, and which the charging point carried out all the same; or
    # one that has been used already.
    await cursor.execute(
        """
        INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline)
        SELECT s.charging_point_id, %s, jsonb_build_object('session_id', s.session_id),
               'late remote start', now() + %s
        FROM sessions AS s
        JOIN hub_sessions AS h USING (charging_point_id, id_tag)
        WHERE s.session_id = ANY(%s) AND h.state IN ('refused', 'ended')
          AND h.origin = 'remote'
          AND NOT EXISTS (SELECT 1 FROM hub_sessions AS b WHERE b.session_id = s.session_id)
        RETURNING pg_notify(%s, charging_point_id)
        """,
        [
            CommandKind.REMOTE_STOP.value,
            timedelta(seconds=STOP_COMMAND_SECONDS),
            session_ids,
            COMMANDS_CHANNEL,
        ],
    )


async def _write_session_events(
    cursor: Cursor, kind: EventKind, moment: str, session_ids: Sequence[int]
) -> None:
    await cursor.execute(
        f"""
        INSERT INTO events (kind, charging_point_id, payload, occurred_at)
        SELECT %s, charging_point_id, jsonb_build_object('session_id', session_id), {moment}
        FROM sessions WHERE session_id = ANY(%s) ORDER BY session_id
        """,
        [kind.value, list(session_ids)],
    )
    await cursor.execute("SELECT pg_notify(%s, '')", [EVENTS_CHANNEL])


async def end_sessions(cursor: Cursor, ended: Sequence[From]) -> list[SessionEndedAnswer]:
    """End sessions. said: (SessionEnded, whether unknown tokens may charge).

    A repeated end gets the first one's answer. An end of a session we do not know, or one that
    contradicts the first, is kept whole for the operator: it is somebody's money.
    """
    authorizations = await _authorize(
        cursor,
        [(e.charging_point_id, e.said[0].id_tag or "", e.said[1]) for e in ended],
        begin=False,
        end=True,
    )
    statuses = [
        a.status.value if e.said[0].id_tag is not None else None
        for e, a in zip(ended, authorizations, strict=True)
    ]
    columns = {
        "places": list(range(len(ended))),
        "ids": [e.charging_point_id for e in ended],
        "sessions": [_known_session_id(e.said[0].session_id) for e in ended],
        "times": [e.said[0].ended_at for e in ended],
        "meters": [e.said[0].meter_stop_wh for e in ended],
        "reasons": [e.said[0].reason for e in ended],
        "tags": [None if e.said[0].id_tag is None else _key(e.said[0].id_tag) for e in ended],
        "statuses": statuses,
    }
    await cursor.execute(
        """
        UPDATE sessions AS s
        SET state = 'ended', ended_at = t.ended_at, meter_stop_wh = t.meter_stop_wh,
            stop_reason = t.reason, stop_id_tag = t.id_tag, stop_status = t.status,
            stop_received_at = now()
        FROM unnest(%(places)s::int[], %(ids)s::text[], %(sessions)s::int[],
                    %(times)s::timestamptz[], %(meters)s::bigint[], %(reasons)s::text[],
                    %(tags)s::text[], %(statuses)s::text[])
            AS t (place, charging_point_id, session_id, ended_at, meter_stop_wh, reason, id_tag,
                  status)
        WHERE s.session_id = t.session_id AND s.charging_point_id = t.charging_point_id
          AND s.state = 'charging'
        RETURNING s.session_id, t.place
        """,
        columns,
    )
    new = {row[0]: row[1] async for row in cursor}
    await cursor.execute(
        """
        SELECT t.place, s.stop_status, s.ended_at = t.ended_at AND s.meter_stop_wh = t.meter,
               s.evse_number
        FROM unnest(%(places)s::int[], %(ids)s::text[], %(sessions)s::int[],
                    %(times)s::timestamptz[], %(meters)s::bigint[])
            AS t (place, charging_point_id, session_id, ended_at, meter)
        JOIN sessions AS s USING (charging_point_id, session_id)
        """,
        columns,
    )
    firsts = {row[0]: row[1:] async for row in cursor}
    strange = [place for place in range(len(ended)) if not firsts.get(place, ("", False))[1]]
    if strange:
        await _keep_unassigned(cursor, [ended[place] for place in strange])
    if new:
        await cursor.execute(
            "UPDATE hub_sessions SET state = 'ended', ended_at = now()"
            " WHERE session_id = ANY(%s) AND state <> 'refused'",
            [list(new)],
        )
        await _write_session_events(cursor, EventKind.SESSION_ENDED, "ended_at", list(new))
    readings = [
        From(
            e.charging_point_id,
            MeterRead(
                firsts[place][2] if place in firsts else 0,
                _known_session_id(e.said[0].session_id),
                e.said[0].readings,
            ),
        )
        for place, e in enumerate(ended)
        if e.said[0].readings
    ]
    if readings:
        await _record_readings(cursor, readings)
    answers = []
    for place, (end, authorization) in enumerate(zip(ended, authorizations, strict=True)):
        status = firsts[place][0] if place in firsts else statuses[place]
        if status is None or end.said[0].id_tag is None:
            answers.append(SessionEndedAnswer(None))
        else:
            answers.append(
                SessionEndedAnswer(
                    Authorization(
                        AuthorizationStatus(status),
                        authorization.expires_at,
                        authorization.parent_id_tag,
                    )
                )
            )
    return answers


async def _keep_unassigned(cursor: Cursor, ended: Sequence[From]) -> None:
    payloads = [orjson.dumps(e.said[0].payload, option=orjson.OPT_SORT_KEYS) for e in ended]
    await cursor.execute(
        """
        INSERT INTO unassigned_facts (charging_point_id, action, payload, digest)
        SELECT charging_point_id, 'StopTransaction', payload, digest
        FROM unnest(%s::text[], %s::jsonb[], %s::bigint[])
            AS t (charging_point_id, payload, digest)
        ON CONFLICT DO NOTHING
        """,
        [
            [e.charging_point_id for e in ended],
            [payload.decode() for payload in payloads],
            [_digest(payload) for payload in payloads],
        ],
    )


async def _record_readings(cursor: Cursor, reads: Sequence[From]) -> list[None]:
    """Keep meter readings, a row each; a reading that is there already stays as it is.

    A reading counts for a session of the charging point that sends it only: transaction ids are
    easily guessed, and what stands under one is billed.
    """
    rows = [_reading_row(r.charging_point_id, r.said, v) for r in reads for v in r.said.readings]
    # Binary (%b) where no column can be all NULL: as text, each quote of the JSON is escaped by
    # a regular expression, and that was more work than all the rest of a message.
    await cursor.execute(
        """
        INSERT INTO meter_values (charging_point_id, evse_number, session_id, sampled_at,
                                  energy_wh, sampled_values, digest)
        SELECT t.charging_point_id, t.evse_number, s.session_id, t.sampled_at, t.energy_wh,
               t.sampled_values, t.digest
        FROM unnest(%b::text[], %b::int[], %s::int[], %b::timestamptz[], %s::bigint[],
                    %b::text[]::jsonb[], %b::bigint[])
            AS t (charging_point_id, evse_number, session_id, sampled_at, energy_wh,
                  sampled_values, digest)
        LEFT JOIN sessions AS s USING (charging_point_id, session_id)
        ON CONFLICT DO NOTHING
        """,
        list(map(list, zip(*rows, strict=True))),
    )
    return [None] * len(reads)


def _reading_row(charging_point_id: str, read: MeterRead, reading: Reading) -> tuple[Any, ...]:
    samples = orjson.dumps(reading.sampled_values)
    return (
        charging_point_id,
        read.evse_number,
        read.session_id,
        reading.sampled_at,
        reading.energy_wh,
        samples.decode(),
        _digest(samples),
    )


def _digest(data: bytes) -> int:
    """Return 8 bytes of hash as the signed number that a bigint is."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


def _known_session_id(session_id: int) -> int | None:
    return session_id if 0 < session_id <= _MAX_INT32 else None


async def claim_commands(cursor: Cursor, nodes: Sequence[UUID]) -> list[list[Claimed]]:
    """Take on what is queued for charging points whose sockets a node holds."""
    await cursor.execute(
        """
        UPDATE commands AS c SET state = 'sent', node_id = k.node_id, sent_at = now()
        FROM connections AS k
        WHERE c.state = 'queued' AND c.deadline > now()
          -- a newer service may ask what this node does not know yet
          AND c.kind = ANY(%s)
          AND k.charging_point_id = c.charging_point_id AND k.node_id = %s
        RETURNING c.command_id, c.charging_point_id, c.kind, c.arguments,
                  extract(epoch FROM c.deadline - now())::float
        """,
        [[kind.value for kind in CommandKind], nodes[0]],
    )
    claimed = []
    async for command_id, charging_point_id, kind, arguments, seconds_left in cursor:
        claimed.append(
            Claimed(command_id, charging_point_id, CommandKind(kind), arguments, seconds_left)
        )
    claimed.sort(key=lambda c: c.command_id)
    return [claimed, *([] for _ in nodes[1:])]


async def count_sessions(cursor: Cursor, asked: Sequence[None]) -> list[int]:
    """Count the sessions that charge: what a partial index holds."""
    await cursor.execute("SELECT count(*) FROM sessions WHERE state = 'charging'")
    row = await cursor.fetchone()
    assert row is not None
    return [row[0]] * len(asked)


async def answer_commands(
    cursor: Cursor, answered: Sequence[tuple[int, CommandResult]]
) -> list[bool]:
    """Write answers to commands whose askers still wait, and wake them."""
    await cursor.execute(
        """
        UPDATE commands AS c
        SET state = 'answered', answered_at = now(), outcome = t.outcome, detail = t.detail
        FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS t (command_id, outcome, detail)
        WHERE c.command_id = t.command_id AND c.state = 'sent'
        RETURNING c.command_id, pg_notify(%s, c.command_id::text)
        """,
        [
            [command_id for command_id, _ in answered],
            [result.outcome.value for _, result in answered],
            [result.detail for _, result in answered],
            COMMAND_ANSWERS_CHANNEL,
        ],
    )
    in_time = {row[0] async for row in cursor}
    return [command_id in in_time for command_id, _ in answered]


async def beat(cursor: Cursor, beats: Sequence[NodeBeat]) -> list[bool]:
    """Note signs of life, and clear away nodes and commands that have been given up."""
    known = []
    for node in beats:
        await cursor.execute(
            "UPDATE nodes SET heartbeat_at = now(), draining = %s, figures = %s WHERE node_id = %s",
            [node.draining, json.dumps(node.figures), node.node_id],
        )
        known.append(cursor.rowcount == 1)
        if cursor.rowcount == 0:
            await cursor.execute(
                "INSERT INTO nodes (node_id, address, process_id, draining) VALUES (%s, %s, %s, %s)",
                [node.node_id, node.address, node.process_id, node.draining],
            )
    await cursor.execute(
        "DELETE FROM nodes WHERE heartbeat_at < now() - %s",
        [timedelta(seconds=NODE_FORGOTTEN_SECONDS)],
    )
    await cursor.execute(
        "UPDATE commands SET state = 'expired'"
        " WHERE state IN ('queued', 'sent') AND deadline < now()"
    )
    return known


async def owners(cursor: Cursor, asked: Sequence[Sequence[str]]) -> list[dict[str, int]]:
    """Return, for each group of charging points, their connection ids."""
    await cursor.execute(
        "SELECT charging_point_id, connection_id FROM connections"
        " WHERE charging_point_id = ANY(%s)",
        [[charging_point_id for group in asked for charging_point_id in group]],
    )
    found = {row[0]: row[1] async for row in cursor}
    return [{name: found[name] for name in group if name in found} for group in asked]


async def leave(cursor: Cursor, nodes: Sequence[UUID]) -> list[None]:
    """Remove nodes and, with them, the connections they still own."""
    await cursor.execute("DELETE FROM nodes WHERE node_id = ANY(%s)", [list(nodes)])
    return [None] * len(nodes)
