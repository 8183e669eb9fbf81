"""Whatever dies at whatever moment: the hub holds exactly one right record for each session.

`make roaming-kills` runs it with 50 deaths over 500 sessions, as docs/roaming-figures.md tells.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from tests.waiting import eventually

KILLS = int(os.environ.get("ROAMING_KILLS", "15"))
CHARGING_POINTS, SESSIONS, RELAYS = 25, KILLS * 2 // 5, 3
APART_SECONDS = 0.5
CUTS = 0.2
"""How often a death comes with the loss of all connections to the database."""


def drive(roaming, number):
    """Start as many sessions at an EVSE as are wanted; return those that were accepted."""
    accepted, pause, deadline = [], threading.Event(), time.monotonic() + 300
    while len(accepted) < SESSIONS:
        assert time.monotonic() < deadline, f"only {len(accepted)} sessions at EVSE {number}"
        answer = roaming.start(number)
        assert answer["code"] in ("000", "501", "602"), answer
        if answer["code"] == "000":
            accepted.append(answer["session"])
        pause.wait(0.3)
    return accepted


def kill_again_and_again(roaming, chance):
    """Kill the relay that has lived longest, so most likely works the queues; start another."""
    living = deque(roaming.run_relay() for _ in range(RELAYS))
    pause = threading.Event()
    for _ in range(KILLS):
        oldest = living.popleft()
        # However slow the machine: one that has not begun yet has nothing to lose.
        eventually(lambda relay=oldest: "relaying" in relay.log.read_text(), 60)
        pause.wait(chance.uniform(0, 2 * APART_SECONDS))
        oldest.kill()
        living.append(roaming.run_relay())
        if chance.random() < CUTS:
            cut_the_database(roaming)


def cut_the_database(roaming):
    """Take the database from all relays at once, as its restart would."""
    roaming.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'third-party-backend _%'"
        " AND application_name <> 'third-party-backend answers'"
    )


def test_relays_killed_at_random_moments_bill_every_session_once(roaming):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    roaming.begin(
        "--no-limits", "--seed", seed, charging_points=CHARGING_POINTS, relay=False, hub_pace=100
    )
    hub = roaming.hub
    # Time enough to die in the middle of a call, and answers that are lost without a death.
    hub.misbehave("cut-after", "cdr", calls=None, share=0.05)
    hub.misbehave("slow", "cdr", calls=None, seconds=0.01)
    roaming.charge(
        *("--wait-for-remote", 120, "--sessions", SESSIONS, "--stay"),
        *("--duration", 60, "--meter-values-interval", 60, "--time-compression", 600),
        charging_points=CHARGING_POINTS,
    )
    with ThreadPoolExecutor(CHARGING_POINTS + 1) as pool:
        killing = pool.submit(kill_again_and_again, roaming, random.Random(seed))
        driving = [pool.submit(drive, roaming, n) for n in range(1, CHARGING_POINTS + 1)]
        accepted = {session for drove in driving for session in drove.result()}
        killing.result()
    assert len(accepted) == CHARGING_POINTS * SESSIONS
    eventually(lambda: hub.figures()["cdrs"] >= len(accepted), 180)
    eventually(lambda: hub.figures()["sessions_open"] == 0, 60)
    billed = {name: s["energy_wh"] for name, s in hub.sessions().items() if s["cdr"]}
    assert billed.keys() == accepted
    assert billed == roaming.energy()
    assert hub.violations() == []
    # The deaths were no deaths in bed: calls were under way, and records came twice.
    figures = hub.figures()
    assert figures["cdrs_again"] > 0
    print(figures)
