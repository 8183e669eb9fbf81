"""Whatever is killed or lost: what the meters counted is billed once, or on the audit's list."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from charging.database.connection import rows
from operations import energy_audits
from scripts.world import Node
from tests.rows import add_token
from tests.waiting import eventually

KILLS = 4
EACH = 5
"""Charging points of each kind."""
SESSIONS = 3
SETTINGS = {
    "admit_unknown": "true",
    "lost_stop_interval": "0.2",
    "lost_stop_quiet": "3600",
    "presumed_end_hold": "1",
}
KINDS = (
    (),
    ("--deviate", "lost-stop"),
    ("--deviate", "clock-1970"),
    ("--deviate", "stop-transaction-minus-one"),
    # ends offline, and begins its next one there
    ("--offline-after", 1, "--offline-for", 6),
    ("--offline-after", 1, "--offline-for", 6, "--deviate", "lost-stop"),
    ("--offline-after", 1, "--offline-for", 6, "--deviate", "clock-1970"),
)


class Fleets:
    """Charging points whose meters go on from run to run."""

    def __init__(self, simulate, port, directory):
        self._simulate = simulate
        self._words = (
            *("--plain", "--port", port, "--id-tag", "TAG", "--state-directory", directory),
            *("--duration", 200, "--meter-values-interval", 30),
            *("--time-compression", 100),
        )
        self._meters = defaultdict(list)

    def start(self, first, count, *words):
        return self._simulate(*self._words, "--first", first, "--charging-points", count, *words)

    def note(self, report):
        """Note the registers of a run's sessions."""
        for session in report["sessions"]:
            assert session["meter_stop_wh"] is not None
            self._meters[session["identity"]] += [
                session["meter_start_wh"],
                session["meter_stop_wh"],
            ]

    def counted_wh(self):
        """What all meters counted."""
        return sum(max(registers) - min(registers) for registers in self._meters.values())


def test_nodes_killed_while_stops_are_lost_and_clocks_are_wrong(
    run_node, database, simulate, tmp_path
):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance, pause = random.Random(seed), threading.Event()
    add_token(database, "TAG")
    node = run_node(**SETTINGS)
    fleets = Fleets(simulate, node.port, tmp_path / "registers")
    running = [
        fleets.start(1 + EACH * kind, EACH, "--sessions", SESSIONS, *words)
        for kind, words in enumerate(KINDS)
    ]
    with ExitStack() as stack:
        for _ in range(KILLS):
            eventually(lambda: rows(database, "SELECT 1 FROM connections"), 30)
            pause.wait(chance.uniform(0.2, 2))
            node.program.kill()
            node = Node.again(node, SETTINGS)
            stack.callback(node.program.stop)
            node.wait_until_ready()
        for simulator in running:
            fleets.note(simulator.report(seconds=120))
        # What the last session of each lost shows in the next.
        closing = fleets.start(1, EACH * len(KINDS), "--sessions", 1)
        fleets.note(closing.report(seconds=120))
        eventually(lambda: not rows(database, "SELECT 1 FROM sessions WHERE state = 'charging'"))
        eventually(
            lambda: (
                not rows(
                    database,
                    "SELECT 1 FROM sessions WHERE presumed IS NOT NULL AND end_final_at IS NULL",
                )
            )
        )
    today = datetime.now(UTC).date()
    made = energy_audits.make(
        database, today - timedelta(days=1), until=today + timedelta(days=1), power_margin=1000
    ).audit
    assert made.balances
    assert made.metered_wh == fleets.counted_wh() > 0
    (seen,) = rows(
        database,
        "SELECT count(*) FILTER (WHERE presumed = 'later_start') AS lost,"
        " count(*) FILTER (WHERE 'clock' = ANY(doubts)) AS clocks,"
        " count(*) FILTER (WHERE start_received_at - started_at > interval '1 second') AS offline"
        " FROM sessions",
    )
    print(seen, made.sessions, made.metered_wh, made.billed_wh, made.listed_wh)
    assert min(seen.values()) > 0
