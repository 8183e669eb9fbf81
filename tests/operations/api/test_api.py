"""Programs do over HTTP what operators do: by keys with roles, as JSON, with problems that help."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from operations.api import openapi
from operations.api.endpoints import ENDPOINTS
from operations.people import Role
from tests.operations.api.caller import Caller
from tests.rows import add_charging_point, add_reading, add_session, add_token, evse_row
from tests.station import Station


@pytest.fixture
def call(app, database):
    """Somebody's program: ``call("operator")("GET", "/sessions")``."""
    return lambda role: Caller(app, database, role)


def test_the_description_is_the_one_of_the_program():
    assert openapi.FILE.read_text() == openapi.text(), "python -m operations.api.openapi makes it"


def test_everything_is_described_for_a_person():
    for endpoint in ENDPOINTS:
        operation = openapi.document()["paths"][endpoint.path][endpoint.method.lower()]
        assert operation["summary"], endpoint.name
        assert str(endpoint.role) in operation["description"]
        # A secret, or who may do what, is an administrator's.
        if endpoint.path.startswith(("/people", "/api-keys")):
            assert endpoint.role is Role.ADMINISTRATOR


@pytest.mark.parametrize("authorization", [None, "Bearer vni_wrong", "Basic dTpw", "Bearer "])
def test_who_has_no_key_is_told_how_to_get_one(app, database, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = app.test_client().get("/api/v1/sessions", headers=headers)
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert "operations api-keys" in answer.json["detail"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_does_what_its_role_may_until_it_is_revoked(call, database):
    add_charging_point(database)
    observer, administrator = call("observer"), call("administrator")
    asked = observer("POST", "/charging-points/CP1/commands", {"kind": "reset"})
    assert (asked.status_code, asked.json["detail"]) == (
        403,
        "that takes the role operator; yours is observer",
    )
    [key, *_] = administrator("GET", "/api-keys").json
    assert key["name"] == "a observer"
    assert observer.key not in json.dumps(key)
    assert administrator("DELETE", f"/api-keys/{key['api_key']}").status_code == 204
    assert observer("GET", "/sessions").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "/nothing", None, 404, "not found"),
        ("DELETE", "/sessions", None, 405, "not allowed"),
        ("GET", "/charging-points/NOBODY", None, 404, "no charging point 'NOBODY'"),
        ("GET", "/sessions?limit=0", None, 400, "limit: Input should be greater than or equal"),
        ("GET", "/sessions?nonsense=1", None, 400, "nonsense: Extra inputs"),
        ("GET", "/sessions?limit=1&limit=2", None, 400, "limit: is given 2 times"),
        ("GET", "/nodes?limit=1", None, 400, "limit: this takes no query"),
        ("GET", "/charging-points/A%00", None, 400, "cannot hold"),
        ("POST", "/tokens", {}, 400, "token: Field required"),
        ("POST", "/tokens", {"token": "A", "more": 1}, 400, "more: Extra inputs"),
        ("POST", "/tokens", {"token": " "}, 400, "token"),
        ("POST", "/charging-points/CP1/commands", {"kind": "dance"}, 400, "kind: Input should"),
        (
            *("POST", "/charging-points/CP1/commands"),
            {"kind": "unlock", "arguments": {"evse_number": "x"}},
            *(400, "arguments.evse_number"),
        ),
        ("POST", "/jobs", {"kind": "reset", "expected": 7}, 400, "that would be 1, not 7"),
    ],
)
def test_what_is_wrong_is_told_with_its_name(call, database, method, path, body, status, detail):
    add_charging_point(database)
    answer = call("administrator")(method, path, body)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == status
    assert detail.lower() in answer.json["detail"].lower()


def test_a_body_that_is_no_json_is_told_so(call):
    caller = call("operator")
    for content_type, text, status in (
        ("application/json", "{", 400),
        ("text/plain", "token=A", 415),
    ):
        answer = caller.client.post(
            "/api/v1/tokens",
            data=text,
            headers={"Authorization": f"Bearer {caller.key}", "Content-Type": content_type},
        )
        assert answer.status_code == status


def test_a_charging_point_is_asked_once_however_often_the_call_is_repeated(call, database, node):
    operator, other = call("operator"), call("administrator")
    with Station(node.port) as station:
        station.boot()
        path, body = "/charging-points/CP1/commands", {"kind": "reset"}
        first = operator("POST", path, body, Idempotency_Key="one")
        assert first.status_code == 202
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(operator, "GET", f"/commands/{first.json['command']}?wait=20")
            _, message_id, action, payload = station.receive()
            assert (action, payload) == ("Reset", {"type": "Soft"})
            station.send([3, message_id, {"status": "Accepted"}])
            shown = waiting.result().json
        assert (shown["state"], shown["outcome"]) == ("answered", "accepted")
        assert shown["answer"] == [{"status": "Accepted"}]
        again = operator("POST", path, body, Idempotency_Key="one")
        assert again.json["command"] == first.json["command"]
        changed = operator("POST", path, {"kind": "clear_cache"}, Idempotency_Key="one")
        assert changed.status_code == 409
        # The same word of another's is another key.
        theirs = other("POST", path, body, Idempotency_Key="one")
        assert theirs.json["command"] != first.json["command"]


def test_a_look_at_a_command_that_has_no_answer_does_not_end_it(call, database):
    add_charging_point(database)
    operator = call("operator")
    asked = operator("POST", "/charging-points/CP1/commands", {"kind": "reset"}).json
    assert operator("GET", f"/commands/{asked['command']}?wait=0.2").json["state"] == "queued"


def test_pages_follow_each_other(call, database):
    for number in range(5):
        add_charging_point(database, f"CP{number}")
    observer, found, after = call("observer"), [], ""
    while after is not None:
        page = observer("GET", f"/charging-points?limit=2&after={after}").json
        found += [row["charging_point"] for row in page["rows"]]
        after = page["after"]
    assert found == [f"CP{number}" for number in range(5)]


def test_a_name_with_a_slash_is_found(call, database):
    add_charging_point(database, "site/7")
    assert call("observer")("GET", "/charging-points/site/7").json["charging_point"] == "site/7"
    assert call("observer")("GET", "/charging-points/site%2F7/states").json == []


def test_a_hanging_session_is_ended_and_corrected(call, database):
    add_charging_point(database)
    session = add_session(database, state="charging", meter_start_wh=1000)
    add_reading(database, session, 4000)
    operator = call("operator")
    ended = operator("POST", f"/sessions/{session}/end", {"reason": "the stop never came"})
    assert ended.status_code == 200
    shown = operator("GET", f"/sessions/{session}").json
    assert (shown["session"]["state"], shown["session"]["energy_wh"]) == ("ended", 3000)
    assert shown["readings"][0]["energy_wh"] == 4000
    corrected = operator(
        "POST", f"/sessions/{session}/correct", {"reason": "read on site", "meter_stop_wh": 4500}
    )
    assert corrected.status_code == 200
    assert operator("GET", f"/sessions/{session}").json["session"]["energy_wh"] == 3500
    audit = operator("GET", "/audit?limit=2").json
    assert {entry["by"]["person"] for entry in audit} == {"a operator"}


def test_a_card_is_blocked_by_its_name(call, database):
    add_token(database, "04A1B2C3")
    operator = call("operator")
    assert operator("PUT", "/tokens/04a1b2c3/blocked", {"blocked": True}).status_code == 204
    [row] = operator("GET", "/tokens").json["rows"]
    assert row["blocked"]


def test_a_table_is_imported_whole_or_told_where_it_is_wrong(call, database):
    add_charging_point(database)
    operator = call("operator")
    table = json.dumps([evse_row()])
    headers = {"Authorization": f"Bearer {operator.key}", "Content-Type": "application/json"}
    path = "/api/v1/evses/import"
    right = operator.client.post(path, data=table, headers=headers)
    assert right.json == {"imported": 1, "roaming": 1}
    wrong = operator.client.post(
        path, data=json.dumps([evse_row(), evse_row(2, evse_id="nonsense")]), headers=headers
    )
    assert wrong.status_code == 400
    assert "evse_id" in wrong.json["faults"][0]["fault"]


def test_cookies_and_forms_of_the_console_count_for_nothing(app, database):
    from tests.operations.console.visitor import visit_as

    visitor = visit_as(app, database, "administrator")
    assert visitor.get("/api/v1/sessions").status_code == 401
    assert visitor.post("/api/v1/tokens", token="A").status_code == 401
