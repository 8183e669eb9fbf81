"""The two listeners of the simulator, in threads: the hub's own, and the control interface.

A small HTTP server of our own: it keeps connections, as the real hub does, handshakes in the
connection's own thread, and gives the application the socket, to cut it.
"""

from __future__ import annotations

import io
import logging
import signal
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import unquote

from flask import Flask
from werkzeug.test import run_wsgi_app

CALLER = "hub.caller"
"""The member of the WSGI environment that is the `Caller`."""
HANDSHAKE_SECONDS = 10.0
IDLE_SECONDS = 300.0

log = logging.getLogger(__name__)


class ServerError(RuntimeError):
    """It cannot listen, or a file of its certificate cannot be used."""


@dataclass
class Caller:
    """Who called. cut: set it to have the connection cut instead of answered."""

    socket: socket.socket
    cut: bool = False


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_SECONDS

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True  # its caller died in the middle: there is no message
            return
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": str(self.server.server_address[0]),
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http" if self.server.tls is None else "https",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            CALLER: (caller := Caller(self.connection)),
        }
        parts, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
        if caller.cut:
            self.close_connection = True
            return
        answer = b"".join(parts)
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the base's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Log no requests: the hub's own list of calls has more."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, app: Flask, tls: ssl.SSLContext | None) -> None:
        self.app = app
        self.tls = tls
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ServerError(f"cannot listen on {host}:{port}: {error.strerror}") from error

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            if self.tls is not None:
                request.settimeout(HANDSHAKE_SECONDS)
                request = self.tls.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)
        except ssl.SSLError as error:
            log.warning("handshake refused: %s", error)
        except OSError as error:
            log.info("connection lost: %s", error)


def tls_context(certificate: Path, private_key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """Return the TLS context of the listener. client_ca: only callers it signed are let in.

    Raises ServerError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, private_key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ServerError(
            f"certificate {certificate}, key {private_key}, client CA {client_ca}: {error}"
        ) from error
    return context


class Servers:
    """A context manager around both listeners; each of `ports` is the one that it got.

    pushes, control: host, port (0 for any) and application. Raises ServerError when a port cannot
    be had.
    """

    def __init__(
        self,
        pushes: tuple[str, int, Flask],
        control: tuple[str, int, Flask],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._servers = [_Server(*pushes, tls), _Server(*control, None)]
        self.ports = [server.server_address[1] for server in self._servers]

    def __enter__(self) -> Servers:
        for server in self._servers:
            threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
            ).start()
        return self

    def __exit__(self, *error: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


def wait_for_a_signal() -> None:
    """Return at SIGINT or SIGTERM."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        ended.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    ended.wait()
