"""`operations charging-points`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import timedelta

from charging.database.connection import Connection
from charging.registration import Registration
from operations import charging_points, evse_states
from operations.charging_points import Credential
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_json

_GIVEN_HELP = (
    "that stands in it already, 8 to 64 bytes, such as the hex on its label; - reads it from"
    " standard input"
)
REGISTRATIONS = [registration.value for registration in Registration]


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    register_ = actions.add_parser(
        "register", parents=[common], help="register one and print its password, once"
    )
    register_.add_argument("id", help="its identity, as it stands at the end of its URL")
    register_.add_argument(
        "--registration", choices=REGISTRATIONS, default=Registration.ACCEPTED.value
    )
    register_.add_argument(
        "--no-password", action="store_true", help="admit it without a password; for local use"
    )
    register_.add_argument("--password", help=_GIVEN_HELP)
    register_.set_defaults(run=register)
    list_parser = actions.add_parser("list", parents=[common], help="presence and state of all")
    list_parser.set_defaults(run=list_all)
    show_parser = actions.add_parser(
        "show", parents=[common], help="its EVSEs now: state, session, power, last reading"
    )
    show_parser.add_argument("id")
    show_parser.set_defaults(run=show_one)
    history_parser = actions.add_parser(
        "history", parents=[common], help="the states that its EVSEs took, the latest first"
    )
    history_parser.add_argument("id")
    history_parser.add_argument("--evse", type=int, help="of one only; 0: the whole")
    history_parser.add_argument("--days", type=float, default=30, help="how far (default: 30)")
    history_parser.add_argument("--limit", type=int, default=100)
    history_parser.set_defaults(run=show_history)
    decide = actions.add_parser(
        "set-registration", parents=[common], help="decide how its next boot is answered"
    )
    decide.add_argument("id")
    decide.add_argument("registration", choices=REGISTRATIONS)
    decide.set_defaults(run=set_registration)
    renew = actions.add_parser(
        "new-password", parents=[common], help="replace its password and print the new one, once"
    )
    renew.add_argument("id")
    renew.add_argument("--password", help=_GIVEN_HELP)
    renew.set_defaults(run=renew_password)
    secure = actions.add_parser(
        "set-security", parents=[common], help="how safely it must come in, at least"
    )
    secure.add_argument("id")
    secure.add_argument(
        "--profile",
        type=int,
        choices=range(charging_points.MAX_PROFILE + 1),
        help="of OCPP: 0 nothing, 1 a password, 2 a password over TLS, 3 a client's certificate",
    )
    secure.add_argument(
        "--certificate-name",
        metavar="CN",
        help="the CN or serial number of its certificate; '' for its identity",
    )
    secure.set_defaults(run=set_security)


def register(connection: Connection, options: argparse.Namespace) -> None:
    """Make a charging point known; print its password."""
    credential = charging_points.register(
        connection,
        options.id,
        by=BY,
        registration=options.registration,
        with_password=not options.no_password,
        password=_given(options.password),
    )
    _show_password(credential, "is registered", as_json=options.json)


def renew_password(connection: Connection, options: argparse.Namespace) -> None:
    """Replace a password; print the new one."""
    credential = charging_points.renew_password(
        connection, options.id, by=BY, password=_given(options.password)
    )
    _show_password(credential, "has a new password", as_json=options.json)


def set_registration(connection: Connection, options: argparse.Namespace) -> None:
    """Decide how a charging point's next boot is answered."""
    charging_points.set_registration(connection, options.id, options.registration, by=BY)
    if options.json:
        show_json({"charging_point": options.id, "registration": options.registration})
    else:
        print_text(f"{options.id}: registration is now {options.registration}")


def set_security(connection: Connection, options: argparse.Namespace) -> None:
    """Set the lowest security profile of a charging point, and its certificate's name."""
    charging_points.set_security(
        connection,
        options.id,
        by=BY,
        profile=options.profile,
        certificate_name=options.certificate_name,
    )
    if options.json:
        show_json(
            {
                "charging_point": options.id,
                "profile": options.profile,
                "certificate_name": options.certificate_name,
            }
        )
    else:
        print_text(f"{options.id}: in force from its next connection")


def _given(password: str | None) -> str | None:
    """Return a password that was given, from standard input where it is written so."""
    return sys.stdin.readline().rstrip("\r\n") if password == "-" else password  # noqa: S105


def show_one(connection: Connection, options: argparse.Namespace) -> None:
    """Show the EVSEs of a charging point as they are now."""
    show(
        records(evse_states.show(connection, options.id)),
        as_json=options.json,
        title=options.id,
        empty=f"{options.id} has reported no state yet",
    )


def show_history(connection: Connection, options: argparse.Namespace) -> None:
    """List the states that the EVSEs of a charging point took."""
    found = evse_states.history(
        connection, options.id, evse=options.evse, days=options.days, limit=options.limit
    )
    show(
        [
            {
                **asdict(change),
                "lasted": timedelta(seconds=round(change.lasted.total_seconds())),
            }
            for change in found
        ],
        as_json=options.json,
        title=f"States of {options.id}",
        empty=f"{options.id} has reported no state in that time",
    )


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List charging points with presence and state."""
    found = charging_points.list_all(connection)
    show(
        records(found),
        as_json=options.json,
        title=f"{len(found)} charging points",
        empty="no charging points yet; `charging-points register ID` adds one",
    )


def _show_password(credential: Credential, what: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"charging_point": credential.charging_point, "password": credential.password})
    elif credential.password is None:
        print_text(f"{credential.charging_point} {what}, without a password")
    else:
        print_text(f"{credential.charging_point} {what}. The password, shown this once:")
        print_text(credential.password)
