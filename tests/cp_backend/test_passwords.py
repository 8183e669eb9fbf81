"""A password takes another's place over OCPP: from when, and until when the old one is valid."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus

from charging.database import audit, commands
from charging.intents import PasswordSpelling, SetPassword
from operations import charging_points
from operations.command_line.asker import BY
from operations.command_line.main import main
from tests.station import Station
from tests.waiting import eventually

NEW = "correct horse 1"


@pytest.fixture
def node(run_node):
    return run_node()


@pytest.fixture
def old(node, database):
    return charging_points.register(database, "CP1", by=BY).password


def comes_in(node, password):
    try:
        Station(node.port, password=password).close()
    except InvalidStatus as refused:
        assert refused.response.status_code == 401
        return False
    return True


def ask(database, password=NEW, **more):
    return commands.ask(database, "CP1", SetPassword(password, **more), by=BY, seconds=30)


def answered(database, number):
    return eventually(lambda: commands.result_of(database, number))


def answer(station, status):
    _, message_id, action, payload = station.receive()
    assert (action, payload["key"]) == ("ChangeConfiguration", "AuthorizationKey")
    station.send([3, message_id, {"status": status}])
    return payload["value"]


@pytest.mark.parametrize("status", ["Accepted", "RebootRequired"])
def test_it_counts_when_it_is_accepted_and_the_old_one_for_an_hour(node, database, old, status):
    with Station(node.port, password=old) as station:
        station.boot()
        number = ask(database)
        assert answer(station, status) == NEW.encode().hex()
        assert answered(database, number).outcome.accepted
    assert comes_in(node, NEW)
    assert comes_in(node, old)
    database.execute("UPDATE other_passwords SET valid_until = now()")
    assert comes_in(node, NEW)
    assert not comes_in(node, old)


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
def test_what_is_refused_does_not_count(node, database, old, status):
    with Station(node.port, password=old) as station:
        station.boot()
        number = ask(database, spelling=PasswordSpelling.TEXT)
        assert answer(station, status) == NEW
        assert not answered(database, number).outcome.accepted
    assert comes_in(node, old)
    assert not comes_in(node, NEW)


def test_where_the_answer_is_lost_both_count(node, database, old):
    with Station(node.port, password=old) as station:
        station.boot()
        number = ask(database)
        station.receive()
    assert answered(database, number).outcome == "offline"
    assert comes_in(node, old)
    assert comes_in(node, NEW)


def test_what_was_never_sent_does_not_count(node, database, old):
    number = ask(database)
    database.execute("UPDATE commands SET deadline = now()")
    eventually(lambda: not database.execute("SELECT 1 FROM other_passwords").fetchone(), 20)
    assert answered(database, number).outcome == "offline"
    assert not comes_in(node, NEW)


def test_an_operators_own_new_password_ends_all_others(node, database, old):
    with Station(node.port, password=old) as station:
        station.boot()
        number = ask(database)
        answer(station, "Accepted")
        answered(database, number)
    newest = charging_points.renew_password(database, "CP1", by=BY).password
    assert comes_in(node, newest)
    assert not comes_in(node, old)
    assert not comes_in(node, NEW)


def test_the_command_line_rotates_it_and_shows_it_to_nobody(
    node, database, database_url, old, monkeypatch, capsys
):
    monkeypatch.setenv("DATABASE_URL", database_url)
    with Station(node.port, password=old) as station, ThreadPoolExecutor() as threads:
        station.boot()
        asked = threads.submit(main, ["commands", "rotate-password", "CP1", "--json"])
        password = bytes.fromhex(answer(station, "Accepted")).decode()
        assert asked.result(30) == 0
    assert len(password) == 20
    assert comes_in(node, password)
    assert password not in capsys.readouterr().out
    (arguments,) = database.execute("SELECT arguments FROM commands").fetchone()
    assert arguments == {"spelling": "hex"}
    assert password not in str(audit.read(database, limit=10))


def test_a_password_is_not_written_as_a_setting(node, database, database_url, old, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    with Station(node.port, password=old) as station:
        station.boot()
        assert main(["commands", "write-settings", "CP1", "AuthorizationKey=00"]) == 1
    (detail,) = database.execute("SELECT detail FROM commands").fetchone()
    assert "set-password" in detail
