"""`python -m third_party_backend`: run third-party-backend, its web server or its relay."""

from __future__ import annotations

import argparse
import sys

from charging.database.address import database
from charging.database.embedded import EmbeddedServerError
from charging.service.logs import set_up_logging
from charging.service.settings import SettingError
from third_party_backend.settings import Settings, from_environment, table


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = from_environment(host=options.host, port=options.port)
    except SettingError as error:
        print(f"third_party_backend: {error}", file=sys.stderr)
        return 2
    set_up_logging(settings.log_level)
    try:
        with database() as url:
            return (_relay if options.part == "relay" else _serve)(settings, url)
    except SettingError as error:
        print(f"third_party_backend: {error}", file=sys.stderr)
        return 2
    except EmbeddedServerError as error:
        print(f"third_party_backend: {error}", file=sys.stderr)
        return 1


def _serve(settings: Settings, url: str) -> int:
    # Imported late: the relay needs neither Flask nor gunicorn, and starts sooner without.
    from third_party_backend.server import Server

    try:
        Server(settings, url).run()
    except SystemExit as stop:
        # gunicorn ends by SystemExit; the embedded database must be left first.
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _relay(settings: Settings, url: str) -> int:
    from third_party_backend.relay.process import Relay

    return Relay(settings, url).run()


def _parser() -> argparse.ArgumentParser:
    rows = "\n".join(
        f"  {name:34} {meaning} (default {default})" for name, default, meaning in table()
    )
    parser = argparse.ArgumentParser(
        prog="python -m third_party_backend",
        description="third-party-backend: the REST service that the roaming hub calls, and the "
        "relay that calls the hub.",
        epilog=f"settings, from the environment:\n{rows}\n\n"
        "The database is DATABASE_URL, or DATABASE_HOST with its companions, or an embedded\n"
        "server under var/.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "part",
        nargs="?",
        choices=("web", "relay"),
        default="web",
        help="web: what the hub calls (default); relay: what calls the hub, any number may run",
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
