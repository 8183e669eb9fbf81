"""Register charging points and see how they are."""

from __future__ import annotations

import argparse
from typing import Any

import psycopg
from psycopg.rows import dict_row

from charging.credential import hash_password, new_password, new_salt
from charging.identity import parse_charging_point_id
from operations.output import OperationError, show, show_json

Connection = psycopg.Connection[Any]

PRESENCE_SECONDS = 15
"""A node that was silent for longer takes its presence with it."""


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    register_ = actions.add_parser(
        "register", parents=[common], help="register one and print its password, once"
    )
    register_.add_argument("id", help="its identity, as it stands at the end of its URL")
    register_.add_argument(
        "--registration", choices=("Accepted", "Pending", "Rejected"), default="Accepted"
    )
    register_.add_argument(
        "--no-password", action="store_true", help="admit it without a password; for local use"
    )
    register_.set_defaults(run=register)
    list_parser = actions.add_parser("list", parents=[common], help="presence and status of all")
    list_parser.set_defaults(run=list_all)
    decide = actions.add_parser(
        "set-registration", parents=[common], help="decide how its next boot is answered"
    )
    decide.add_argument("id")
    decide.add_argument("registration", choices=("Accepted", "Pending", "Rejected"))
    decide.set_defaults(run=set_registration)
    renew = actions.add_parser(
        "new-password", parents=[common], help="replace its password and print the new one, once"
    )
    renew.add_argument("id")
    renew.set_defaults(run=renew_password)


def register(connection: Connection, options: argparse.Namespace) -> None:
    """Make a charging point known. Its password is shown now and kept nowhere."""
    name = parse_charging_point_id(options.id)
    password = None if options.no_password else new_password()
    salt, digest = _hashed(password)
    added = connection.execute(
        "INSERT INTO charging_points (charging_point_id, registration, password_salt,"
        " password_hash) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [name, options.registration, salt, digest],
    )
    if added.rowcount == 0:
        raise OperationError(
            f"{name} is registered already; `new-password {name}` replaces its password"
        )
    _show_password(name, password, options)


def renew_password(connection: Connection, options: argparse.Namespace) -> None:
    """Replace a password; the old one no longer opens a connection."""
    password = new_password()
    salt, digest = _hashed(password)
    _change(
        connection,
        options.id,
        "UPDATE charging_points SET password_salt = %s, password_hash = %s"
        " WHERE charging_point_id = %s",
        [salt, digest, options.id],
    )
    _show_password(options.id, password, options)


def set_registration(connection: Connection, options: argparse.Namespace) -> None:
    """Decide how a charging point's next boot is answered."""
    _change(
        connection,
        options.id,
        "UPDATE charging_points SET registration = %s WHERE charging_point_id = %s",
        [options.registration, options.id],
    )
    if options.json:
        show_json({"charging_point": options.id, "registration": options.registration})
    else:
        print(f"{options.id}: registration is now {options.registration}")


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List charging points with presence and status."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            """
            SELECT p.charging_point_id AS charging_point,
                   CASE WHEN n.node_id IS NULL THEN 'offline' ELSE 'online' END AS presence,
                   p.registration, p.boot_status,
                   (SELECT string_agg(evse_number || ': ' || status, ', ' ORDER BY evse_number)
                    FROM evses AS e WHERE e.charging_point_id = p.charging_point_id
                                      AND status IS NOT NULL) AS status,
                   (SELECT count(*) FROM sessions AS s
                    WHERE s.charging_point_id = p.charging_point_id
                      AND s.state = 'charging') AS charging,
                   p.vendor, p.model, p.firmware_version AS firmware,
                   coalesce(n.heartbeat_at, p.last_seen_at) AS last_seen
            FROM charging_points AS p
            LEFT JOIN connections AS c USING (charging_point_id)
            LEFT JOIN nodes AS n ON n.node_id = c.node_id
                                AND n.heartbeat_at > now() - make_interval(secs => %s)
            ORDER BY p.charging_point_id
            """,
            [PRESENCE_SECONDS],
        )
        .fetchall()
    )
    show(
        rows,
        as_json=options.json,
        title=f"{len(rows)} charging points",
        empty="no charging points yet; `charging-points register ID` adds one",
    )


def _hashed(password: str | None) -> tuple[bytes | None, bytes | None]:
    if password is None:
        return None, None
    salt = new_salt()
    return salt, hash_password(password.encode(), salt)


def _show_password(name: str, password: str | None, options: argparse.Namespace) -> None:
    if options.json:
        show_json({"charging_point": name, "password": password})
    elif password is None:
        print(f"{name} is registered, without a password")
    else:
        print(f"{name} is registered. Its password, shown this once:\n{password}")


def _change(connection: Connection, name: str, statement: str, values: list[Any]) -> None:
    if connection.execute(statement.encode(), values).rowcount == 0:
        raise OperationError(
            f"no charging point {name!r}; `charging-points list` shows those there are"
        )
