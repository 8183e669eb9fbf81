"""What operators look at and do, page by page, as people of each role."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from charging.command import CommandKind
from operations.console.app import create_app
from operations.console.services import services
from operations.console.settings import Settings
from operations.people import Role
from tests.operations.console.visitor import Visitor
from tests.rows import (
    add_charging_point,
    add_connection,
    add_evse,
    add_node,
    add_reading,
    add_session,
    add_token,
    insert,
)
from tests.station import Station, ago
from tests.waiting import eventually

PAGES = (
    "/", "/now", "/nodes", "/charging-points", "/charging-point?id=CP1",
    "/charging-point/state?id=CP1", "/charging-point/timeline?id=CP1",
    "/charging-point/states?id=CP1", "/charging-point/settings?id=CP1",
    "/charging-point/deviations?id=CP1", "/charging-point/files?id=CP1",
    "/charging-points/refused", "/cards/refused", "/commands", "/sessions",
    "/session/1", "/sessions/unassigned", "/cards", "/hub", "/jobs", "/audit", "/account",
)  # fmt: skip
EVIL = '<script>alert(1)</script>\u202e"\x1b[31m'


@pytest.fixture
def one_of_each(database):
    """A charging point that charges, with rows in all that pages show; texts are hostile."""
    add_charging_point(
        database, vendor=EVIL, model=EVIL, serial_number=EVIL, firmware_version=EVIL,
        last_seen_at=ago(hours=2),
    )  # fmt: skip
    add_evse(database, state="faulted", status=EVIL, error_code=EVIL, status_at=ago(hours=1))
    add_token(database, "04A1B2C3", note=EVIL)
    session = add_session(database, state="charging", started_at=ago(hours=30))
    add_reading(database, session, 1500, sampled_at=ago(minutes=2),
                sampled_values=[{"value": "1500", "unit": EVIL}])  # fmt: skip
    add_reading(database, session, 2000, sampled_at=ago(minutes=1))
    insert(database, "unassigned_facts", charging_point_id="CP1", action="stop",
           payload={"x": EVIL}, digest=1)  # fmt: skip
    insert(database, "deliveries", queue="evse-data", key=EVIL, state="parked", reason=EVIL,
           payload={"x": EVIL}, settled_at=ago(hours=1))  # fmt: skip
    insert(database, "commands", charging_point_id="CP1", kind="reset", arguments={},
           requested_by=EVIL, deadline=ago(hours=1), state="expired", detail=EVIL)  # fmt: skip
    insert(database, "deviations", charging_point_id="CP1", firmware_version=EVIL, action=EVIL,
           path=EVIL, repair=EVIL, vendor=EVIL, model=EVIL, count=1, sample=EVIL)  # fmt: skip
    insert(database, "refused_handshakes", cause="unknown", path=EVIL, address="192.0.2.7",
           detail=EVIL, count=1)  # fmt: skip
    insert(database, "refused_tokens", id_tag="04FF", charging_point_id="CP1", decision="invalid",
           rule="not_registered", count=3)  # fmt: skip
    insert(database, "variables", charging_point_id="CP1", name=EVIL, value=EVIL,
           after_restart=False)  # fmt: skip
    return session


@pytest.mark.parametrize("role", list(Role))
def test_everybody_may_look_at_every_page(visit, one_of_each, role):
    visitor = visit(role)
    for path in PAGES:
        answer = visitor.get(path)
        assert answer.status_code == 200, path
        for hostile in ("<script>alert", "\u202e", "\x1b"):
            assert hostile not in answer.text, path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert not re.search(r" on[a-z]+=| style=", answer.text), f"{path}: inline script or style"


def test_every_page_has_one_heading_and_labels_for_its_fields(visit, one_of_each):
    visitor = visit("administrator")
    forms = ("/people", "/command/new?id=CP1&kind=set_profile", "/jobs/new?kind=write_settings")
    for path in (*PAGES, *forms):
        text = visitor.get(path).text
        if "<html" in text:
            assert text.count("<h1>") == 1, path
        labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', text))
        for field in re.findall(r"<(?:input|select|textarea) [^>]*>", text):
            if 'type="hidden"' in field or 'type="checkbox"' in field:
                continue
            assert re.search(r'id="([^"]+)"', field)[1] in labelled, f"{path}: {field}"


def test_what_a_role_does_not_include_is_refused_and_not_offered(visit, database, one_of_each):
    observer = visit("observer")
    assert "Ask it for something" not in observer.get("/charging-point?id=CP1").text
    forms = {
        "/command/new": {"id": "CP1", "kind": "reset"},
        "/cards": {"token": "04FF"},
        "/cards/blocked": {"token": "04A1B2C3", "blocked": "yes"},
        "/hub/requeue": {"delivery": "1"},
        "/hub/drop": {"delivery": "1", "reason": "because"},
        "/jobs/new": {"kind": "reset"},
        "/charging-points": {"charging_point": "CP2"},
        "/charging-point/registration": {"id": "CP1", "registration": "Rejected"},
        "/charging-point/password": {"id": "CP1"},
        "/people": {"person": "x", "role": "administrator"},
        "/people/change": {"person": "a-observer", "what": "role", "role": "administrator"},
    }
    for path, form in forms.items():
        assert observer.post(path, **form).status_code == 403, path
    operator = visit("operator")
    for path in list(forms)[6:]:
        assert operator.post(path, **forms[path]).status_code == 403, path
    assert database.execute("SELECT count(*) FROM commands").fetchone() == (1,)
    assert database.execute("SELECT count(*) FROM audit WHERE action <> 'sign_in' AND"
                            " action <> 'add_person'").fetchone() == (0,)  # fmt: skip


def test_every_form_of_the_application_is_guarded(app):
    """A page that changes something takes a role; only signing in, out and one's own do not."""
    own = {"signing_in.sign_in", "signing_in.sign_out", "people.change_own"}
    changing = {r.endpoint for r in app.url_map.iter_rules() if r.methods & {"POST", "PUT"}}
    assert own < changing
    for endpoint in changing - own:
        assert hasattr(app.view_functions[endpoint], "__wrapped__"), endpoint


def test_now_shows_figures_and_what_waits(visit, one_of_each, database):
    node = add_node(database)
    add_charging_point(database, "CP2")
    add_connection(database, node, "CP2")
    text = visit("observer").get("/").text
    assert re.search(r"Connected</dt><dd>1 <span[^>]*>of 2<", text)
    assert "30.0 kW" in text  # 500 Wh in a minute
    for title in ("Faulted connectors", "Silent charging points", "Sessions without an end",
                  "Facts without a session", "Refused by the hub"):  # fmt: skip
        assert title in text


def test_the_list_goes_on_page_by_page_and_is_filtered(visit, database):
    with database.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO charging_points (charging_point_id, vendor) VALUES (%s, %s)",
            [(f"CP{number:04}", "Acme" if number % 2 else "Beta") for number in range(250)],
        )
    observer = visit("observer")
    seen, path = [], "/charging-points?text=acme"
    while path:
        text = observer.get(path).text
        seen += re.findall(r'charging-point\?id=(CP\d+)"', text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        path = following and following[1].replace("&amp;", "&")
    assert seen == [f"CP{number:04}" for number in range(250) if number % 2]
    assert "No charging point is like that" in observer.get("/charging-points?text=%25").text
    assert observer.get("/charging-points?state=hungry").status_code == 400


def test_one_search_box_finds_by_identity_evse_and_serial_number(visit, database):
    add_charging_point(database, "CP1", serial_number="S-77")
    add_evse(database, evse_id="DE*VNI*E1*1")
    observer = visit("observer")
    for text in ("CP1", "de*vni*e1*1", "S-77"):
        assert observer.get("/search").status_code == 302
        found = observer.client.get("/search", query_string={"text": text})
        assert found.location == "/charging-point?id=CP1", text
    assert observer.get("/search?text=CP").location == "/charging-points?text=CP"


def test_a_charging_point_that_is_offline_never_looks_as_if_it_were_now(visit, database):
    add_charging_point(database, last_seen_at=ago(hours=2))
    add_evse(database, state="charging", status="Charging", status_at=ago(hours=3))
    text = visit("observer").get("/charging-point?id=CP1").text
    assert "as they were last reported" in text
    assert 'class="stale"' in text
    assert "last known" in visit("operator").get("/charging-points").text


def test_a_command_is_asked_answered_and_shown(visit, run_node, database):
    node = run_node()
    add_charging_point(database)
    operator = visit("operator")
    with Station(node.port) as station, ThreadPoolExecutor(1) as pool:
        station.boot()
        form = operator.get("/command/new?id=CP1&kind=reset").text
        assert "It is offline" not in form
        key = re.search(r'name="key" value="([^"]+)"', form)[1]
        answered = pool.submit(_answer, station, {"status": "Accepted"})
        twice = [
            operator.post("/command/new", id="CP1", kind="reset", key=key, member_hard="yes")
            for _ in range(2)
        ]
        assert twice[0].location == twice[1].location, "a double click is one command"
        assert answered.result(10)[2:] == ["Reset", {"type": "Hard"}]
        path = twice[0].location
        eventually(lambda: "accepted" in operator.get(f"{path}/state").text)
        assert "data-final" not in operator.get(f"{path}/state").text, "it has not booted yet"
        station.boot()
        eventually(lambda: "data-final" in operator.get(f"{path}/state").text)
    asked = database.execute("SELECT person, program, action, subject FROM audit"
                             " WHERE action = 'reset'").fetchall()  # fmt: skip
    assert asked == [("a-operator", "console", "reset", "CP1")]


def _answer(station, payload):
    call = station.receive()
    station.send([3, call[1], payload])
    return call


def test_every_kind_of_command_has_a_form(visit, database):
    add_charging_point(database)
    operator = visit("operator")
    page = operator.get("/charging-point?id=CP1").text
    for kind in CommandKind:
        assert f"kind={kind.value}" in page
        form = operator.get(f"/command/new?id=CP1&kind={kind.value}")
        assert form.status_code == 200
        assert "Offline" not in form.text


def test_a_wrong_field_is_named_and_what_was_typed_stays(visit, database):
    add_charging_point(database)
    answer = visit("operator").post(
        "/command/new", id="CP1", kind="write_settings", key="k", member_values="no equals sign"
    )
    assert answer.status_code == 422
    assert "not of the form NAME=VALUE" in answer.text
    assert "no equals sign" in answer.text


def test_what_reaches_many_takes_two_steps(visit, database):
    for number in range(3):
        add_charging_point(database, f"CP{number}", vendor="Acme")
    add_charging_point(database, "OTHER", vendor="Beta")
    operator = visit("operator")
    form = {"kind": "reset", "vendor": "Acme", "key": "k1", "per_minute": "60"}
    counted = operator.post("/jobs/new", **form)
    assert "That reaches <strong>3</strong>" in counted.text
    assert database.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
    wrong = operator.post("/jobs/new", **form, confirmed="2")
    assert wrong.status_code == 422
    assert "look again" in wrong.text
    started = [operator.post("/jobs/new", **form, confirmed="3") for _ in range(2)]
    assert started[0].location == started[1].location
    assert database.execute("SELECT count(*) FROM job_items").fetchone() == (3,)
    assert "Stop it" in operator.get(started[0].location).text
    assert operator.post(f"{started[0].location}/stop").status_code == 302
    assert "by a-operator" in operator.get(started[0].location).text


def test_cards_are_added_blocked_and_found(visit, database):
    operator = visit("operator")
    assert operator.post("/cards", token="04a1b2c3", note="Anna's").status_code == 302
    assert operator.post("/cards", token="04A1B2C3").status_code == 409
    assert operator.post("/cards/blocked", token="04A1B2C3", blocked="yes").status_code == 302
    assert "Unblock" in operator.get("/cards?text=anna").text


def test_a_session_is_ended_and_corrected_with_a_reason(visit, one_of_each, database):
    operator, path = visit("operator"), f"/session/{one_of_each}"
    assert operator.post(f"{path}/end", reason="").status_code == 400
    assert "no whole number" in operator.post(f"{path}/end", reason="x", register_wh="-").text
    assert operator.post(f"{path}/end", reason="the stop never came").status_code == 302
    shown = operator.get(path).text
    assert "1.00 kWh" in shown
    assert "Its end is presumed" in shown
    assert operator.post(f"{path}/end", reason="again").status_code == 409
    changed = operator.post(f"{path}/correct", reason="read on site", meter_stop_wh="3,000")
    assert changed.status_code == 302
    assert "2.00 kWh" in operator.get(path).text
    assert "read on site" in operator.get("/audit").text


def test_a_fact_without_a_session_ends_one_or_is_put_aside(visit, one_of_each, database):
    operator, path = visit("operator"), "/sessions/unassigned/1"
    assert operator.post(f"{path}/assign", reason="x").status_code == 400
    assigned = operator.post(
        f"{path}/assign",
        session=one_of_each,
        register_wh="4000",
        at=f"{ago(minutes=0):%Y-%m-%dT%H:%M:%S}",
        reason="the only one there",
    )
    assert assigned.status_code == 302
    assert "3.00 kWh" in operator.get(assigned.location).text
    insert(database, "unassigned_facts", charging_point_id="CP1", action="stop", payload={},
           digest=2)  # fmt: skip
    assert operator.post("/sessions/unassigned/2/settle", reason="a test").status_code == 302
    assert "None." in operator.get("/sessions/unassigned").text


def test_a_refused_card_is_let_charge_where_it_is_shown(visit, one_of_each, database):
    operator = visit("operator")
    assert "04FF" in operator.get("/cards/refused").text
    assert operator.post("/cards/refused/1/adopt", note="the baker").status_code == 302
    assert "the baker" in operator.get("/cards?text=04ff").text
    assert "04FF" not in operator.get("/cards/refused").text


def test_a_refused_delivery_is_sent_again_or_given_up_with_a_reason(visit, one_of_each, database):
    operator = visit("operator")
    assert operator.post("/hub/drop", delivery="1", reason=" ").status_code == 400
    assert operator.post("/hub/requeue", delivery="1").status_code == 302
    assert operator.post("/hub/requeue", delivery="1").status_code == 409
    assert operator.post("/hub/requeue", delivery="one").status_code == 400


def test_a_fragment_that_has_not_changed_is_not_sent_again(visit, database):
    add_charging_point(database)
    observer = visit("observer")
    first = observer.get("/charging-point/state?id=CP1", **{"X-Fragment": "1"})
    again = observer.get(
        "/charging-point/state?id=CP1",
        **{"X-Fragment": "1", "If-None-Match": first.headers["ETag"]},
    )
    assert (first.status_code, again.status_code, again.text) == (200, 304, "")


def test_a_fragment_for_a_browser_that_was_signed_out_says_so(app):
    assert app.test_client().get("/now", headers={"X-Fragment": "1"}).status_code == 401


def test_what_is_not_there_is_said_on_a_page(visit):
    observer = visit("observer")
    for path in ("/charging-point?id=nobody", "/session/9", "/command/9", "/job/9", "/nowhere"):
        answer = observer.get(path)
        assert answer.status_code == 404, path
        assert "<h1>Not found</h1>" in answer.text, path


def test_without_its_database_it_says_so(database, tmp_path):
    app = create_app(Settings(), f"postgresql:///x?host={tmp_path}")
    try:
        answer = app.test_client().get("/sign-in")
        assert answer.status_code == 200
        assert app.test_client().get("/health/ready").status_code == 503
    finally:
        services(app).close()


def test_over_tls_the_cookie_is_bound_to_the_host(database, database_url):
    app = create_app(Settings(secure=True), database_url)
    try:
        visitor = Visitor(app)
        answer = visitor.get("/sign-in")
        assert "max-age" in answer.headers["Strict-Transport-Security"]
    finally:
        services(app).close()
