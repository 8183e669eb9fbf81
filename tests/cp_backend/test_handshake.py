"""A handshake over a pair of sockets, with the look-up's result given by the test."""

import asyncio
import socket

import pytest

from cp_backend.connection import Engine
from cp_backend.handshake import Handshakes
from cp_backend.keepalive import TimerWheel
from cp_backend.opening import grant, read_opening, read_request
from cp_backend.poller import Poller
from cp_backend.registry import Registry
from cp_backend.settings import Settings
from cp_backend.store.admission import Admitted
from cp_backend.telemetry import Metrics
from tests.waiting import eventually_async
from tests.wire import GivenResults

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = (
    b"GET /CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)

ADMITTED = Admitted(None, None, None, None)


class World:
    """Handshakes, the client's end of one, and the connections that were closed."""

    def __init__(self, make_conversation):
        self.closed = []
        self.store = GivenResults()
        self.poller = Poller(asyncio.get_running_loop())
        self.metrics = Metrics()
        wheel, settings = TimerWheel(), Settings()
        self.handshakes = Handshakes(
            settings=settings,
            engine=Engine(
                self.poller,
                wheel,
                settings,
                1024,
                lambda connection, cause: self.closed.append((connection.charging_point_id, cause)),
            ),
            store=self.store,
            registry=Registry(),
            metrics=self.metrics,
            subprotocols=lambda admitted: ["ocpp1.6"],
            make_conversation=make_conversation,
            ready=lambda: True,
        )
        self.client, server = socket.socketpair()
        self.client.setblocking(False)
        server.setblocking(False)
        self.handshakes.begin(server.detach(), "")

    async def ask(self):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.client, REQUEST)
        await eventually_async(lambda: self.store.asked)

    async def read(self):
        """All that is answered, until the end of the stream."""
        loop, text = asyncio.get_running_loop(), b""
        async with asyncio.timeout(10):
            while data := await loop.sock_recv(self.client, 4096):
                text += data
        return text


@pytest.fixture
async def make_world():
    worlds = []

    def make(make_conversation):
        worlds.append(World(make_conversation))
        return worlds[-1]

    yield make
    for world in worlds:
        world.poller.stop()
        world.client.close()


def fail(accepted):
    raise RuntimeError("a defect")


async def test_a_conversation_that_cannot_be_made_leaves_no_connection_behind(make_world):
    world = make_world(fail)
    await world.ask()
    world.store.give(ADMITTED)
    assert (await world.read()).startswith(b"HTTP/1.1 101")
    assert world.closed == [("CP1", "defect")]
    assert world.handshakes.under_way == 0


async def test_a_look_up_that_gives_what_cannot_be_is_answered_at_once(make_world):
    world = make_world(fail)
    await world.ask()
    world.store.give("what is no look-up's result")
    assert (await world.read()).startswith(b"HTTP/1.1 500")
    assert world.handshakes.under_way == 0


async def test_while_the_database_is_away_a_charging_point_is_asked_to_come_again(make_world):
    world = make_world(fail)
    await world.ask()
    world.store.give(ConnectionError("away"))
    answer = await world.read()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"Retry-After" in answer
    assert world.handshakes.under_way == 0


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("ocpp1.6j", "ocpp1.6j"),
        ("OCPP-1.6J", "OCPP-1.6J"),
        ("ocpp1.2, ocpp16", "ocpp16"),
        ("ocpp1.6.1", None),
        ("ocpp2.0", None),
    ],
)
def test_a_subprotocol_is_known_by_its_letters_and_answered_as_it_came(offered, chosen):
    request = read_request(REQUEST.replace(b"ocpp1.6", offered.encode()))
    opened = grant(read_opening(request), request.headers, ["ocpp1.6", "ocpp2.0.1"], [])
    assert opened.subprotocol == (chosen and "ocpp1.6")
    assert f"Sec-WebSocket-Protocol: {chosen}\r\n".encode() in opened.response or not chosen


def test_a_key_without_padding_is_one():
    request = read_request(REQUEST.replace(KEY, KEY.rstrip(b"=")))
    assert read_opening(request).key == KEY.rstrip(b"=").decode()
