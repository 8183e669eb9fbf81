"""The services' images on this machine, run as hardened as their task definitions run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url

from charging.database.address import DATABASE_URL, database
from scripts.cloud import images
from scripts.cloud.images import Image
from templates.parts.containers import STOP_TIMEOUT_SECONDS

# Where PostgreSQL's socket is in a container.
_SOCKETS = "/run/postgresql"
_SETTINGS = ("CP_BACKEND_", "THIRD_PARTY_")


class Container:
    """A context manager around a container of an image: enter starts it, exit removes it.

    words: what to run instead of the image's own command. database_url: may name a socket of
    this machine. environment: settings.
    """

    def __init__(
        self,
        engine: str,
        image: str,
        words: Sequence[str] = (),
        *,
        database_url: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = f"vni-{uuid.uuid4().hex[:12]}"
        self._engine = engine
        hardened, self._variables = _hardened(engine, database_url, environment or {})
        self._words = ["--name", self.name, *hardened, image, *words]

    def __enter__(self) -> Container:
        try:
            self._call("run", "--detach", *self._words)
        except RuntimeError:
            self._call("rm", "--force", self.name)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._call("rm", "--force", self.name)

    @property
    def is_healthy(self) -> bool:
        """What the image's HEALTHCHECK says."""
        if self._engine == "podman":
            # Its timers are systemd's, which may not be here; asked, it looks itself.
            words = ["podman", "healthcheck", "run", self.name]
            return not subprocess.run(words, capture_output=True, check=False).returncode
        return bool(self.state["Health"]["Status"] == "healthy")

    @property
    def state(self) -> dict[str, Any]:
        """The engine's own account: Running, ExitCode, Pid, …"""
        state: dict[str, Any] = json.loads(self._call("inspect", self.name))[0]["State"]
        return state

    def stop(self, grace_seconds: int = STOP_TIMEOUT_SECONDS) -> tuple[int, float]:
        """Stop it as ECS does; return its exit code (137: killed) and the seconds it took."""
        began = time.monotonic()
        self._call("stop", "--time", str(grace_seconds), self.name)
        return self.state["ExitCode"], time.monotonic() - began

    def wait(self) -> int:
        """Return the exit code once it ended by itself."""
        return int(self._call("wait", self.name))

    def log(self) -> str:
        """Return its output."""
        words = [self._engine, "logs", self.name]
        run = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        return run.stdout.decode(errors="replace")

    def _call(self, *words: str) -> str:
        run = subprocess.run(
            [self._engine, *words],
            env=self._variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise RuntimeError(f"`{self._engine} {words[0]}` failed: {run.stderr.strip()}")
        return run.stdout.strip()


def _hardened(
    engine: str, database_url: str, environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return how a container is run, and the variables of the engine that runs it.

    It gets the machine's network and nothing it could write to. An address of a database that
    is a socket becomes one in the container. Values are not in the words, which all may read.
    """
    words = ["--network", "host", "--read-only", "--cap-drop", "ALL"]
    words += ["--security-opt", "no-new-privileges"]
    if engine == "podman":
        # It would lend a /tmp, which Fargate does not.
        words.append("--read-only-tmpfs=false")
    parts = conninfo_to_dict(database_url)
    host = str(parts.get("host", ""))
    if host.startswith("/"):
        socket = f".s.PGSQL.{parts.get('port', 5432)}"
        words += ["--volume", f"{Path(host, socket)}:{_SOCKETS}/{socket}"]
        address = make_url(database_url).set(host=None).update_query_dict({"host": _SOCKETS})
        database_url = address.render_as_string(hide_password=False)
    variables = {**environment, DATABASE_URL: database_url}
    for name in variables:
        words += ["--env", name]
    return words, {**os.environ, **variables}


def run(image: Image, arguments: list[str]) -> int:
    """Build an image and run it until Ctrl-C, as `make run-…-locally` runs the program.

    With DATABASE_URL unset it shares the local database. Settings are taken from our environment.
    Returns the container's exit code. Raises InputError without a container engine.
    """
    engine = images.find_engine()
    images.build(image, image.local_name, engine)
    settings = {n: v for n, v in os.environ.items() if n.startswith(_SETTINGS)}
    with database() as url:
        hardened, variables = _hardened(engine, url, settings)
        command = [image.local_name, "python", "-m", image.package, *arguments]
        process = subprocess.Popen([engine, "run", "--rm", *hardened, *command], env=variables)

        def stop(number: int, frame: FrameType | None) -> None:
            # A terminal's Ctrl-C reaches the engine by itself, and it hands signals on.
            if number == signal.SIGTERM:
                process.send_signal(number)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        return process.wait()
