"""One message that cannot be handled ends that message, and nothing else."""

import asyncio
import json

import pytest

from charging.authorization import Authorization, AuthorizationStatus
from cp_backend.conversation import OcppConversation
from cp_backend.keepalive import TimerWheel
from cp_backend.lane import Lane
from cp_backend.ocpp.vocabulary import Registration
from cp_backend.roaming import Roaming
from cp_backend.settings import Settings
from cp_backend.telemetry import Metrics
from tests.station import Station, ago, iso

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


class Wire:
    """What a conversation needs of its connection; it keeps what was sent."""

    charging_point_id = "CP1"
    now = 0

    def __init__(self):
        self.sent = []
        self.paused = False

    def send_text(self, text):
        self.sent.append(json.loads(text))

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False


class Answers:
    """A store whose results the test gives, one call after the other."""

    def __init__(self):
        self.waiting = []

    def authorize(self, charging_point_id, id_tag, told):
        self.waiting.append(told)

    def session_started(self, charging_point_id, message, told):
        self.waiting.append(told)

    def meter_read(self, charging_point_id, message, told):
        raise RuntimeError("a defect")


class Desk:
    def __init__(self):
        self.store = Answers()
        self.settings = Settings()
        self.metrics = Metrics()
        self.roaming = Roaming(self.store, self.settings)


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
async def desk():
    return Desk()


@pytest.fixture
def conversation(wire, desk):
    return OcppConversation(wire, desk, Registration.ACCEPTED)


def say(conversation, *frame):
    conversation.on_text(json.dumps(frame).encode())


ACCEPTED = Authorization(AuthorizationStatus.ACCEPTED)


@pytest.mark.parametrize("result", [ACCEPTED, "no authorization at all", RuntimeError("away")])
async def test_an_exception_in_handling_is_answered_and_the_next_call_too(
    conversation, wire, desk, result
):
    say(conversation, 2, "1", "Authorize", {"idTag": "T"})
    say(conversation, 2, "2", "MeterValues", reading("5"))
    say(conversation, 2, "3", "Heartbeat", {})
    (told,) = desk.store.waiting
    told(result)
    kinds = [frame[:3] if frame[0] == 4 else frame[:2] for frame in wire.sent]
    first = [3, "1"] if result is ACCEPTED else [4, "1", "InternalError"]
    assert kinds == [first, [4, "2", "InternalError"], [3, "3"]]
    assert not conversation.busy


async def test_an_exception_in_a_step_before_the_answer_is_answered(conversation, wire, desk):
    desk.roaming.may_ask = lambda authorization, id_tag: 1 / 0
    start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": iso(ago())}
    for action, payload in (("Authorize", {"idTag": "T"}), ("StartTransaction", start)):
        say(conversation, 2, action, action, payload)
        desk.store.waiting.pop()(ACCEPTED)
        assert wire.sent.pop()[:3] == [4, action, "InternalError"]


async def test_what_fails_on_hearing_the_hub_ends_no_other_question():
    heard = []

    class Store:
        async def hub_answers(self, waiting, over):
            return dict.fromkeys(waiting, ACCEPTED)

        def ask_hub(self, question, asked):
            asked(len(heard_by))

    def fail(result):
        raise RuntimeError("a defect")

    roaming = Roaming(Store(), Settings())
    running = asyncio.create_task(roaming.run())
    heard_by = []
    for told in (fail, heard.append):
        heard_by.append(told)
        roaming.ask("CP1", "04A1B2C3", told)
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


async def test_a_statement_that_fails_in_python_fails_its_item_alone(database_url):
    async def statement(cursor, items):
        await cursor.execute("SELECT 1")
        return [1 // item for item in items]

    lane = Lane(
        "test", database_url, order=[statement], batch_limit=9, max_depth=9, metrics=Metrics()
    )
    running = asyncio.create_task(lane.run())
    asked = [lane.ask(statement, item) for item in (1, 0, 1)]
    async with asyncio.timeout(10):
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert [results[0], type(results[1]), results[2]] == [1, ZeroDivisionError, 1]
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
