"""What a deployment would change, from change sets that are never executed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from scripts.cloud import migration, stacks
from scripts.cloud.aws import Aws
from scripts.cloud.images import running
from scripts.cloud.inputs import InputError
from scripts.cloud.steps import NO_CHANGES
from templates.__main__ import STACKS
from templates.environments import sizes
from templates.naming import CHARGING_POINT

Parameters = Mapping[str, Callable[[], Mapping[str, str]]]
"""Stack → the parameters that it would be deployed with, in order of deployment."""


def show(aws: Aws, parameters: Parameters, tags: Mapping[str, str]) -> bool:
    """Print what a deployment would change, stack by stack; return whether that is anything.

    tags: service → image tag, of those that are deployed. What follows in a stack from a change
    of another is known only when that has been made. Raises StackError.
    """
    changed = _show_images(aws, tags)
    present = stacks.look(aws)
    for stack, its in parameters.items():
        if stack not in present:
            most = len(STACKS[stack].build().resources)
            print(f"{stack:<20} new, up to {most} resources")
            changed = True
            continue
        found = stacks.changes(aws, stack, its())
        changed |= bool(found)
        print(f"{stack:<20} {f'{len(found)} changes' if found else NO_CHANGES}")
        for change in found:
            print(f"  {_line(change)}")
    return changed


def ask(aws: Aws, parameters: Parameters, tags: Mapping[str, str]) -> None:
    """Show what would change and have it confirmed, if it is anything, where AWS protects it.

    Confirmed is it by its name, typed at a terminal or as CONFIRM. Raises InputError, StackError.
    """
    if sizes(aws.target.environment).protected and show(aws, parameters, tags):
        _confirm(aws)


def _confirm(aws: Aws) -> None:
    environment = aws.target.environment
    given = aws.target.confirmed
    if given is None and sys.stdin.isatty():
        given = input(f"This is what changes in {environment}. Type {environment!r} to go on: ")
    if given != environment:
        raise InputError(
            f"not confirmed; nothing was deployed (CONFIRM={environment} confirms, `make plan` "
            "shows it again)"
        )


def _show_images(aws: Aws, tags: Mapping[str, str]) -> bool:
    changed = False
    for service, tag in tags.items():
        runs = running(aws, service)
        if runs != tag:
            print(f"{f'image {service}':<20} {runs or 'none'} → {tag}")
            changed = True
    migrates = tags.get(CHARGING_POINT)
    if migrates and "database" in stacks.look(aws) and migration.is_needed(aws, migrates):
        print(f"{'migration':<20} the schema is brought up to date")
        changed = True
    return changed


def _line(change: stacks.Change) -> str:
    # Something else in its place: an address, a name or what it holds may go with the old one.
    replaced = {"True": "  REPLACED", "Conditional": "  may be REPLACED"}
    properties = f"  ({', '.join(change.properties)})" if change.properties else ""
    return (
        f"{change.action.lower():<7} {change.resource} {change.kind}"
        f"{replaced.get(change.replacement, '')}{properties}"
    )
