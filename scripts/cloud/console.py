"""The operators' console: a stack of its own, which an environment has by choice."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from scripts.cloud import images, migration, plan, stacks, tasks
from scripts.cloud.aws import Aws
from scripts.cloud.images import CONSOLE_IMAGE
from scripts.cloud.inputs import InputError
from scripts.cloud.steps import NO_CHANGES, Work, run
from templates.naming import CONSOLE
from templates.stacks.console import STACK

_TAG = "ConsoleImageTag"
_NAMES = ("HostedZone", "Domain")
Steps = dict[str, Work]


def is_there(aws: Aws) -> bool:
    """Return whether the environment has a console."""
    return STACK in stacks.look(aws)


def parameters(given: Mapping[str, str], tag: str) -> dict[str, str]:
    """Return its stack's parameters: what is given, and the image that runs.

    It keeps its name where the others' are taken away (`HOSTED_ZONE=none`).
    """
    named = {name: value for name, value in given.items() if value or name not in _NAMES}
    return {**named, _TAG: tag}


def deploy(aws: Aws, given: Mapping[str, str], tag: str) -> None:
    """Make the console, or bring it up to date, and wait until it is stable.

    given: parameters, of `inputs`; what is not given stays as it is. A protected environment's
    changes are shown and have to be confirmed. Raises InputError, before anything is touched, where
    something is lacking.
    """
    present = stacks.look(aws)
    if "observability" not in present:
        raise InputError(
            f"{aws.target.environment} is not whole; `make deploy-backend-services` makes it so"
        )
    if "ConsoleRepositoryName" not in stacks.outputs(aws, "registry"):
        raise InputError(
            f"{aws.target.environment} has no repository for the console's image; "
            "`make deploy-backend-services` makes one"
        )
    if migration.is_needed(aws, tag):
        raise InputError(
            f"console {tag} needs a schema or rights that the database has not yet; "
            "`make deploy-cp-backend` brings them there first"
        )
    if not is_there(aws):
        if "ConsoleAddress1" not in given:
            raise InputError(
                "CONSOLE_ADDRESSES is not set: give the addresses or CIDRs that operators come "
                "from, with commas between them"
            )
        if not given.get("HostedZone"):
            raise InputError(
                "HOSTED_ZONE and DOMAIN are not set: the console has a name, console.<DOMAIN>, "
                "and a certificate that browsers trust"
            )
    plan.ask(aws, {STACK: lambda: parameters(given, tag)}, {CONSOLE: tag})
    run(steps(aws, given, tag), f"console runs {tag}")
    found = stacks.outputs(aws, STACK)
    print(f"  operators open               {found['ConsoleAddress']}")
    if "ConsolePeople" in found:
        print(f"  who may is said in the pool  {found['ConsolePeople']}")


def steps(aws: Aws, given: Mapping[str, str], tag: str) -> Steps:
    """Return the steps that bring its image and its stack up to date."""
    lacking = bool(images.missing(aws, {CONSOLE: tag}))
    return {
        f"image {CONSOLE}": lambda: images.provide(aws, CONSOLE_IMAGE, tag, lacking),
        **update(aws, tag, given),
    }


def update(aws: Aws, tag: str, given: Mapping[str, str] = MappingProxyType({})) -> Steps:
    """Return the steps that let it run an image that the registry has."""
    return {
        STACK: lambda: stacks.deploy(aws, STACK, parameters(given, tag)),
        f"{CONSOLE} is stable": lambda: _until_stable(aws),
    }


def _until_stable(aws: Aws) -> str:
    """Wait until the console is stable."""
    name = stacks.outputs(aws, STACK)["ConsoleServiceName"]
    tasks.wait_until_stable(aws, stacks.outputs(aws, "cluster")["Name"], name)
    return NO_CHANGES


def along(aws: Aws, given: Mapping[str, str]) -> tuple[plan.Parameters, dict[str, str], Steps]:
    """Return what is planned of it as the whole environment is brought up to date; nothing without.

    given: parameters, of `inputs`. Its stack's parameters, its tag, its steps. Raises InputError.
    """
    if not is_there(aws):
        return {}, {}, {}
    tag = images.tag_along(aws, CONSOLE_IMAGE)
    return (
        {STACK: lambda: parameters(given, tag)},
        {CONSOLE: tag},
        steps(aws, given, tag),
    )


def delete(aws: Aws) -> None:
    """Take the console away, its people too; the rest of the environment stays.

    Raises InputError where there is none.
    """
    if not is_there(aws):
        raise InputError(f"{aws.target.environment} has no console")

    def take_away() -> str:
        stacks.deploy(aws, STACK, {"Protected": "false"})
        stacks.protect(aws, STACK, False)
        stacks.delete(aws, STACK)
        return "deleted"

    run({STACK: take_away}, "The console is gone")
