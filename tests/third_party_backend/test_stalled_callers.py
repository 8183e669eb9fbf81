"""Callers who stall in the middle of a request keep no driver waiting, and are let go."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack

import pytest

from tests.rows import EVSE

PATH = "/api/oicp/charging/v21/providers/DE-DCB/authorize-remote/start"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
BEGINNINGS = {
    "a body": f"{HEAD}Content-Length: 400\r\n\r\n{{",
    "chunks": f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n",
    "a head": HEAD,
    "nothing": "",
}


def connect(hub):
    return socket.create_connection(("127.0.0.1", hub.port), timeout=15)


def answers(client):
    """Read what comes until the other end closes."""
    with client.makefile("rb") as stream:
        return stream.read()


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_seventy_stalled_requests_keep_no_driver_waiting(hub, beginning):
    hub.start(EVSE)  # the first request makes the worker's connections
    with ExitStack() as stack:
        stalled = [stack.enter_context(connect(hub)) for _ in range(70)]
        for client in stalled:
            client.sendall(BEGINNINGS[beginning].encode())
        took = []
        for _ in range(5):
            started = time.monotonic()
            assert hub.start(EVSE)["StatusCode"]["Code"] == "603"
            took.append(time.monotonic() - started)
        assert max(took) < 2
        if beginning == "a body":
            assert answers(stalled[0]).startswith(b"HTTP/1.1 408 ")
            assert time.monotonic() - started < 15


BODY = json.dumps(
    {
        "SessionID": "b2688855-7f00-0002-6d8e-48d883f6abb6",
        "ProviderID": "DE-DCB",
        "EvseID": EVSE,
        "Identification": {"RemoteIdentification": {"EvcoID": "DE-DCB-C12345678-X"}},
    }
).encode()
WHOLE = f"{HEAD}Content-Length: {len(BODY)}\r\n".encode()


def test_requests_come_in_bit_by_bit_and_several_at_once(hub):
    with connect(hub) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in WHOLE + b"\r\n" + BODY[:-1]:
            client.sendall(bytes([byte]))
        # The rest, two whole requests, and the beginning of a last.
        last = WHOLE + b"Connection: close\r\n\r\n" + BODY
        client.sendall(BODY[-1:] + 2 * (WHOLE + b"\r\n" + BODY) + last[:100])
        received = b""
        while received.count(b'"603"') < 3:
            received += client.recv(10_000)
        client.sendall(last[100:])
        received += answers(client)
    assert received.count(b"HTTP/1.1 200 OK") == 4
    assert received.count(b'"603"') == 4


def test_who_waits_for_consent_gets_it(hub):
    with connect(hub) as client:
        client.sendall(WHOLE + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(BODY)
        assert b"HTTP/1.1 200 OK" in answers(client)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (WHOLE.replace(b"Content-Length: ", b"Content-Length: 99999999"), b"HTTP/1.1 413 "),
        (WHOLE + b"Content-Length: 4\r\n\r\n", b"HTTP/1.1 400 "),
        (WHOLE + b"Transfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 400 "),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 "),
    ],
)
def test_what_is_no_request_is_refused(hub, request_, answer):
    with connect(hub) as client:
        client.sendall(request_ if request_.endswith(b"\r\n\r\n") else request_ + b"\r\n")
        assert answers(client).startswith(answer)
