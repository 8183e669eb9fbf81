"""One charging point that sends without end takes no more than its share of a node."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time

from cp_backend.connection import FRAMES_A_TURN, Connection, Engine
from cp_backend.keepalive import TimerWheel
from cp_backend.log_limit import LINES, MINUTE_SECONDS, LogLimit
from cp_backend.poller import Poller
from cp_backend.settings import Settings
from tests.raw_client import PING, PONG, TEXT, Raw, frame
from tests.waiting import eventually, eventually_async

FRAMES = 3_000


class Recorder:
    """A conversation that notes whose texts come when; it can pause after one."""

    version = "recorder"
    busy = False

    def __init__(self, connection, texts, pause_at=None):
        self.connection, self.texts, self.pause_at = connection, texts, pause_at
        self.count = 0

    def on_text(self, text):
        self.count += 1
        self.texts.append((self.connection.charging_point_id, text))
        if self.count == self.pause_at:
            self.connection.pause()

    def on_closed(self):
        self.texts.append((self.connection.charging_point_id, b"closed"))

    def on_second(self, now):
        pass


class World:
    def __init__(self):
        self.texts = []
        self.poller = Poller(asyncio.get_running_loop())
        self.engine = Engine(
            self.poller, TimerWheel(), Settings(), 4096, lambda connection, cause: None
        )
        self.ends = []

    def connect(self, name, pause_at=None):
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        ours.setblocking(False)
        connection = Connection(self.engine, ours.detach(), name)
        connection.conversation = Recorder(connection, self.texts, pause_at)
        self.poller.register(connection._fd, connection)
        self.ends.append(theirs)
        return connection, theirs

    def of(self, name):
        return [text for who, text in self.texts if who == name]

    def stop(self):
        self.poller.stop()
        for end in self.ends:
            end.close()


async def test_a_flood_waits_for_the_others_and_keeps_its_order():
    world = World()
    _, flooding = world.connect("FLOOD")
    _, quiet = world.connect("QUIET")
    flooding.sendall(b"".join(frame(TEXT, b"%d" % n) for n in range(FRAMES)))
    quiet.sendall(frame(TEXT, b"I am here"))
    await eventually_async(lambda: world.of("QUIET"))
    assert world.texts.index(("QUIET", b"I am here")) <= 2 * FRAMES_A_TURN
    # While it floods, one that comes now waits for a turn or two as well.
    before = len(world.of("FLOOD"))
    quiet.sendall(frame(TEXT, b"still here"))
    await eventually_async(lambda: len(world.of("QUIET")) == 2)
    at = world.texts.index(("QUIET", b"still here"))
    assert at - 1 - before <= 2 * FRAMES_A_TURN
    await eventually_async(lambda: len(world.of("FLOOD")) == FRAMES)
    assert world.of("FLOOD") == [b"%d" % n for n in range(FRAMES)]
    world.stop()


async def test_a_pause_in_the_middle_of_a_flood_loses_nothing():
    world = World()
    # Once between two turns' shares, once within one.
    for pause_at in (FRAMES_A_TURN, FRAMES_A_TURN + 3):
        name = f"PAUSED{pause_at}"
        connection, flooding = world.connect(name, pause_at)
        flooding.sendall(b"".join(frame(TEXT, b"%d" % n) for n in range(FRAMES)))
        await eventually_async(lambda name=name: world.of(name))
        for _ in range(20):
            await asyncio.sleep(0)  # turns in which nothing more may come
        assert len(world.of(name)) == pause_at
        connection.resume()
        await eventually_async(lambda name=name: len(world.of(name)) == FRAMES)
        assert world.of(name) == [b"%d" % n for n in range(FRAMES)]
        flooding.shutdown(socket.SHUT_WR)
        await eventually_async(lambda name=name: world.of(name)[-1] == b"closed")
    world.stop()


def test_lines_of_one_cause_are_few_and_the_rest_are_counted(caplog):
    limit, logger = LogLimit(), logging.getLogger("tests.log_limit")
    limit.turn(1_000.0)
    for _ in range(100):
        limit.log(logger, logging.WARNING, "bad frame", {"charging_point": "CP1"})
    limit.log(logger, logging.WARNING, "bad frame", {"charging_point": "CP2"})
    limit.log(logger, logging.WARNING, "call refused", {"charging_point": "CP1"})
    assert [r.message for r in caplog.records].count("bad frame") == LINES + 1
    limit.turn(1_000.0 + MINUTE_SECONDS / 2)
    assert len(caplog.records) == LINES + 2
    limit.turn(1_000.0 + MINUTE_SECONDS)
    last = caplog.records[-1]
    assert (last.message, last.charging_point, last.line, last.count) == (
        "log lines left out",
        "CP1",
        "bad frame",
        100 - LINES,
    )
    limit.log(logger, logging.WARNING, "bad frame", {"charging_point": "CP1"})
    assert caplog.records[-1].message == "bad frame"


def test_a_node_that_stood_still_drops_nobody_that_was_not_silent(run_node):
    node = run_node(admit_unknown="true", ping_interval="1", pong_timeout="1")
    client = Raw(node.port)

    def answer_ping():
        while client.receive()[0] != PING:
            pass
        client.send(frame(PONG))

    answer_ping()  # from now on it is judged by its pongs
    node.program.process.send_signal(signal.SIGSTOP)
    end = time.monotonic() + 4.5
    eventually(lambda: time.monotonic() > end)
    node.program.process.send_signal(signal.SIGCONT)
    answer_ping()
    answer_ping()
    assert node.logged("paused")
    client.close()
