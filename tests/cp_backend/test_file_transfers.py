"""Files over HTTP on the port of WebSockets: who may, how much, and nothing noted too early."""

from __future__ import annotations

import http.client
import socket
from datetime import UTC, datetime, timedelta

import pytest

from charging.database import files
from charging.database.audit import Asker
from charging.service.file_store import FolderStore
from cp_backend.file_transfers import read_file_request
from operations import files as office
from tests.rows import add_charging_point
from tests.station import Station
from tests.waiting import eventually

FIRMWARE = bytes(range(256)) * 2000
BY = Asker("tests", "tests")


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("FILE_STORE", str(tmp_path / "files"))
    return FolderStore(tmp_path / "files")


@pytest.fixture
def node(store, run_node, database):
    add_charging_point(database)
    return run_node(max_files="2")


def link(database, *, file=None, max_bytes=1000, minutes=5):
    ends = datetime.now(UTC) + timedelta(minutes=minutes)
    url = files.link(database, ["CP1"], file=file, max_bytes=max_bytes, expires_at=ends)["CP1"]
    return "/files/" + url.removeprefix(files.LINK_SCHEME)


@pytest.fixture
def firmware(database, store):
    return office.put(database, store, "fw-1.2.bin", [FIRMWARE], by=BY).file


def ask(node, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    chunked = not isinstance(body, bytes | type(None))
    connection.request(method, path, body, headers, encode_chunked=chunked)
    answer = connection.getresponse()
    found = answer.status, answer.read(), answer.headers
    connection.close()
    return found


def received(database):
    return files.read(database, kind="log", limit=9)


def test_firmware_is_fetched_from_any_place_on(node, database, firmware):
    path = link(database, file=firmware) + "fw-1.2.bin"
    status, body, headers = ask(node, "GET", path)
    assert (status, body) == (200, FIRMWARE)
    status, body, headers = ask(node, "GET", path, Range="bytes=500000-")
    assert (status, body) == (206, FIRMWARE[500000:])
    assert headers["Content-Range"] == f"bytes 500000-{len(FIRMWARE) - 1}/{len(FIRMWARE)}"
    assert ask(node, "GET", path, Range="bytes=1-3")[1] == FIRMWARE[1:4]
    assert ask(node, "GET", path, Range="bytes=512000-")[0] == 416
    status, body, headers = ask(node, "HEAD", path)
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(FIRMWARE)))


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_log_is_taken(node, database, store, method):
    status, _, _ = ask(node, method, link(database) + "a%20b/C%C3%A4%22.log", b"lines")
    assert status == 201
    (found,) = received(database)
    assert (found.name, found.size_bytes, found.charging_point) == ("Cä_.log", 5, "CP1")
    assert b"".join(store.read(found.key)) == b"lines"


def test_a_body_in_chunks_is_taken(node, database, store):
    status, _, _ = ask(node, "PUT", link(database), iter([b"ab", b"cde"]))
    assert status == 201
    assert b"".join(store.read(received(database)[0].key)) == b"abcde"


def test_the_size_is_limited(node, database):
    assert ask(node, "PUT", link(database), b"x" * 1001)[0] == 413
    assert ask(node, "PUT", link(database), iter([b"x" * 600] * 2))[0] == 413
    assert received(database) == []


def test_a_client_that_asks_first_is_told_to_go_on(node, database):
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        head = f"PUT {link(database)}a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
        sock.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert sock.recv(100).startswith(b"HTTP/1.1 201")


def test_what_breaks_off_is_not_kept(node, database, store, tmp_path):
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        head = f"PUT {link(database)}a HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nabc"
        sock.sendall(head.encode())
    eventually(lambda: "file not moved" in node.program.log.read_text())
    assert received(database) == []
    assert [file for file in (tmp_path / "files").rglob("*") if file.is_file()] == []


def test_a_link_is_for_one_purpose_and_a_while(node, database, firmware):
    assert ask(node, "GET", "/files/abc/x")[0] == 404
    assert ask(node, "GET", link(database, file=firmware, minutes=-1))[0] == 404
    assert ask(node, "PUT", link(database, file=firmware), b"x")[0] == 405
    assert ask(node, "GET", link(database))[0] == 405
    assert ask(node, "PUT", link(database), None, **{"Content-Length": "no"})[0] == 400
    path = link(database)
    statuses = [ask(node, "PUT", path, b"x")[0] for _ in range(files.MAX_RECEIVED + 1)]
    assert statuses == [201] * files.MAX_RECEIVED + [404]


def test_a_file_that_is_gone_is_no_crash(node, database, firmware, store):
    path = link(database, file=firmware)
    store.delete(office.show(database, firmware).key)
    assert ask(node, "GET", path)[0] == 503
    office.delete(database, store, firmware, by=BY)
    assert ask(node, "GET", path)[0] == 404


def test_more_than_fit_are_put_off(node, database, firmware):
    path = link(database)
    waiting = []
    for _ in range(2):
        sock = socket.create_connection(("127.0.0.1", node.port), timeout=10)
        sock.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n".encode())
        waiting.append(sock)
    eventually(lambda: ask(node, "GET", link(database, file=firmware))[0] == 503)
    for sock in waiting:
        sock.sendall(b"abc")
        assert sock.recv(100).startswith(b"HTTP/1.1 201")
        sock.close()
    eventually(lambda: ask(node, "GET", link(database, file=firmware))[0] == 200)


def test_charging_points_may_connect_under_the_same_path(node, database):
    with Station(node.port, path="/files/CP1") as station:
        station.boot()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("GET /files/abc HTTP/1.1", ("GET", "abc", "")),
        ("PUT //files/abc/a/b.log?x=1 HTTP/1.0", ("PUT", "abc", "b.log")),
        ("POST https://cp.example/files/abc/b HTTP/1.1", ("POST", "abc", "b")),
        ("GET /filesystem/abc HTTP/1.1", None),
        ("DELETE /files/abc HTTP/1.1", None),
        ("GET /files/ HTTP/1.1", None),
    ],
)
def test_requests_for_files_are_told_apart(line, found):
    request = read_file_request(f"{line}\r\nHost: x\r\n\r\n".encode())
    assert (request and (request.method, request.link, request.name)) == found
