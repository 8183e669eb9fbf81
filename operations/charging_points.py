"""Charging points: make them known, let them in, see how they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from charging.credential import hash_password, new_password, new_salt, parse_password
from charging.database import audit, passwords
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.presence import is_alive
from charging.identity import parse_charging_point_id
from charging.registration import Registration
from operations.errors import ConflictError, ExistsError, InvalidError, NotFoundError, valid

MAX_PROFILE = 3
"""The highest of OCPP's security profiles."""


@dataclass(frozen=True, slots=True)
class ChargingPoint:
    """A charging point as it is now; offline, its state is the last that it reported.

    state: of its connectors that reported one, such as ``1: available, 2: charging``; status: the
    same in the words that it reported.
    charging: how many sessions charge at it. security_profile: with which it has come in, None
    offline; lowest_profile: with which it must at least.
    """

    charging_point: str
    presence: str
    registration: str
    boot_status: str | None
    state: str | None
    status: str | None
    charging: int
    vendor: str | None
    model: str | None
    firmware: str | None
    last_seen: datetime | None
    security_profile: int | None
    lowest_profile: int


@dataclass(frozen=True, slots=True)
class Credential:
    """A charging point's new password, which is kept nowhere; None: it needs none."""

    charging_point: str
    password: str | None


def register(
    connection: Connection,
    charging_point: str,
    *,
    by: Asker,
    registration: str = Registration.ACCEPTED.value,
    with_password: bool = True,
    password: str | None = None,
) -> Credential:
    """Make a charging point known. Raises InvalidError, ExistsError.

    with_password: False admits it without one (security profile 0), for local use. password: that
    stands in it already; None makes one.
    """
    name = valid(parse_charging_point_id, charging_point)
    _check(registration)
    if not with_password:
        password = None
    else:
        password = new_password() if password is None else valid(parse_password, password)
    with connection.transaction():
        added = connection.execute(
            "INSERT INTO charging_points (charging_point_id, registration, password_salt,"
            " password_hash, lowest_security_profile) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [name, registration, *_hashed(password), 1 if with_password else 0],
        )
        if added.rowcount == 0:
            raise ExistsError(
                f"{name} is registered already; `charging-points new-password {name}` replaces its"
                " password"
            )
        detail = {"registration": registration, "password": with_password}
        audit.write(connection, by, "register", name, detail)
    return Credential(name, password)


def renew_password(
    connection: Connection, charging_point: str, *, by: Asker, password: str | None = None
) -> Credential:
    """Replace a password; the old one no longer opens a connection.

    password: that stands in the charging point already; None makes one. One that was let in
    without a password needs one from now on. Raises InvalidError, NotFoundError.
    """
    password = new_password() if password is None else valid(parse_password, password)
    with connection.transaction():
        changed = connection.execute(
            "UPDATE charging_points SET password_salt = %s, password_hash = %s,"
            " lowest_security_profile = greatest(1, lowest_security_profile)"
            " WHERE charging_point_id = %s",
            [*_hashed(password), charging_point],
        )
        if changed.rowcount == 0:
            raise unknown(charging_point)
        passwords.forget(connection, charging_point)
        audit.write(connection, by, "renew_password", charging_point, {})
    return Credential(charging_point, password)


def set_registration(
    connection: Connection, charging_point: str, registration: str, *, by: Asker
) -> None:
    """Decide how a charging point's next boot is answered. Raises InvalidError, NotFoundError."""
    _check(registration)
    with connection.transaction():
        changed = connection.execute(
            "UPDATE charging_points SET registration = %s WHERE charging_point_id = %s",
            [registration, charging_point],
        )
        if changed.rowcount == 0:
            raise unknown(charging_point)
        detail = {"registration": registration}
        audit.write(connection, by, "set_registration", charging_point, detail)


def set_security(
    connection: Connection,
    charging_point: str,
    *,
    by: Asker,
    profile: int | None = None,
    certificate_name: str | None = None,
) -> None:
    """Set the lowest security profile that lets a charging point in, and its certificate's name.

    profile: 0 nothing, 1 a password, 2 a password over TLS, 3 a client's certificate; None leaves
    it. 0 is allowed where no password is set alone. certificate_name: the CN or serial number of
    its certificate, '' for its identity; None leaves it. An open connection stays.
    Raises InvalidError, NotFoundError, ConflictError.
    """
    if profile is None and certificate_name is None:
        raise InvalidError("say --profile, --certificate-name or both")
    if profile is not None and not 0 <= profile <= MAX_PROFILE:
        raise InvalidError(f"--profile must be 0 to {MAX_PROFILE}")
    with connection.transaction():
        found = connection.execute(
            "SELECT password_hash IS NOT NULL FROM charging_points WHERE charging_point_id = %s"
            " FOR UPDATE",
            [charging_point],
        ).fetchone()
        if found is None:
            raise unknown(charging_point)
        if profile == 0 and found[0]:
            raise ConflictError(
                f"{charging_point} has a password, which it must show: profile 0 is for those that"
                " were registered with --no-password"
            )
        connection.execute(
            "UPDATE charging_points SET"
            " lowest_security_profile = coalesce(%(profile)s, lowest_security_profile),"
            " certificate_name = CASE WHEN %(name)s::text IS NULL THEN certificate_name"
            " ELSE nullif(%(name)s, '') END WHERE charging_point_id = %(charging_point)s",
            {
                "profile": profile,
                "name": certificate_name,
                "charging_point": charging_point,
            },
        )
        detail = {"profile": profile, "certificate_name": certificate_name}
        audit.write(connection, by, "set_security", charging_point, detail)


def list_all(connection: Connection) -> list[ChargingPoint]:
    """Return all charging points, by identity."""
    with connection.cursor(row_factory=class_row(ChargingPoint)) as cursor:
        return cursor.execute(
            f"""
            SELECT p.charging_point_id AS charging_point,
                   CASE WHEN n.node_id IS NULL THEN 'offline' ELSE 'online' END AS presence,
                   p.registration, p.boot_status,
                   reported.state, reported.status,
                   (SELECT count(*) FROM sessions AS s
                    WHERE s.charging_point_id = p.charging_point_id
                      AND s.state = 'charging') AS charging,
                   p.vendor, p.model, p.firmware_version AS firmware,
                   coalesce(n.heartbeat_at, p.last_seen_at) AS last_seen,
                   CASE WHEN n.node_id IS NOT NULL THEN c.security_profile END
                       AS security_profile,
                   p.lowest_security_profile AS lowest_profile
            FROM charging_points AS p
            LEFT JOIN connections AS c USING (charging_point_id)
            LEFT JOIN nodes AS n ON n.node_id = c.node_id AND {is_alive("n")}
            CROSS JOIN LATERAL (
                SELECT string_agg(evse_number || ': ' || state, ', ' ORDER BY evse_number) AS state,
                       string_agg(evse_number || ': ' || status, ', ' ORDER BY evse_number)
                           AS status
                FROM evses AS e
                WHERE e.charging_point_id = p.charging_point_id AND status IS NOT NULL
            ) AS reported
            ORDER BY p.charging_point_id
            """.encode()
        ).fetchall()


def check_known(connection: Connection, charging_point: str) -> None:
    """Raise NotFoundError where there is no such charging point."""
    known = connection.execute(
        "SELECT 1 FROM charging_points WHERE charging_point_id = %s", [charging_point]
    ).fetchone()
    if known is None:
        raise unknown(charging_point)


def unknown(charging_point: str) -> NotFoundError:
    """Return the error that there is no such charging point."""
    return NotFoundError(
        f"no charging point {charging_point!r}; `charging-points list` shows those there are"
    )


def _check(registration: str) -> None:
    if registration not in list(Registration):
        raise InvalidError(f"{registration!r} is none of {', '.join(Registration)}")


def _hashed(password: str | None) -> tuple[bytes | None, bytes | None]:
    if password is None:
        return None, None
    salt = new_salt()
    return salt, hash_password(password.encode(), salt)
