"""One thing asked of many charging points: pace, stop, resume, and what the command line does."""

import json
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from charging.database import audit, jobs
from charging.database.connection import rows
from charging.intents import Reset, SetPassword, WriteSettings
from operations import jobs as office
from operations.command_line.asker import BY
from operations.command_line.main import main
from operations.errors import ConflictError, InvalidError, NotFoundError
from operations.jobs import Pace
from tests.rows import add_charging_point, add_connection, add_node, insert
from tests.station import Station
from tests.waiting import eventually

ANSWERED = "UPDATE commands SET state = 'answered', outcome = %s WHERE charging_point_id = %s"


@pytest.fixture
def fleet(database):
    """Ten charging points, online at a node."""
    node = add_node(database)
    names = [f"CP{n}" for n in range(10)]
    for name in names:
        add_charging_point(database, name, vendor="V", model=f"M{name[-1]}")
        add_connection(database, node, charging_point=name)
    return names


@pytest.fixture
async def step(database_url, fleet):
    """Move the jobs a step on, as a node does."""
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)

    async def run():
        async with connection.transaction(), connection.cursor() as cursor:
            await jobs.advance(cursor)

    yield run
    await connection.close()


def start(database, fleet, intent=None, **pace):
    return office.start(database, intent or Reset(), fleet, by=BY, pace=Pace(**pace))


def asked(database):
    return [
        row["charging_point_id"]
        for row in rows(database, "SELECT * FROM commands ORDER BY command_id")
    ]


async def test_no_more_are_under_way_than_allowed(database, fleet, step):
    job = start(database, fleet, per_minute=6000, at_once=3)
    database.execute("UPDATE jobs SET paced_at = now() - interval '1 minute'")
    await step()
    await step()
    assert asked(database) == ["CP0", "CP1", "CP2"]
    database.execute(ANSWERED, ["accepted", "CP1"])
    await step()
    assert asked(database) == ["CP0", "CP1", "CP2", "CP3"]
    found = office.show(database, job)
    assert (found.waiting, found.under_way, found.accepted) == (6, 3, 1)


async def test_the_pace_is_kept(database, fleet, step):
    start(database, fleet, per_minute=60)
    await step()
    await step()
    assert asked(database) == ["CP0"]
    database.execute("UPDATE jobs SET paced_at = paced_at - interval '3 seconds'")
    await step()
    assert len(asked(database)) == 4


async def test_a_job_is_done_when_all_have_answered(database, fleet, step):
    job = start(database, fleet[:2], per_minute=6000)
    database.execute("UPDATE jobs SET paced_at = now() - interval '1 minute'")
    await step()
    database.execute(ANSWERED, ["accepted", "CP0"])
    database.execute("UPDATE commands SET state = 'expired' WHERE charging_point_id = 'CP1'")
    await step()
    found = office.show(database, job)
    assert (found.state, found.accepted, found.failed) == ("done", 1, 1)
    assert [i.charging_point for i in office.items(database, job, limit=9, failed=True)] == ["CP1"]
    (person,) = database.execute("SELECT DISTINCT person FROM commands").fetchone()
    assert person == BY.person
    (entry,) = audit.read(database, subject=f"job {job}", limit=9)
    assert entry.detail["charging_points"] == 2


@pytest.mark.parametrize("how", ["refuse", "silent"])
async def test_it_stops_itself_where_many_refuse_or_go_silent(database, fleet, step, how):
    intent = WriteSettings({"A": "1"})
    job = start(database, fleet, intent, per_minute=6000, at_once=2, max_failures=2)
    database.execute("UPDATE jobs SET paced_at = now() - interval '1 minute'")
    await step()
    for name in ("CP0", "CP1"):
        database.execute(ANSWERED, ["rejected" if how == "refuse" else "accepted", name])
        if how == "silent":
            database.execute("DELETE FROM connections WHERE charging_point_id = %s", [name])
    await step()
    await step()
    found = office.show(database, job)
    assert (found.state, found.waiting) == ("stopped", 8)
    assert found.reason in (
        "2 refused or did not answer, 0 went silent",
        "0 refused or did not answer, 2 went silent",
    )
    # Somebody has looked, and lets it go on.
    office.resume(database, job, by=BY, failed=True)
    database.execute("UPDATE jobs SET paced_at = now() - interval '1 minute'")
    await step()
    assert office.show(database, job).state == "running"
    assert len(asked(database)) == 4


async def test_what_fails_is_tried_again_after_a_while(database, fleet, step):
    job = start(database, fleet[:1], per_minute=6000, tries=2, retry_seconds=60)
    await step()
    database.execute(ANSWERED, ["rejected", "CP0"])
    await step()
    await step()
    assert (office.show(database, job).waiting, len(asked(database))) == (1, 1)
    database.execute("UPDATE job_items SET not_before = now()")
    # Steps can follow each other faster than the pace of 100 a second.
    database.execute("UPDATE jobs SET paced_at = now() - interval '1 minute'")
    await step()
    assert len(asked(database)) == 2
    database.execute("UPDATE commands SET state = 'expired' WHERE state = 'queued'")
    await step()
    found = office.show(database, job)
    assert (found.state, found.failed, len(asked(database))) == ("done", 1, 2)


async def test_accepted_is_not_done(database, fleet, step):
    job = start(database, fleet[:2], per_minute=6000, tries=2, until_done=True)
    database.execute("UPDATE jobs SET paced_at = now() - interval '1 minute'")
    await step()
    database.execute("UPDATE commands SET state = 'answered', outcome = 'accepted'")
    await step()
    assert office.show(database, job).under_way == 2
    ended = "UPDATE commands SET done_at = now(), done_outcome = %s WHERE charging_point_id = %s"
    database.execute(ended, ["done", "CP0"])
    database.execute(ended, ["failed", "CP1"])
    await step()
    found = office.show(database, job)
    assert (found.accepted, found.waiting, found.state) == (1, 1, "running")


async def test_at_its_deadline_what_is_left_has_failed(database, fleet, step):
    job = start(
        database,
        fleet[:2],
        per_minute=6000,
        at_once=1,
        tries=9,
        until_done=True,
        deadline=datetime.now(UTC) + timedelta(hours=1),
    )
    await step()
    database.execute("UPDATE commands SET state = 'answered', outcome = 'accepted'")
    database.execute("UPDATE jobs SET deadline = now() - interval '1 second'")
    await step()
    found = office.show(database, job)
    assert (found.state, found.reason, found.failed) == ("done", "its deadline passed", 2)


async def test_a_restart_may_take_connections_away(database, fleet, step):
    job = start(database, fleet, per_minute=6000, at_once=2, max_failures=1)
    await step()
    database.execute(ANSWERED, ["accepted", "CP0"])
    database.execute("DELETE FROM connections")
    await step()
    assert office.show(database, job).state == "running"


async def test_what_is_under_way_when_it_is_stopped_still_ends(database, fleet, step):
    job = start(database, fleet, per_minute=60)
    await step()
    office.stop(database, job, by=BY)
    with pytest.raises(ConflictError):
        office.stop(database, job, by=BY)
    database.execute(ANSWERED, ["accepted", "CP0"])
    database.execute("UPDATE jobs SET paced_at = now() - interval '1 minute'")
    await step()
    found = office.show(database, job)
    assert (found.state, found.accepted, found.under_way, found.waiting) == ("stopped", 1, 0, 9)


async def test_each_can_be_asked_something_of_its_own(database, fleet, step):
    each = {"CP0": {"values": {"A": "2"}}, "CP1": {}}
    office.start(database, WriteSettings({"A": "1"}), each, by=BY, pace=Pace())
    database.execute("UPDATE jobs SET paced_at = now() - interval '1 minute'")
    await step()
    found = database.execute("SELECT charging_point_id, arguments FROM commands").fetchall()
    assert sorted(found) == [("CP0", {"values": {"A": "2"}}), ("CP1", {"values": {"A": "1"}})]


async def test_two_nodes_do_not_do_the_same_step(database, database_url, fleet, step):
    start(database, fleet, per_minute=6000)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT 1 FROM jobs FOR UPDATE")
        await step()
        assert asked(database) == []
    await step()
    assert asked(database) != []


def test_the_same_key_makes_one_job(database, fleet):
    def make(intent):
        return office.start(database, intent, fleet, by=BY, pace=Pace(), idempotency_key="k")

    assert make(Reset()) == make(Reset())
    with pytest.raises(ConflictError, match="another job"):
        make(Reset(hard=True))


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, 10),
        ({"vendor": ["V"]}, 10),
        ({"vendor": ["V"], "model": ["M1", "M2"]}, 2),
        ({"model": ["M*"], "id": ["*9"]}, 1),
        ({"model": ["M_"]}, 0),
        ({"site": ["Harbour"]}, 1),
    ],
)
def test_charging_points_are_chosen(database, fleet, where, found):
    insert(database, "evses", charging_point_id="CP3", evse_number=1)
    insert(
        database,
        "evse_details",
        charging_point_id="CP3",
        evse_number=1,
        details={"name": "Harbour"},
    )
    assert len(office.targets(database, where=where)) == found


def test_what_cannot_be_is_said(database, fleet):
    with pytest.raises(InvalidError, match="'colour' is none of id, vendor"):
        office.targets(database, where={"colour": ["red"]})
    with pytest.raises(NotFoundError, match="'CP99'"):
        office.targets(database, names=["CP1", "CP99"])
    with pytest.raises(InvalidError, match="no charging point matches"):
        start(database, [])
    with pytest.raises(InvalidError, match="--per-minute"):
        start(database, fleet, per_minute=0)
    with pytest.raises(InvalidError, match="one charging point alone"):
        start(database, fleet, SetPassword("correct horse"))


def accept_all(station, stopped, status="Accepted"):
    while not stopped.is_set():
        try:
            _, message_id, _, _ = station.receive()
        except TimeoutError:
            continue
        except Exception:  # noqa: BLE001 - the test has ended
            return
        station.send([3, message_id, {"status": status}])


def test_the_command_line_asks_many_through_a_node(
    node, database, database_url, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv("DATABASE_URL", database_url)
    stopped, stations = threading.Event(), []
    for name, status in (("CP1", "Accepted"), ("CP2", "Rejected"), ("CP3", "Accepted")):
        station = Station(node.port, name)
        station.boot()
        stations.append(station)
        threading.Thread(target=accept_all, args=(station, stopped, status), daemon=True).start()
    eventually(lambda: database.execute("SELECT count(*) FROM connections").fetchone()[0] == 3)
    assert main(["commands", "clear-cache", "--all", "--dry-run"]) == 0
    assert "3 charging points would be asked" in capsys.readouterr().out
    assert main(["commands", "clear-cache", "--all"]) == 1
    assert "confirm with --yes" in capsys.readouterr().err
    assert main(["commands", "clear-cache", "--all", "--yes", "--json"]) == 1
    shown = capsys.readouterr()
    job = json.loads(shown.out)
    assert (job["state"], job["accepted"], job["failed"], job["done"]) == ("done", 2, 1, 2)
    assert "2 accepted, 1 failed" in shown.err
    assert main(["jobs", "show", "1", "--failed", "--json"]) == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert (item["charging_point"], item["outcome"]) == ("CP2", "rejected")
    file = tmp_path / "names"
    file.write_text("# two\nCP1\nCP3\n")
    words = ["write-settings", "--file", str(file), "--yes", "A=1", "B=2"]
    assert main(["commands", *words]) == 0
    assert "Job 2: write_settings, 2 of them" in capsys.readouterr().out
    assert main(["jobs", "list", "--json"]) == 0
    assert [each["job"] for each in json.loads(capsys.readouterr().out)] == [2, 1]
    stopped.set()
    for station in stations:
        station.close()
