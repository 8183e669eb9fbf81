"""What a stranger, a hostile charging point or a thief of the database gets out of the console."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from operations import people
from tests.operations.console.visitor import TESTER, Visitor
from tests.rows import add_charging_point
from tests.station import Station
from tests.waiting import eventually

# NUL, what no number holds, the last of times, half a character, a pattern.
NONSENSE = ("\x00", "9" * 20, "9999-12-31T23:59:59Z", "\xed\xa0", "%'")
FIELDS = (
    "after", "again", "at", "before", "blocked", "charging_point", "delivery", "energy_wh", "fact",
    "failed", "id", "job", "kind", "minutes", "name", "next", "person", "presumed", "reason",
    "registration", "role", "session", "state", "subject", "text", "time_zone", "token", "what",
)  # fmt: skip


@pytest.mark.parametrize("nonsense", NONSENSE, ids=ascii)
def test_nonsense_is_answered_and_is_no_fault_of_ours(app, visit, database, nonsense):
    add_charging_point(database)
    administrator = visit("administrator")
    sent = dict.fromkeys(FIELDS, nonsense)
    for rule in app.url_map.iter_rules():
        if rule.arguments or rule.endpoint == "signing_in.sign_out":
            continue
        for words in (sent, {**sent, "id": "CP1"}):
            if "GET" in rule.methods:
                answer = administrator.client.get(
                    rule.rule, query_string=words, environ_base={"REMOTE_ADDR": "192.0.2.1"}
                )
                assert answer.status_code < 500, rule.rule
            if "POST" in rule.methods:
                assert administrator.post(rule.rule, **words).status_code < 500, rule.rule


def test_no_form_is_taken_from_elsewhere_or_without_its_token(app, visit):
    administrator = visit("administrator")
    token = administrator.form_token
    forms = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if "POST" in rule.methods and rule.endpoint != "signing_in.sign_in"
    ]
    assert len(forms) > 15
    for rule in forms:
        path = re.sub(r"<[^>]+>", "1", rule)
        administrator.form_token = ""
        assert administrator.post(path).status_code == 403, path
        administrator.form_token = token
        for headers in ({"Origin": "null"}, {"Origin": "https://evil.example"},
                        {"Sec-Fetch-Site": "same-site"}):  # fmt: skip
            assert administrator.post(path, headers=headers).status_code == 403, path
    assert administrator.get("/").status_code == 200


def test_a_cookie_stands_nowhere_but_in_its_browser(visit, database):
    observer = visit("observer")
    cookie = observer.client.get_cookie("console").value
    rows = str(database.execute("SELECT * FROM person_sessions").fetchall())
    assert hashlib.sha256(cookie.encode()).hexdigest() in rows or "\\x" in rows
    assert cookie not in rows
    database.execute("DELETE FROM person_sessions")
    assert observer.get("/").status_code == 302


def test_a_name_is_not_tried_on_from_many_addresses(app, database):
    password = people.add(database, "anna", "observer", by=TESTER)
    for number in range(people.FAILURES_OF_PERSON):
        database.execute(
            "INSERT INTO sign_in_failures (person, address) VALUES ('anna', %s)",
            [f"198.51.100.{number}"],
        )
    assert Visitor(app, "203.0.113.1").sign_in("ANNA ", password).status_code == 429


def test_pages_of_errors_have_the_same_policy(app, visit):
    observer = visit("observer")
    for answer in (
        observer.get("/nowhere"),
        observer.get("/people"),
        observer.get("/charging-point?id=<script>alert(1)</script>"),
        observer.post("/cards", token="04"),
        Visitor(app).get("/sign-in?next=<script>alert(1)</script>"),
        app.test_client().put("/"),
    ):
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script>alert" not in answer.text


def test_a_password_is_shown_once_and_its_hash_never(visit, database):
    administrator = visit("administrator")
    shown = administrator.post("/charging-points", charging_point="CP7").text
    given = administrator.post("/people", person="bert", role="observer").text
    (salt, digest) = database.execute(
        "SELECT password_salt, password_hash FROM people WHERE person = 'bert'"
    ).fetchone()
    secrets = {
        *re.findall(r"<code[^>]*>([^<]{12,})</code>", shown + given),
        salt.hex(),
        digest.hex(),
    }
    assert len(secrets) >= 4
    for path in ("/", "/charging-point?id=CP7", "/charging-points", "/audit", "/people",
                 "/commands", "/charging-point/timeline?id=CP7", "/account"):  # fmt: skip
        text = administrator.get(path).text
        assert not [secret for secret in secrets if secret in text], path


def test_a_password_that_a_charging_point_tells_is_on_no_page(visit, run_node, database):
    """By the standard it never tells it; one that does must not have it shown to observers."""
    password = "0011223344556677889900aabbccddee"
    administrator = visit("administrator")
    node = run_node(admit_unknown="true")
    told = [
        {"key": "AuthorizationKey", "readonly": False, "value": password},
        {"key": "HeartbeatInterval", "readonly": False, "value": "4711"},
    ]
    with Station(node.port, "CP1") as station, ThreadPoolExecutor(1) as pool:
        station.boot()
        asked = pool.submit(station.receive)
        led = administrator.post("/command/new", id="CP1", kind="read_settings", key="k" * 16)
        assert led.status_code == 302
        _, unique, action, _ = asked.result(10)
        assert action == "GetConfiguration"
        station.send([3, unique, {"configurationKey": told}])
        eventually(lambda: "4711" in administrator.get("/charging-point/settings?id=CP1").text, 10)
    for path in (led.location, f"{led.location}/state", "/commands", "/charging-point?id=CP1",
                 "/audit", "/charging-point/settings?id=CP1",
                 "/charging-point/timeline?id=CP1"):  # fmt: skip
        assert password not in administrator.get(path).text, path
