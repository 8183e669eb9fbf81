"""`python -m charging.database`: migrate a database, or print the address of the local one."""

from __future__ import annotations

import argparse
import sys

from charging.database.address import application_user, configured_url, database
from charging.database.grant import create, grant, grant_console
from charging.database.migrate import downgrade, is_known, upgrade


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m charging.database",
        description="Migrate the database that DATABASE_URL names (unset: the embedded one).",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("upgrade", help="bring the schema up to date")
    up.add_argument("revision", nargs="?", default="head")
    up.add_argument(
        "--grant",
        action="store_const",
        const=grant,
        help="then let APPLICATION_USER, with APPLICATION_PASSWORD, read and write rows",
    )
    up.add_argument(
        "--grant-console",
        action="store_const",
        const=grant_console,
        dest="grant",
        help="then let it read, and write what the console writes",
    )
    down = commands.add_parser("downgrade", help="take the schema down to a revision")
    down.add_argument("revision")
    new = commands.add_parser(
        "create",
        help="make a second database beside it, of APPLICATION_USER with APPLICATION_PASSWORD",
    )
    new.add_argument("name")
    options = parser.parse_args(arguments)
    services_user = None
    if options.command == "create" or (options.command == "upgrade" and options.grant):
        try:
            services_user = application_user()
        except ValueError as error:
            parser.error(str(error))
    with database() as url:
        if options.command == "create":
            assert services_user
            upgrade(create(url, options.name, *services_user))
            print(f"the database {options.name} is {services_user[0]}'s, its schema up to date")
            return 0
        if options.command == "upgrade":
            current = upgrade(url, options.revision)
            if not is_known(current):
                print(f"the schema is at {current}, newer than this version: it stays as it is")
            if services_user:
                options.grant(url, *services_user)
        else:
            downgrade(url, options.revision)
    where = "the configured database" if configured_url() else "the embedded server"
    print(f"{where}: schema {options.command}d to {options.revision}")
    if services_user:
        print(f"{services_user[0]} may read and write rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
