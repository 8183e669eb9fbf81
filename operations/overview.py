"""How all is now: figures, the work that waits for somebody, one charging point."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from charging.database.connection import Connection
from charging.database.presence import is_alive
from charging.registration import Registration
from operations import charging_points

SILENT_MINUTES = 15
HANGING_HOURS = 24
WORK_ROWS = 25
"""Rows of each kind of work that are shown; the count says how many there are."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How all is. power_w: of sessions that were read in the last half hour.

    energy_wh: of the sessions that ended since the time that was asked for; sessions: how many.
    """

    registered: int
    connected: int
    nodes: int
    charging: int
    power_w: int
    energy_wh: int
    sessions: int


@dataclass(frozen=True, slots=True)
class Work:
    """Something that waits for somebody. kind: silent, faulted, undecided, hanging, …

    subject: what it is about, for people; about and key: the same for programs, such as
    ``charging_point`` and its identity, ``session`` and its number, ``job``, ``hub``.
    """

    kind: str
    subject: str
    since: datetime | None
    text: str
    about: str
    key: str


@dataclass(frozen=True, slots=True)
class WorkList:
    """One kind of work. count: of all; rows: the first WORK_ROWS. advice: what to do about it."""

    kind: str
    title: str
    advice: str
    count: int
    rows: list[Work]


@dataclass(frozen=True, slots=True)
class Station:
    """One charging point. address, node: of its connection; connected_at: None while offline."""

    charging_point: str
    registration: str
    boot_status: str | None
    booted_at: datetime | None
    vendor: str | None
    model: str | None
    serial_number: str | None
    firmware: str | None
    time_zone: str
    strict: bool
    free_charging: bool
    last_seen: datetime | None
    connected_at: datetime | None
    ocpp_version: str | None
    address: str | None
    node: str | None


def figures(connection: Connection, *, since: datetime) -> Figures:
    """Return how all is. since: the midnight from which energy and sessions are counted."""
    with connection.cursor(row_factory=class_row(Figures)) as cursor:
        found = cursor.execute(_FIGURES, {"since": since}).fetchone()
    assert found is not None
    return found


def work(connection: Connection) -> list[WorkList]:
    """Return what waits for somebody, the most urgent kind first; kinds without work are left out.

    A charging point is silent when it was registered, seen before, and has had no connection for
    SILENT_MINUTES; a session hangs when it has charged for HANGING_HOURS without an end.
    """
    lists = []
    for kind, title, advice, statement in _WORK:
        with connection.cursor(row_factory=class_row(_Counted)) as cursor:
            rows = cursor.execute(
                f"SELECT count(*) OVER () AS of_all, found.* FROM ({statement}) AS found"
                " ORDER BY since NULLS FIRST LIMIT %s".encode(),
                [WORK_ROWS],
            ).fetchall()
        if rows:
            shown = [
                Work(kind, row.subject, row.since, row.text, row.about, row.key) for row in rows
            ]
            lists.append(WorkList(kind, title, advice, rows[0].of_all, shown))
    return lists


def station(connection: Connection, charging_point: str) -> Station:
    """Return one charging point. Raises NotFoundError."""
    with connection.cursor(row_factory=class_row(Station)) as cursor:
        found = cursor.execute(_STATION, [charging_point]).fetchone()
    if found is None:
        raise charging_points.unknown(charging_point)
    return found


@dataclass(frozen=True, slots=True)
class _Counted:
    of_all: int
    subject: str
    since: datetime | None
    text: str
    about: str
    key: str


# As its last reading reports it; where it reports no power, the mean since the one before.
_POWER = """
SELECT coalesce((array_agg(r.power_w ORDER BY r.sampled_at DESC))[1],
                CASE WHEN max(r.sampled_at) > min(r.sampled_at)
                     THEN (max(r.energy_wh) - min(r.energy_wh)) * 3600
                          / extract(epoch FROM max(r.sampled_at) - min(r.sampled_at)) END
       ) AS power_w, max(r.sampled_at) AS read_at
FROM (SELECT m.energy_wh, m.sampled_at,
             power_of_samples(m.sampled_values, m.form_id, m.form_values) AS power_w
      FROM meter_values AS m
      WHERE m.session_id = s.session_id AND m.energy_wh IS NOT NULL
      ORDER BY m.sampled_at DESC LIMIT 2) AS r
"""

_FIGURES = f"""
SELECT (SELECT count(*) FROM charging_points) AS registered,
       (SELECT count(*) FROM connections AS c JOIN nodes AS n USING (node_id)
        WHERE {is_alive("n")}) AS connected,
       (SELECT count(*) FROM nodes AS n WHERE {is_alive("n")}) AS nodes,
       (SELECT count(*) FROM sessions WHERE state = 'charging') AS charging,
       (SELECT coalesce(sum(p.power_w), 0)::bigint
        FROM sessions AS s CROSS JOIN LATERAL ({_POWER}) AS p
        WHERE s.state = 'charging' AND p.read_at > now() - interval '30 minutes') AS power_w,
       coalesce(sum(e.energy_wh), 0)::bigint AS energy_wh, count(*) AS sessions
FROM sessions AS e WHERE e.ended_at >= %(since)s
""".encode()

_STATION = f"""
SELECT p.charging_point_id AS charging_point, p.registration, p.boot_status, p.booted_at,
       p.vendor, p.model, p.serial_number, p.firmware_version AS firmware, p.time_zone, p.strict,
       p.free_charging,
       p.last_seen_at AS last_seen,
       CASE WHEN n.node_id IS NOT NULL THEN c.connected_at END AS connected_at,
       CASE WHEN n.node_id IS NOT NULL THEN c.ocpp_version END AS ocpp_version,
       CASE WHEN n.node_id IS NOT NULL THEN c.remote_address END AS address, n.address AS node
FROM charging_points AS p
LEFT JOIN connections AS c USING (charging_point_id)
LEFT JOIN nodes AS n ON n.node_id = c.node_id AND {is_alive("n")}
WHERE p.charging_point_id = %s
""".encode()

# (kind, title, advice, SQL of its rows: subject, since, text, about, key)
_WORK: tuple[tuple[str, str, str, str], ...] = (
    (
        "faulted",
        "Faulted connectors",
        "Reset the charging point; where the fault returns, send somebody.",
        """
        SELECT format('%%s, connector %%s', charging_point_id, evse_number) AS subject,
               status_at AS since,
               coalesce(nullif(lower(error_code), 'noerror'), lower(status)) AS text,
               'charging_point' AS about, charging_point_id AS key
        FROM evses WHERE state = 'faulted'
        """,
    ),
    (
        "silent",
        "Silent charging points",
        "Look when it was last heard and what it said then; power and mobile network first.",
        f"""
        SELECT p.charging_point_id AS subject, p.last_seen_at AS since,
               'not connected' AS text, 'charging_point' AS about,
               p.charging_point_id AS key
        FROM charging_points AS p
        LEFT JOIN connections AS c USING (charging_point_id)
        LEFT JOIN nodes AS n ON n.node_id = c.node_id AND {is_alive("n")}
        WHERE n.node_id IS NULL AND p.registration = '{Registration.ACCEPTED.value}'
          AND p.last_seen_at < now() - interval '{SILENT_MINUTES} minutes'
        """,
    ),
    (
        "hanging",
        "Sessions without an end",
        "Ask the charging point to stop it, or end it here with a reason.",
        f"""
        SELECT format('session %%s at %%s', session_id, charging_point_id) AS subject,
               started_at AS since, 'still charging' AS text, 'session' AS about,
               session_id::text AS key
        FROM sessions
        WHERE state = 'charging' AND started_at < now() - interval '{HANGING_HOURS} hours'
        """,
    ),
    (
        "unassigned",
        "Facts without a session",
        "Assign them: energy was delivered that nobody pays yet.",
        """
        SELECT charging_point_id AS subject, received_at AS since, action AS text,
               'unassigned' AS about, fact_id::text AS key
        FROM unassigned_facts WHERE settled_at IS NULL
        """,
    ),
    (
        "parked",
        "Refused by the hub",
        "Mend what the reason names, then send it again.",
        """
        SELECT format('%%s %%s', queue, key) AS subject, settled_at AS since, reason AS text,
               'hub' AS about, delivery_id::text AS key
        FROM deliveries WHERE state = 'parked'
        """,
    ),
    (
        "stopped",
        "Jobs that stopped themselves",
        "Look at what failed; then let it go on, or leave it.",
        """
        SELECT format('job %%s: %%s', job_id, kind) AS subject, ended_at AS since, reason AS text,
               'job' AS about, job_id::text AS key
        FROM jobs WHERE state = 'stopped' AND reason NOT LIKE 'by %%'
          AND created_at > now() - interval '7 days'
        """,
    ),
    (
        "undecided",
        "Charging points that wait to be accepted",
        "Accept or reject them.",
        f"""
        SELECT charging_point_id AS subject, coalesce(last_seen_at, created_at) AS since,
               'registration is ' || registration AS text,
               'charging_point' AS about, charging_point_id AS key
        FROM charging_points WHERE registration = '{Registration.PENDING.value}'
        """,
    ),
)
