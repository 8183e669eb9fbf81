"""Files over HTTP on the port of the WebSockets: firmware that charging points fetch, and logs.

`GET /files/<link>/<name>` fetches, from any place on (Range); `PUT` or `POST /files/<link>/<name>`
sends. A link is a name that cannot be guessed and that the database knows for a while
(`charging.database.files`). A transfer has a thread of its own with blocking calls, since it waits
for the disk or for S3 as much as for its socket; their number is limited.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, parse_headers
from urllib.parse import unquote

from charging.database.files import Link, Received
from charging.service.file_store import CHUNK_BYTES, FileStore, new_key
from cp_backend.store.files import Files
from cp_backend.telemetry import Metrics

PATH = "/files/"
IDLE_SECONDS = 30.0
"""That a charging point may take for 64 KiB: 2 KiB a second are enough."""
WHOLE_SECONDS = 3600.0
_NOTED_SECONDS = 20.0
_MAX_LINE_BYTES = 256
_LINGER_SECONDS = 2.0
_LINGER_READS = 64

_FIRST_LINE = re.compile(
    rb"(GET|HEAD|PUT|POST) (?:https?://[^/ ]*)?/+files/([A-Za-z0-9_-]{1,64})(?:/([^ ?#]*))?"
    rb"(?:[?#][^ ]*)? HTTP/1\.[01]\r\n"
)
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_UNSUITABLE = re.compile(r"[^\w .()+,=@-]")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A request for a file. name: the charging point's own, perhaps empty."""

    method: str
    link: str
    name: str
    headers: Message

    @property
    def fetches(self) -> bool:
        """Whether a file is fetched, or asked about; otherwise one is sent."""
        return self.method in ("GET", "HEAD")


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def read_file_request(data: bytes) -> FileRequest | None:
    """Return what a request asks for, None where it is none for a file. data: with all headers.

    Raises ValueError for headers that cannot be read.
    """
    found = _FIRST_LINE.match(data)
    if found is None or _UPGRADE.search(data):
        return None
    method, link, name = (part.decode("latin-1") for part in found.groups(b""))
    try:
        headers = parse_headers(io.BytesIO(data[found.end() :]))
    except HTTPException as error:
        raise ValueError(str(error)) from error
    return FileRequest(method, link, unquote(name).rpartition("/")[2], headers)


class FileTransfers:
    """The transfers of a node. limit: that go on side by side."""

    def __init__(
        self,
        files: Files,
        store: FileStore,
        loop: asyncio.AbstractEventLoop,
        metrics: Metrics,
        limit: int,
    ) -> None:
        self._files = files
        self._store = store
        self._loop = loop
        self._metrics = metrics
        self._limit = limit
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="file")
        self._open: set[socket.socket] = set()

    def begin(self, fd: int, request: FileRequest, rest: bytes) -> None:
        """Answer a request and close its socket. rest: what of its body has come already."""
        sock = socket.socket(fileno=fd)
        self._open.add(sock)
        if len(self._open) > self._limit:
            refused = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many files at once")
            self._refuse(sock, request, refused)
            self._end(sock)
            return

        def looked_up(link: Link | Exception | None) -> None:
            with suppress(RuntimeError):  # no thread is begun any more
                self._threads.submit(self._serve, sock, request, link, rest)

        self._files.use(request.link, looked_up)

    def stop(self) -> None:
        """Cut off what goes on."""
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # In a thread.

    def _serve(
        self, sock: socket.socket, request: FileRequest, link: Link | Exception | None, rest: bytes
    ) -> None:
        began_at = time.monotonic()
        sock.settimeout(IDLE_SECONDS)
        try:
            if isinstance(link, Exception):
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "cannot look up links now")
            if link is None:
                raise RefusedError(HTTPStatus.NOT_FOUND, "no such file, or no longer")
            if request.fetches != (link.key is not None):
                raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "not with this link")
            moved = _Moved(sock, rest, request, began_at + WHOLE_SECONDS)
            size = self._send(moved, link) if request.fetches else self._take(moved, link)
        except RefusedError as refused:
            self._refuse(sock, request, refused)
        except OSError as error:
            log.warning("file not moved", extra={"link": request.link[:4], "error": str(error)})
            self._refuse(sock, request, RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "cannot now"))
        except Exception:
            log.exception("file not moved", extra={"link": request.link[:4]})
        else:
            self._metrics.count("FilesMoved", request.method)
            extra = {
                "charging_point": link.charging_point_id,
                "method": request.method,
                "bytes": size,
                "seconds": round(time.monotonic() - began_at, 1),
            }
            log.info("file moved", extra=extra)
        _linger(sock)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._end, sock)

    def _send(self, moved: _Moved, link: Link) -> int:
        assert link.key is not None
        size, sock = link.size_bytes or 0, moved.sock
        start, end = _range(moved.request.headers.get("Range", ""), size)
        status = HTTPStatus.OK if end - start == size else HTTPStatus.PARTIAL_CONTENT
        fields = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(end - start),
            "Accept-Ranges": "bytes",
            "ETag": f'"{link.sha256}"',
        }
        if status is HTTPStatus.PARTIAL_CONTENT:
            fields["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        parts = self._store.read(link.key, start)
        first = b"" if moved.request.method == "HEAD" else next(parts, b"")
        sock.sendall(_head(status, fields))
        left = 0 if moved.request.method == "HEAD" else end - start
        part = first
        while left > 0 and part:
            moved.check_time()
            sock.sendall(part[:left])
            left -= len(part)
            part = next(parts, b"")
        return end - start

    def _take(self, moved: _Moved, link: Link) -> int:
        if (moved.length or 0) > link.max_bytes:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"over {link.max_bytes} bytes")
        if moved.request.headers.get("Expect", "").lower() == "100-continue":
            moved.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        digest, size = hashlib.sha256(), 0

        def parts() -> Iterator[bytes]:
            nonlocal size
            for part in moved.body():
                size += len(part)
                if size > link.max_bytes:
                    sentence = f"over {link.max_bytes} bytes"
                    raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)
                digest.update(part)
                yield part

        key = new_key("log")
        self._store.write(key, parts())
        name = _UNSUITABLE.sub("_", moved.request.name)[-100:] or "log"
        received = Received(link.link, link.charging_point_id, name, key, size, digest.hexdigest())
        try:
            self._note(received)
        except Exception:
            self._store.delete(key)
            raise
        moved.sock.sendall(_head(HTTPStatus.CREATED, {"Content-Length": "0"}))
        return size

    def _note(self, received: Received) -> None:
        """Wait until the database has noted a file: only then is it acknowledged."""
        noted: Future[None] = Future()

        def on_result(result: Exception | None) -> None:
            if isinstance(result, Exception):
                noted.set_exception(OSError(f"not noted: {result}"))
            else:
                noted.set_result(None)

        self._loop.call_soon_threadsafe(self._files.received, received, on_result)
        noted.result(_NOTED_SECONDS)

    def _refuse(self, sock: socket.socket, request: FileRequest, refused: RefusedError) -> None:
        self._metrics.count("FilesRefused", refused.status.phrase)
        extra = {"link": request.link[:4], "status": int(refused.status), "why": str(refused)}
        log.info("file refused", extra=extra)
        body = f"{refused}\n".encode()
        fields = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
        if refused.status is HTTPStatus.SERVICE_UNAVAILABLE:
            fields["Retry-After"] = "30"
        with suppress(OSError):
            sock.sendall(
                _head(refused.status, fields) + (body if request.method != "HEAD" else b"")
            )

    def _end(self, sock: socket.socket) -> None:
        self._open.discard(sock)
        sock.close()


class _Moved:
    """A socket with the beginning of a request's body. deadline: in monotonic seconds.

    length: of the body, None where it is not told first. Raises RefusedError.
    """

    def __init__(
        self, sock: socket.socket, rest: bytes, request: FileRequest, deadline: float
    ) -> None:
        self.sock = sock
        self.request = request
        self._buffer = rest
        self._deadline = deadline
        self._chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
        told = request.headers.get("Content-Length")
        if told is not None and not told.strip().isdigit():
            raise RefusedError(HTTPStatus.BAD_REQUEST, "Content-Length is no number")
        self.length = None if told is None or self._chunked else int(told)
        if not request.fetches and self.length is None and not self._chunked:
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "how long is it?")

    def check_time(self) -> None:
        """Raise TimeoutError when the whole has taken too long."""
        if time.monotonic() > self._deadline:
            raise TimeoutError("it took too long")

    def body(self) -> Iterator[bytes]:
        """Return the body in parts. Raises OSError where it ends too early."""
        if self.length is not None:
            yield from self._exactly(self.length)
            return
        while size := self._chunk_size():
            yield from self._exactly(size)
            self._line()
        while self._line():
            pass  # what follows the last chunk says nothing of the file

    def _chunk_size(self) -> int:
        text = self._line().partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", text):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a chunk without its size")
        return int(text, 16)

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size > 0:
            if not self._buffer:
                self._receive()
            part, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(part)
            yield part

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            if len(self._buffer) > _MAX_LINE_BYTES:
                raise RefusedError(HTTPStatus.BAD_REQUEST, "a line of a chunk is too long")
            self._receive()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def _receive(self) -> None:
        self.check_time()
        data = self.sock.recv(CHUNK_BYTES)
        if not data:
            raise ConnectionResetError("it ended too early")
        self._buffer += data


def _linger(sock: socket.socket) -> None:
    """Let the peer read its answer before it finds the connection gone."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(_LINGER_SECONDS)
        for _ in range(_LINGER_READS):
            if not sock.recv(CHUNK_BYTES):
                return


def _range(header: str, size: int) -> tuple[int, int]:
    """Return from and until where a file is wanted: one range that begins at a place, or all."""
    found = _RANGE.fullmatch(header.strip())
    if found is None:
        return 0, size
    start, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if start >= size or last < start:
        raise RefusedError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"it has {size} bytes")
    return start, min(last + 1, size)


def _head(status: HTTPStatus, fields: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")
