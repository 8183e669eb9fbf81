"""Commands from the database to charging points, and their results back."""

import asyncio
import json

import pytest

from charging.command import CommandKind
from charging.database.commands import queue, result_of
from cp_backend.conversation.ocpp import OcppConversation
from cp_backend.dispatcher import POLL_SECONDS, Dispatcher
from cp_backend.ocpp.dialect import V16
from cp_backend.registry import Registry
from cp_backend.settings import Settings
from cp_backend.store.store import Store
from cp_backend.telemetry import Metrics
from cp_backend.vocabulary import Registration
from tests.rows import add_charging_point, add_connection, add_node
from tests.waiting import eventually_async
from tests.wire import MemoryWire, context


class AcceptingWire(MemoryWire):
    """A charging point that accepts every call at once."""

    def __init__(self, name, node):
        super().__init__()
        self.charging_point_id = name
        self.conversation = OcppConversation(self, node, V16, Registration.ACCEPTED)

    def send_text(self, text):
        super().send_text(text)
        answer = [3, json.loads(text)[1], {"status": "Accepted"}]
        asyncio.get_running_loop().call_soon(self.conversation.on_text, json.dumps(answer).encode())


class Held:
    """A dispatcher on a real database, and what it called back with."""

    def __init__(self, url, node_id):
        kinds = [CommandKind.REMOTE_STOP]
        self.store = Store(url, node_id, Settings(), Metrics(), kinds)
        self.registry = Registry()
        self.displaced = []
        self.authorized = []
        self.dispatcher = Dispatcher(
            url,
            node_id,
            self.store.commands,
            self.registry,
            Metrics(),
            self.displaced.append,
            self.authorized.append,
            lambda: "https://cp.example",
        )
        self.tasks = [
            asyncio.create_task(each)
            for each in (
                self.store.lookups.run(),
                self.store.facts.run(),
                self.dispatcher.listen(),
                self.dispatcher.dispatch(),
            )
        ]


@pytest.fixture
def node_id(database):
    return add_node(database)


@pytest.fixture
async def held(database, database_url, node_id):
    held = Held(database_url, node_id)
    # Nothing is lost of what is notified from now on.
    await eventually_async(
        lambda: database.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'charging-point-backend dispatcher'"
            " AND query = %s AND state = 'idle'",
            [f"LISTEN node_{node_id.hex}"],
        ).fetchone()
    )
    yield held
    for task in held.tasks:
        task.cancel()
    await asyncio.gather(*held.tasks, return_exceptions=True)


def stop(database, name, kind=CommandKind.REMOTE_STOP, seconds=30):
    arguments = {"session_id": 7}
    return queue(database, name, kind, arguments, requested_by="test", seconds=seconds)


@pytest.fixture
def connect(database, node_id):
    def connect(name):
        add_charging_point(database, name)
        add_connection(database, node_id, charging_point=name)

    return connect


async def test_a_command_reaches_its_charging_point_and_the_answer_its_asker(
    held, connect, database
):
    connect("CP1")
    wire = AcceptingWire("CP1", context())
    held.registry.add(wire)
    command = stop(database, "CP1")
    result = await eventually_async(lambda: result_of(database, command))
    assert result.outcome == "accepted"
    assert [frame[2:] for frame in wire.sent] == [["RemoteStopTransaction", {"transactionId": 7}]]


async def test_one_that_cannot_be_sent_keeps_no_other_waiting(held, connect, database):
    for name in ("CP1", "CP2", "CP3"):
        connect(name)
    broken = AcceptingWire("CP2", context())
    broken.call_in = lambda seconds: 1 / 0  # whatever raises on the way to the charging point
    held.registry.add(broken)
    held.registry.add(AcceptingWire("CP3", context()))
    gone, bad, good = (stop(database, name) for name in ("CP1", "CP2", "CP3"))
    assert (await eventually_async(lambda: result_of(database, good))).outcome == "accepted"
    # The row says that this node holds it, and its socket has just ended.
    assert (await eventually_async(lambda: result_of(database, gone))).outcome == "offline"
    assert (await eventually_async(lambda: result_of(database, bad))).outcome == "failed"
    assert not any(task.done() for task in held.tasks)


async def test_what_another_node_holds_or_this_one_cannot_do_is_left(held, connect, database):
    connect("CP1")
    held.registry.add(AcceptingWire("CP1", context()))
    add_charging_point(database, "CP2")
    add_connection(database, add_node(database), charging_point="CP2")
    unknown = stop(database, "CP1", CommandKind.UNLOCK)
    elsewhere = stop(database, "CP2")
    ours = stop(database, "CP1")
    await eventually_async(lambda: result_of(database, ours))
    states = database.execute(
        "SELECT state FROM commands WHERE command_id = ANY(%s)", [[unknown, elsewhere]]
    ).fetchall()
    assert states == [("queued",), ("queued",)]


async def test_a_lost_notification_costs_a_poll_interval_and_never_a_command(
    held, connect, database
):
    connect("CP1")
    held.registry.add(AcceptingWire("CP1", context()))
    database.execute("SELECT pg_notify('nobody', '')")
    row = database.execute(
        "INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline)"
        " VALUES ('CP1', 'remote_stop', '{\"session_id\": 7}', 'test', now() + '1 minute')"
        " RETURNING command_id"
    ).fetchone()
    result = await eventually_async(lambda: result_of(database, row[0]), POLL_SECONDS + 10)
    assert result.outcome == "accepted"


async def test_notifications_go_to_those_who_wait_for_them(held, database, node_id):
    database.execute("SELECT pg_notify(%s, E'CP1\\nCP2')", [f"node_{node_id.hex}"])
    database.execute("SELECT pg_notify('authorization_answers', '7')")
    await eventually_async(lambda: held.authorized)
    assert held.displaced == [["CP1", "CP2"]]
    assert held.authorized == ["7"]


async def test_it_listens_again_when_its_connection_was_lost(held, database):
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'charging-point-backend dispatcher'"
    )

    def heard():
        database.execute("SELECT pg_notify('authorization_answers', '8')")
        return held.authorized

    await eventually_async(heard)
