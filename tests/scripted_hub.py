"""A hub that answers what a test tells it to, byte for byte."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import simplejson

OK = (200, b'{"Result": true, "StatusCode": {"Code": "000"}}')


class ScriptedHub:
    """An HTTP server on loopback.

    answers: (HTTP status, body) of the next calls, `OK` when there are none left. calls: (path,
    body) of those that came. headers: of every answer.
    """

    def __init__(self) -> None:
        self.answers: deque[tuple[int, bytes]] = deque()
        self.calls: list[tuple[str, object]] = []
        self.headers: list[tuple[str, str]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.calls.append((self.path, simplejson.loads(body)))
                status, text = hub.answers.popleft() if hub.answers else OK
                self.send_response(status)
                for name, value in hub.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def scripted_hub() -> Iterator[ScriptedHub]:
    """Run one."""
    hub = ScriptedHub()
    try:
        yield hub
    finally:
        hub.close()
