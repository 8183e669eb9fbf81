"""Bills for our own cards: what sessions cost, booked once, and months that are closed.

Nothing that was booked is overwritten: a session that is corrected later gets entries of the
difference. Money is in the currency's smallest unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from charging.database import audit, audited_energy
from charging.database.audit import Asker
from charging.database.connection import Connection, rows
from charging.database.readings import READINGS
from charging.energy_audit import POWER_MARGIN, Payer, Session, why_implausible
from charging.metering import Register
from charging.tariff import DEFAULT, Cost, Use, cost_of
from charging.time_zone import zone_of_place
from operations import tariffs
from operations.errors import ConflictError, InvalidError, NotFoundError
from operations.sessions import unknown
from operations.tariffs import Version

BATCH = 500
_LOCK = 0x564E42

_DUE = """
SELECT s.session_id, (SELECT max(c.correction_id) FROM session_corrections AS c
                      WHERE c.session_id = s.session_id) AS correction_id
FROM sessions AS s
LEFT JOIN LATERAL (
    SELECT count(*) AS entries, max(b.correction_id) AS correction_id
    FROM bill_entries AS b WHERE b.session_id = s.session_id) AS booked ON true
WHERE s.state = 'ended' AND (s.presumed IS NULL OR s.end_final_at IS NOT NULL)
  AND s.start_decision = 'accepted' AND s.ended_at < %(until)s AND s.session_id > %(after)s
  AND EXISTS (SELECT 1 FROM tokens AS t WHERE t.id_tag = s.id_tag)
  AND (booked.entries = 0 OR EXISTS (
      SELECT 1 FROM session_corrections AS c
      WHERE c.session_id = s.session_id
        AND c.correction_id > coalesce(booked.correction_id, 0)))
  AND NOT EXISTS (
      SELECT 1 FROM hub_sessions AS h
      WHERE h.session_id = s.session_id AND h.state <> 'refused')
ORDER BY s.session_id LIMIT %(batch)s
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A session that cannot be billed yet, and why."""

    session: int
    charging_point: str
    energy_wh: int
    why: str


@dataclass(slots=True)
class Booked:
    """What was booked: sessions for the first time, and corrections of sessions; what waits."""

    charges: int = 0
    corrections: int = 0
    waiting: list[Waiting] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a bill. net, tax: in the smallest unit; steps: of the session's whole cost."""

    entry: int
    session: int
    month: date
    kind: str
    charging_point: str
    evse: int
    began: datetime
    ended: datetime
    zone: tzinfo
    card: str
    energy_wh: int
    currency: str
    tax_percent: str
    net: int
    tax: int
    steps: list[dict[str, Any]]
    reason: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class Bill:
    """What a month's entries of a card, or of a group of cards, add up to.

    number: None while the month is open.
    """

    number: int | None
    month: date
    holder: str
    sessions: int
    energy_wh: int
    currency: str
    net: int
    tax: int


@dataclass(frozen=True, slots=True)
class _Subject:
    """A session that is to be booked. zone: of its place."""

    session: Session
    card: str
    group: str | None
    tariff: str
    zone: tzinfo
    readings: list[Register]
    standing: dict[str, tuple[int, int, int]]
    """What is booked of it: currency → Wh, net, tax."""


def book(
    connection: Connection, *, until: datetime | None = None, power_margin: float = POWER_MARGIN
) -> Booked:
    """Book sessions of our own cards that ended before a time (default: now) and are not booked.

    Those that were corrected since get entries of the difference. Safe to repeat, and side by side.
    """
    booked, after = Booked(), 0
    found = tariffs.list_all(connection)
    if not found:
        # Where there are no tariffs, nobody is billed here.
        return booked
    versions = _Versions(found)
    while True:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            due = rows(
                connection,
                _DUE,
                {"until": until or datetime.now(UTC), "after": after, "batch": BATCH},
            )
            corrections = {row["session_id"]: row["correction_id"] for row in due}
            closed = _closed(connection)
            for subject in _subjects(connection, list(corrections), power_margin):
                session = subject.session
                why = _why_not(subject, versions)
                if why is not None:
                    wh = (session.meter_stop_wh or 0) - session.meter_start_wh
                    booked.waiting.append(Waiting(session.session, session.charging_point, wh, why))
                    continue
                first = not subject.standing
                _write(connection, subject, versions, closed, corrections[session.session], "")
                booked.charges += first
                booked.corrections += not first
        if len(due) < BATCH:
            return booked
        after = due[-1]["session_id"]


def charge(connection: Connection, session_id: int, reason: str, *, by: Asker) -> Entry:
    """Book a session as it was reported, although that is not plausible; return its entry.

    Raises NotFoundError, ConflictError, InvalidError.
    """
    if not reason.strip():
        raise InvalidError("say why, for whoever asks later")
    versions = _Versions(tariffs.list_all(connection))
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        subject = _subject(connection, session_id)
        why = _why_not(subject, versions, although_implausible=True)
        if why is not None:
            raise ConflictError(f"session {session_id} cannot be billed: {why}")
        if subject.standing:
            raise ConflictError(f"session {session_id} is booked; `sessions correct` corrects it")
        newest = rows(
            connection,
            "SELECT max(correction_id) AS newest FROM session_corrections WHERE session_id = %s",
            [session_id],
        )[0]["newest"]
        _write(connection, subject, versions, _closed(connection), newest, reason)
        audit.write(
            connection,
            by,
            "charge_session",
            subject.session.charging_point,
            {"session": session_id, "reason": reason},
        )
        return of_session(connection, session_id)[-1]


def preview(connection: Connection, session_id: int) -> Cost:
    """Return what a session costs by the tariff of its card.

    Raises NotFoundError, ConflictError where it has no cost.
    """
    versions = _Versions(tariffs.list_all(connection))
    subject = _subject(connection, session_id)
    why = _why_not(subject, versions, although_implausible=True)
    if why is not None:
        raise ConflictError(f"session {session_id} cannot be billed: {why}")
    return cost_of(versions.of(subject).tariff, _use(subject))


def close(connection: Connection, month: date, *, by: Asker) -> list[Bill]:
    """Close a month that is over: give its bills numbers. What comes later is on later bills.

    Return its bills. Raises InvalidError, ConflictError.
    """
    _check_month(month)
    if _next(month) > datetime.now(UTC).date():
        raise InvalidError(f"{month:%Y-%m} is not over yet")
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        closed = _closed(connection)
        if month in closed:
            raise ConflictError(f"{month:%Y-%m} is closed")
        for row in rows(
            connection, "SELECT DISTINCT month FROM bill_entries WHERE month < %s", [month]
        ):
            if row["month"] not in closed:
                raise ConflictError(f"{row['month']:%Y-%m} has to be closed before")
        connection.execute(
            "INSERT INTO bill_months (month, person) VALUES (%s, %s)", [month, by.person]
        )
        connection.execute(
            """
            INSERT INTO bills (bill_number, month, holder, currency, sessions, energy_wh, net, tax)
            SELECT (SELECT coalesce(max(bill_number), 0) FROM bills)
                       + row_number() OVER (ORDER BY holder, currency),
                   %(month)s, holder, currency, sessions, energy_wh, net, tax
            FROM (SELECT coalesce(parent_id_tag, id_tag) AS holder, currency,
                         count(DISTINCT session_id) AS sessions, sum(energy_wh) AS energy_wh,
                         sum(net) AS net, sum(tax) AS tax
                  FROM bill_entries WHERE month = %(month)s GROUP BY 1, 2) AS sums
            """,
            {"month": month},
        )
        audit.write(connection, by, "close_month", f"{month:%Y-%m}", {})
        return of_month(connection, month)


def of_month(connection: Connection, month: date) -> list[Bill]:
    """Return a month's bills by holder and currency, numbered where it is closed."""
    _check_month(month)
    with connection.cursor(row_factory=class_row(Bill)) as cursor:
        return cursor.execute(
            """
            SELECT b.bill_number AS number, e.month, coalesce(e.parent_id_tag, e.id_tag) AS holder,
                   count(DISTINCT e.session_id)::int AS sessions,
                   sum(e.energy_wh)::bigint AS energy_wh, e.currency, sum(e.net)::bigint AS net,
                   sum(e.tax)::bigint AS tax
            FROM bill_entries AS e
            LEFT JOIN bills AS b ON b.month = e.month AND b.currency = e.currency
                AND b.holder = coalesce(e.parent_id_tag, e.id_tag)
            WHERE e.month = %s
            GROUP BY b.bill_number, e.month, coalesce(e.parent_id_tag, e.id_tag), e.currency
            ORDER BY holder, e.currency
            """,
            [month],
        ).fetchall()


def find(connection: Connection, month: date, holder: str) -> list[Bill]:
    """Return a month's bills of a card or a group, one a currency. Raises NotFoundError."""
    found = [bill for bill in of_month(connection, month) if bill.holder == holder]
    if not found:
        raise NotFoundError(f"no bill of {month:%Y-%m} for it; `bills list` shows those there are")
    return found


def entries(connection: Connection, bill: Bill) -> list[Entry]:
    """Return the lines of a bill, by time and card."""
    return _entries(
        connection,
        "b.month = %s AND coalesce(b.parent_id_tag, b.id_tag) = %s AND b.currency = %s",
        [bill.month, bill.holder, bill.currency],
    )


def of_session(connection: Connection, session_id: int) -> list[Entry]:
    """Return what is booked of a session, oldest first. Raises NotFoundError."""
    if not rows(connection, "SELECT 1 FROM sessions WHERE session_id = %s", [session_id]):
        raise unknown(session_id)
    return _entries(connection, "b.session_id = %s", [session_id])


class _Versions:
    """Tariffs by name and time."""

    def __init__(self, versions: Sequence[Version]) -> None:
        self._by_name: dict[str, list[Version]] = defaultdict(list)
        for version in versions:
            self._by_name[version.tariff.name].append(version)

    def find(self, subject: _Subject) -> Version | None:
        """Return the newest that held when a session began."""
        began = subject.session.started_at
        held = [each for each in self._by_name[subject.tariff] if each.tariff.valid_from <= began]
        return held[-1] if held else None

    def of(self, subject: _Subject) -> Version:
        found = self.find(subject)
        assert found is not None
        return found


def _why_not(
    subject: _Subject, versions: _Versions, *, although_implausible: bool = False
) -> str | None:
    """Return why a session cannot be billed to its card; None if it can."""
    session = subject.session
    if session.payer is not Payer.CARD:
        return "no card of ours pays for it"
    if not session.final:
        return "its end does not count yet"
    assert session.meter_stop_wh is not None
    if session.meter_stop_wh < session.meter_start_wh:
        return "its register ran backwards: `sessions correct` it by its readings"
    if versions.find(subject) is None:
        return f"no tariff {subject.tariff!r} held when it began: `tariffs import` one"
    return None if although_implausible or subject.standing else why_implausible(session)


def _use(subject: _Subject) -> Use:
    session = subject.session
    assert session.ended_at is not None
    assert session.meter_stop_wh is not None
    return Use(
        Register(session.started_at, session.meter_start_wh),
        Register(session.ended_at, session.meter_stop_wh),
        subject.zone,
        subject.readings,
    )


def _write(
    connection: Connection,
    subject: _Subject,
    versions: _Versions,
    closed: set[date],
    correction_id: int | None,
    reason: str,
) -> None:
    """Book what a session costs, less what is booked of it."""
    version, use = versions.of(subject), _use(subject)
    cost = cost_of(version.tariff, use)
    energy_wh = use.ended.energy_wh - use.began.energy_wh
    wanted = {cost.currency: (energy_wh, cost.net, cost.tax)}
    month = use.ended.at.astimezone(subject.zone).date().replace(day=1)
    while month in closed:
        month = _next(month)
    steps = [
        {
            "what": step.what.value,
            "period": step.period,
            "quantity": step.quantity,
            "price": str(step.price),
            "net": str(step.net),
        }
        for step in cost.steps
    ]
    for currency in wanted.keys() | subject.standing.keys():
        nothing = (0, 0, 0)
        difference = [
            now - before
            for now, before in zip(
                wanted.get(currency, nothing), subject.standing.get(currency, nothing), strict=True
            )
        ]
        connection.execute(
            """
            INSERT INTO bill_entries (session_id, month, kind, id_tag, parent_id_tag, tariff_id,
                                      energy_wh, currency, net, tax, steps, reason, correction_id)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
                    coalesce(%s, (SELECT reason FROM session_corrections
                                  WHERE correction_id = %s), ''), %s)
            """,
            [
                *(subject.session.session, month),
                "correction" if subject.standing else "charge",
                *(subject.card, subject.group, version.tariff_id),
                *(difference[0], currency, difference[1], difference[2]),
                *(Jsonb(steps), reason or None, correction_id, correction_id),
            ],
        )


def _subject(connection: Connection, session_id: int) -> _Subject:
    found = list(_subjects(connection, [session_id], POWER_MARGIN))
    if not found:
        raise unknown(session_id)
    return found[0]


def _subjects(
    connection: Connection, session_ids: Sequence[int], power_margin: float
) -> list[_Subject]:
    """Return what is needed to book sessions, in their order."""
    readings: dict[int, list[Register]] = defaultdict(list)
    for session_id, at, energy_wh in connection.execute(READINGS.encode(), [list(session_ids)]):
        readings[session_id].append(Register(at, energy_wh))
    standing: dict[int, dict[str, tuple[int, int, int]]] = defaultdict(dict)
    for session_id, currency, *sums in connection.execute(
        "SELECT session_id, currency, sum(energy_wh)::bigint, sum(net)::bigint, sum(tax)::bigint"
        " FROM bill_entries WHERE session_id = ANY(%s) GROUP BY 1, 2",
        [list(session_ids)],
    ):
        standing[session_id][currency] = (sums[0], sums[1], sums[2])
    sessions = {
        each.session: each
        for each in audited_energy.of_numbers(connection, session_ids, power_margin)
    }
    return [
        _Subject(
            sessions[session_id],
            card,
            group,
            tariff,
            zone_of_place(zone, country),
            readings[session_id],
            standing[session_id],
        )
        for session_id, card, group, tariff, zone, country in connection.execute(
            f"""
            SELECT s.session_id, s.id_tag,
                   CASE WHEN first.tariff IS NULL THEN t.parent_id_tag ELSE first.parent_id_tag END,
                   coalesce(first.tariff, t.tariff, %s), {_ZONE}
            FROM sessions AS s LEFT JOIN tokens AS t USING (id_tag)
            -- what it was booked by stays, whatever its card has got since
            LEFT JOIN LATERAL (
                SELECT f.name AS tariff, b.parent_id_tag
                FROM bill_entries AS b JOIN tariffs AS f USING (tariff_id)
                WHERE b.session_id = s.session_id ORDER BY b.entry_id LIMIT 1) AS first ON true
            {_PLACE}
            WHERE s.session_id = ANY(%s) ORDER BY s.session_id
            """.encode(),
            [DEFAULT, list(session_ids)],
        )
    ]


_ZONE = "coalesce(d.details ->> 'time_zone', nullif(p.time_zone, 'UTC')), d.details ->> 'country'"
_PLACE = """
JOIN charging_points AS p ON p.charging_point_id = s.charging_point_id
LEFT JOIN evse_details AS d ON d.charging_point_id = s.charging_point_id
    AND d.evse_number = s.evse_number
"""


def _entries(connection: Connection, chosen: str, values: list[Any]) -> list[Entry]:
    return [
        Entry(*[*row[:8], zone_of_place(row[8], row[9]), *row[10:]])
        for row in connection.execute(
            f"""
            SELECT b.entry_id, b.session_id, b.month, b.kind, s.charging_point_id, s.evse_number,
                   s.started_at, s.ended_at, {_ZONE}, b.id_tag, b.energy_wh, b.currency,
                   f.details ->> 'tax_percent', b.net, b.tax, b.steps, b.reason, b.booked_at
            FROM bill_entries AS b JOIN sessions AS s USING (session_id)
            JOIN tariffs AS f USING (tariff_id) {_PLACE}
            WHERE {chosen} ORDER BY s.started_at, b.entry_id
            """.encode(),
            values,
        )
    ]


def _closed(connection: Connection) -> set[date]:
    return {row["month"] for row in rows(connection, "SELECT month FROM bill_months")}


def _check_month(month: date) -> None:
    if month.day != 1:
        raise InvalidError(f"{month} is no month: its first day is expected")


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
