"""The header of the PROXY protocol: its bytes, and who may send it."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.service.settings import SettingError
from cp_backend.proxy_protocol import (
    MAX_HEADER_BYTES,
    SIGNATURE,
    Header,
    ProxyProtocolError,
    read_header,
)
from cp_backend.settings import from_environment
from tests.waiting import eventually

FROM_AWS = b"\x03\x00\x04\xa9\xb8\x7e\x8f\xea\x00\x03\x01\x02\x03"
"""Type-length-values, as a load balancer adds them: a checksum, and one of its own."""


def header(address="192.0.2.7", *, command=0x21, more=FROM_AWS):
    """A header for a client of an address, by struct and not by the code that is tried."""
    if address is None:
        body, family = b"", 0x00
    elif ":" in address:
        body = socket.inet_pton(socket.AF_INET6, address) + bytes(16) + struct.pack("!HH", 1, 443)
        family = 0x21
    else:
        body = socket.inet_aton(address) + bytes(4) + struct.pack("!HH", 1, 443)
        family = 0x11
    return SIGNATURE + struct.pack("!BBH", command, family, len(body + more)) + body + more


LOCAL = header(None, command=0x20, more=b"")


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (header(), "192.0.2.7"),
        (header(more=b""), "192.0.2.7"),
        (header("2001:db8::7"), "2001:db8::7"),
        # A health check: the load balancer speaks for itself.
        (LOCAL, None),
        (header(command=0x20), None),
        # A family that has no address of the internet.
        (header(None), None),
    ],
)
def test_a_header_says_who_is_behind_a_connection(data, address):
    assert read_header(data + b"GET / HTTP/1.1\r\n") == Header(address, len(data))
    for length in range(len(data)):
        assert read_header(data[:length]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"G",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 443\r\n",  # version 1
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),  # version 1 in the second's clothes
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),  # a command that is none
        SIGNATURE + b"\x21\x11\x00\x04" + bytes(4),  # shorter than its addresses
        SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MAX_HEADER_BYTES),
    ],
)
def test_what_is_no_header_is_known_at_once(data):
    with pytest.raises(ProxyProtocolError):
        read_header(data)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_header_or_an_error(data):
    for begin in (b"", SIGNATURE, SIGNATURE + b"\x21\x11"):
        try:
            found = read_header(begin + data)
        except ProxyProtocolError:
            continue
        assert found is None or found.length <= len(begin + data)


@pytest.mark.parametrize(
    "variables",
    [
        {"CP_BACKEND_PROXY_PROTOCOL_FROM": "10.0.0.0/33"},
        {"CP_BACKEND_PROXY_PROTOCOL_FROM": "10.0.0.1/16"},
        {
            "CP_BACKEND_PROXY_PROTOCOL_FROM": "10.0.0.0/16",
            "CP_BACKEND_TLS_CERTIFICATE": "a",
            "CP_BACKEND_TLS_KEY": "b",
        },
    ],
)
def test_settings_that_cannot_be_are_refused(variables):
    with pytest.raises(SettingError, match="CP_BACKEND_PROXY_PROTOCOL_FROM"):
        from_environment(variables)


OPENING = (
    b"GET /CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"X-Forwarded-For: 6.6.6.6\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
BALANCER, SOMEBODY = "127.0.0.9", "127.0.0.1"


@pytest.fixture(scope="module")
def pieces():
    """Ways to cut what is sent."""
    return [
        lambda data: [data],
        lambda data: [data[:20], data[20:]],
        lambda data: [data[:3], data[3:40], data[40:]],
    ]


def ask(node, source, *pieces):
    """Send pieces from an address; return the first bytes of the answer, or none."""
    with socket.create_connection(("127.0.0.1", node.port), 10, (source, 0)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        try:
            return client.recv(4096)
        except ConnectionResetError:
            return b""


def test_a_node_believes_it_of_the_load_balancer_alone(run_node, pieces):
    node = run_node(admit_unknown="true", proxy_protocol_from=f"{BALANCER}/32,10.0.0.0/8")
    seen = 0
    for cut in pieces:
        for address in ("192.0.2.7", "2001:db8::7"):
            answer = ask(node, BALANCER, *cut(header(address) + OPENING))
            assert answer.startswith(b"HTTP/1.1 101 ")
            seen += 1
            connected = eventually(lambda n=seen: node.logged("connected")[n - 1 : n])[0]
            assert connected["remote_address"] == address
    # Its health checks.
    assert ask(node, BALANCER, LOCAL + HEALTH).startswith(b"HTTP/1.1 200 ")
    # From there nothing comes without a header; from elsewhere nothing with one.
    assert ask(node, BALANCER, OPENING) == b""
    assert ask(node, SOMEBODY, header() + OPENING).startswith(b"HTTP/1.1 400 ")
    assert ask(node, SOMEBODY, HEALTH).startswith(b"HTTP/1.1 200 ")
    assert ask(node, SOMEBODY, OPENING).startswith(b"HTTP/1.1 101 ")
    connected = eventually(lambda: node.logged("connected")[seen : seen + 1])[0]
    assert connected["remote_address"] == SOMEBODY
    assert node.logged("connection without a proxy's header")


def test_a_header_that_never_ends_is_cut_off(run_node):
    node = run_node(
        admit_unknown="true", proxy_protocol_from=f"{BALANCER}/32", handshake_timeout="1"
    )
    assert ask(node, BALANCER, header()[:-1]) == b""
