"""The task that brings the database's schema up to date before services change.

What the schema has is remembered as the numbers of its migrations. An image whose migrations it
has already, such as an older one to go back to, needs no task: a migration is written so that the
services of the version before run on the schema after it.
"""

from __future__ import annotations

import subprocess

from scripts.cloud import notes, tasks
from scripts.cloud.aws import Aws
from scripts.cloud.images import ROOT
from scripts.cloud.stacks import outputs
from scripts.cloud.steps import NO_CHANGES
from templates.stacks.cluster import MIGRATIONS

_NOTE = "migrated"
_DIRECTORY = "charging/database/migrations/versions/"
_GRANTS = "charging/database/grant.py"


def is_needed(aws: Aws, tag: str) -> bool:
    """Return whether the schema lacks something that an image of this tag needs."""
    noted = notes.read(aws, _NOTE)
    if noted is None:
        return True
    access, _, has = noted.partition(" ")
    return access != _access(aws) or not _migrations(tag) <= set(has.split(","))


def migrate(aws: Aws, tag: str) -> str:
    """Run the migrations of an image, unless the schema has them; return what was done.

    Raises TaskError; then the schema is as the last migration that succeeded left it, whoever
    deploys stops there, and the services stay as they are.
    """
    if not is_needed(aws, tag):
        return NO_CHANGES
    group = outputs(aws, "firewall")["ChargingPointTasks"]
    definition = outputs(aws, "cluster")["MigrationTask"]
    tasks.run_to_its_end(aws, "migration", definition, group, MIGRATIONS)
    for whose in ("Operations", "Console"):
        access = outputs(aws, "cluster")[f"{whose}AccessTask"]
        tasks.run_to_its_end(aws, f"access of {whose.lower()}", access, group, MIGRATIONS)
    before, _, has = (notes.read(aws, _NOTE) or "").partition(" ")
    # What was granted by another version is kept: going back there needs no task.
    known = set(has.split(",")) - {""} if before == _access(aws) else set()
    notes.write(aws, _NOTE, f"{_access(aws)} {','.join(sorted(known | _migrations(tag)))}")
    return "schema brought up to date"


def forget(aws: Aws) -> None:
    """Delete the note of what the schema has."""
    notes.forget(aws, _NOTE)


def _access(aws: Aws) -> str:
    """Return what the database is reached by; what is new must be granted its rights."""
    database = outputs(aws, "database")
    parts = [database["Endpoint"]]
    for name in ("ApplicationSecret", "OperationsSecret", "ConsoleSecret"):
        secret = aws("secretsmanager", "describe-secret", "--secret-id", database[name])
        versions: dict[str, list[str]] = secret["VersionIdsToStages"]
        parts += [version for version, names in versions.items() if "AWSCURRENT" in names]
    return "/".join(parts)


def _migrations(tag: str) -> set[str]:
    """Return the numbers of the migrations in an image, and what rights users have with it.

    It is called after its commit; of a tag that is no commit here, a set that no schema has but
    the one it was noted for.
    """
    run = subprocess.run(
        ["git", "ls-tree", tag, _DIRECTORY, _GRANTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    numbers = set()
    # Mode, type, blob, path.
    for _, _, blob, path in (line.split(None, 3) for line in run.stdout.splitlines()):
        if path == _GRANTS:
            numbers.add(f"grants-{blob[:12]}")
        elif path.endswith(".py"):
            numbers.add(path.rsplit("/", 1)[-1].split("_", 1)[0])
    return numbers - {""} or {f"image:{tag}"}
