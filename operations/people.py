"""People who use the console: their accounts, their roles, their signed-in browsers.

A password is kept as scrypt's hash, a signed-in browser's cookie as its SHA-256: neither can be
read back from the database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from psycopg.rows import class_row

from charging.database import audit
from charging.database.audit import Asker
from charging.database.connection import Connection
from operations.errors import (
    ConflictError,
    ExistsError,
    InvalidError,
    NotFoundError,
    OperationError,
)

IDLE_MINUTES = 60
"""A browser that nobody used for so long is signed out."""
LONGEST_HOURS = 12
"""After so long a browser is signed out, used or not."""

FAILURES_SECONDS = 900
FAILURES_OF_PERSON = 10
FAILURES_OF_ADDRESS = 30
"""So many wrong passwords in FAILURES_SECONDS, and none is tried any more."""

MIN_PASSWORD = 12
MAX_PASSWORD = 200

# 32 MiB and some 80 ms for a try. Source: RFC 7914; OWASP's cheat sheet on storing passwords.
_SCRYPT = {"n": 2**15, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")


class Role(StrEnum):
    """What somebody may do; each may do what those before may."""

    OBSERVER = "observer"
    """Look at everything but secrets."""
    OPERATOR = "operator"
    """Ask charging points for things, let cards charge, settle what waits."""
    ADMINISTRATOR = "administrator"
    """Register charging points, and decide who may do what."""

    def may(self, needed: Role) -> bool:
        """Return whether it includes another role."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class NotAllowedError(OperationError):
    """The password is wrong, the account is disabled, or the role does not include it."""


class TooManyTriesError(OperationError):
    """Too many wrong passwords came from there, or for that name; later it works again."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account. time_zone: in which times are shown, such as Europe/Berlin."""

    person: str
    role: Role
    time_zone: str
    disabled: bool
    created_at: datetime
    last_seen: datetime | None

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which times are shown."""
        return ZoneInfo(self.time_zone)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser that is signed in. form_token: what its forms must carry."""

    person: Person
    form_token: str


def add(
    connection: Connection, person: str, role: str, *, by: Asker, password: str | None = None
) -> str:
    """Make an account; return its password, which is kept nowhere.

    password: None makes one. Raises InvalidError, ExistsError.
    """
    name, kind = _name(person), _role(role)
    chosen = _checked(password) if password is not None else new_password()
    with connection.transaction():
        salt, digest = _hashed(chosen)
        added = connection.execute(
            "INSERT INTO people (person, role, password_salt, password_hash)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [name, kind, salt, digest],
        )
        if added.rowcount == 0:
            raise ExistsError(f"{name} has an account already; `people list` shows all")
        audit.write(connection, by, "add_person", name, {"role": kind})
    return chosen


def ensure_first(connection: Connection, *, by: Asker) -> tuple[str, str] | None:
    """Make the first administrator where nobody has an account; return name and password."""
    with connection.transaction():
        connection.execute("LOCK TABLE people IN SHARE ROW EXCLUSIVE MODE")
        if connection.execute("SELECT 1 FROM people LIMIT 1").fetchone():
            return None
        return "admin", add(connection, "admin", Role.ADMINISTRATOR, by=by)


def list_all(connection: Connection) -> list[Person]:
    """Return all accounts, by name."""
    with connection.cursor(row_factory=class_row(_Row)) as cursor:
        return [row.person_of() for row in cursor.execute(f"{_PEOPLE} ORDER BY person").fetchall()]


def set_role(connection: Connection, person: str, role: str, *, by: Asker) -> None:
    """Change what somebody may do. Raises InvalidError, NotFoundError, ConflictError."""
    kind = _role(role)
    with connection.transaction():
        _change(connection, person, "role = %s", [kind])
        _check_administrator_left(connection)
        audit.write(connection, by, "set_role", _name(person), {"role": kind})


def set_disabled(connection: Connection, person: str, disabled: bool, *, by: Asker) -> None:
    """Disable an account, which signs it out, or let it in again.

    Raises InvalidError, NotFoundError, ConflictError.
    """
    with connection.transaction():
        _change(connection, person, "disabled = %s", [disabled])
        _check_administrator_left(connection)
        if disabled:
            _sign_out_all(connection, _name(person))
        action = "disable_person" if disabled else "enable_person"
        audit.write(connection, by, action, _name(person), {})


def set_password(
    connection: Connection, person: str, *, by: Asker, password: str | None = None
) -> str:
    """Replace a password, and sign out all browsers; return the password.

    password: None makes one. Raises InvalidError, NotFoundError.
    """
    chosen = _checked(password) if password is not None else new_password()
    with connection.transaction():
        _change(connection, person, "password_salt = %s, password_hash = %s", [*_hashed(chosen)])
        _sign_out_all(connection, _name(person))
        audit.write(connection, by, "set_password", _name(person), {})
    return chosen


def set_time_zone(connection: Connection, person: str, time_zone: str) -> None:
    """Choose in which zone somebody sees times. Raises InvalidError, NotFoundError."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidError(f"{time_zone!r} is no time zone such as Europe/Berlin or UTC") from None
    with connection.transaction():
        _change(connection, person, "time_zone = %s", [time_zone])


def sign_in(
    connection: Connection, person: str, password: str, *, address: str
) -> tuple[str, Person]:
    """Return a new browser's cookie and its person. Raises NotAllowedError, TooManyTriesError.

    A name that is not known takes as long as a wrong password, and is answered alike.
    """
    name = person.strip().lower()[:100]
    _check_tries(connection, name, address)
    row = connection.execute(
        "SELECT password_salt, password_hash, disabled FROM people WHERE person = %s", [name]
    ).fetchone()
    salt, digest, disabled = row or (b"", b"", True)
    right = hmac.compare_digest(_scrypt(password[:MAX_PASSWORD], salt or b""), digest or b"")
    if not right or disabled:
        connection.execute(
            "INSERT INTO sign_in_failures (person, address) VALUES (%s, %s)", [name, address]
        )
        raise NotAllowedError("name or password is wrong, or the account is disabled")
    cookie = _begin(connection, name, address)
    found = signed_in(connection, cookie)
    assert found is not None
    return cookie, found.person


def sign_in_vouched(connection: Connection, person: str, role: str, *, address: str) -> str:
    """Return a new browser's cookie for somebody whom another has signed in.

    An account without a password is made, or gets this role. Raises InvalidError, and
    NotAllowedError where it is disabled, or one with a password of its own.
    """
    name, kind = _name(person), _role(role)
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO people (person, role) VALUES (%s, %s) ON CONFLICT (person)"
            " DO UPDATE SET role = excluded.role WHERE people.password_hash IS NULL"
            " RETURNING disabled",
            [name, kind],
        ).fetchone()
        if row is None:
            raise NotAllowedError(f"{name} is the name of an account with a password")
        if row[0]:
            raise NotAllowedError(f"the account {name} is disabled")
        return _begin(connection, name, address)


def _begin(connection: Connection, name: str, address: str) -> str:
    """Sign a browser in; return its cookie."""
    cookie = secrets.token_urlsafe(32)
    with connection.transaction():
        connection.execute(
            "INSERT INTO person_sessions (digest, person, form_token, address)"
            " VALUES (%s, %s, %s, %s)",
            [_digest(cookie), name, secrets.token_urlsafe(32), address],
        )
        audit.write(connection, Asker(name, "console"), "sign_in", name, {"address": address})
    return cookie


def signed_in(connection: Connection, cookie: str) -> SignedIn | None:
    """Return who a browser's cookie stands for; None: nobody, or no longer."""
    row = connection.execute(_SIGNED_IN, [_digest(cookie)]).fetchone()
    if row is None:
        return None
    name, role, zone, created, seen, form_token, stale = row
    if stale:
        connection.execute(
            "UPDATE person_sessions SET seen_at = now() WHERE digest = %s", [_digest(cookie)]
        )
    return SignedIn(Person(name, Role(role), zone, False, created, seen), form_token)


def sign_out(connection: Connection, cookie: str) -> None:
    """Sign a browser out."""
    connection.execute("DELETE FROM person_sessions WHERE digest = %s", [_digest(cookie)])


def forget_old(connection: Connection) -> None:
    """Delete browsers that are signed out by time, and failures of the day before."""
    connection.execute(
        "DELETE FROM person_sessions WHERE seen_at < now() - make_interval(mins => %s)"
        " OR created_at < now() - make_interval(hours => %s)",
        [IDLE_MINUTES, LONGEST_HOURS],
    )
    connection.execute("DELETE FROM sign_in_failures WHERE at < now() - interval '1 day'")


def new_password() -> str:
    """Return a password of 96 bits that can be typed."""
    return "-".join(secrets.token_hex(3) for _ in range(4))


@dataclass(frozen=True, slots=True)
class _Row:
    person: str
    role: str
    time_zone: str
    disabled: bool
    created_at: datetime
    last_seen: datetime | None

    def person_of(self) -> Person:
        return Person(
            self.person,
            Role(self.role),
            self.time_zone,
            self.disabled,
            self.created_at,
            self.last_seen,
        )


_PEOPLE = """
SELECT person, role, time_zone, disabled, created_at,
       (SELECT max(seen_at) FROM person_sessions AS s WHERE s.person = people.person) AS last_seen
FROM people
"""

_SIGNED_IN = f"""
SELECT p.person, p.role, p.time_zone, p.created_at, s.seen_at, s.form_token,
       s.seen_at < now() - interval '1 minute'
FROM person_sessions AS s JOIN people AS p USING (person)
WHERE s.digest = %s AND NOT p.disabled
  AND s.seen_at > now() - interval '{IDLE_MINUTES} minutes'
  AND s.created_at > now() - interval '{LONGEST_HOURS} hours'
""".encode()


def _change(connection: Connection, person: str, columns: str, values: list[object]) -> None:
    """Change an account's columns. Raises InvalidError, NotFoundError."""
    changed = connection.execute(
        f"UPDATE people SET {columns} WHERE person = %s".encode(), [*values, _name(person)]
    )
    if changed.rowcount == 0:
        raise NotFoundError(f"nobody is called {person!r}; `people list` shows all accounts")


def _check_administrator_left(connection: Connection) -> None:
    left = connection.execute(
        "SELECT 1 FROM people WHERE role = 'administrator' AND NOT disabled LIMIT 1"
    ).fetchone()
    if left is None:
        raise ConflictError("that would leave no administrator who can sign in")


def _sign_out_all(connection: Connection, person: str) -> None:
    connection.execute("DELETE FROM person_sessions WHERE person = %s", [person])


def _check_tries(connection: Connection, person: str, address: str) -> None:
    of_person, of_address = connection.execute(
        "SELECT count(*) FILTER (WHERE person = %s), count(*) FILTER (WHERE address = %s)"
        " FROM sign_in_failures WHERE at > now() - make_interval(secs => %s)",
        [person, address, FAILURES_SECONDS],
    ).fetchone() or (0, 0)
    if of_person >= FAILURES_OF_PERSON or of_address >= FAILURES_OF_ADDRESS:
        raise TooManyTriesError(
            f"too many wrong passwords; try again in {FAILURES_SECONDS // 60} minutes"
        )


def _name(person: str) -> str:
    name = person.strip().lower()
    if not _NAME.fullmatch(name):
        raise InvalidError(f"{person!r} is no name: letters, digits and . _ @ + - (at most 100)")
    return name


def _role(role: str) -> str:
    if role not in list(Role):
        raise InvalidError(f"{role!r} is none of {', '.join(Role)}")
    return role


def _checked(password: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    return password


def _hashed(password: str) -> tuple[bytes, bytes]:
    salt = secrets.token_bytes(16)
    return salt, _scrypt(password, salt)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, dklen=32, **_SCRYPT)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
