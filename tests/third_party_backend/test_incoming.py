"""When a request has come in as a whole, however it is cut on its way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from third_party_backend.incoming import (
    MAX_BODY_BYTES,
    MAX_CHUNKED_BYTES,
    MAX_HEAD_BYTES,
    Extent,
    Incoming,
)

BODY = b'{"SessionID": "1"}'
LENGTH = b"POST /a HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 18\r\n\r\n" + BODY
CHUNKED = (
    b"POST /a HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b'9;a=b\r\n{"Session\r\n09\r\nID": "1"}\r\n0\r\nTrailer: 1\r\n\r\n'
)
REQUESTS = [
    b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    LENGTH,
    CHUNKED,
    CHUNKED.replace(b"Trailer: 1\r\n", b""),
    b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
]


@given(st.sampled_from(REQUESTS), st.lists(st.integers(1, 40), max_size=12))
def test_it_is_whole_with_its_last_byte(request, cuts):
    incoming = Incoming()
    rest = request
    for cut in cuts:
        if cut >= len(rest):
            break
        assert incoming.take(rest[:cut]) is Extent.PARTLY
        rest = rest[cut:]
    assert incoming.take(rest) is Extent.WHOLE
    assert bytes(incoming.received) == request.lstrip(b"\r\n")


def test_each_byte_alone():
    for request in REQUESTS:
        incoming = Incoming()
        extents = [incoming.take(bytes([byte])) for byte in request]
        assert extents.index(Extent.WHOLE) == len(request) - 1


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 3\r\nContent-Length: 4",
        b"Content-Length: x",
        b"Content-Length: -1",
        b"Content-Length: +3",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3",
        b"Transfer-Encoding: gzip, chunked",
    ],
)
def test_what_is_malformed_is_handed_on_at_once(fields):
    assert Incoming().take(b"POST / HTTP/1.1\r\n" + fields + b"\r\n\r\n") is Extent.WHOLE


@pytest.mark.parametrize("size", [b"x\r\n", b"-1\r\n", b"1_0\r\n", b"1" * 2000])
def test_so_is_a_malformed_chunk(size):
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert Incoming().take(head + size) is Extent.WHOLE


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * MAX_HEAD_BYTES,
        b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1),
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\na\r\n" * (MAX_CHUNKED_BYTES // 6 + 1),
    ],
)
def test_what_is_too_large_is_not_waited_for(request_):
    assert Incoming().take(request_) is Extent.TOO_LARGE


def test_a_sender_may_wait_for_consent():
    incoming = Incoming()
    head = b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"
    assert incoming.take(head) is Extent.PARTLY
    assert incoming.wants_consent
