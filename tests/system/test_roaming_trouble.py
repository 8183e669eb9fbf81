"""What goes wrong between the hub and us: races, lost answers, late words, withdrawn EVSEs."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from operations import evses
from operations import hub as back_office
from tests.system.roaming import BY, CARD, ENDLESS
from tests.waiting import eventually


def test_of_drivers_who_start_one_evse_at_once_one_wins(roaming):
    roaming.begin()
    roaming.charge("--wait-for-remote", "--remote-start-delay", 0.5, *ENDLESS)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(roaming.start, evco_id=f"DE-EMP-C0000000{n}-X") for n in range(4)]
        codes = Counter(answer.result()["code"] for answer in answers)
    assert codes == {"000": 1, "602": 3}
    assert roaming.hub.violations() == []


def test_a_start_that_the_hub_repeats_starts_once(roaming):
    roaming.begin()
    roaming.charge("--wait-for-remote", "--remote-start-delay", 0.5, *ENDLESS)
    session = str(uuid.uuid4())
    with ThreadPoolExecutor(3) as pool:
        starts = [pool.submit(roaming.start, session_id=session) for _ in range(3)]
        answers = [start.result()["answer"] for start in starts]
    assert answers[0]["StatusCode"]["Code"] == "000"
    assert answers[0] == answers[1] == answers[2]
    assert roaming.start(session_id=session)["answer"] == answers[0]
    (commands,) = roaming.database.execute("SELECT count(*) FROM commands").fetchone()
    assert commands == 1
    assert roaming.hub.violations() == []


def test_a_start_that_is_taken_back_before_the_car_came_is_closed(roaming):
    roaming.begin()
    roaming.charge(
        *("--wait-for-remote", "--remote-start", "no-car", "--stay"),
    )
    session = roaming.start()["session"]
    assert roaming.stop(session)["code"] == "000"
    eventually(lambda: not roaming.hub.session(session)["open"], 20)
    assert roaming.hub.violations() == []


def test_a_card_whose_answer_was_lost_is_asked_for_again(roaming):
    roaming.begin("--token", CARD)
    roaming.hub.misbehave("cut-after", "authorize-start")
    roaming.charge("--id-tag", CARD, expect=None).report()
    (session,) = roaming.hub.sessions()
    assert roaming.billed(session)["energy_wh"] == roaming.energy()[session]
    assert roaming.hub.figures()["remarks"]["authorize-start: asked again"] == 1
    assert roaming.hub.violations() == []


def test_a_card_that_is_authorized_too_late_leaves_no_open_session(roaming):
    roaming.begin("--token", CARD)
    roaming.hub.misbehave("slow", "authorize-start", seconds=9.5)
    roaming.charge("--id-tag", CARD, expect=None).report(code=1)
    (session,) = eventually(roaming.hub.sessions, 20)
    eventually(lambda: not roaming.hub.session(session)["open"], 30)
    assert not roaming.hub.session(session)["energy_wh"]
    assert roaming.hub.violations() == []


def test_a_session_that_ends_offline_is_billed_when_it_is_told(roaming):
    roaming.begin()
    simulator = roaming.charge(
        *("--wait-for-remote", "--duration", 240, "--offline-after", 0.5, "--offline-for", 3),
    )
    session = roaming.start()["session"]
    billed = roaming.billed(session, 30)
    assert billed["energy_wh"] == simulator.report()["energy_wh"]
    assert roaming.notified(session) == ["Start", "End"]
    assert roaming.hub.violations() == []


def test_an_evse_that_is_withdrawn_while_it_charges_is_billed_all_the_same(roaming):
    roaming.begin()
    roaming.charge("--wait-for-remote", *ENDLESS)
    session = roaming.start()["session"]
    eventually(lambda: roaming.notified(session) == ["Start"], 20)
    evses.set_roaming(roaming.database, [roaming.evse()], by=BY, roaming=False)
    eventually(lambda: roaming.hub.statuses() == {}, 20)
    assert roaming.stop(session)["code"] == "000"
    assert roaming.billed(session)["energy_wh"] == roaming.energy()[session]
    evses.set_roaming(roaming.database, [roaming.evse()], by=BY, roaming=True)
    roaming.has_status("Available")
    assert roaming.hub.violations() == []


def test_a_hub_that_forgot_everything_is_told_again(roaming):
    roaming.begin()
    roaming.charge("--wait-for-remote", "--stay")
    roaming.has_status("Available")
    roaming.hub.program.stop()
    roaming.hub.file.unlink()
    roaming.hub.start_again()
    back_office.request_full_load(roaming.database, "evse-data", by=BY)
    back_office.request_full_load(roaming.database, "evse-status", by=BY)
    roaming.has_status("Available")
    session = roaming.start()["session"]
    assert roaming.billed(session)["energy_wh"] == roaming.energy()[session]
    assert roaming.hub.violations() == []


def test_a_status_that_came_and_went_while_its_answer_was_lost_is_put_right(roaming):
    roaming.begin()
    roaming.charge("--wait-for-remote", "--stay", "--time-compression", 5000)
    roaming.has_status("Available")
    # The hub hears Occupied and does not say so; before the next try it is over.
    roaming.hub.misbehave("uncertain", "evse-status")
    roaming.billed(roaming.start()["session"])
    assert "Occupied" in {change["status"] for change in roaming.hub.control.get("/statuses")}
    roaming.has_status("Available")
    assert roaming.hub.violations() == []


def test_progress_goes_on_after_an_answer_was_lost(roaming):
    roaming.begin("--progress-interval", 1, progress_interval=1, hub_max_backoff=0.5)
    roaming.charge("--wait-for-remote", *ENDLESS)
    session = roaming.start()["session"]
    eventually(lambda: roaming.notified(session) == ["Start"], 20)
    roaming.hub.misbehave("uncertain", "notification")
    # Sent again, it comes too early for the hub, and is let go; the next one comes.
    eventually(lambda: roaming.notified(session).count("Progress") >= 3, 40)
    assert roaming.hub.figures()["remarks"]["notification: Progress again"] == 1
    roaming.stop(session)
    roaming.billed(session)
    assert roaming.hub.violations() == []


def test_a_hub_that_errs_in_every_way_is_told_everything_once(roaming):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    charging_points, each = 8, 5
    roaming.begin(
        *("--no-limits", "--seed", seed, "--token", CARD),
        charging_points=charging_points,
        hub_pace=100,
        hub_max_backoff=0.2,
    )
    for kind in ("error", "cut-before", "cut-after", "uncertain", "timeout", "unavailable",
                 "system-error", "too-many"):  # fmt: skip
        roaming.hub.misbehave(kind, calls=None, share=0.06)
    simulator = roaming.charge(
        *("--wait-for-remote", "--sessions", each, "--time-compression", 600),
        charging_points=charging_points,
    )

    def drive(number):
        accepted = []
        while len(accepted) < each:
            answer = roaming.start(number)
            if answer["code"] == "000":
                accepted.append(answer["session"])
                eventually(lambda: "End" in roaming.notified(accepted[-1]), 60)
        return accepted

    with ThreadPoolExecutor(charging_points) as pool:
        driving = [pool.submit(drive, number) for number in range(1, charging_points + 1)]
        accepted = {session for drove in driving for session in drove.result()}
    report = simulator.report()
    eventually(lambda: roaming.hub.figures()["sessions_open"] == 0, 60)
    roaming.hub.control.delete("/faults")
    for number in range(1, charging_points + 1):
        roaming.has_status("Available", number)
    billed = {n: s["energy_wh"] for n, s in roaming.hub.sessions().items() if s["cdr"]}
    assert billed == roaming.energy()
    assert billed.keys() == accepted
    assert sum(billed.values()) == report["energy_wh"]
    assert roaming.hub.violations() == []
    assert roaming.deliveries("charge-detail-record", "parked") == 0
    print(roaming.hub.figures())
