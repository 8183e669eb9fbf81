"""How PostgreSQL carries out what services ask again and again, over tables that have grown.

`run` calls the functions themselves on connections whose cursors have each statement explained
first. A large table may be reached by an index's condition, or by an index over few of its rows,
or in an index's order as far as a limit goes; never from one end to the other.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

import psycopg

from charging.command import CommandKind
from charging.database import commands, jobs, messages
from charging.delivery import Queue
from cp_backend.store.commands import ask_to_boot
from cp_backend.store.hub_questions import Look, read_answers
from cp_backend.store.presence import Heartbeat, look_up_owners, write_heartbeats
from cp_backend.store.presumed_ends import count_due, find_lost, make_final
from cp_backend.store.sessions import count_sessions
from scripts.world import new_database
from third_party_backend.relay import authorizer, deliveries
from third_party_backend.relay.planner import Planner, relay_events
from third_party_backend.relay.planning.context import Context
from third_party_backend.settings import from_environment
from third_party_backend.telemetry import relay_metrics

Plan = dict[str, Any]

# What grows with business: table → an INSERT of `rows` past things and a few that are under way.
LARGE: dict[str, str] = {
    "commands": """
        INSERT INTO commands (charging_point_id, kind, arguments, requested_by, queued_at, deadline,
                              state, outcome, done_at, done_outcome)
        SELECT 'CP' || n %% 1000, CASE n %% 3 WHEN 0 THEN 'update_firmware' ELSE 'remote_start' END,
               '{"id_tag": "TAG"}', 'tests', now() - interval '1 day', now() - interval '1 day',
               'answered', 'accepted', now() - interval '1 day', 'done'
        FROM generate_series(1, %(rows)s) AS n""",
    "sessions": """
        INSERT INTO sessions (charging_point_id, evse_number, id_tag, state, started_at,
                              meter_start_wh, start_status, start_decision, ended_at,
                              meter_stop_wh)
        SELECT 'CP' || n %% 1000, 1, 'TAG',
               CASE WHEN n %% 1000 = 0 THEN 'charging' ELSE 'ended' END,
               now() - make_interval(secs => n), 0, 'Accepted', 'accepted',
               CASE WHEN n %% 1000 = 0 THEN NULL ELSE now() - make_interval(secs => n - 1) END,
               CASE WHEN n %% 1000 = 0 THEN NULL ELSE 1000 END
        FROM generate_series(1, %(rows)s) AS n""",
    "meter_values": """
        INSERT INTO meter_values (charging_point_id, evse_number, session_id, sampled_at, energy_wh,
                                  sampled_values, digest)
        SELECT 'CP' || n %% 1000, 1, n, now() - make_interval(secs => n), n, '[]', n
        FROM generate_series(1, %(rows)s) AS n""",
    "events": """
        INSERT INTO events (kind, charging_point_id, payload, occurred_at, relayed_at)
        SELECT 'session_ended', 'CP' || n %% 1000, jsonb_build_object('session_id', n),
               now() - make_interval(secs => n), now() - make_interval(secs => n)
        FROM generate_series(1, %(rows)s) AS n""",
    "hub_sessions": """
        INSERT INTO hub_sessions (hub_session_id, provider_id, evse_id, charging_point_id,
                                  evse_number, identification, id_tag, cpo_partner_session_id,
                                  state, session_id, created_at)
        SELECT 'h' || n, 'P', 'E', 'CP' || n %% 1000, 1, '{}', 'H' || n, 'p',
               CASE WHEN n %% 1000 = 0 THEN 'accepted' ELSE 'ended' END, n,
               now() - make_interval(secs => n)
        FROM generate_series(1, %(rows)s) AS n""",
    "deliveries": """
        INSERT INTO deliveries (queue, key, hub_session_id, payload, state, settled_at)
        SELECT CASE n %% 3 WHEN 0 THEN 'charge-detail-record' ELSE 'notification' END, 'k' || n,
               'h' || n, '{}', 'delivered', now() - make_interval(secs => n)
        FROM generate_series(1, %(rows)s) AS n""",
    "authorizations": """
        INSERT INTO authorizations (kind, charging_point_id, id_tag, deadline, state)
        SELECT 'authorize-start', 'CP' || n %% 1000, '04A1B2C3', now() - interval '1 hour',
               'expired'
        FROM generate_series(1, %(rows)s) AS n""",
    "notices": """
        INSERT INTO notices (charging_point_id, kind, status, detail)
        SELECT 'CP' || n %% 1000, 'log', 'Idle', '{}' FROM generate_series(1, %(rows)s) AS n""",
}


def fill(url: str, rows: int, *, say: Callable[[str], None] = lambda _: None) -> None:
    """Put so many rows into each large table, without waiting for its indexes or keys."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO charging_points (charging_point_id, vendor)"
            " SELECT 'CP' || n, 'V' FROM generate_series(0, 999) AS n"
        )
        connection.execute("SET session_replication_role = replica")  # no foreign keys
        connection.execute("SET synchronous_commit = off")
        for table, statement in LARGE.items():
            began = time.monotonic()
            connection.execute(statement, {"rows": rows})
            say(f"{table}: {rows:,} rows in {time.monotonic() - began:.0f} s")
        connection.execute("VACUUM ANALYZE")


class _Explained:
    """Plans of the statements that cursors carried out: (statement, plan)."""

    plans: ClassVar[list[tuple[str, Plan]]] = []

    @staticmethod
    def explains(query: Any) -> bytes | None:
        text = query if isinstance(query, bytes) else str(query).encode()
        word = text.split(None, 1)[0].upper() if text.split() else b""
        return text if word in (b"SELECT", b"WITH", b"INSERT", b"UPDATE", b"DELETE") else None


class ExplainingCursor(psycopg.Cursor[Any]):
    """Explains before it executes."""

    def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        text = _Explained.explains(query)
        if text is not None:
            super().execute(b"EXPLAIN (FORMAT JSON) " + text, params, **more)
            (row,) = self.fetchall()
            _Explained.plans.append((text.decode(), row[0][0]["Plan"]))
        return super().execute(query, params, **more)


class AsyncExplainingCursor(psycopg.AsyncCursor[Any]):
    """Explains before it executes."""

    async def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        text = _Explained.explains(query)
        if text is not None:
            await super().execute(b"EXPLAIN (FORMAT JSON) " + text, params, **more)
            (row,) = await self.fetchall()
            _Explained.plans.append((text.decode(), row[0][0]["Plan"]))
        return await super().execute(query, params, **more)


def of_nodes() -> dict[str, Callable[[Any], Awaitable[Any]]]:
    """Return what nodes ask again and again, given a cursor."""
    heartbeat = Heartbeat(uuid4(), "", 1, False, {})
    return {
        "heartbeat": lambda c: write_heartbeats(c, [heartbeat]),
        "claim of commands": lambda c: commands.claim(c, uuid4(), sorted(CommandKind)),
        "jobs": jobs.advance,
        "sessions in progress": lambda c: count_sessions(c, [None]),
        "answers of the hub": lambda c: read_answers(c, [Look([1, 2], [1])]),
        "lost stops": lambda c: find_lost(c, [600.0]),
        "presumed ends due": lambda c: count_due(c, [3600.0]),
        "presumed ends made final": lambda c: make_final(c, [3600.0]),
        "owners": lambda c: look_up_owners(c, [["CP1"]]),
        "asked to boot": lambda c: ask_to_boot(c, ["CP1"]),
        "lenses": lambda c: messages.lenses(c.connection),
    }


def of_the_relay(url: str) -> dict[str, Callable[[Any], Any]]:
    """Return what the relay asks again and again, given a connection: whatever its planner does."""
    settings = from_environment({"THIRD_PARTY_OPERATOR_ID": "DE*VNI"})
    planner = Planner(url, settings, relay_metrics(), threading.Event())
    kind = authorizer.AuthorizationKind.START
    return {
        "events": lambda c: relay_events(Context(c, settings)),
        **{
            job.run.__qualname__: lambda c, job=job: job.run(Context(c, settings))
            for job in planner._jobs
        },
        **{f"due {queue}": lambda c, q=queue: deliveries.due(c, q, 500) for queue in Queue},
        **{f"state {queue}": lambda c, q=queue: deliveries.queue_state(c, q) for queue in Queue},
        "figures": deliveries.figures,
        "questions about cards": lambda c: authorizer._claim(c, kind),
        "beat of questions": lambda c: authorizer._beat(c, kind),
    }


def run(url: str) -> tuple[dict[str, float], list[str]]:
    """Carry out what is periodic; return milliseconds by name, and what is wrong with the plans."""
    took: dict[str, float] = {}
    wrong: list[str] = []

    def note(name: str, began: float) -> None:
        took[name] = (time.perf_counter() - began) * 1000
        wrong.extend(
            f"{name}: {fault} in {' '.join(text.split())[:200]}"
            for text, plan in _Explained.plans
            for fault in faults(plan)
        )
        _Explained.plans.clear()

    async def nodes() -> None:
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, cursor_factory=AsyncExplainingCursor
        )
        async with connection:
            for name, ask in of_nodes().items():
                began = time.perf_counter()
                async with connection.transaction(force_rollback=True), connection.cursor() as c:
                    await ask(c)
                note(name, began)

    asyncio.run(nodes())
    with psycopg.connect(url, autocommit=True, cursor_factory=ExplainingCursor) as connection:
        for name, ask in of_the_relay(url).items():
            began = time.perf_counter()
            with connection.transaction(force_rollback=True):
                ask(connection)
            note(name, began)
    return took, wrong


def faults(plan: Plan, limited: bool = False) -> list[str]:
    """Return what a plan does that takes longer the more a large table has grown."""
    kind, table = plan["Node Type"], plan.get("Relation Name", "")
    found = []
    # Partitions of other months are empty here: to read one whole is what costs least.
    month = f"_{datetime.now(UTC):%Y%m}"
    large = any(table in (name, name + month) for name in LARGE)
    if large and kind == "Seq Scan" and not limited:
        found.append(f"{table} is read whole")
    if large and kind in ("Index Scan", "Index Only Scan") and not limited:
        whole = not plan.get("Index Cond") and plan["Plan Rows"] > 1000
        if whole and plan["Index Name"].endswith(("_pkey", "_key")):
            found.append(f"{table} is read whole by {plan['Index Name']}")
    limited = limited or kind == "Limit"
    return found + [each for below in plan.get("Plans", ()) for each in faults(below, limited)]


def main() -> int:
    """`make plans`: fill a database, run all, print how long each takes; 1 for a wrong plan."""
    parser = argparse.ArgumentParser(prog="python -m tests.plans", description=__doc__)
    parser.add_argument("--rows", type=int, default=6_000_000, help="in each large table")
    options = parser.parse_args()
    with new_database("plans") as url:
        fill(url, options.rows, say=lambda line: print(line, flush=True))
        run(url)  # once to fill caches
        took, wrong = run(url)
    for name, milliseconds in sorted(took.items(), key=lambda item: -item[1]):
        print(f"{milliseconds:9.1f} ms  {name}")
    print("\n".join(wrong) or "no large table is read whole")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
