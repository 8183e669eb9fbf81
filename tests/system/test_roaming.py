"""The roaming flows, end to end: hub, service, relay, database, node, charging point."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import trustme

from operations import hub as back_office
from operations import prices, tokens
from tests.hub import PROVIDER
from tests.system.roaming import BY, CARD, ENDLESS
from tests.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "docs/examples"


def test_a_remote_start_is_told_of_and_billed_once(roaming):
    roaming.begin("--progress-interval", 1, progress_interval=1)
    simulator = roaming.charge(
        *("--wait-for-remote", "--duration", 800, "--meter-values-interval", 60)
    )
    roaming.has_status("Available")
    started = roaming.start(emp_partner_session_id="theirs")
    assert started["code"] == "000"
    roaming.has_status("Occupied")
    session = roaming.billed(started["session"])
    roaming.has_status("Available")
    (charged,) = simulator.report()["sessions"]
    assert session["energy_wh"] == charged["energy_wh"] > 0
    assert roaming.energy() == {started["session"]: charged["energy_wh"]}
    kinds = [notification["type"] for notification in session["notifications"]]
    assert (kinds[0], kinds[-1]) == ("Start", "End")
    assert set(kinds[1:-1]) == {"Progress"}
    assert session["cdr"]["CPOPartnerSessionID"] == started["answer"]["CPOPartnerSessionID"]
    assert session["cdr"]["EMPPartnerSessionID"] == "theirs"
    assert session["cdr_copies"] == 0
    assert session["seconds_to_cdr"] < 10
    assert roaming.hub.violations() == []


def test_a_remote_stop_ends_and_bills_it(roaming):
    roaming.begin()
    simulator = roaming.charge("--wait-for-remote", *ENDLESS)
    session = roaming.start()["session"]
    eventually(lambda: roaming.notified(session) == ["Start"], 20)
    assert roaming.stop(session)["code"] == "000"
    billed = roaming.billed(session)
    assert roaming.notified(session) == ["Start", "End"]
    assert billed["energy_wh"] == simulator.report()["energy_wh"]
    assert roaming.stop(session)["code"] == "400"
    assert roaming.hub.violations() == []


def test_a_remote_start_on_what_cannot_be_started_is_answered_by_its_code(roaming):
    roaming.begin(charging_points=5, silent=(5,))
    roaming.charge("--sessions", 0, "--stay", "--status", "Faulted", expect="Faulted", first=1)
    roaming.charge(
        *("--sessions", 0, "--stay", "--status", "Unavailable"), expect="Unavailable", first=2
    )
    tokens.add(roaming.database, "LOCAL", by=BY)
    roaming.charge("--id-tag", "LOCAL", *ENDLESS, expect="Charging", first=3)
    codes = {number: roaming.start(number)["code"] for number in (1, 2, 3, 4, 5, 6)}
    assert codes == {1: "700", 2: "700", 3: "602", 4: "501", 5: "604", 6: "603"}
    roaming.has_status("OutOfService", 1)
    roaming.has_status("OutOfService", 2)
    roaming.has_status("Occupied", 3)
    # A session with a card of our own is nothing to the hub.
    assert {s["code"] for s in roaming.hub.sessions().values()} == set(codes.values())
    assert roaming.hub.figures()["calls"].keys() == {"evse-data", "evse-status"}
    assert roaming.hub.violations() == []


def test_a_start_that_is_accepted_too_late_is_stopped_again(roaming):
    roaming.begin(answer_timeout=1)
    simulator = roaming.charge("--wait-for-remote", "--remote-start-delay", 2, *ENDLESS)
    session = roaming.start()
    assert session["code"] == "501"
    assert simulator.report()["sessions_complete"] == 1
    # The hub knows no such session: it is neither told of it nor billed.
    roaming.has_status("Available")
    assert roaming.hub.session(session["session"])["notifications"] == []
    assert roaming.hub.session(session["session"])["cdr"] is None
    assert roaming.hub.violations() == []


def test_a_driver_whose_car_was_never_plugged_in_is_not_left_with_an_open_session(roaming):
    roaming.begin(start_timeout=2)
    roaming.charge("--wait-for-remote", "--remote-start", "no-car", "--stay")
    session = roaming.start()
    assert session["code"] == "000"
    eventually(lambda: not roaming.hub.session(session["session"])["open"], 20)
    assert not roaming.hub.session(session["session"])["energy_wh"]
    assert roaming.stop(session["session"])["code"] == "400"
    assert roaming.hub.violations() == []


def test_a_card_that_the_hub_vouches_for_charges_and_is_billed(roaming):
    roaming.begin("--token", CARD)
    simulator = roaming.charge("--id-tag", CARD, expect=None)
    (charged,) = simulator.report()["sessions"]
    (session,) = eventually(roaming.hub.sessions)
    billed = roaming.billed(session)
    assert billed["origin"] == "rfid"
    assert billed["energy_wh"] == charged["energy_wh"] > 0
    assert roaming.notified(session) == ["Start", "End"]
    assert billed["cdr"]["Identification"] == {"RFIDMifareFamilyIdentification": {"UID": CARD}}
    assert roaming.energy() == {session: charged["energy_wh"]}
    assert roaming.hub.violations() == []


@pytest.mark.parametrize("token", [CARD, "NO-UID"])
def test_a_card_that_nobody_vouches_for_does_not_charge(roaming, token):
    roaming.begin()
    report = roaming.charge("--id-tag", token, expect=None).report(code=1)
    assert "token refused: Invalid" in report["failures"]["SIM00001"]
    asked = roaming.hub.figures()["calls"].get("authorize-start")
    # What is no UID is never sent as one.
    assert asked == ({"200": 1} if token == CARD else None)
    assert roaming.hub.sessions() == {}
    assert roaming.energy() == {}
    assert roaming.hub.violations() == []


def test_a_card_is_refused_while_the_hub_is_away(roaming):
    roaming.begin("--token", CARD)
    roaming.hub.program.stop()
    report = roaming.charge("--id-tag", CARD, expect=None).report(code=1)
    assert "token refused: Invalid" in report["failures"]["SIM00001"]


def test_a_reservation_keeps_others_away_and_is_used(roaming):
    roaming.begin()
    simulator = roaming.charge("--wait-for-remote")
    hub = roaming.hub
    reserved = hub.control.post(
        "/reserve", evse_id=roaming.evse(), provider_id=PROVIDER, minutes=15
    )
    assert reserved["code"] == "000", reserved
    roaming.has_status("Reserved")
    other = roaming.start(evco_id="DE-EMP-C00000002-X")
    assert other["code"] == "601"
    started = roaming.start()
    assert started["code"] == "000", started
    (charged,) = simulator.report()["sessions"]
    assert roaming.billed(started["session"])["energy_wh"] == charged["energy_wh"]
    # The reservation is over, and says so too.
    assert not roaming.billed(reserved["session"])["energy_wh"]
    assert hub.violations() == []


def test_a_reservation_that_is_cancelled_frees_the_evse(roaming):
    roaming.begin()
    roaming.charge("--wait-for-remote", "--stay")
    hub = roaming.hub
    reserved = hub.control.post("/reserve", evse_id=roaming.evse(), provider_id=PROVIDER)
    assert reserved["code"] == "000", reserved
    roaming.has_status("Reserved")
    cancelled = hub.control.post("/cancel", session_id=reserved["session"])
    assert cancelled["code"] == "000", cancelled
    roaming.has_status("Available")
    assert not roaming.billed(reserved["session"])["energy_wh"]
    again = hub.control.post("/cancel", session_id=reserved["session"])
    assert again["code"] == "000"  # a repeated request gets the answer of the first
    assert hub.violations() == []


def test_prices_reach_the_hub_products_first(roaming):
    roaming.begin(charging_points=2)
    prices.import_table(roaming.database, (EXAMPLES / "prices.csv").read_text(), by=BY)
    roaming.import_evses(2, prices="AC-STANDARD;DC-FAST")
    eventually(
        lambda: (
            [evse["products"] for evse in roaming.hub.control.get("/evses")]
            == [["AC-STANDARD", "DC-FAST"]] * 2
        ),
        30,
    )
    roaming.import_evses(1, prices="AC-STANDARD")
    eventually(
        lambda: roaming.hub.control.get("/evses")[0]["products"] == ["AC-STANDARD"],
        30,
    )
    assert roaming.hub.violations() == []


def test_the_hub_sees_a_status_within_five_seconds(roaming):
    roaming.begin(charging_points=10)
    tokens.add(roaming.database, "LOCAL", by=BY)
    roaming.charge("--id-tag", "LOCAL", "--stay", charging_points=10, expect=None)
    eventually(
        lambda: [s["status"] for s in roaming.hub.control.get("/statuses")].count("Occupied") == 10,
        30,
    )
    for number in range(1, 11):
        roaming.has_status("Available", number, 30)
    seen = {
        (change["evse"], change["status"]): datetime.fromisoformat(change["at"])
        for change in roaming.hub.control.get("/statuses")
    }
    rows = roaming.database.execute(
        "SELECT evse_id, status_at FROM evses WHERE evse_number = 1"
    ).fetchall()
    lags = [seen[evse, "Available"] - at for evse, at in rows]
    assert max(lags) < timedelta(seconds=5)
    assert roaming.hub.violations() == []


@pytest.fixture
def certificates(tmp_path):
    """Files of a CA, of the hub, of us, and of a stranger; each with its key in it."""
    authority, other = trustme.CA(), trustme.CA()
    files = {"ca": tmp_path / "ca.pem"}
    authority.cert_pem.write_to_path(str(files["ca"]))
    for name, issuer in (("hub", authority), ("us", authority), ("stranger", other)):
        files[name] = tmp_path / f"{name}.pem"
        made = issuer.issue_cert("127.0.0.1")
        made.private_key_and_cert_chain_pem.write_to_path(str(files[name]))
    return files


def test_the_relay_shows_its_certificate(roaming, certificates):
    hub_words = (
        *("--certificate", certificates["hub"], "--key", certificates["hub"]),
        *("--client-ca", certificates["ca"]),
    )
    us = certificates["us"]
    roaming.begin(*hub_words, hub_certificate=us, hub_key=us, hub_ca=certificates["ca"])
    roaming.charge("--sessions", 0, "--stay")
    roaming.has_status("Available")
    assert roaming.hub.violations() == []


def test_a_record_that_may_be_tried_again_arrives_once(roaming):
    kinds = ["too-many", "error", "timeout", "unavailable", "system-error", "uncertain",
             "cut-before", "cut-after"]  # fmt: skip
    roaming.begin()
    roaming.charge("--wait-for-remote", "--sessions", len(kinds))
    sessions = []
    for kind in kinds:
        roaming.has_status("Available")
        roaming.hub.misbehave(kind, "cdr")
        sessions.append(roaming.start()["session"])
        roaming.billed(sessions[-1])
    assert roaming.hub.figures()["calls"]["cdr"].keys() == {
        *("200", "404", "408", "429", "500", "503", "cut")
    }
    assert {s: roaming.hub.session(s)["energy_wh"] for s in sessions} == roaming.energy()
    eventually(lambda: roaming.deliveries("charge-detail-record", "delivered") == len(kinds))
    assert roaming.hub.violations() == []


def test_a_record_that_the_hub_refuses_waits_for_the_operator(roaming):
    kinds = ["validation", "unauthorized", "forbidden-html", "no-session"]
    roaming.begin()
    roaming.charge("--wait-for-remote", "--sessions", len(kinds))
    for number, kind in enumerate(kinds, 1):
        roaming.has_status("Available")
        roaming.hub.misbehave(kind, "cdr")
        session = roaming.start()["session"]
        eventually(lambda n=number: roaming.deliveries("charge-detail-record", "parked") == n, 20)
        assert roaming.hub.session(session)["cdr"] is None
        assert session in {parked.key for parked in back_office.list_parked(roaming.database)}
    back_office.requeue(roaming.database, by=BY, everything=True)
    eventually(lambda: roaming.hub.figures()["sessions_open"] == 0, 20)
    assert roaming.hub.figures()["energy_wh"] == sum(roaming.energy().values())
    assert roaming.hub.violations() == []


def test_while_the_hub_is_away_nothing_is_lost_and_then_all_comes_in_order(roaming):
    roaming.begin(charging_points=5, hub_max_backoff=0.5)
    simulator = roaming.charge("--wait-for-remote", "--duration", 480, charging_points=5)
    for number in range(1, 6):
        roaming.has_status("Available", number)
    sessions = [roaming.start(number)["session"] for number in range(1, 6)]
    roaming.hub.program.kill()
    report = simulator.report()
    assert len(report["sessions"]) == 5
    roaming.hub.start_again()
    for session in sessions:
        billed = roaming.billed(session, 60)
        assert billed["energy_wh"] == roaming.energy()[session]
        eventually(lambda name=session: roaming.notified(name) == ["Start", "End"], 30)
    for number in range(1, 6):
        eventually(lambda number=number: roaming.hub.statuses()[roaming.evse(number)] != "Reserved")
    figures = roaming.hub.figures()
    assert figures["energy_wh"] == report["energy_wh"]
    assert "cdr: before the End" not in figures["remarks"]
    assert roaming.hub.violations() == []
