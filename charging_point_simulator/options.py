"""The command line: modes and their options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charging_point_simulator.crowd.processes import IN_FLIGHT as CROWD_IN_FLIGHT
from charging_point_simulator.deviations.table import listing
from charging_point_simulator.faulty_answers import LATE_SECONDS
from charging_point_simulator.schemas import SCHEMAS
from charging_point_simulator.target import PASSWORD_VARIABLE

MODES = ("hello", "charge", "station", "crowd")
_Modes = argparse._SubParsersAction  # argparse has no public name for it


class _ListDeviations(argparse.Action):
    """Print all deviations, and end."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **more)

    def __call__(self, parser: argparse.ArgumentParser, *unused: object) -> None:
        print(listing())
        parser.exit(0)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    main = argparse.ArgumentParser(
        prog="python -m charging_point_simulator",
        description="Simulate charging points. Without a mode: hello.",
    )
    main.add_argument("--deviations", action=_ListDeviations, help="list the deviations, and end")
    modes = main.add_subparsers(dest="mode", required=True)
    address, behaviour = _address(), _behaviour()
    hello = modes.add_parser(
        "hello", usage=_usage("hello"), parents=[address], help='send "Hello" every few seconds'
    )
    hello.add_argument("--identity", default="hello")
    hello.add_argument("--interval", type=float, default=5.0, help="seconds between messages")
    hello.add_argument("--count", type=int, help="stop after so many; default: never")
    _add_charge(modes, address, behaviour)
    _add_station(modes, address, behaviour)
    _add_crowd(modes)
    return main


def _usage(mode: str, required: str = "") -> str:
    """Return the line of usage: all options would fill a screen before their help does."""
    return f"python -m charging_point_simulator {mode}{required} [options]"


def _address() -> argparse.ArgumentParser:
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
    backend.add_argument(
        "--client-certificate", metavar="FILE", help="PEM file, for OCPP's security profile 3"
    )
    backend.add_argument(
        "--client-key", metavar="FILE", help="PEM file; default: in the certificate's file"
    )
    return address


def _behaviour() -> argparse.ArgumentParser:
    behaviour = argparse.ArgumentParser(add_help=False)
    group = behaviour.add_argument_group("behaviour")
    group.add_argument(
        "--ocpp-version",
        choices=tuple(SCHEMAS),
        default="1.6",
        help="version of OCPP (default: %(default)s)",
    )
    group.add_argument(
        "--plugs",
        type=int,
        default=1,
        help="connectors of each EVSE, of which one is used at a time; for OCPP 2.x, whose EVSEs"
        " --connectors counts",
    )
    group.add_argument(
        "--answer",
        action="append",
        default=[],
        metavar="ACTION=MODE",
        help="answer a command otherwise: reject, silent, wrong, late or late:SECONDS"
        f" (default {LATE_SECONDS:g}); may be repeated",
    )
    group.add_argument(
        "--deviate",
        action="append",
        default=[],
        metavar="NAME",
        help="deviate from the standard; may be repeated",
    )
    group.add_argument("--deviations", action=_ListDeviations, help="list the deviations, and end")
    group.add_argument(
        "--firmware",
        choices=("installed", "download-failed", "installation-failed"),
        default="installed",
        help="how firmware updates end (default: %(default)s)",
    )
    group.add_argument(
        "--boot-time", type=float, default=1.0, help="real seconds of a reboot (default: 1)"
    )
    group.add_argument(
        "--step-time",
        type=float,
        default=1.0,
        help="real seconds of a step of a firmware update or an upload (default: 1)",
    )
    group.add_argument(
        "--state-directory",
        type=Path,
        metavar="DIRECTORY",
        help="where meters' registers are kept from run to run"
        " (default: charging-point-simulator in VNI_STATE_DIRECTORY or var)",
    )
    group.add_argument(
        "--seed", type=int, help="repeat a run's cars and first registers; no register is kept"
    )
    return behaviour


def _add_charge(
    modes: _Modes[argparse.ArgumentParser],
    address: argparse.ArgumentParser,
    behaviour: argparse.ArgumentParser,
) -> None:
    run = modes.add_parser(
        "charge",
        usage=_usage("charge"),
        parents=[address, behaviour],
        help="boot, authorize, charge, stop",
        description="With --time-compression N a session is N times shorter, and its car N times"
        " stronger: what is reported stays true, and is N times what a real car draws.",
    )
    fleet = run.add_argument_group("fleet")
    fleet.add_argument("--charging-points", type=int, default=1)
    fleet.add_argument(
        "--identity-prefix", default="SIM", help="five digits follow (default: %(default)s)"
    )
    fleet.add_argument("--first", type=int, default=1, help="number of the first identity")
    fleet.add_argument("--ramp", type=float, default=1.0, help="seconds over which they connect")
    fleet.add_argument("--report", type=Path, metavar="FILE", help="write a JSON report")
    _add_car(run)
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
        help="of the connectors, from the start; only available ones charge",
    )
    trouble.add_argument(
        "--offline-after", type=float, default=0.0, help="into a session; 0: never"
    )
    trouble.add_argument("--offline-for", type=float, default=3.0)
    trouble.add_argument(
        "--give-up-after", type=float, default=120.0, help="of connecting in vain (default: 120)"
    )


def _add_car(run: argparse.ArgumentParser) -> None:
    car = run.add_argument_group("scenario (times of cars and meters in simulated seconds)")
    car.add_argument("--sessions", type=int, default=1, help="charging sessions of each")
    car.add_argument("--connectors", type=int, default=1)
    car.add_argument("--id-tag", default="SIMULATOR", help="token that is presented")
    car.add_argument(
        "--duration", type=float, default=1800.0, help="of a session (default: 1800 simulated)"
    )
    car.add_argument(
        "--meter-values-interval", type=float, default=60.0, help="(default: 60 simulated)"
    )
    car.add_argument(
        "--time-compression",
        type=float,
        default=60.0,
        help="simulated seconds a second (default: 60)",
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


def _add_station(
    modes: _Modes[argparse.ArgumentParser],
    address: argparse.ArgumentParser,
    behaviour: argparse.ArgumentParser,
) -> None:
    station = modes.add_parser(
        "station",
        usage=_usage("station", " --identity IDENTITY"),
        parents=[address, behaviour],
        help="one charging point by hand: commands on standard input, frames on standard output",
    )
    station.add_argument("--identity", required=True)
    station.add_argument("--connectors", type=int, default=1)
    station.add_argument(
        "--meter-values-interval", type=float, default=60.0, help="real seconds (default: 60)"
    )
    station.add_argument(
        "--time-compression",
        type=float,
        default=1.0,
        help="how many times stronger than a real car a car is (default: 1)",
    )
    station.add_argument(
        "--connection-timeout",
        type=float,
        default=60.0,
        help="real seconds that a token waits for a car (default: 60)",
    )
    station.add_argument("--no-frames", action="store_true", help="do not show the frames")
    station.add_argument(
        "--give-up-after",
        type=float,
        default=120.0,
        help="real seconds of connecting in vain (default: 120)",
    )


def _add_crowd(modes: _Modes[argparse.ArgumentParser]) -> None:
    crowd = modes.add_parser(
        "crowd",
        usage=_usage("crowd"),
        help="very many small charging points in several processes, over plain WebSocket",
    )
    crowd.add_argument("--host", default="127.0.0.1", help="name or address of the backend")
    crowd.add_argument("--port", type=int, help="default: 9000")
    crowd.add_argument("--plain", action="store_true", help="accepted; a crowd has no TLS")
    crowd.add_argument("--path", default="/", help="what stands before the identity")
    crowd.add_argument(
        "--credentials", type=Path, metavar="FILE", help="CSV lines of identity,password"
    )
    crowd.add_argument("--charging-points", type=int, default=1000)
    crowd.add_argument(
        "--identity-prefix", default="SIM", help="six digits follow (default: %(default)s)"
    )
    crowd.add_argument("--first", type=int, default=1, help="number of the first identity")
    crowd.add_argument("--processes", type=int, default=0, help="default: as many as it takes")
    crowd.add_argument(
        "--in-flight", type=int, default=CROWD_IN_FLIGHT, help="how many connect at once"
    )
    crowd.add_argument(
        "--share-201",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="how many of them speak OCPP 2.0.1, 0 to 1; the others 1.6 (default: 0)",
    )
    crowd.add_argument("--ramp", type=float, default=5.0, help="seconds over which they connect")
    crowd.add_argument("--seconds", type=float, default=60.0, help="how long they stay connected")
    crowd.add_argument("--charging", type=int, default=0, help="how many of them charge")
    crowd.add_argument("--id-tag", default="SIMULATOR", help="token that is presented")
    crowd.add_argument("--meter-values-interval", type=float, default=60.0, help="in seconds")
    crowd.add_argument("--storms", type=int, default=0, help="times that all reconnect at once")
    crowd.add_argument("--report", type=Path, metavar="FILE", help="write a JSON report")
    crowd.add_argument(
        "--commands", action="store_true", help="read commands from standard input, JSON a line"
    )
