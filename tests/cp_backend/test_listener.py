"""Who may come in, and what the others are told."""

import resource
import socket
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from charging.credential import hash_password
from tests.rows import add_charging_point
from tests.station import Station
from tests.waiting import eventually


def register(database, name="CP1", password=None):
    salt = b"s" * 16
    add_charging_point(
        database,
        name,
        password_salt=salt if password else None,
        password_hash=hash_password(password.encode(), salt) if password else None,
    )


def refused(port, *arguments, **options):
    with pytest.raises(InvalidStatus) as error:
        Station(port, *arguments, **options)
    return error.value.response


@pytest.fixture
def strict(run_node, database):
    register(database, "CP1", "correct horse")
    return run_node()


def test_an_unknown_charging_point_is_told_404(strict):
    assert refused(strict.port, "STRANGER").status_code == 404


def test_the_right_password_opens(strict):
    with Station(strict.port, "CP1", password="correct horse") as station:
        assert station.boot()["status"] == "Accepted"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"password": "wrong"},
        {"password": "correct horse", "user": "CP2"},
        {"headers": {"Authorization": "Basic !!!"}},
        {"headers": {"Authorization": "Bearer abc"}},
    ],
)
def test_bad_credentials_are_told_401_on_the_upgrade(strict, options):
    response = refused(strict.port, "CP1", **options)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic")


OPENING = (
    b"GET /CP1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)
BASIC = b"Authorization: Basic Q1AxOnB3\r\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [(b"Authorization: Basic \xff\r\n", b"401"), (BASIC + BASIC, b"400")],
)
def test_odd_credentials_are_answered_at_once(strict, headers, status):
    request = OPENING.removesuffix(b"\r\n") + headers + b"\r\n"
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as client:
        client.sendall(request)
        assert client.recv(1000).startswith(b"HTTP/1.1 " + status)
        assert client.recv(1000) == b""
    assert not strict.logged("listener of a commit failed")


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/CP1", "CP1"),
        ("/ocpp/v16/CP1", "CP1"),
        ("/CP1/", "CP1"),
        ("/ocpp/CP1//", "CP1"),
        ("/CP%201", "CP 1"),
        ("/CP1%20", "CP1"),
        ("/CP1?x=/y", "CP1"),
        ("/CP1/?x=/y", "CP1"),
        ("/a1:b2:c3:d4:e5:f6", "a1:b2:c3:d4:e5:f6"),
        ("/a%3Ab", "a:b"),
        ("/~CP,(1)", "~CP,(1)"),
        ("/CP%2F1", "CP/1"),
        ("/S%C3%A4ule%201", "Säule 1"),
        ("/Sa%CC%88ule", "Säule"),
        ("/CP%221%22'$&;!", 'CP"1"\'$&;!'),
        ("/" + "x" * 48, "x" * 48),
    ],
)
def test_the_identity_is_the_last_segment_of_the_path(node, database, path, identity):
    with Station(node.port, path=path) as station:
        station.boot()
        names = database.execute("SELECT charging_point_id FROM charging_points").fetchall()
    assert names == [(identity,)]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/%FF",
        "/CP%00",
        "/CP%0A1",
        "/" + "x" * 49,
        "/*",
        "/.",
        "/..",
        "/health",
        "/health/CP1",
    ],
)
def test_a_path_without_an_identity_is_told_404(node, path):
    assert refused(node.port, path=path).status_code == 404


def test_the_clients_order_of_subprotocols_is_its_preference(node):
    with Station(node.port, subprotocols=["ocpp9", "hello", "ocpp1.6"]) as station:
        assert station.socket.subprotocol == "hello"


@pytest.mark.parametrize("subprotocols", [[], ["ocpp9.9"]])
def test_without_a_common_subprotocol_the_handshake_ends_and_then_the_connection(
    node, subprotocols
):
    station = Station(node.port, subprotocols=subprotocols)
    assert station.socket.subprotocol is None
    with pytest.raises(ConnectionClosed):
        station.socket.recv(10)


def test_hello_is_acknowledged_and_logged(node):
    with Station(node.port, subprotocols=["hello"]) as station:
        station.send("Hello")
        assert station.socket.recv(10) == "acknowledged: Hello"
    assert eventually(lambda: node.logged("hello"))[0]["text"] == "Hello"


def test_a_hello_does_not_displace_the_charging_point(node):
    with Station(node.port) as station:
        station.boot()
        with Station(node.port, subprotocols=["hello"]) as visitor:
            visitor.send("Hello")
            visitor.socket.recv(10)
        assert "currentTime" in station.call("Heartbeat", {})


def test_the_newest_connection_wins_and_the_oldest_does_not_evict_it(node, database):
    old = Station(node.port)
    old.boot()
    with Station(node.port) as new:
        with pytest.raises(ConnectionClosed):
            old.socket.recv(10)
        old.close()
        eventually(lambda: node.logged("disconnected"))
        assert "currentTime" in new.call("Heartbeat", {})
        assert database.execute("SELECT count(*) FROM connections").fetchone() == (1,)
    eventually(lambda: database.execute("SELECT count(*) FROM connections").fetchone() == (0,))


def test_a_charging_point_that_moves_to_another_node_is_closed_on_the_first(run_node, database):
    settings = {"admit_unknown": "true"}
    first, second = run_node(**settings), run_node(**settings)
    old = Station(first.port)
    old.boot()
    eventually(lambda: database.execute("SELECT 1 FROM connections").fetchone())
    with Station(second.port):
        with pytest.raises(ConnectionClosed):
            old.socket.recv(10)
        eventually(lambda: first.logged("disconnected"))
        assert database.execute("SELECT count(*) FROM connections").fetchone() == (1,)
    old.close()


def test_beyond_its_limit_a_node_says_503_and_when_to_come_again(run_node):
    node = run_node(admit_unknown="true", max_connections="1", retry_after="7")
    with Station(node.port, "CP1"):
        response = refused(node.port, "CP2")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "7"


def test_the_program_says_what_it_may_hold_and_what_to_change(run_node):
    node = run_node("--processes", "2")
    (limits,) = node.logged("limits")
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits["files_a_process"] == files
    assert limits["connections"] == 2 * limits["connections_a_process"] < 2 * files
    assert "ulimit" in limits["advice"]
    assert "--processes" in limits["advice"]


def test_too_many_handshakes_at_once_are_told_to_come_again(run_node, database):
    node = run_node(admit_unknown="true", max_handshakes="1", retry_after="3")
    with socket.create_connection(("127.0.0.1", node.port), timeout=10):
        response = eventually(lambda: _refusal(node.port))
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "3"
    eventually(lambda: _refusal(node.port) is None)
    cause = "HandshakesRefused:too many handshakes"
    eventually(
        lambda: database.execute(
            "SELECT 1 FROM nodes WHERE (figures->'detail'->>%s)::int > 0", [cause]
        ).fetchone()
    )


def _refusal(port):
    """The answer to a handshake that is refused; None for one that succeeds."""
    try:
        Station(port).close()
    except InvalidStatus as error:
        return error.response
    return None


def test_a_slow_handshake_is_cut_off(run_node):
    node = run_node(handshake_timeout="1")
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert slow.recv(100) == b""


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /CP1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"x" * 20_000,
        b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /CP1 HTTP/1.1\r\nno header\r\n\r\n",
        b"GET /CP1 HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"GET /CP1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET /CP1 HTTP/1.1\nHost: x\r\n\r\n",
        b"GET /CP1 HTTP/1.1\nHost: x\n\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\n",
        OPENING.replace(b"Host: x\r\n", b""),
        OPENING.replace(b"Host: x\r\n", b"Host: x\r\nHost: x\r\n"),
        OPENING.replace(b"Host: x", b"Host: x y"),
    ],
)
def test_what_is_no_handshake_is_refused_at_once(node, request_):
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as client:
        client.sendall(request_)
        assert client.recv(1000).startswith(b"HTTP/1.1 4")


def answer_to(node, request):
    """The status, headers and body that a request is answered with before the socket ends."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as client:
        client.sendall(request)
        text = b""
        while data := client.recv(4096):
            text += data
    head, _, body = text.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split(" ")[1]), headers, body


@pytest.mark.parametrize(
    ("request_", "status", "header"),
    [
        (b"GET /CP1 HTTP/1.1\r\nHost: x\r\n\r\n", 426, ("Upgrade", "websocket")),
        (b"HEAD /CP1 HTTP/1.1\r\nHost: x\r\n\r\n", 426, ("Upgrade", "websocket")),
        (OPENING.replace(b"websocket", b"h2c"), 426, ("Upgrade", "websocket")),
        (OPENING.replace(b"GET", b"POST"), 405, ("Allow", "GET, HEAD")),
        (b"DELETE /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 404, ("Connection", "close")),
        (OPENING.replace(b"n: 13", b"n: 8"), 400, ("Sec-WebSocket-Version", "13")),
        (
            OPENING.replace(b"Sec-WebSocket-Version: 13\r\n", b""),
            400,
            ("Sec-WebSocket-Version", "13"),
        ),
        (OPENING.replace(b"dGhl", b""), 400, ("Connection", "close")),
    ],
)
def test_answers_carry_the_headers_that_the_standards_ask_for(node, request_, status, header):
    answered, headers, body = answer_to(node, request_)
    assert answered == status
    assert header in headers.items()
    assert (body == b"") == request_.startswith(b"HEAD")
    assert "Date" in headers


@pytest.mark.parametrize("end", ["", "/", "//", "?x=y"])
def test_health_answers_head_without_a_body_and_with_slashes_behind(node, end):
    for version in ("1.1", "1.0"):
        request = f"HEAD /health/live{end} HTTP/{version}\r\nHost: x\r\n\r\n".encode()
        assert answer_to(node, request)[::2] == (200, b"")
        assert answer_to(node, request.replace(b"HEAD", b"GET"))[::2] == (200, b"ok\n")


@pytest.mark.parametrize(
    ("old", "new", "header"),
    [
        (b"Connection: Upgrade\r\n", b"", "Connection"),
        (b"Connection: Upgrade", b"Connection: keep-alive", "Connection"),
        (b"Connection: Upgrade", b'Connection: "keep-alive", "upgrade"', None),
        (b"Upgrade: websocket\r\n", b"", "Upgrade"),
        (b"Upgrade: websocket", b'Upgrade: "WebSocket"', "Upgrade"),
        (b"Upgrade: websocket", b"Upgrade: h2c, websocket/13", "Upgrade"),
        (b"Version: 13", b"Version: 13, 8", "Sec-WebSocket-Version"),
        (b"Version: 13", b'Version: "13"', "Sec-WebSocket-Version"),
        (b"ocpp1.6", b'"ocpp1.6"', "Sec-WebSocket-Protocol"),
        (b"ocpp1.6", b"OCPP1.6", "Sec-WebSocket-Protocol"),
        (b"ocpp1.6", b",ocpp0.9;;ocpp1.6,", "Sec-WebSocket-Protocol"),
        (
            b"Sec-WebSocket-Protocol: ocpp1.6",
            b"Sec-WebSocket-Protocol:\r\nSec-WebSocket-Protocol: ocpp1.6",
            "Sec-WebSocket-Protocol",
        ),
        (b"Host: x", b"Host: x\r\nSec-WebSocket-Extensions:", None),
        (b"Host: x", b'Host: x\r\nSec-WebSocket-Extensions: ="nonsense', None),
        (b"Host: x", b"Host: x\r\nOrigin: null", None),
        (b"GET /CP1", b"GET ws://x/ocpp/CP1", None),
        (b"GET /CP1", b"\r\n\r\nGET /CP1", None),
    ],
)
def test_an_odd_handshake_opens(node, database, old, new, header):
    request = OPENING.replace(old, new)
    assert request != OPENING
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as client:
        client.sendall(request)
        head = client.recv(4096)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert b"Sec-WebSocket-Protocol: ocpp1.6\r\n" in head.replace(b"OCPP", b"ocpp")
        eventually(lambda: database.execute("SELECT 1 FROM connections").fetchone())
    if header is not None:
        row = eventually(
            lambda: database.execute("SELECT action, path, repair FROM deviations").fetchone()
        )
        assert row == ("handshake", header, "header")


def test_a_password_may_follow_an_identity_with_colons(run_node, database):
    register(database, "a1:b2:c3", "correct: horse")
    node = run_node()
    with Station(node.port, "a1:b2:c3", password="correct: horse") as station:
        assert station.boot()["status"] == "Accepted"
    assert refused(node.port, "a1:b2:c3", password="horse").status_code == 401


@pytest.mark.parametrize("path", ["live", "ready"])
def test_health_is_plain_http_on_the_same_port(node, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{node.port}/health/{path}") as response:
        assert response.read() == b"ok\n"


def test_a_proxy_tells_the_address_and_a_client_cannot_forge_it(run_node):
    node = run_node(admit_unknown="true", forwarded_hops="1")
    headers = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
    with Station(node.port, headers=headers):
        line = eventually(lambda: node.logged("connected"))[0]
    assert line["remote_address"] == "203.0.113.9"


def test_a_charging_point_speaks_only_the_versions_of_its_row(node, database):
    add = "INSERT INTO charging_points (charging_point_id, ocpp_versions) VALUES (%s, %s)"
    database.execute(add, ["CP1", ["2.0.1"]])
    database.execute(add, ["CP2", ["1.6", "2.0.1"]])
    with Station(node.port, "CP2") as station:
        assert station.boot()["status"] == "Accepted"
    with Station(node.port, "CP1") as station:
        assert station.socket.subprotocol is None
        with pytest.raises(ConnectionClosed):
            station.socket.recv(10)
