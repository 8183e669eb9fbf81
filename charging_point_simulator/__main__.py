"""`python -m charging_point_simulator`: say hello to a backend, or charge."""

from __future__ import annotations

import argparse
import asyncio
import csv
import signal
import sys
from pathlib import Path

from charging_point_simulator.crowd.processes import IN_FLIGHT as CROWD_IN_FLIGHT
from charging_point_simulator.crowd.processes import CrowdError, Plan
from charging_point_simulator.crowd.run import obey, run
from charging_point_simulator.crowd.worker import Backend
from charging_point_simulator.fleet import charge
from charging_point_simulator.hello import say_hello
from charging_point_simulator.scenario import Scenario
from charging_point_simulator.target import (
    PASSWORD_VARIABLE,
    Target,
    TargetError,
    password_from_environment,
)

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not any(word in ("hello", "charge", "crowd", "-h", "--help") for word in words):
        words = ["hello", *words]
    options = _parser().parse_args(words)
    if options.mode == "crowd":
        return _crowd(options)
    try:
        target = _target(options)
        target.ssl_context()  # a bad CA file is known before anything connects
        if options.mode == "hello":
            work = say_hello(
                target, options.identity, interval=options.interval, count=options.count
            )
        else:
            work = charge(
                [
                    f"{options.identity_prefix}{number:05d}"
                    for number in range(options.first, options.first + options.charging_points)
                ],
                target,
                _scenario(options),
                ramp_seconds=options.ramp,
                report_file=options.report,
            )
    except (TargetError, ValueError) as error:
        print(f"charging_point_simulator: {error}", file=sys.stderr)
        return 2
    # A terminated simulator writes its report as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print("stopped")
        return INTERRUPTED
    except OSError as error:
        print(f"charging_point_simulator: {error}", file=sys.stderr)
        return 1


def _crowd(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = Plan(
        Backend(options.host, options.port or 9000, options.path),
        options.charging_points,
        identity_prefix=options.identity_prefix,
        first=options.first,
        processes=options.processes,
        in_flight=options.in_flight,
        id_tag=options.id_tag,
        credentials=options.credentials,
    )
    try:
        if options.commands:
            return obey(plan)
        return run(
            plan,
            ramp=options.ramp,
            seconds=options.seconds,
            charging=options.charging,
            interval=options.meter_values_interval,
            storms=options.storms,
            report_file=options.report,
        )
    except (CrowdError, OSError) as error:
        print(f"charging_point_simulator: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped")
        return INTERRUPTED


def _target(options: argparse.Namespace) -> Target:
    return Target(
        host=options.host,
        port=options.port or (80 if options.plain else 443),
        path=options.path,
        plain=options.plain,
        ca_file=options.ca_file,
        tls_name=options.tls_name,
        insecure=options.insecure,
        user=options.user,
        password=options.password or password_from_environment(),
        passwords=_passwords(options.credentials) if options.credentials else None,
    )


def _passwords(file: Path) -> dict[str, str]:
    """Read identity and password from a CSV file without a header line."""
    try:
        with file.open(newline="") as lines:
            return {row[0]: row[1] for row in csv.reader(lines) if row}
    except (OSError, IndexError) as error:
        raise TargetError(f"{file}: lines of `identity,password` are expected ({error})") from error


def _scenario(options: argparse.Namespace) -> Scenario:
    if options.time_compression <= 0 or options.charging_points < 1 or options.sessions < 0:
        raise ValueError(
            "--charging-points and --time-compression must be positive, --sessions at least 0"
        )
    return Scenario(
        sessions=options.sessions,
        connectors=options.connectors,
        id_tag=options.id_tag,
        duration=options.duration,
        meter_values_interval=options.meter_values_interval,
        time_compression=options.time_compression,
        pause=options.pause,
        wait_for_remote=options.wait_for_remote,
        remote_start=options.remote_start,
        remote_start_delay=options.remote_start_delay,
        status=options.status,
        reservations=options.reservations == "accept",
        offline_after=options.offline_after,
        offline_for=options.offline_for,
        stay=options.stay,
        give_up_after=options.give_up_after,
        seed=options.seed,
    )


def _parser() -> argparse.ArgumentParser:
    address = argparse.ArgumentParser(add_help=False)
    backend = address.add_argument_group("backend")
    backend.add_argument("--host", default="127.0.0.1", help="name or address of the backend")
    backend.add_argument("--port", type=int, help="default: 443, or 80 with --plain")
    backend.add_argument("--path", default="/", help="what stands before the identity")
    backend.add_argument("--plain", action="store_true", help="ws instead of wss; for local use")
    backend.add_argument("--ca-file", help="PEM file of a self-signed certificate or its CA")
    backend.add_argument(
        "--tls-name", help="name to verify in the certificate when connecting by address"
    )
    backend.add_argument(
        "--insecure", action="store_true", help="do not verify the certificate at all"
    )
    backend.add_argument("--user", help="Basic user; default: the identity")
    backend.add_argument(
        "--password", help=f"Basic password; better in the environment as {PASSWORD_VARIABLE}"
    )
    backend.add_argument(
        "--credentials", type=Path, metavar="FILE", help="CSV lines of identity,password"
    )
    parser = argparse.ArgumentParser(
        prog="python -m charging_point_simulator",
        description="Simulate charging points. Without a mode: say hello.",
    )
    modes = parser.add_subparsers(dest="mode", required=True)
    hello = modes.add_parser("hello", parents=[address], help='say "Hello" every few seconds')
    hello.add_argument("--identity", default="hello")
    hello.add_argument("--interval", type=float, default=5.0, help="seconds between hellos")
    hello.add_argument("--count", type=int, help="stop after so many; default: never")
    run = modes.add_parser(
        "charge", parents=[address], help="boot, authorize, charge, stop, over OCPP 1.6"
    )
    fleet = run.add_argument_group("fleet")
    fleet.add_argument("--charging-points", type=int, default=1)
    fleet.add_argument("--identity-prefix", default="SIM")
    fleet.add_argument("--first", type=int, default=1, help="number of the first identity")
    fleet.add_argument("--ramp", type=float, default=1.0, help="seconds over which they connect")
    fleet.add_argument("--report", type=Path, metavar="FILE", help="write a JSON report")
    fleet.add_argument("--seed", type=int, help="repeat a run's cars and meters")
    car = run.add_argument_group("scenario (times of cars and meters in simulated seconds)")
    car.add_argument("--sessions", type=int, default=1, help="charging sessions of each")
    car.add_argument("--connectors", type=int, default=1)
    car.add_argument("--id-tag", default="SIMULATOR", help="token that is shown")
    car.add_argument("--duration", type=float, default=1800.0, help="of a session")
    car.add_argument("--meter-values-interval", type=float, default=60.0)
    car.add_argument(
        "--time-compression", type=float, default=60.0, help="simulated seconds a second"
    )
    car.add_argument("--pause", type=float, default=0.0, help="real seconds between sessions")
    car.add_argument(
        "--wait-for-remote",
        type=float,
        nargs="?",
        const=60.0,
        metavar="SECONDS",
        help="charge only when started remotely, within so many real seconds",
    )
    car.add_argument(
        "--stay", action="store_true", help="stay connected after the sessions, until stopped"
    )
    trouble = run.add_argument_group("trouble (real seconds)")
    trouble.add_argument(
        "--remote-start",
        choices=("accept", "reject", "no-car"),
        default="accept",
        help="no-car: accepted, and then no car is plugged in",
    )
    trouble.add_argument(
        "--remote-start-delay", type=float, default=0.0, help="before it is answered"
    )
    trouble.add_argument("--reservations", choices=("accept", "reject"), default="accept")
    trouble.add_argument(
        "--status",
        choices=("Available", "Faulted", "Unavailable"),
        default="Available",
        help="of the connectors, from the start",
    )
    trouble.add_argument(
        "--offline-after", type=float, default=0.0, help="into a session; 0: never"
    )
    trouble.add_argument("--offline-for", type=float, default=3.0)
    trouble.add_argument("--give-up-after", type=float, default=120.0, help="of connecting in vain")
    _add_crowd(modes)
    return parser


def _add_crowd(modes: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    crowd = modes.add_parser(
        "crowd", help="very many small charging points in several processes, over plain WebSocket"
    )
    crowd.add_argument("--host", default="127.0.0.1", help="name or address of the backend")
    crowd.add_argument("--port", type=int, help="default: 9000")
    crowd.add_argument("--plain", action="store_true", help="understood; a crowd has no TLS")
    crowd.add_argument("--path", default="/", help="what stands before the identity")
    crowd.add_argument(
        "--credentials", type=Path, metavar="FILE", help="CSV lines of identity,password"
    )
    crowd.add_argument("--charging-points", type=int, default=1000)
    crowd.add_argument("--identity-prefix", default="SIM")
    crowd.add_argument("--first", type=int, default=1, help="number of the first identity")
    crowd.add_argument("--processes", type=int, default=0, help="default: as many as it takes")
    crowd.add_argument(
        "--in-flight", type=int, default=CROWD_IN_FLIGHT, help="how many connect at once"
    )
    crowd.add_argument("--ramp", type=float, default=5.0, help="seconds over which they connect")
    crowd.add_argument("--seconds", type=float, default=60.0, help="how long they are held")
    crowd.add_argument("--charging", type=int, default=0, help="how many of them charge")
    crowd.add_argument("--id-tag", default="SIMULATOR", help="token that is shown")
    crowd.add_argument("--meter-values-interval", type=float, default=60.0, help="in seconds")
    crowd.add_argument("--storms", type=int, default=0, help="times that all reconnect at once")
    crowd.add_argument("--report", type=Path, metavar="FILE", help="write a JSON report")
    crowd.add_argument(
        "--commands", action="store_true", help="do what standard input says, JSON a line"
    )


if __name__ == "__main__":
    sys.exit(main())
