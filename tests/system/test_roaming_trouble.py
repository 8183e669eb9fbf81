"""What goes wrong between the hub and us: races, lost answers, late words, withdrawn EVSEs."""

from __future__ import annotations

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.system.test_roaming import CARD, ENDLESS, roaming  # noqa: F401 - a fixture
from tests.waiting import eventually


def test_of_drivers_who_start_one_evse_at_once_one_wins(roaming):  # noqa: F811
    roaming.begin()
    roaming.charge("--wait-for-remote", "--remote-start-delay", 0.5, *ENDLESS)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(roaming.start, evco_id=f"DE-EMP-C0000000{n}-X") for n in range(4)]
        codes = Counter(answer.result()["code"] for answer in answers)
    assert codes == {"000": 1, "602": 3}
    assert roaming.hub.violations() == []


def test_a_start_that_the_hub_repeats_starts_once(roaming):  # noqa: F811
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


def test_a_start_that_is_taken_back_before_the_car_came_is_closed(roaming):  # noqa: F811
    roaming.begin()
    roaming.charge(
        *("--wait-for-remote", "--remote-start", "no-car", "--stay"),
    )
    session = roaming.start()["session"]
    assert roaming.stop(session)["code"] == "000"
    eventually(lambda: not roaming.hub.session(session)["open"], 20)
    assert roaming.hub.violations() == []


def test_a_card_whose_answer_was_lost_is_asked_for_again(roaming):  # noqa: F811
    roaming.begin("--token", CARD)
    roaming.hub.misbehave("cut-after", "authorize-start")
    roaming.charge("--id-tag", CARD, expect=None).report()
    (session,) = roaming.hub.sessions()
    assert roaming.billed(session)["energy_wh"] == roaming.energy()[session]
    assert roaming.hub.figures()["remarks"]["authorize-start: asked again"] == 1
    assert roaming.hub.violations() == []


def test_a_card_that_is_authorized_too_late_leaves_no_open_session(roaming):  # noqa: F811
    roaming.begin("--token", CARD)
    roaming.hub.misbehave("slow", "authorize-start", seconds=9.5)
    roaming.charge("--id-tag", CARD, expect=None).report(code=1)
    (session,) = eventually(roaming.hub.sessions, 20)
    eventually(lambda: not roaming.hub.session(session)["open"], 30)
    assert not roaming.hub.session(session)["energy_wh"]
    assert roaming.hub.violations() == []


def test_a_session_that_ends_offline_is_billed_when_it_is_told(roaming):  # noqa: F811
    roaming.begin()
    simulator = roaming.charge(
        *("--wait-for-remote", "--duration", 240, "--offline-after", 0.5, "--offline-for", 3),
    )
    session = roaming.start()["session"]
    billed = roaming.billed(session, 30)
    assert billed["energy_wh"] == simulator.report()["energy_wh"]
    assert roaming.notified(session) == ["Start", "End"]
    assert roaming.hub.violations() == []


def test_an_evse_that_is_withdrawn_while_it_charges_is_billed_all_the_same(roaming):  # noqa: F811
    roaming.begin()
    roaming.charge("--wait-for-remote", *ENDLESS)
    session = roaming.start()["session"]
    eventually(lambda: roaming.notified(session) == ["Start"], 20)
    roaming.operations("evses", "withdraw", roaming.evse())
    eventually(lambda: roaming.hub.statuses() == {}, 20)
    assert roaming.stop(session)["code"] == "000"
    assert roaming.billed(session)["energy_wh"] == roaming.energy()[session]
    roaming.operations("evses", "offer", roaming.evse())
    roaming.has_status("Available")
    assert roaming.hub.violations() == []


def test_a_hub_that_forgot_everything_is_told_again(roaming):  # noqa: F811
    roaming.begin()
    roaming.charge("--wait-for-remote", "--stay")
    roaming.has_status("Available")
    roaming.hub.program.stop()
    roaming.hub.file.unlink()
    roaming.hub.start_again()
    roaming.operations("hub", "full-load", "evse-data")
    roaming.operations("hub", "full-load", "evse-status")
    roaming.has_status("Available")
    session = roaming.start()["session"]
    assert roaming.billed(session)["energy_wh"] == roaming.energy()[session]
    assert roaming.hub.violations() == []
