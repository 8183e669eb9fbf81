"""`python -m operations.console`: run the console."""

from __future__ import annotations

import argparse
import sys

import psycopg

from charging.database.address import database
from charging.database.audit import Asker
from charging.database.connection import Limits, connect
from charging.database.embedded import EmbeddedServerError
from charging.service.logs import set_up_logging
from charging.service.settings import SettingError
from operations import people
from operations.console.balancer_sign_in import BalancerSignIn
from operations.console.server import Server
from operations.console.settings import Settings, from_environment, table


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = from_environment(host=options.host, port=options.port)
        if settings.oidc_signer:
            BalancerSignIn(settings)
    except SettingError as error:
        print(f"console: {error}", file=sys.stderr)
        return 2
    set_up_logging(settings.log_level)
    try:
        with database() as url:
            return _serve(settings, url)
    except (EmbeddedServerError, psycopg.OperationalError) as error:
        print(f"console: {error}", file=sys.stderr)
        return 1


def _serve(settings: Settings, url: str) -> int:
    made = first_account(settings, url)
    address = f"http://{settings.host}:{settings.port}/"
    if made:
        name, password = made
        print(f"The first account, shown once: name {name}, password {password}", flush=True)
    print(f"The console is at {address}  (Ctrl-C ends it)", flush=True)
    try:
        Server(settings, url).run()
    except SystemExit as stop:
        # gunicorn ends by SystemExit; the embedded database must be left first.
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def first_account(settings: Settings, url: str) -> tuple[str, str] | None:
    """Make the first account where nobody has one; return its name and password.

    Not behind TLS: there what is printed goes into a log that many read, and a shell makes it. Not
    where the load balancer says who somebody is.
    """
    if settings.oidc_signer or settings.secure:
        return None
    with connect(url, "console first account", Limits(connect=10)) as connection:
        return people.ensure_first(connection, by=Asker("console", "console"))


def _parser() -> argparse.ArgumentParser:
    rows = "\n".join(
        f"  {name:26} {meaning} (default {default})" for name, default, meaning in table()
    )
    parser = argparse.ArgumentParser(
        prog="python -m operations.console",
        description="The console: pages for operators. Where nobody has an account yet, the first"
        " one is made, and its password is printed once; not with CONSOLE_SECURE, where it would"
        " stand in a log: `operations people add NAME administrator` makes it.",
        epilog=f"settings, from the environment:\n{rows}\n\n"
        "The database is DATABASE_URL, or DATABASE_HOST with its companions, or an embedded\n"
        "server under var/.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
