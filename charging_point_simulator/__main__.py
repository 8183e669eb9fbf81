"""`python -m charging_point_simulator`: charging points, from one by hand to a crowd."""

from __future__ import annotations

import argparse
import asyncio
import csv
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from charging_point_simulator.charger import Build
from charging_point_simulator.crowd.processes import CrowdError, Plan
from charging_point_simulator.crowd.run import run, run_commands
from charging_point_simulator.crowd.worker import Backend
from charging_point_simulator.deviations.chosen import Deviations
from charging_point_simulator.faulty_answers import Fault, read_faults
from charging_point_simulator.fleet import charge
from charging_point_simulator.hello import say_hello
from charging_point_simulator.options import MODES, parser
from charging_point_simulator.registers import Registers
from charging_point_simulator.report import Report
from charging_point_simulator.runner import Runner
from charging_point_simulator.scenario import Scenario
from charging_point_simulator.shell import Shell, read_lines, show_frame
from charging_point_simulator.station.calls import Observer
from charging_point_simulator.station.settings import Settings
from charging_point_simulator.target import (
    Target,
    TargetError,
    password_from_environment,
    state_directory,
)

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not any(word in (*MODES, "-h", "--help", "--deviations") for word in words):
        words = ["hello", *words]
    options = parser().parse_args(words)
    if options.mode == "crowd":
        return _crowd(options)
    try:
        work = {"hello": _hello, "charge": _charge, "station": _station}[options.mode](options)
    except (TargetError, ValueError) as error:
        print(f"charging_point_simulator: {error}", file=sys.stderr)
        return 2
    # A terminated simulator writes its report as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return asyncio.run(work())
    except KeyboardInterrupt:
        print("stopped")
        return INTERRUPTED
    except OSError as error:
        print(f"charging_point_simulator: {error}", file=sys.stderr)
        return 1


_Work = Callable[[], Coroutine[Any, Any, int]]


def _hello(options: argparse.Namespace) -> _Work:
    target = _target(options)
    return lambda: say_hello(
        target, options.identity, interval=options.interval, count=options.count
    )


def _charge(options: argparse.Namespace) -> _Work:
    scenario = _scenario(options)
    build = _build(options)
    build.settings = lambda: Settings(
        meter_interval_seconds=scenario.real_seconds(scenario.meter_values_interval),
        connection_timeout_seconds=scenario.real_seconds(scenario.connection_timeout),
        boot_seconds=options.boot_time,
        job_seconds=options.step_time,
    )
    build.remote_starts = scenario.remote_start != "reject" and scenario.wait_for_remote is not None
    build.reservations = scenario.reservations
    build.status = scenario.status
    identities = [
        f"{options.identity_prefix}{number:05d}"
        for number in range(options.first, options.first + options.charging_points)
    ]
    return lambda: charge(
        identities, build, scenario, ramp_seconds=options.ramp, report_file=options.report
    )


def _station(options: argparse.Namespace) -> _Work:
    if options.time_compression <= 0:
        raise ValueError("--time-compression must be positive")
    build = _build(options)
    build.settings = lambda: Settings(
        meter_interval_seconds=options.meter_values_interval,
        connection_timeout_seconds=options.connection_timeout,
        boot_seconds=options.boot_time,
        job_seconds=options.step_time,
    )

    async def work() -> int:
        observer = Observer() if options.no_frames else Observer(frame=show_frame)
        point = build.charging_point(options.identity, Report(1), observer)
        runner = Runner(
            point,
            build.target,
            give_up_after=options.give_up_after,
            on_phase=lambda phase: print(f"-- {phase}", flush=True),
        )
        shell = Shell(runner, speed=options.time_compression)
        code = await shell.run(read_lines(sys.stdin))
        for text, count in point.report.violations.most_common():
            print(f"violation, {count} times: {text}", file=sys.stderr)
        # A script wants to know that a line of it failed; a person has seen it.
        return code or int(shell.failed and not sys.stdin.isatty())

    return work


def _build(options: argparse.Namespace) -> Build:
    for name in ("connectors", "plugs"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} must be positive")
    version = options.ocpp_version
    faults = read_faults(options.answer, version)
    delay = getattr(options, "remote_start_delay", 0.0)
    start = "RemoteStartTransaction" if version == "1.6" else "RequestStartTransaction"
    if delay and faults.of(start) is None:
        faults.set(start, Fault(delay_seconds=delay))
    deviations = Deviations(options.deviate)
    if version != "1.6" and deviations.of_payloads:
        raise ValueError(f"--deviate {deviations.of_payloads[0]} is one of OCPP 1.6's messages")
    return Build(
        _target(options, deviations),
        version=version,
        connectors=options.connectors,
        plugs=options.plugs,
        registers=Registers(options.state_directory or state_directory()),
        seed=options.seed,
        faults=faults,
        deviations=options.deviate,
        firmware=options.firmware,
    )


def _target(options: argparse.Namespace, deviations: Deviations | None = None) -> Target:
    target = Target(
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
        client_certificate=options.client_certificate,
        client_key=options.client_key,
        handshake=(deviations or Deviations()).handshake,
    )
    target.ssl_context()  # a bad file is known before anything connects
    return target


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
        status=options.status,
        reservations=options.reservations == "accept",
        offline_after=options.offline_after,
        offline_for=options.offline_for,
        stay=options.stay,
        give_up_after=options.give_up_after,
    )


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
        share_201=options.share_201,
    )
    try:
        if options.commands:
            return run_commands(plan)
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


if __name__ == "__main__":
    sys.exit(main())
