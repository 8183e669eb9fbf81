"""One message that cannot be handled ends that message, and nothing else."""

import asyncio

import pytest

from charging.authorization import Authorization, Decision
from charging.token import token_of
from cp_backend.committer import Committer, DatabaseAwayError
from cp_backend.hub_authorization import HubAuthorization
from cp_backend.keepalive import TimerWheel
from cp_backend.lasting import Lasting
from cp_backend.settings import Settings
from cp_backend.telemetry import Metrics
from tests.station import Station, ago, iso
from tests.waiting import eventually_async

HUGE = "1e1000000"
DEPTH = 300


def reading(value):
    return {
        "connectorId": 1,
        "meterValue": [{"timestamp": iso(ago(seconds=1)), "sampledValue": [{"value": value}]}],
    }


def nested(message_id):
    """A DataTransfer whose data is nested deeper than the validator goes."""
    data = '{"a":' * DEPTH + "1" + "}" * DEPTH
    return f'[2,"{message_id}","DataTransfer",{{"vendorId":"v","data":{data}}}]'


def test_a_number_beyond_all_bounds_is_kept_as_it_came(node, database):
    with Station(node.port) as station:
        station.boot()
        assert station.call("MeterValues", reading(HUGE)) == {}
    rows = database.execute("SELECT energy_wh, sampled_values->0->>'value' FROM meter_values")
    assert rows.fetchall() == [(None, HUGE)]


def test_a_start_without_a_register_that_equals_one_with_it_is_the_same(node):
    """It is inserted with the last known register, and so met the one that is there."""
    with Station(node.port) as station:
        station.boot()
        at = iso(ago(minutes=1))
        start = {"connectorId": 1, "idTag": "TAG", "timestamp": at}
        first = station.call("StartTransaction", {**start, "meterStart": 0})
        again = station.call("StartTransaction", {**start, "meterStart": "unknown"})
        assert again["transactionId"] == first["transactionId"]


def test_a_payload_nested_too_deep_is_refused_and_the_next_call_answered(node):
    with Station(node.port) as station:
        station.boot()
        # The one waits behind a call that is being committed, the other does not.
        station.send([2, "1", "MeterValues", reading("5")])
        station.send(nested("2"))
        assert station.receive() == [3, "1", {}]
        assert station.receive()[:3] == [4, "2", "FormationViolation"]
        station.send(nested("3"))
        assert station.receive()[:3] == [4, "3", "FormationViolation"]
        assert "currentTime" in station.call("Heartbeat", {})


def test_a_bad_message_behind_a_question_to_the_hub_ends_no_node(run_node, database):
    node = run_node(admit_unknown="true", roaming_timeout="1")
    database.execute(
        "INSERT INTO hub_queues (queue, beaten_at) VALUES ('authorize-start', now() + '1 minute')"
    )
    with Station(node.port, "CP2") as bystander, Station(node.port) as station:
        bystander.boot()
        station.boot()
        database.execute(
            "INSERT INTO evses (charging_point_id, evse_number, evse_id, evse_id_key, roaming)"
            " VALUES ('CP1', 1, 'DE*VNI*E1', 'DEVNIE1', true)"
        )
        station.send([2, "1", "Authorize", {"idTag": "04A1B2C3"}])
        station.send([2, "2", "MeterValues", reading(HUGE)])
        station.send(nested("3"))
        assert station.receive()[2]["idTagInfo"]["status"] == "Invalid"
        assert station.receive() == [3, "2", {}]
        assert station.receive()[:3] == [4, "3", "FormationViolation"]
        assert "currentTime" in bystander.call("Heartbeat", {})
        assert "currentTime" in station.call("Heartbeat", {})


ACCEPTED = Authorization(Decision.ACCEPTED)


async def test_what_fails_on_hearing_the_hub_ends_no_other_question():
    heard = []

    class Questions:
        async def answers(self, look):
            return dict.fromkeys(look.waiting, ACCEPTED)

        def ask(self, question, asked):
            asked(len(heard_by))

    def fail(result):
        raise RuntimeError("a defect")

    roaming = HubAuthorization(Questions(), Settings())
    running = asyncio.create_task(roaming.run())
    heard_by = []
    for told in (fail, heard.append):
        heard_by.append(told)
        roaming.ask("CP1", token_of("04A1B2C3"), told)
    async with asyncio.timeout(5):
        while not heard:
            await asyncio.sleep(0)
    assert heard == [ACCEPTED]
    assert not running.done()
    running.cancel()


def test_what_fails_when_due_lets_the_others_have_their_turn():
    called = []

    class Entry:
        def __init__(self, name):
            self.name = name

        def on_due(self, now):
            called.append(self.name)
            if self.name == "bad":
                raise RuntimeError("a defect")
            return 1

        def abort(self, cause):
            called.append(f"{self.name} aborted")

    wheel = TimerWheel()
    for name in ("bad", "good"):
        wheel.schedule(Entry(name), 1)
    wheel.tick()
    wheel.tick()
    assert called == ["bad", "bad aborted", "good", "good"]


async def test_a_part_of_a_node_that_fails_is_begun_again():
    metrics, rounds = Metrics(), []
    lasting = Lasting(metrics)

    async def work():
        rounds.append(lasting.healthy)
        if len(rounds) < 3:
            raise RuntimeError("a defect")
        await asyncio.Event().wait()

    task = lasting.begin("part", work)
    await eventually_async(lambda: len(rounds) == 1 and not lasting.healthy)
    await eventually_async(lambda: len(rounds) == 3)
    assert lasting.healthy
    assert metrics.counts["Defects:part"] == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_a_defect_of_the_committer_itself_leaves_nobody_without_a_result(database_url):
    async def too_few(cursor, items):
        await cursor.execute("SELECT 1")
        return []

    committer = Committer("test", database_url, batch_limit=9, max_depth=0, metrics=Metrics())
    with pytest.raises(DatabaseAwayError):
        await committer.ask(too_few, 1)  # refused at once, by the same guard
    committer = Committer("test", database_url, batch_limit=9, max_depth=9, metrics=Metrics())
    committer.run_in_order("no statement", too_few)
    running = asyncio.create_task(committer.run())
    async with asyncio.timeout(10):
        results = await asyncio.gather(
            *(committer.ask(too_few, 1) for _ in range(3)), return_exceptions=True
        )
    assert [type(result) for result in results] == [ValueError] * 3
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_statement_that_fails_in_python_fails_its_item_alone(database_url):
    async def statement(cursor, items):
        await cursor.execute("SELECT 1")
        return [1 // item for item in items]

    committer = Committer("test", database_url, batch_limit=9, max_depth=9, metrics=Metrics())
    running = asyncio.create_task(committer.run())
    asked = [committer.ask(statement, item) for item in (1, 0, 1)]
    async with asyncio.timeout(10):
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert [results[0], type(results[1]), results[2]] == [1, ZeroDivisionError, 1]
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
