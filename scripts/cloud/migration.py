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
    access = outputs(aws, "cluster")["OperationsAccessTask"]
    tasks.run_to_its_end(aws, "access of operations", access, group, MIGRATIONS)
    notes.write(aws, _NOTE, f"{_access(aws)} {','.join(sorted(_migrations(tag)))}")
    return "schema brought up to date"


def forget(aws: Aws) -> None:
    """Delete the note of what the schema has."""
    notes.forget(aws, _NOTE)


def _access(aws: Aws) -> str:
    """Return what the database is reached by; what is new must be granted its rights."""
    database = outputs(aws, "database")
    parts = [database["Endpoint"]]
    for name in ("ApplicationSecret", "OperationsSecret"):
        secret = aws("secretsmanager", "describe-secret", "--secret-id", database[name])
        versions: dict[str, list[str]] = secret["VersionIdsToStages"]
        parts += [version for version, names in versions.items() if "AWSCURRENT" in names]
    return "/".join(parts)


def _migrations(tag: str) -> set[str]:
    """Return the numbers of the migrations in an image, which is called after its commit.

    Of a tag that is no commit here, a set that no schema has but the one it was noted for.
    """
    run = subprocess.run(
        ["git", "ls-tree", "--name-only", tag, _DIRECTORY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    files = [line.rsplit("/", 1)[-1] for line in run.stdout.splitlines() if line.endswith(".py")]
    numbers = {file.split("_", 1)[0] for file in files} - {""}
    return numbers or {f"image:{tag}"}
