"""`python -m operations`: what an operator does and looks at."""

from __future__ import annotations

import argparse
import sys

import psycopg

from charging.database.address import database
from charging.database.embedded import EmbeddedServerError
from charging.identity import InvalidIdentityError
from operations import charging_points, commands, evses, hub, nodes, prices, sessions, tokens
from operations.output import OperationError

CONNECT_TIMEOUT_SECONDS = 10


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with (
            database() as url,
            psycopg.connect(
                url, connect_timeout=CONNECT_TIMEOUT_SECONDS, application_name="operations"
            ) as connection,
        ):
            options.run(connection, options)
    except (OperationError, InvalidIdentityError, EmbeddedServerError) as error:
        print(f"operations: {error}", file=sys.stderr)
        return 1
    except psycopg.OperationalError as error:
        print(f"operations: the database cannot be reached: {error}".strip(), file=sys.stderr)
        return 1
    except psycopg.errors.UndefinedTable:
        print(
            "operations: the database has no schema yet; say `make migrate-database`",
            file=sys.stderr,
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser = argparse.ArgumentParser(
        prog="python -m operations",
        description="Register charging points, EVSEs and tokens; look at sessions and at the roaming hub.",
        epilog="The database is DATABASE_URL, or an embedded server under var/.",
    )
    subjects = parser.add_subparsers(dest="subject", required=True)
    for name, module, help_text in (
        ("charging-points", charging_points, "register them, see presence and status"),
        ("tokens", tokens, "who may charge"),
        ("sessions", sessions, "what was charged"),
        ("nodes", nodes, "the processes that hold connections, live"),
        ("evses", evses, "names of connectors in roaming, and what drivers are told of them"),
        ("prices", prices, "what drivers of other providers are asked"),
        ("hub", hub, "what the roaming hub was told, and what it refused"),
        ("commands", commands, "start and stop sessions from here"),
    ):
        module.add_arguments(subjects.add_parser(name, help=help_text), common)
    return parser


if __name__ == "__main__":
    sys.exit(main())
