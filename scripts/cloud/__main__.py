"""`python -m scripts.cloud`: the Makefile's cloud targets."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from scripts.cloud import (
    capacity,
    client_authorities,
    console,
    environment,
    hub_inputs,
    images,
    inputs,
    operations,
    payers,
    pipelines,
    promotion,
    restoring,
    simulator,
    stacks,
    watching,
)
from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.certificates import Certificates
from scripts.cloud.inputs import InputError, Target
from scripts.cloud.stacks import StackError
from scripts.cloud.tasks import TaskError
from templates.environments import sizes
from templates.naming import CHARGING_POINT, CONSOLE, SERVICES
from templates.parts.operations import OPERATIONS
from templates.parts.service import PROGRAMS
from templates.stacks.builds import BUILDS
from templates.stacks.cluster import MIGRATIONS

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    work: Callable[[argparse.Namespace], int] = options.work
    try:
        return work(options)
    except InputError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 2
    except (AwsError, StackError, TaskError, RuntimeError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"\n{options.command}: interrupted. What AWS has begun goes on; the same command "
            "takes up from there.",
            file=sys.stderr,
        )
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.cloud",
        description="Deploy and look after environments on AWS.",
        epilog="AWS_PROFILE, ACCOUNT_ID and ENVIRONMENT say where; VERBOSE=1 shows every call of "
        "the AWS CLI; docs/deploying.md has the whole of it.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, work: Callable[[argparse.Namespace], int], text: str) -> None:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(work=work)
        if name in _OF_A_SERVICE:
            choices = {"tail-logs": LOGS, "build": (*SERVICES, CONSOLE)}.get(name, SERVICES)
            added.add_argument("service", choices=choices)
        if name in ("run", "simulate"):
            added.add_argument("arguments", nargs=argparse.REMAINDER, help="for the program")

    command("deploy", _deploy, "everything, from an empty account if need be (WHITELIST_IP)")
    command("plan", _plan, "what a deployment would change; nothing is changed (WHITELIST_IP)")
    command("deploy-service", _deploy_service, "build, push and update one service")
    command("deploy-console", _deploy_console, "the operators' console (CONSOLE_ADDRESSES, DOMAIN)")
    command("delete-console", _delete_console, "take the console away, and who may sign in to it")
    command("promote", _promote, "run what another environment runs, byte for byte (FROM)")
    command("create-certificates", _create_certificates, "make or renew the certificates")
    command("create-accelerator", _create_accelerator, "fixed addresses for both services")
    command("reserve-capacity", _reserve_capacity, "capacity of the load balancer for an event")
    command("restore", _restore, "put a backup in the place of the database")
    command("restore-drill", _restore_drill, "put a backup beside it, audit it, take it away")
    command("delete", _delete, "take the environment away")
    command("status", _status, "stacks, services, tasks, addresses, alarms")
    command("tail-logs", _tail_logs, "a service's log, as it is written")
    command("operations", _operations, "the operator's commands, in a task of their own (ARGS)")
    command("deploy-delivery-pipeline", _deploy_pipelines, "from commits to production")
    command("store-github-token", _store_token, "ask for the token that pipelines use")
    command("deploy-access", _deploy_access, "groups of users and what they may do")
    command("build", _build, "build an image on this machine")
    command(
        "pin-base-image", _pin_base, "write the digest of the images' base into the Dockerfiles"
    )
    command("run", _run, "build an image and run it on this machine")
    command("simulate", _simulate, "the simulator against the environment (BACKEND_HOSTNAME)")
    return parser


# What writes logs besides the services: the tests and builds of the delivery pipeline too.
LOGS = (
    *SERVICES,
    CONSOLE,
    MIGRATIONS,
    OPERATIONS,
    *(program.tested_name for program in PROGRAMS.values()),
    BUILDS,
)
_OF_A_SERVICE = ("deploy-service", "tail-logs", "build", "run")


def _target() -> Target:
    return inputs.target(os.environ)


def _connect(target: Target) -> Aws:
    aws = Aws(target)
    aws.check_account()
    print(f"{target.environment} in account {target.account}, {aws.region}")
    return aws


def _wanted() -> environment.Wanted:
    """Return what the environment's variables want deployed. Raises InputError."""
    cidrs = inputs.whitelist(os.environ)
    if inputs.admits_everybody(cidrs):
        print(
            "Warning: WHITELIST_IP admits everybody to the roaming hub's service; "
            "only its own check of addresses and certificates is left.",
            file=sys.stderr,
        )
    return environment.Wanted(
        hub_inputs.read(os.environ, cidrs),
        {service: images.tag_of(image) for service, image in images.IMAGES.items()},
        {service: inputs.certificate_names(os.environ) for service in SERVICES},
        inputs.alarm_parameters(os.environ),
        inputs.network(os.environ),
        inputs.names(os.environ),
        payers.read(os.environ),
        client_authorities.read(os.environ),
    )


def _deploy(_: argparse.Namespace) -> int:
    target, wanted = _target(), _wanted()
    environment.deploy(_connect(target), wanted)
    return 0


def _plan(_: argparse.Namespace) -> int:
    target, wanted = _target(), _wanted()
    if not environment.show_plan(_connect(target), wanted):
        print("Nothing would change.")
    return 0


def _deploy_service(options: argparse.Namespace) -> int:
    target = _target()
    tag = images.tag_of(images.IMAGES[options.service])
    environment.deploy_service(_connect(target), options.service, tag)
    return 0


def _deploy_console(_: argparse.Namespace) -> int:
    target = _target()
    parameters = {
        **inputs.console(os.environ),
        **inputs.names(os.environ),
        **inputs.alarm_parameters(os.environ),
    }
    tag = images.tag_of(images.CONSOLE_IMAGE)
    console.deploy(_connect(target), parameters, tag)
    return 0


def _delete_console(_: argparse.Namespace) -> int:
    target = _target()
    aws = _connect(target)
    _ask("the console", [("CONFIRM", f"console of {target.environment}")])
    console.delete(aws)
    return 0


def _promote(_: argparse.Namespace) -> int:
    target = _target()
    source = promotion.source_of(target, os.environ.get("FROM", "").strip())
    environment.promote(_connect(target), Aws(source))
    return 0


def _deploy_pipelines(_: argparse.Namespace) -> int:
    target = _target()
    source = inputs.source(os.environ)
    alarm_parameters = inputs.alarm_parameters(os.environ)
    pipelines.deploy_pipelines(_connect(target), source, alarm_parameters)
    return 0


def _store_token(_: argparse.Namespace) -> int:
    pipelines.store_token(_connect(_target()))
    return 0


def _deploy_access(_: argparse.Namespace) -> int:
    target, names = _target(), inputs.names(os.environ)
    environment.deploy_access(_connect(target), names)
    return 0


def _create_certificates(_: argparse.Namespace) -> int:
    target = _target()
    names = inputs.certificate_names(os.environ)
    aws = _connect(target)
    certificates = Certificates(aws)
    more = dict.fromkeys(SERVICES, names)
    print(f"Certificates: {certificates.create(more, force=bool(os.environ.get('FORCE')))}")
    for name, arn in certificates.arns.items():
        print(f"  {name:<28} {arn}")
    print(f"Clients trust it by {certificates.authority_file()}")
    return 0


def _create_accelerator(_: argparse.Namespace) -> int:
    environment.create_accelerator(_connect(_target()))
    return 0


def _reserve_capacity(_: argparse.Namespace) -> int:
    target = _target()
    units = os.environ.get("UNITS", "").strip()
    if not units.isdecimal():
        raise InputError(f"UNITS is {units!r}; give so many LCU, or 0 to give all back")
    print(f"{CHARGING_POINT}: {capacity.reserve(_connect(target), int(units))}")
    return 0


def _restore(_: argparse.Namespace) -> int:
    target = _target()
    wanted = restoring.source(os.environ, target.environment)
    aws = _connect(target)
    question = f"{target.environment} gets {wanted}. Type {target.environment!r}: "
    given = os.environ.get("CONFIRM")
    if given is None and sys.stdin.isatty():
        given = input(question)
    if given != target.environment:
        raise InputError(
            f"not confirmed; nothing was changed (CONFIRM={target.environment} confirms)"
        )
    restoring.restore(aws, wanted)
    return 0


def _restore_drill(_: argparse.Namespace) -> int:
    target = _target()
    wanted = restoring.source(os.environ, target.environment)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    day = os.environ.get("DAY", "").strip() or yesterday.isoformat()
    return 0 if restoring.drill(_connect(target), wanted, day) else 1


def _delete(_: argparse.Namespace) -> int:
    target = _target()
    aws = _connect(target)
    _confirm(target)
    environment.delete(aws)
    return 0


def _confirm(target: Target) -> None:
    """Have the deletion confirmed, twice for production. Raises InputError."""
    words = [("CONFIRM", target.environment)]
    if sizes(target.environment).protected:
        words.append(("CONFIRM_AGAIN", f"delete {target.environment} and its sessions"))
    _ask(target.environment, words)


def _ask(what: str, words: list[tuple[str, str]]) -> None:
    for variable, word in words:
        given = os.environ.get(variable)
        if given is None and sys.stdin.isatty():
            given = input(f"This deletes {what} for good. Type {word!r}: ")
        if given != word:
            raise InputError(f"not confirmed; nothing was deleted ({variable}={word!r} confirms)")


def _status(_: argparse.Namespace) -> int:
    return 0 if watching.status(_connect(_target())) else 1


def _tail_logs(options: argparse.Namespace) -> int:
    aws = _connect(_target())
    minutes = os.environ.get("MINUTES", "10")
    if not minutes.isdigit():
        raise InputError(f"MINUTES is {minutes!r}; give a whole number")
    try:
        watching.tail_logs(aws, options.service, os.environ.get("CHARGING_POINT", ""), int(minutes))
    except KeyboardInterrupt:
        return 0
    return 0


def _operations(_: argparse.Namespace) -> int:
    aws = Aws(_target())
    aws.check_account()
    return operations.run(aws, os.environ.get("ARGS", ""), os.environ.get("FILE", "").strip())


def _build(options: argparse.Namespace) -> int:
    image = images.ALL_IMAGES[options.service]
    images.build(image, image.local_name, images.find_engine())
    print(f"built {image.local_name}")
    return 0


def _pin_base(_: argparse.Namespace) -> int:
    print(f"the images stand on {images.pin_base(images.find_engine())}; commit the Dockerfiles")
    return 0


def _run(options: argparse.Namespace) -> int:
    from scripts.cloud import containers  # reads the database's driver, which nothing else needs

    return containers.run(images.IMAGES[options.service], options.arguments)


def _simulate(options: argparse.Namespace) -> int:
    name = inputs.environment(os.environ)
    aws = Aws(_target()) if {"AWS_PROFILE", "ACCOUNT_ID"} <= set(os.environ) else None
    hostname = os.environ.get("BACKEND_HOSTNAME", "").strip()
    if not hostname:
        if aws is None:
            raise InputError(
                "BACKEND_HOSTNAME is not set: give an address of the environment, or AWS_PROFILE "
                "and ACCOUNT_ID, by which it is looked up"
            )
        hostname = stacks.outputs(aws, "services")["ChargingPointHost"]
    given = options.arguments[options.arguments[:1] == ["--"] :]
    words, variables = simulator.command(name, given, os.environ, hostname, aws)
    os.execve(words[0], words, {**os.environ, **variables})  # noqa: S606 - our own program


if __name__ == "__main__":
    sys.exit(main())
