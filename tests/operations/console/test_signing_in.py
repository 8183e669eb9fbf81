"""Who gets in, how long, and what a stranger's form can do: nothing."""

import pytest

from operations import people
from operations.console.__main__ import first_account
from operations.console.settings import Settings
from operations.errors import ConflictError, InvalidError
from operations.people import Role
from tests.operations.console.visitor import TESTER, Visitor, visit_as


def test_whoever_is_not_signed_in_is_asked_to_and_then_led_on(app, database):
    password = people.add(database, "anna", "observer", by=TESTER)
    anna = Visitor(app)
    asked = anna.get("/charging-points?text=CP1")
    assert asked.status_code == 302
    assert asked.location == "/sign-in?next=/charging-points?text%3DCP1"
    led = anna.post("/sign-in", name="Anna ", password=password, next="/charging-points?text=CP1")
    assert led.location == "/charging-points?text=CP1"
    assert anna.get("/charging-points").status_code == 200


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "/\n/evil"]
)
def test_it_never_leads_elsewhere(app, database, wanted):
    password = people.add(database, "anna", "observer", by=TESTER)
    led = Visitor(app).post("/sign-in", name="anna", password=password, next=wanted)
    assert led.location == "/"


def test_the_cookie_is_for_our_pages_alone(app, database):
    password = people.add(database, "anna", "observer", by=TESTER)
    cookie = Visitor(app).sign_in("anna", password).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Domain" not in cookie


def test_a_name_that_is_not_known_is_answered_like_a_wrong_password(app, database):
    people.add(database, "anna", "observer", by=TESTER)
    answers = [Visitor(app).sign_in(name, "wrong") for name in ("anna", "nobody")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].text.replace("anna", "") == answers[1].text.replace("nobody", "")


def test_after_many_wrong_passwords_none_is_tried_from_there(app, database):
    password = people.add(database, "anna", "observer", by=TESTER)
    for _ in range(people.FAILURES_OF_ADDRESS):
        database.execute("INSERT INTO sign_in_failures (person, address) VALUES ('x', '192.0.2.1')")
    assert Visitor(app).sign_in("anna", password).status_code == 429
    assert Visitor(app, "192.0.2.2").sign_in("anna", password).status_code == 302
    database.execute("UPDATE sign_in_failures SET at = now() - interval '16 minutes'")
    assert Visitor(app).sign_in("anna", password).status_code == 302


def test_a_wrong_password_counts(app, database):
    people.add(database, "anna", "observer", by=TESTER)
    Visitor(app).sign_in("anna", "wrong")
    row = database.execute("SELECT person, address FROM sign_in_failures").fetchone()
    assert row == ("anna", "192.0.2.1")


@pytest.mark.parametrize("column", ["seen_at", "created_at"])
def test_a_browser_is_signed_out_by_time(visit, database, column):
    anna = visit("observer")
    database.execute(f"UPDATE person_sessions SET {column} = now() - interval '13 hours'".encode())
    assert anna.get("/").location.startswith("/sign-in")


def test_what_ends_an_account_ends_its_browsers(app, visit, database):
    visit_as(app, database, "administrator")
    anna = visit("observer")
    people.set_disabled(database, "a-observer", True, by=TESTER)
    assert anna.get("/").status_code == 302
    people.set_disabled(database, "a-observer", False, by=TESTER)
    assert anna.get("/").status_code == 302


def test_signing_out_is_final(visit):
    anna = visit("observer")
    stolen = anna.client.get_cookie("console").value
    assert anna.post("/sign-out").status_code == 302
    anna.client.set_cookie("console", stolen)
    assert anna.get("/").status_code == 302


def test_a_form_without_the_token_of_its_browser_is_refused(visit, database):
    operator = visit("operator")
    operator.form_token = "forged"
    assert operator.post("/cards", token="04A1").status_code == 403
    assert database.execute("SELECT count(*) FROM tokens").fetchone() == (0,)


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_from_another_site_is_refused(visit, headers):
    assert visit("operator").post("/cards", headers=headers, token="04A1").status_code == 403


def test_passwords_stand_nowhere(visit, database):
    visit("administrator").post("/people", person="bert", role="observer")
    for table in ("people", "person_sessions", "audit"):
        rows = str(database.execute(f"SELECT * FROM {table}".encode()).fetchall())
        assert "bert" in rows or table == "person_sessions"
    password = people.add(database, "carl", "observer", by=TESTER)
    everything = "".join(
        str(database.execute(f"SELECT * FROM {t}".encode()).fetchall()) for t in ("people", "audit")
    )
    assert password not in everything


def test_one_administrator_is_left(visit, database):
    administrator = visit("administrator")
    answer = administrator.post(
        "/people/change", person="a-administrator", what="role", role="observer"
    )
    assert answer.status_code == 409
    assert "no administrator" in answer.text
    assert people.list_all(database)[0].role is Role.ADMINISTRATOR


def test_the_first_account_is_made_once(database):
    made = people.ensure_first(database, by=TESTER)
    assert made is not None
    assert made[0] == "admin"
    assert people.ensure_first(database, by=TESTER) is None


def test_no_password_is_printed_where_it_would_stand_in_a_log(database, database_url):
    assert first_account(Settings(secure=True), database_url) is None
    assert people.list_all(database) == []
    assert first_account(Settings(), database_url) is not None


def test_names_passwords_and_roles_are_checked(database):
    for person, role, password in (
        ("", "observer", None),
        ("a b", "observer", None),
        ("anna", "king", None),
        ("anna", "observer", "short"),
    ):
        with pytest.raises(InvalidError):
            people.add(database, person, role, by=TESTER, password=password)
    people.add(database, "anna", "administrator", by=TESTER)
    with pytest.raises(ConflictError):
        people.set_disabled(database, "anna", True, by=TESTER)


def test_times_are_shown_in_ones_own_zone(visit, database):
    anna = visit("observer")
    database.execute("INSERT INTO audit (at, person, program, action, subject) VALUES"
                     " ('2026-07-01T12:00:00Z', 'x', 'y', 'z', 'CP1')")  # fmt: skip
    assert "2026-07-01 12:00:00 +00:00" in anna.get("/audit").text
    anna.get("/account")
    assert anna.post("/account", time_zone="Europe/Berlin").status_code == 302
    assert "2026-07-01 14:00:00 +02:00" in anna.get("/audit").text
    assert anna.post("/account", time_zone="../../etc/passwd").status_code == 400
