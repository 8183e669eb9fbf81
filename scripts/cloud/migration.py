"""The task that brings the database's schema up to date before services change."""

from __future__ import annotations

from scripts.cloud import tasks
from scripts.cloud.aws import Aws
from scripts.cloud.stacks import NO_CHANGES, outputs
from templates.stacks.cluster import MIGRATIONS

_NOTE = "migrated-image"


def migrate(aws: Aws, tag: str) -> str:
    """Run the migrations of an image, unless they were the last to run; return what was done.

    Raises TaskError; then the schema is as it was, whoever deploys stops there, and the services
    stay as they are.
    """
    definition = outputs(aws, "cluster")["MigrationTask"]
    # The definition counts too: a new secret or database must be made known to the schema.
    wanted = f"{tag} {definition.rsplit('/', 1)[-1]}"
    if tasks.note(aws, _NOTE) == wanted:
        return NO_CHANGES
    group = outputs(aws, "firewall")["ChargingPointTasks"]
    tasks.run_to_its_end(aws, "migration", definition, group, MIGRATIONS)
    tasks.write_note(aws, _NOTE, wanted)
    return "schema brought up to date"


def forget(aws: Aws) -> None:
    """Take away the note of what was migrated last."""
    tasks.forget(aws, _NOTE)
