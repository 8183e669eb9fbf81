"""`python -m cp_backend`: run charging-point-backend."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import ssl
import sys
from collections.abc import Callable

import uvloop

from charging.database.address import database
from charging.database.embedded import EmbeddedServerError
from charging.service.logs import set_up_logging
from charging.service.settings import SettingError
from cp_backend.listener import bind
from cp_backend.node import Node
from cp_backend.port_sharing import Rooms, SharedPort
from cp_backend.processes import supervise
from cp_backend.settings import (
    Settings,
    files_limit,
    from_environment,
    raise_files_limit,
    table,
    variable,
)

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = from_environment(
            host=options.host,
            port=options.port,
            processes=options.processes,
            log_level=options.log_level,
        )
    except SettingError as error:
        print(f"cp_backend: {error}", file=sys.stderr)
        return 2
    set_up_logging(settings.log_level)
    raise_files_limit()
    try:
        with database() as url:
            return _serve(settings, url)
    except EmbeddedServerError as error:
        print(f"cp_backend: {error}", file=sys.stderr)
        return 1


def _serve(settings: Settings, url: str) -> int:
    try:
        # Bound here even if nodes bind it again: a port that is taken is known at once, and a
        # free one that was asked for is one for all nodes.
        reserved = bind(settings.host, settings.port, shared=settings.processes > 1)
    except OSError as error:
        print(
            f"cp_backend: cannot listen on {settings.host}:{settings.port}: {error.strerror}",
            file=sys.stderr,
        )
        return 1
    host, port = reserved.getsockname()[:2]
    _log_limits(settings)
    if settings.processes == 1:
        return _run_node(settings, url, reserved)
    parent = os.getpid()
    rooms = Rooms(settings.processes)

    def run_node(place: int) -> int:
        with bind(host, port, shared=True) as sock:
            return _run_node(
                settings,
                url,
                sock,
                orphaned=lambda: os.getppid() != parent,
                port=SharedPort(rooms, place, lambda: bind(host, port, shared=True)),
            )

    with reserved:
        return supervise(settings.processes, run_node, lambda place: rooms.publish(place, 0))


def _run_node(
    settings: Settings,
    url: str,
    sock: socket.socket,
    orphaned: Callable[[], bool] = lambda: False,
    port: SharedPort | None = None,
) -> int:
    async def run() -> None:
        node = Node(settings, url, orphaned=orphaned, port=port)
        await node.run(sock)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run())
        except (OSError, ssl.SSLError) as error:
            print(f"cp_backend: {error}", file=sys.stderr)
            return 1
    return 0


def _log_limits(settings: Settings) -> None:
    limit = settings.connection_limit()
    chosen = settings.max_connections and limit == settings.max_connections
    log.info(
        "limits",
        extra={
            "processes": settings.processes,
            "files_a_process": files_limit(),
            "connections_a_process": limit,
            "connections": limit * settings.processes,
            "advice": "for more, raise "
            + (variable("max_connections") if chosen else "the hard limit of files (ulimit -Hn)")
            + ", or --processes",
        },
    )


def _parser() -> argparse.ArgumentParser:
    rows = "\n".join(
        f"  {name:38} {meaning} (default {default or 'none'})" for name, default, meaning in table()
    )
    parser = argparse.ArgumentParser(
        prog="python -m cp_backend",
        description="charging-point-backend: holds the WebSocket connections of charging points.",
        epilog=(
            "settings, from the environment:\n"
            f"{rows}\n\n"
            "The database is DATABASE_URL, or DATABASE_HOST with DATABASE_PORT, DATABASE_NAME,\n"
            "DATABASE_USER and DATABASE_PASSWORD, or an embedded server under var/.\n"
            "FILE_STORE keeps firmware and logs: a folder or s3://bucket/prefix.\n\n"
            "SIGTERM drains over CP_BACKEND_DRAIN_TIME seconds, SIGINT (Ctrl-C) within a second;\n"
            "a second signal stops at once."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on")
    parser.add_argument("--processes", type=int, help="nodes behind the port, one a vCPU")
    parser.add_argument("--log-level", help="DEBUG, INFO, WARNING or ERROR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
