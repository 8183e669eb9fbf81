"""RFC 6455 against a real node over raw sockets: what the fast path must not get wrong."""

from __future__ import annotations

import itertools
import re
import socket
import zlib

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cp_backend.full_protocol import MAX_FRAGMENTS
from cp_backend.ocpp.frames import MAX_FRAME_BYTES
from tests.raw_client import BINARY, CLOSE, CONT, PING, PONG, TEXT, Raw, frame
from tests.waiting import eventually

BOOT = b'[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
HEARTBEAT = b'[2,"7","Heartbeat",{}]'


@pytest.fixture
def raw(node):
    client = Raw(node.port)
    client.send(frame(TEXT, BOOT))
    assert client.receive()[1].startswith(b'[3,"1",{"status":"Accepted"')
    yield client
    client.close()


def heartbeat_works(client):
    client.send(frame(TEXT, HEARTBEAT))
    opcode, payload = client.receive()
    assert opcode == TEXT
    assert re.fullmatch(rb'\[3,"7",\{"currentTime":"[^"]+"\}\]', payload)


def test_a_frame_may_come_byte_by_byte(raw):
    for byte in frame(TEXT, HEARTBEAT):
        raw.send(bytes([byte]))
    assert raw.receive()[1].startswith(b'[3,"7"')
    heartbeat_works(raw)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_frames_may_be_cut_and_joined_anywhere(raw, cuts):
    data = frame(TEXT, HEARTBEAT) + frame(PING, b"p") + frame(TEXT, HEARTBEAT)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, stop in itertools.pairwise(edges):
        raw.send(data[start:stop])
    kinds = [raw.receive()[0] for _ in range(3)]
    assert kinds == [TEXT, PONG, TEXT]


def test_a_message_may_come_in_fragments_with_pings_between(raw):
    raw.send(frame(TEXT, HEARTBEAT[:5], fin=False))
    raw.send(frame(PING, b"between"))
    raw.send(frame(CONT, HEARTBEAT[5:9], fin=False), frame(CONT, HEARTBEAT[9:]))
    assert raw.receive() == (PONG, b"between")
    assert raw.receive()[1].startswith(b'[3,"7"')
    heartbeat_works(raw)


def test_a_ping_is_answered_with_its_payload(raw):
    raw.send(frame(PING, b"x" * 125))
    assert raw.receive() == (PONG, b"x" * 125)


def test_an_unasked_pong_is_ignored(raw):
    raw.send(frame(PONG, b"unasked"))
    heartbeat_works(raw)


def test_a_long_text_is_read_up_to_the_bound(raw):
    padding = b" " * (MAX_FRAME_BYTES - len(HEARTBEAT))
    raw.send(frame(TEXT, HEARTBEAT + padding))
    assert raw.receive()[1].startswith(b'[3,"7"')


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(TEXT, HEARTBEAT, masked=False), 1002, id="unmasked"),
        pytest.param(frame(TEXT, HEARTBEAT, rsv=0x40), 1002, id="compressed, not negotiated"),
        pytest.param(frame(TEXT, HEARTBEAT, rsv=0x20), 1002, id="reserved bit 2"),
        pytest.param(frame(TEXT, HEARTBEAT, rsv=0x10), 1002, id="reserved bit 3"),
        pytest.param(frame(3), 1002, id="reserved data opcode"),
        pytest.param(frame(11), 1002, id="reserved control opcode"),
        pytest.param(frame(CONT, b"x"), 1002, id="continuation of nothing"),
        pytest.param(frame(PING, b"x", fin=False), 1002, id="fragmented ping"),
        pytest.param(frame(PING, b"x" * 126), 1002, id="long ping"),
        pytest.param(
            frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002, id="text inside a message"
        ),
        pytest.param(frame(CLOSE, b"\x03"), 1002, id="half a close code"),
        pytest.param(frame(CLOSE, (999).to_bytes(2, "big")), 1002, id="impossible close code"),
        pytest.param(frame(TEXT, b"\xff\xfe"), 1007, id="not UTF-8"),
        pytest.param(
            frame(TEXT, b"\xff", fin=False) + frame(CONT, b"\xff"), 1007, id="fragments not UTF-8"
        ),
        pytest.param(frame(TEXT, b" " * (MAX_FRAME_BYTES + 1)), 1009, id="too long"),
        pytest.param(
            frame(TEXT, b" " * MAX_FRAME_BYTES, fin=False) + frame(CONT, b" "),
            1009,
            id="fragments too long",
        ),
        pytest.param(
            frame(TEXT, b"", fin=False) + frame(CONT, fin=False) * MAX_FRAGMENTS,
            1009,
            id="fragments without end",
        ),
    ],
)
def test_a_violation_closes_with_its_code(raw, data, code):
    raw.send(data)
    assert raw.closed_with() == code
    assert raw.ended()


@pytest.mark.parametrize("payload", [b"", (1000).to_bytes(2, "big") + b"bye"])
def test_a_goodbye_is_returned_and_the_socket_ended(raw, payload):
    raw.send(frame(CLOSE, payload))
    assert raw.receive() == (CLOSE, payload)
    assert raw.ended()


def test_binary_messages_are_read_in_ocpp_alone(raw, node):
    raw.send(frame(BINARY, HEARTBEAT), frame(BINARY, HEARTBEAT[:5], fin=False))
    raw.send(frame(CONT, HEARTBEAT[5:]))
    for _ in range(2):
        assert raw.receive()[1].startswith(b"[3,")
    heartbeat_works(raw)
    other = Raw(node.port, subprotocol="hello")
    other.send(frame(BINARY, b"x"))
    kind, payload = other.receive()
    assert (kind, int.from_bytes(payload[:2], "big")) == (CLOSE, 1003)
    other.close()


def test_a_close_may_stand_between_fragments(raw):
    raw.send(frame(TEXT, HEARTBEAT[:5], fin=False), frame(CLOSE, (1000).to_bytes(2, "big")))
    assert raw.receive() == (CLOSE, (1000).to_bytes(2, "big"))
    assert raw.ended()


def test_compression_is_not_agreed_in_1_6(node):
    client = Raw(node.port, extra="Sec-WebSocket-Extensions: permessage-deflate\r\n")
    assert b"extensions" not in client.response.lower()
    client.send(frame(TEXT, BOOT))
    assert client.receive()[1].startswith(b"[3,")
    heartbeat_works(client)
    client.close()


def test_compressed_messages_are_read_without_keeping_a_window(node):
    client = Raw(node.port, "Sec-WebSocket-Extensions: permessage-deflate\r\n", subprotocol="hello")
    assert b"server_no_context_takeover" in client.response
    assert b"client_no_context_takeover" in client.response
    for text in (BOOT, HEARTBEAT, HEARTBEAT):
        deflate = zlib.compressobj(wbits=-15)
        packed = deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)
        client.send(frame(TEXT, packed.removesuffix(b"\x00\x00\xff\xff"), rsv=0x40))
        assert client.receive() == (TEXT, b"acknowledged: " + text)
    client.close()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.binary(max_size=300))
def test_no_noise_harms_the_node(node, noise):
    client = Raw(node.port, path="/NOISE")
    client.send(noise)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.ended()
    client.close()
    assert node.program.process.poll() is None


def test_who_says_nothing_and_answers_no_ping_is_dropped(run_node):
    node = run_node(
        admit_unknown="true", ping_interval="1", pong_timeout="1", heartbeat_interval="1"
    )
    client = Raw(node.port)
    assert client.receive() == (PING, b"")
    assert client.ended()


def test_who_has_answered_a_ping_and_answers_no_more_is_dropped_at_once(run_node):
    node = run_node(admit_unknown="true", ping_interval="1", pong_timeout="1")
    client = Raw(node.port)
    assert client.receive() == (PING, b"")
    client.send(frame(PONG))
    assert client.receive() == (PING, b"")
    assert client.ended()


def test_who_never_answers_a_ping_stays_while_its_heartbeats_come(run_node):
    node = run_node(
        admit_unknown="true", ping_interval="1", pong_timeout="1", heartbeat_interval="2"
    )
    client = Raw(node.port)
    client.send(frame(TEXT, BOOT))
    for _ in range(3):
        pings = 0
        while pings < 2:  # silent for longer than a ping may stay unanswered
            pings += client.receive()[0] == PING
        client.send(frame(TEXT, HEARTBEAT))
        while client.receive()[0] != TEXT:
            pass
    assert client.ended()
    assert eventually(lambda: node.logged("disconnected"))[0]["cause"] == "silent"


def test_who_answers_its_pings_stays_however_long_it_may_take_to(run_node):
    node = run_node(admit_unknown="true", ping_interval="1", pong_timeout="2")
    client = Raw(node.port)
    for _ in range(2):
        assert client.receive() == (PING, b"")
        client.send(frame(PONG))
    client.close()


def test_who_says_more_than_is_heard_is_not_taken_for_silent(run_node, database_url):
    node = run_node(
        admit_unknown="true",
        ping_interval="1",
        pong_timeout="1",
        heartbeat_interval="1",
        max_waiting_calls="1",
    )
    flooder = Raw(node.port, path="/FLOODER")
    flooder.send(frame(TEXT, BOOT))
    flooder.receive()
    reading = b'"meterValue":[{"timestamp":"2026-01-01T00:00:0%dZ","sampledValue":[{"value":"1"}]}]'
    with psycopg.connect(database_url) as stubborn:
        stubborn.execute("LOCK TABLE meter_values IN ACCESS EXCLUSIVE MODE")
        flooder.send(
            *(
                frame(TEXT, b'[2,"%d","MeterValues",{"connectorId":1,%s}]' % (n, reading % n))
                for n in range(5)
            )
        )
        # Whoever comes now and is silent is dropped; the flooder, longer unheard, is not.
        silent = Raw(node.port, path="/SILENT")
        silent.send(frame(PONG))  # it can answer pings
        assert silent.ended()
    answers = []
    while len(answers) < 5:
        opcode, payload = flooder.receive()
        if opcode == TEXT:
            answers.append(payload)
    # On a slow machine the lock outlasts the statement's bound: then the answer is a CALLERROR.
    assert [payload[2:5] for payload in answers] == [b',"%d' % n for n in range(5)]
    flooder.close()


def test_who_does_not_read_is_dropped(run_node):
    node = run_node(admit_unknown="true", max_unsent_bytes="2000", max_waiting_calls="1000")
    client = Raw(node.port)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.send(frame(TEXT, BOOT))
    client.receive()
    try:
        for _ in range(200_000):
            client.send(frame(PING, b"x" * 125) * 20)
    except OSError:
        pass  # dropped: nothing else ends this loop so early
    else:
        pytest.fail("it was never dropped")
    finally:
        client.close()


def test_a_flood_is_answered_in_order_and_whole(raw):
    calls = [frame(TEXT, b'[2,"%d","Authorize",{"idTag":"T"}]' % n) for n in range(300)]
    raw.send(*calls)
    for n in range(300):
        assert raw.receive()[1].startswith(b'[3,"%d",' % n)
