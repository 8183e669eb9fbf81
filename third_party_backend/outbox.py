"""The outbox: what happened becomes what the hub is told, each in one transaction.

Of all relays one plans at a time (an advisory lock of the transaction). An event that was read is
marked, not passed: identity order is not commit order, so a cursor could pass over a late commit.
Beside the events there are facts that only time tells: charging points that stay away, vehicles
that never come, progress.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from charging.delivery import Queue
from charging.event import EVENTS_CHANNEL, EventKind
from charging.service.telemetry import Metrics
from charging.session import Unstarted
from third_party_backend import deliveries
from third_party_backend.courier import Backoff
from third_party_backend.deliveries import Connection, Planned
from third_party_backend.oicp import catalogue, records
from third_party_backend.oicp.records import Charged, HubSession, RecordError
from third_party_backend.oicp.status import evse_status
from third_party_backend.settings import Settings

BATCH = 500
STATUS_BATCH = 2000
"""Changes of status come in crowds, and only the newest of an EVSE matters."""
POLL_SECONDS = 1.0
UNANSWERED_SECONDS = 60
"""After this a start that no web worker answered (it died) starts nothing."""
OFFLINE_START_SECONDS = 86_400
"""How much longer a start is waited for at a charging point that is offline."""
_RECONCILE_SECONDS = 86_400.0
_PRUNE_BATCH = 5000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Errand:
    """Something done every so many seconds."""

    every_seconds: float
    run: Callable[[Connection], None]
    next_at: float = 0.0


class Outbox(threading.Thread):
    """Plans until stopped. wake: set when an event was written."""

    def __init__(
        self, url: str, settings: Settings, metrics: Metrics, stopped: threading.Event
    ) -> None:
        super().__init__(name="outbox", daemon=True)
        self.wake = threading.Event()
        self._url = url
        self._settings = settings
        self._metrics = metrics
        self._stopped = stopped
        self._to_reconcile: list[str] = []
        self._errands = [
            Errand(3.0, self._begin_reconciling),
            Errand(3.0, self._watch_presence),
            Errand(min(2.0, settings.start_timeout), self._close_unstarted),
            Errand(5.0, self._end_reservations),
            Errand(min(10.0, settings.progress_interval), self._tell_progress),
            Errand(30.0, self._drop_late),
            Errand(3600.0, self._prune),
        ]

    def run(self) -> None:
        """Plan; outlive the database's absence."""
        away = Backoff(5.0)
        while not self._stopped.is_set():
            try:
                with deliveries.connect(self._url, "outbox") as connection:
                    away.reset()
                    while not self._stopped.is_set():
                        self._plan(connection)
            except psycopg.Error as error:
                self._metrics.count("DatabaseFailures", type(error).__name__)
                log.warning("outbox without its database", extra={"error": str(error)[:300]})
                self._stopped.wait(away.seconds())

    def _plan(self, connection: Connection) -> None:
        self.wake.clear()
        read = self.relay_events(connection)
        now = time.monotonic()
        for errand in self._errands:
            if errand.next_at <= now:
                self._alone(connection, errand.run)
                errand.next_at = now + errand.every_seconds * random.uniform(0.8, 1.2)  # noqa: S311
        if self._to_reconcile:
            self._alone(connection, self._reconcile)
        elif read < BATCH:
            self.wake.wait(POLL_SECONDS)

    def _alone(self, connection: Connection, work: Callable[[Connection], None]) -> None:
        try:
            with connection.transaction():
                if deliveries.may_plan(connection):
                    work(connection)
        except psycopg.Error:
            raise
        except Exception:
            log.exception("errand failed", extra={"errand": work.__name__})

    # What happened.

    def relay_events(self, connection: Connection) -> int:
        """Turn a batch of events into deliveries; return how many there were."""
        with connection.transaction():
            if not deliveries.may_plan(connection):
                return 0
            # A crowd of changed statuses must not stand in the way of a session's record.
            rows = [
                row
                for condition, limit in (("<>", BATCH), ("=", STATUS_BATCH))
                for row in connection.execute(
                    "SELECT event_id, kind, charging_point_id, payload FROM events"
                    f" WHERE relayed_at IS NULL AND kind {condition} %s"
                    " ORDER BY event_id LIMIT %s".encode(),
                    [EventKind.EVSE_STATUS_CHANGED.value, limit],
                ).fetchall()
            ]
            if not rows:
                return 0
            try:
                with connection.transaction():
                    self._take(connection, [row[1:] for row in rows])
            except psycopg.OperationalError:
                raise
            except Exception:
                # One of them is at fault; the others must not suffer for it.
                log.warning("batch split", exc_info=True)
                for row in rows:
                    self._take_one(connection, row)
            connection.execute(
                "UPDATE events SET relayed_at = now() WHERE event_id = ANY(%s)",
                [[row[0] for row in rows]],
            )
        return len(rows)

    def _take_one(self, connection: Connection, row: tuple[Any, ...]) -> None:
        """Take one event; one that cannot be taken is parked, for an operator to look at."""
        try:
            with connection.transaction():
                self._take(connection, [row[1:]])
        except psycopg.OperationalError:
            raise
        except Exception as error:
            log.exception("event parked", extra={"event_id": row[0], "kind": row[1]})
            deliveries.park_event(connection, row[0], f"{row[1]}: {error!r}"[:1000])

    def _take(self, connection: Connection, events: Sequence[tuple[str, str, Any]]) -> None:
        def of(*kinds: EventKind) -> list[tuple[str, Any]]:
            return [(name, payload) for kind, name, payload in events if kind in kinds]

        changed = of(EventKind.EVSE_CHANGED)
        moved = of(EventKind.EVSE_STATUS_CHANGED)
        if former := [p["former_key"] for _, p in changed if p.get("former_key")]:
            plan_no_evses(connection, former)
        plan_evses(connection, sorted({name for name, _ in changed}))
        plan_statuses(connection, sorted({name for name, _ in moved}))
        if of(EventKind.PRICES_CHANGED):
            plan_prices(connection)
        self._tell_faults(connection, moved)
        self._tell_started(connection, [p["session_id"] for _, p in of(EventKind.SESSION_STARTED)])
        self._tell_ended(connection, [p["session_id"] for _, p in of(EventKind.SESSION_ENDED)])
        self._tell_closed(connection, [p for _, p in of(EventKind.HUB_SESSION_CLOSED)])
        self._tell_reservations(
            connection, [p["reservation_id"] for _, p in of(EventKind.RESERVATION_ENDED)]
        )

    def _tell_started(self, connection: Connection, session_ids: Sequence[int]) -> None:
        planned = []
        for session, row in _hub_sessions(connection, session_ids):
            key = f"{session.hub_session_id}/start"
            try:
                payload = records.start_notification(
                    session, self._settings.operator_id, row["started_at"], row["meter_start_wh"]
                )
            except RecordError as error:
                planned.append(_parked(Queue.NOTIFICATION, key, session, error))
            else:
                planned.append(Planned(Queue.NOTIFICATION, key, session.hub_session_id, payload))
        deliveries.plan_once(connection, planned)

    def _tell_ended(self, connection: Connection, session_ids: Sequence[int]) -> None:
        ended = _hub_sessions(connection, session_ids)
        readings, signed = _readings(connection, [row["session_id"] for _, row in ended])
        now = datetime.now(UTC)
        planned: list[Planned] = []
        for session, row in ended:
            charged = Charged(
                row["started_at"],
                row["meter_start_wh"],
                row["ended_at"],
                row["meter_stop_wh"],
                row["stop_reason"],
                readings.get(row["session_id"], []),
                signed.get(row["session_id"], []),
            )
            planned += self._last_words(session, charged, now)
        if ended:
            deliveries.drop_notifications(
                connection,
                [session.hub_session_id for session, _ in ended],
                "the session has ended",
                "%/progress",
            )
        deliveries.plan_once(connection, planned)

    def _last_words(self, session: HubSession, charged: Charged, now: datetime) -> list[Planned]:
        """Return a session's End, or Error, and its record; the record parked if it is wrong."""
        operator_id, name = self._settings.operator_id, session.hub_session_id
        record_queue = Queue.CHARGE_DETAIL_RECORD
        try:
            due_at = records.due(charged, now)
            record = records.charge_detail_record(session, charged)
            if charged.broken_off:
                kind, word = (
                    "error",
                    records.error_notification(
                        session, operator_id, f"it ended by {charged.stop_reason}", critical=True
                    ),
                )
            else:
                kind, word = "end", records.end_notification(session, operator_id, charged)
        except RecordError as error:
            return [_parked(record_queue, name, session, error)]
        return [
            Planned(Queue.NOTIFICATION, f"{name}/{kind}", name, word, due_at),
            Planned(record_queue, name, name, record, due_at),
        ]

    def _tell_faults(self, connection: Connection, moved: Sequence[tuple[str, Any]]) -> None:
        """Tell an Error for sessions of the hub on EVSEs that report a fault."""
        faults = [(name, p) for name, p in moved if p.get("status") == "Faulted"]
        if not faults:
            return
        rows = connection.execute(
            """
            SELECT DISTINCT ON (s.session_id) s.session_id, t.error_code
            FROM unnest(%s::text[], %s::int[], %s::text[])
                AS t (charging_point_id, evse_number, error_code)
            JOIN sessions AS s ON s.charging_point_id = t.charging_point_id
                AND s.state = 'charging' AND t.evse_number IN (0, s.evse_number)
            ORDER BY s.session_id
            """,
            [
                [name for name, _ in faults],
                [p["evse_number"] for _, p in faults],
                [p.get("error_code", "") for _, p in faults],
            ],
        ).fetchall()
        causes: dict[int, str] = dict(rows)
        planned = []
        for session, row in _hub_sessions(connection, list(causes)):
            key = f"{session.hub_session_id}/error"
            info = f"the EVSE reports a fault: {causes[row['session_id']]}"
            try:
                payload = records.error_notification(
                    session, self._settings.operator_id, info, critical=True
                )
            except RecordError as error:
                log.warning("no notification", extra={"key": key, "error": str(error)})
                continue
            planned.append(Planned(Queue.NOTIFICATION, key, session.hub_session_id, payload))
        deliveries.plan_once(connection, planned)

    def _tell_closed(self, connection: Connection, closed: Sequence[Any]) -> None:
        """Tell that sessions ended in which nothing was charged, or providers wait for ever."""
        why = {payload["hub_session_id"]: payload["why"] for payload in closed}
        if not why:
            return
        planned = []
        for name, evse_id, identification, ours, theirs, created_at, ended_at in connection.execute(
            """
            SELECT h.hub_session_id,
                   coalesce(e.evse_id, h.evse_id, (
                       SELECT min(o.evse_id) FROM evses AS o
                       WHERE o.charging_point_id = h.charging_point_id AND o.roaming)),
                   h.identification, h.cpo_partner_session_id, h.emp_partner_session_id,
                   h.created_at, coalesce(h.ended_at, now())
            FROM hub_sessions AS h LEFT JOIN evses AS e USING (charging_point_id, evse_number)
            WHERE h.hub_session_id = ANY(%s)
            """,
            [list(why)],
        ).fetchall():
            session = HubSession(name, evse_id, identification, ours, theirs)
            try:
                if why[name] == Unstarted.NO_VEHICLE:
                    word = records.error_notification(
                        session,
                        self._settings.operator_id,
                        "no vehicle was connected in time",
                        critical=False,
                    )
                    planned.append(Planned(Queue.NOTIFICATION, f"{name}/error", name, word))
                record = records.empty_record(session, created_at, ended_at)
                planned.append(Planned(Queue.CHARGE_DETAIL_RECORD, name, name, record))
            except RecordError as error:
                planned.append(_parked(Queue.CHARGE_DETAIL_RECORD, name, session, error))
        deliveries.plan_once(connection, planned)

    def _tell_reservations(self, connection: Connection, reservation_ids: Sequence[int]) -> None:
        """Tell that reservations ended; where one was used in its own session, that has told it."""
        if not reservation_ids:
            return
        planned = []
        for name, evse_id, identification, ours, theirs, created_at, ended_at in connection.execute(
            """
            SELECT r.hub_session_id, e.evse_id, r.identification, r.cpo_partner_session_id,
                   r.emp_partner_session_id, r.created_at, coalesce(r.ended_at, now())
            FROM reservations AS r LEFT JOIN evses AS e USING (charging_point_id, evse_number)
            WHERE r.reservation_id = ANY(%s)
              AND NOT EXISTS (SELECT 1 FROM hub_sessions AS h
                              WHERE h.hub_session_id = r.hub_session_id
                                AND h.state IN ('asked', 'accepted', 'ended'))
            """,
            [list(reservation_ids)],
        ).fetchall():
            session = HubSession(name, evse_id, identification, ours, theirs)
            try:
                record = records.empty_record(session, created_at, ended_at)
            except RecordError as error:
                planned.append(_parked(Queue.CHARGE_DETAIL_RECORD, name, session, error))
            else:
                planned.append(Planned(Queue.CHARGE_DETAIL_RECORD, name, name, record))
        deliveries.plan_once(connection, planned)

    # What only time tells.

    def _begin_reconciling(self, connection: Connection) -> None:
        """Hold everything the hub shall know against what is planned: at first, and daily."""
        state = connection.execute(
            "SELECT 1 FROM hub_queues WHERE queue = 'catalogue'"
            " AND beaten_at > now() - make_interval(secs => %s)",
            [_RECONCILE_SECONDS],
        ).fetchone()
        if state is not None or self._to_reconcile:
            return
        plan_prices(connection)
        self._to_reconcile = [
            row[0]
            for row in connection.execute(
                "SELECT DISTINCT charging_point_id FROM evses WHERE evse_id IS NOT NULL ORDER BY 1"
            )
        ]
        self._note_reconciled(connection)
        log.info("reconciling", extra={"charging_points": len(self._to_reconcile)})

    def _reconcile(self, connection: Connection) -> None:
        """Reconcile some; what happens meanwhile is not kept waiting."""
        names, self._to_reconcile = self._to_reconcile[:BATCH], self._to_reconcile[BATCH:]
        plan_evses(connection, names)
        self._note_reconciled(connection)

    def _note_reconciled(self, connection: Connection) -> None:
        if not self._to_reconcile:
            connection.execute(
                "INSERT INTO hub_queues (queue, beaten_at) VALUES ('catalogue', now())"
                " ON CONFLICT (queue) DO UPDATE SET beaten_at = now()"
            )

    def _watch_presence(self, connection: Connection) -> None:
        """Tell the hub of charging points that stay away, and of those that are back."""
        present = """
            EXISTS (SELECT 1 FROM connections AS c JOIN nodes AS n USING (node_id)
                    WHERE c.charging_point_id = a.charging_point_id
                      AND n.heartbeat_at > now() - make_interval(secs => %s))
        """
        back = connection.execute(
            f"DELETE FROM absences AS a WHERE {present} RETURNING charging_point_id, told".encode(),
            [self._settings.presence_timeout],
        ).fetchall()
        connection.execute(
            f"""
            INSERT INTO absences (charging_point_id)
            SELECT DISTINCT a.charging_point_id FROM evses AS a
            WHERE a.roaming AND NOT {present}
            ON CONFLICT DO NOTHING
            """.encode(),
            [self._settings.presence_timeout],
        )
        gone = connection.execute(
            "UPDATE absences SET told = true"
            " WHERE NOT told AND since <= now() - make_interval(secs => %s)"
            " RETURNING charging_point_id",
            [self._settings.offline_grace],
        ).fetchall()
        changed = sorted({row[0] for row in back if row[1]} | {row[0] for row in gone})
        for start in range(0, len(changed), STATUS_BATCH):
            plan_statuses(connection, changed[start : start + STATUS_BATCH])

    def _close_unstarted(self, connection: Connection) -> None:
        """End sessions whose vehicle never came, and starts that nobody answered."""
        closed = connection.execute(
            """
            WITH closed AS (
                UPDATE hub_sessions AS h SET state = 'ended', ended_at = now()
                WHERE session_id IS NULL AND state = 'accepted'
                  AND created_at < now() - make_interval(secs => %s)
                  -- one that is offline may have begun, and tells of it when it is back
                  AND (EXISTS (SELECT 1 FROM connections AS c
                               WHERE c.charging_point_id = h.charging_point_id)
                       OR created_at < now() - make_interval(secs => %s))
                RETURNING hub_session_id, charging_point_id
            )
            INSERT INTO events (kind, charging_point_id, payload, occurred_at)
            SELECT %s, charging_point_id,
                   jsonb_build_object('hub_session_id', hub_session_id, 'why', %s::text), now()
            FROM closed
            """,
            [
                self._settings.start_timeout,
                self._settings.start_timeout + OFFLINE_START_SECONDS,
                EventKind.HUB_SESSION_CLOSED.value,
                Unstarted.NO_VEHICLE.value,
            ],
        )
        if closed.rowcount:
            connection.execute("SELECT pg_notify(%s, '')", [EVENTS_CHANNEL])
        connection.execute(
            "UPDATE hub_sessions SET state = 'refused' WHERE session_id IS NULL"
            " AND state = 'asked' AND created_at < now() - make_interval(secs => %s)",
            [UNANSWERED_SECONDS],
        )

    def _end_reservations(self, connection: Connection) -> None:
        """End reservations whose time is over."""
        connection.execute(
            """
            WITH ended AS (
                UPDATE reservations SET state = 'expired', ended_at = expires_at
                WHERE state = 'reserved' AND expires_at < now()
                RETURNING reservation_id, charging_point_id
            )
            INSERT INTO events (kind, charging_point_id, payload, occurred_at)
            SELECT %s, charging_point_id, jsonb_build_object('reservation_id', reservation_id),
                   now()
            FROM ended
            """,
            [EventKind.RESERVATION_ENDED.value],
        )
        connection.execute(
            "UPDATE reservations SET state = 'refused'"
            " WHERE state = 'asked' AND created_at < now() - make_interval(secs => %s)",
            [UNANSWERED_SECONDS],
        )

    def _tell_progress(self, connection: Connection) -> None:
        """Tell how far sessions are whose last word is long enough ago."""
        rows = connection.execute(
            """
            SELECT h.hub_session_id, e.evse_id, h.identification, h.cpo_partner_session_id,
                   h.emp_partner_session_id, s.started_at, s.meter_start_wh, m.sampled_at,
                   m.energy_wh
            FROM hub_sessions AS h
            JOIN sessions AS s USING (session_id)
            JOIN deliveries AS begun ON begun.queue = 'notification'
                AND begun.key = h.hub_session_id || '/start' AND begun.state = 'delivered'
            LEFT JOIN deliveries AS last ON last.queue = 'notification'
                AND last.key = h.hub_session_id || '/progress'
            LEFT JOIN evses AS e ON e.charging_point_id = h.charging_point_id
                AND e.evse_number = h.evse_number
            CROSS JOIN LATERAL (
                SELECT sampled_at, energy_wh FROM meter_values AS m
                WHERE m.session_id = s.session_id AND m.charging_point_id = s.charging_point_id
                  AND m.energy_wh IS NOT NULL
                ORDER BY m.sampled_at DESC LIMIT 1) AS m
            WHERE h.state = 'accepted' AND s.state = 'charging' AND e.evse_id IS NOT NULL
              AND coalesce(last.state, 'delivered') IN ('delivered', 'dropped')
              AND coalesce(last.settled_at, begun.settled_at)
                  < now() - make_interval(secs => %s)
              AND m.sampled_at
                  > coalesce((last.payload ->> 'EventOccurred')::timestamptz, s.started_at)
            LIMIT %s
            """,
            [self._settings.progress_interval, BATCH],
        ).fetchall()
        planned = []
        for name, evse_id, identification, ours, theirs, *facts in rows:
            session = HubSession(name, evse_id, identification, ours, theirs)
            try:
                payload = records.progress_notification(session, self._settings.operator_id, *facts)
            except RecordError as error:
                log.debug("no progress", extra={"hub_session": name, "error": str(error)})
                continue
            planned.append(Planned(Queue.NOTIFICATION, f"{name}/progress", name, payload))
        deliveries.plan_progress(connection, planned)

    def _drop_late(self, connection: Connection) -> None:
        if dropped := deliveries.drop_late_notifications(connection):
            log.warning("notifications dropped", extra={"deliveries": dropped})

    def _prune(self, connection: Connection) -> None:
        """Forget relayed events and old notifications; charge detail records are kept."""
        before = timedelta(days=self._settings.retention_days)
        connection.execute(
            "DELETE FROM events WHERE event_id IN (SELECT event_id FROM events"
            " WHERE relayed_at < now() - %s LIMIT %s)",
            [before, _PRUNE_BATCH],
        )
        connection.execute(
            "DELETE FROM authorizations WHERE authorization_id IN (SELECT authorization_id"
            " FROM authorizations WHERE asked_at < now() - %s ORDER BY 1 LIMIT %s)",
            [before, _PRUNE_BATCH],
        )
        connection.execute(
            "DELETE FROM deliveries WHERE delivery_id IN (SELECT delivery_id FROM deliveries"
            " WHERE queue = 'notification' AND settled_at < now() - %s"
            " AND state IN ('delivered', 'dropped') LIMIT %s)",
            [before, _PRUNE_BATCH],
        )


# The catalogue.


def plan_evses(connection: Connection, charging_point_ids: Sequence[str]) -> None:
    """Say what the hub shall know of the EVSEs of charging points."""
    if not charging_point_ids:
        return
    data: dict[str, Any] = {}
    statuses: dict[str, Any] = {}
    prices: dict[str, Any] = {}
    gone: list[str] = []
    rows = connection.execute(
        """
        SELECT e.evse_id, e.evse_id_key, e.roaming, e.status, whole.status,
               coalesce(a.told, false), d.details
        FROM evses AS e
        LEFT JOIN evse_details AS d USING (charging_point_id, evse_number)
        LEFT JOIN evses AS whole ON whole.charging_point_id = e.charging_point_id
            AND whole.evse_number = 0
        LEFT JOIN absences AS a ON a.charging_point_id = e.charging_point_id
        WHERE e.charging_point_id = ANY(%s) AND e.evse_id IS NOT NULL
        ORDER BY e.charging_point_id, e.evse_number
        """,
        [list(charging_point_ids)],
    ).fetchall()
    wanted = {name for row in rows if row[6] for name in row[6].get("prices", ())}
    providers = _providers(connection, sorted(wanted))
    for evse_id, key, roaming, status, whole, absent, details in rows:
        if not roaming or details is None:
            gone.append(key)
            continue
        data[key] = catalogue.evse_record(evse_id, details)
        statuses[key] = catalogue.status_record(evse_id, evse_status(status, whole, absent=absent))
        for provider, products in _by_provider(details.get("prices", ()), providers).items():
            prices[f"{key}/{provider}"] = catalogue.evse_pricing(evse_id, provider, products)
    deliveries.plan_state(connection, Queue.EVSE_DATA, data)
    deliveries.plan_state(connection, Queue.EVSE_STATUS, statuses)
    deliveries.plan_state(connection, Queue.EVSE_PRICING, prices)
    _plan_no_prices(connection, list(data), keep=list(prices))
    plan_no_evses(connection, gone)


def plan_statuses(connection: Connection, charging_point_ids: Sequence[str]) -> None:
    """Say how the EVSEs of charging points are, of those that the hub shall know."""
    if not charging_point_ids:
        return
    rows = connection.execute(
        """
        SELECT e.evse_id, e.evse_id_key, e.status, whole.status, coalesce(a.told, false)
        FROM evses AS e
        JOIN evse_details AS d USING (charging_point_id, evse_number)
        LEFT JOIN evses AS whole ON whole.charging_point_id = e.charging_point_id
            AND whole.evse_number = 0
        LEFT JOIN absences AS a ON a.charging_point_id = e.charging_point_id
        WHERE e.charging_point_id = ANY(%s) AND e.evse_id IS NOT NULL AND e.roaming
        ORDER BY e.charging_point_id, e.evse_number
        """,
        [list(charging_point_ids)],
    ).fetchall()
    deliveries.plan_state(
        connection,
        Queue.EVSE_STATUS,
        {
            key: catalogue.status_record(evse_id, evse_status(status, whole, absent=absent))
            for evse_id, key, status, whole, absent in rows
        },
    )


def plan_no_evses(connection: Connection, keys: Sequence[str]) -> None:
    """Say that the hub shall not know these EVSEs (any more)."""
    deliveries.plan_removal(connection, Queue.EVSE_STATUS, keys)
    deliveries.plan_removal(connection, Queue.EVSE_DATA, keys)
    _plan_no_prices(connection, keys, keep=[])


def _plan_no_prices(connection: Connection, keys: Sequence[str], keep: Sequence[str]) -> None:
    if not keys:
        return
    rows = connection.execute(
        "SELECT key FROM deliveries WHERE queue = 'evse-pricing' AND payload IS NOT NULL"
        " AND split_part(key, '/', 1) = ANY(%s) AND NOT key = ANY(%s)",
        [list(keys), list(keep)],
    ).fetchall()
    deliveries.plan_removal(connection, Queue.EVSE_PRICING, [row[0] for row in rows])


def plan_prices(connection: Connection) -> None:
    """Say which prices the hub shall know, and which EVSEs have them."""
    wanted = {
        f"{provider_id}/{product_id}": {
            "provider": provider_id,
            "record": catalogue.product_record(product_id, details),
        }
        for provider_id, product_id, details in connection.execute(
            "SELECT provider_id, product_id, details FROM price_products"
        )
    }
    deliveries.plan_state(connection, Queue.PRICING_PRODUCTS, wanted)
    gone = connection.execute(
        "SELECT key FROM deliveries WHERE queue = 'pricing-products' AND payload IS NOT NULL"
        " AND NOT key = ANY(%s)",
        [list(wanted)],
    ).fetchall()
    deliveries.plan_removal(connection, Queue.PRICING_PRODUCTS, [row[0] for row in gone])
    priced = connection.execute(
        "SELECT DISTINCT charging_point_id FROM evse_details"
        " WHERE jsonb_array_length(coalesce(details -> 'prices', '[]')) > 0 ORDER BY 1"
    ).fetchall()
    for start in range(0, len(priced), BATCH):
        plan_evses(connection, [row[0] for row in priced[start : start + BATCH]])


def _providers(connection: Connection, product_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return, for products, the providers that they are for."""
    found: dict[str, list[str]] = {}
    if product_ids:
        for provider_id, product_id in connection.execute(
            "SELECT provider_id, product_id FROM price_products WHERE product_id = ANY(%s)"
            " ORDER BY provider_id",
            [list(product_ids)],
        ):
            found.setdefault(product_id, []).append(provider_id)
    return found


def _by_provider(
    product_ids: Sequence[str], providers: dict[str, list[str]]
) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for product_id in product_ids:
        for provider_id in providers.get(product_id, ()):
            grouped.setdefault(provider_id, []).append(product_id)
    return grouped


# Sessions.


def _hub_sessions(
    connection: Connection, session_ids: Sequence[int]
) -> list[tuple[HubSession, dict[str, Any]]]:
    """Return those of our sessions that are the hub's, in order.

    One whose start the hub was told has failed is none of them, though it may have begun in the
    very moment.
    """
    if not session_ids:
        return []
    rows = connection.execute(
        """
        SELECT h.hub_session_id, e.evse_id, h.identification, h.cpo_partner_session_id,
               h.emp_partner_session_id, s.session_id, s.started_at, s.meter_start_wh,
               s.ended_at, s.meter_stop_wh, s.stop_reason
        FROM sessions AS s
        JOIN hub_sessions AS h USING (session_id)
        LEFT JOIN evses AS e ON e.charging_point_id = h.charging_point_id
            AND e.evse_number = h.evse_number
        WHERE s.session_id = ANY(%s) AND h.state <> 'refused' ORDER BY s.session_id
        """,
        [list(session_ids)],
    ).fetchall()
    names = ("session_id", "started_at", "meter_start_wh", "ended_at", "meter_stop_wh")
    return [
        (HubSession(*row[:5]), dict(zip((*names, "stop_reason"), row[5:], strict=True)))
        for row in rows
    ]


def _readings(
    connection: Connection, session_ids: Sequence[int]
) -> tuple[dict[int, list[int]], dict[int, list[tuple[str, str]]]]:
    """Return the registers that were read in sessions, and the signed readings, in order.

    Only what the session's own charging point sent counts, whatever the rows say.
    """
    registers: dict[int, list[int]] = {}
    signed: dict[int, list[tuple[str, str]]] = {}
    if not session_ids:
        return registers, signed
    for session_id, energy_wh in connection.execute(
        "SELECT session_id, meter_values.energy_wh FROM meter_values"
        " JOIN sessions USING (session_id, charging_point_id)"
        " WHERE session_id = ANY(%s) AND meter_values.energy_wh IS NOT NULL"
        " ORDER BY session_id, sampled_at",
        [list(session_ids)],
    ):
        registers.setdefault(session_id, []).append(energy_wh)
    for session_id, samples in connection.execute(
        "SELECT session_id, jsonb_path_query_array(sampled_values,"
        " '$[*] ? (@.format == \"SignedData\")') FROM meter_values"
        " JOIN sessions USING (session_id, charging_point_id)"
        " WHERE session_id = ANY(%s)"
        " AND sampled_values @? '$[*] ? (@.format == \"SignedData\")'"
        " ORDER BY session_id, sampled_at",
        [list(session_ids)],
    ):
        for sample in samples:
            signed.setdefault(session_id, []).append(
                (str(sample.get("context", "")), str(sample.get("value", "")))
            )
    return registers, {name: records.signed_values(found) for name, found in signed.items()}


def _parked(queue: Queue, key: str, session: HubSession, error: RecordError) -> Planned:
    log.error(
        "record not written", extra={"hub_session": session.hub_session_id, "error": str(error)}
    )
    return Planned(queue, key, session.hub_session_id, None, parked=str(error))
