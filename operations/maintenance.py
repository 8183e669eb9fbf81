"""Firmware updates and logs, of one charging point or of many, as jobs.

A charging point fetches and sends files at this service, by links that are its own. Its status
messages are the command's progress; one has succeeded when it is done, not when it accepted. What
fails is tried again, until the job's deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from charging.database import files
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.intents import Intent, LogKind, UpdateFirmware, UploadLog
from operations import files as stored
from operations import jobs
from operations.errors import InvalidError
from operations.jobs import Pace

FIRMWARE_TIME = timedelta(days=1)
LOG_TIME = timedelta(hours=2)
MAX_LOG_BYTES = 64 * 1024 * 1024
"""Of one file that a charging point sends, unless told otherwise."""

_MAX_TIME = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Release:
    """Firmware as it is handed out. file: its number.

    fetch_at: None for at once. signature: base64, signing_certificate: PEM, of signed firmware.
    """

    file: int
    fetch_at: datetime | None = None
    install_at: datetime | None = None
    signature: str | None = None
    signing_certificate: str | None = None


def update_firmware(
    connection: Connection,
    charging_points: Sequence[str],
    release: Release,
    *,
    by: Asker,
    pace: Pace,
    key: str | None = None,
) -> int:
    """Let charging points fetch and install firmware; return the job's number.

    Without a deadline in the pace it is a day after it is to be fetched or installed. key: the
    same makes the same job. Raises InvalidError, NotFoundError, ConflictError.
    """
    found = stored.show(connection, release.file)
    if found.kind != stored.FIRMWARE:
        raise InvalidError(f"file {release.file} is a {found.kind}, no firmware")
    now = datetime.now(UTC)
    begins = max(filter(None, (now, release.fetch_at, release.install_at)))
    intent = UpdateFirmware(
        f"{files.LINK_SCHEME}{found.name}",
        release.fetch_at or now,
        install_at=release.install_at,
        signature=release.signature,
        signing_certificate=release.signing_certificate,
    )
    pace = _until_done(pace, begins + FIRMWARE_TIME)
    return _start(connection, charging_points, intent, by, pace, key, file=release.file)


def fetch_logs(
    connection: Connection,
    charging_points: Sequence[str],
    *,
    log: LogKind = LogKind.DIAGNOSTICS,
    since: datetime | None = None,
    until: datetime | None = None,
    max_bytes: int = MAX_LOG_BYTES,
    by: Asker,
    pace: Pace,
    key: str | None = None,
) -> int:
    """Let charging points send a log; return the job's number.

    since, until: of what it shall have. Without a deadline in the pace it is two hours from now.
    Raises InvalidError, ConflictError.
    """
    if max_bytes < 1:
        raise InvalidError("--max-bytes must be 1 or more")
    intent = UploadLog(files.LINK_SCHEME, log, since, until)
    pace = _until_done(pace, datetime.now(UTC) + LOG_TIME)
    return _start(connection, charging_points, intent, by, pace, key, max_bytes=max_bytes)


def _until_done(pace: Pace, deadline: datetime) -> Pace:
    if pace.deadline is not None and pace.deadline > datetime.now(UTC) + _MAX_TIME:
        raise InvalidError(f"--within: at most {_MAX_TIME.days} days")
    return replace(pace, until_done=True, deadline=pace.deadline or deadline)


def _start(
    connection: Connection,
    charging_points: Sequence[str],
    intent: Intent,
    by: Asker,
    pace: Pace,
    key: str | None,
    *,
    file: int | None = None,
    max_bytes: int = 0,
) -> int:
    """Make the links and the job. file: to fetch; None: the charging points send."""
    assert pace.deadline is not None
    name = "" if file is None else quote(stored.show(connection, file).name)
    with connection.transaction():
        links = files.link(
            connection, charging_points, file=file, max_bytes=max_bytes, expires_at=pace.deadline
        )
        each = {point: {"url": f"{link}{name}"} for point, link in links.items()}
        return jobs.start(connection, intent, each, by=by, pace=pace, idempotency_key=key)
