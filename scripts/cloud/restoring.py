"""Backups put back: into the same environment under the same addresses, or beside it for a drill.

Aurora restores into a new cluster. For a restore the clusters then change names: an Aurora
endpoint follows from its cluster's name, so the services, and the stack that made the database,
find the restored one where the other was. The database of before stays, under another name, until
somebody deletes it.

Source: Amazon Aurora user guide, "Restoring a DB cluster to a specified time", "Renaming an Aurora
DB cluster"; API reference of RestoreDBClusterToPointInTime and ModifyDBCluster.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.cloud import migration, operations, stacks
from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.environment import image_parameters
from scripts.cloud.fleet import sizes_of
from scripts.cloud.images import IMAGES, running
from scripts.cloud.inputs import InputError
from scripts.cloud.steps import run
from templates.naming import CHARGING_POINT, named

LONGEST_SECONDS = 12 * 3600
"""A restore of terabytes takes hours."""
_LOOK_SECONDS = 15
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z")
_CLASS = "db.serverless"
# What `operations audit run` ends with: nothing to look at, or lines that somebody should.
_AUDITED = {0: "the books balance", 3: "the books have lines to look at"}


class RestoreError(RuntimeError):
    """A backup could not be put back; the message says how far it came."""


@dataclass(frozen=True)
class Source:
    """What is put back. snapshot: name or ARN; time: UTC; neither: the latest there is.

    environment: whose database, for a time.
    """

    environment: str
    snapshot: str = ""
    time: str = ""

    def __str__(self) -> str:
        """Say it in a sentence."""
        if self.snapshot:
            return f"the snapshot {self.snapshot}"
        return f"the database of {self.environment} as of {self.time or 'now'}"


def source(variables: Mapping[str, str], environment: str) -> Source:
    """Read SNAPSHOT, TIME and FROM. Raises InputError."""
    snapshot = variables.get("SNAPSHOT", "").strip()
    moment = variables.get("TIME", "").strip()
    if snapshot and moment:
        raise InputError("SNAPSHOT and TIME exclude each other")
    if moment and not _TIME.fullmatch(moment):
        raise InputError(f"TIME is {moment!r}; give UTC, such as 2026-01-31T17:30:00Z")
    return Source(variables.get("FROM", "").strip() or environment, snapshot, moment)


def restore(aws: Aws, wanted: Source) -> None:
    """Put a backup in the place of the environment's database; print what stays of before.

    Charging points stay connected; what they say while the names change is committed afterwards.
    Raises AwsError, RestoreError, StackError, TaskError.
    """
    database = _Databases(aws)
    instances = database.instances(database.name)
    before = f"{database.name}-before-{datetime.now(UTC):%Y%m%d%H%M%S}"
    new = f"{database.name}-restored"
    tags = {service: tag for service in IMAGES if (tag := running(aws, service))}
    if database.find(new):
        raise RestoreError(
            f"{new} is there from another restore: delete it, or wait until that has ended"
        )

    def schema() -> str:
        stacks.deploy(aws, "cluster", image_parameters(tags))
        migration.forget(aws)
        return migration.migrate(aws, tags[CHARGING_POINT])

    run(
        {
            f"copy of {wanted}": lambda: database.make(new, wanted, len(instances)),
            f"{database.name} becomes {before}": lambda: database.rename(
                database.name, before, [f"{before}-{place}" for place in range(len(instances))]
            ),
            f"{new} becomes {database.name}": lambda: database.rename(
                new, database.name, instances
            ),
            "protection and password": lambda: database.settle(sizes_of(aws).protected),
            "schema and users": schema,
        },
        f"{aws.target.environment} has {wanted}",
    )
    print(f"The database of before is {before}; `docs/runbook.md` says how it goes.")


def drill(aws: Aws, wanted: Source, day: str) -> bool:
    """Restore beside the environment, audit a day of the result, take it away.

    Return whether the backup could be put back and read. Nothing of it is left, whatever happens.
    """
    database = _Databases(aws)
    name = f"{database.name}-drill"
    began = time.monotonic()
    with database.thrown_away(name):
        run({f"copy of {wanted}": lambda: database.make(name, wanted, 1)}, f"{name} is there")
        restored = time.monotonic() - began
        code, output = operations.ask(
            aws, ["audit", "run", "--day", day], more={"DATABASE_HOST": database.endpoint(name)}
        )
        print(output, end="")
    said = _AUDITED.get(code, f"the audit failed (exit code {code})")
    print(
        f"The drill has taken {time.monotonic() - began:.0f} s, the restore {restored:.0f} s of it;"
        f" {said}"
    )
    return code in _AUDITED


class _Databases:
    """Database clusters and their instances, by name."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.name = aws.target.spelled(named())

    def find(self, name: str) -> dict[str, Any] | None:
        """Return a cluster as RDS describes it, None where there is none."""
        try:
            found = self._aws("rds", "describe-db-clusters", "--db-cluster-identifier", name)
        except AwsError as error:
            if error.code == "DBClusterNotFoundFault":
                return None
            raise
        clusters: list[dict[str, Any]] = found["DBClusters"]
        return clusters[0]

    def instances(self, name: str) -> list[str]:
        """Return the names of a cluster's instances, the writer first."""
        cluster = self.find(name)
        if cluster is None:
            raise RestoreError(f"there is no database {name}; `make deploy-backend-services`")
        members = sorted(cluster["DBClusterMembers"], key=lambda m: not m["IsClusterWriter"])
        return [member["DBInstanceIdentifier"] for member in members]

    def endpoint(self, name: str) -> str:
        """Return the address of a cluster's writer."""
        cluster = self.find(name)
        assert cluster is not None
        return str(cluster["Endpoint"])

    def make(self, name: str, wanted: Source, instances: int) -> str:
        """Restore into a new cluster like the environment's own; return how large it is."""
        own = self.find(self.name)
        if own is None:
            raise RestoreError(f"there is no database {self.name} to be like")
        groups = [each["VpcSecurityGroupId"] for each in own["VpcSecurityGroups"]]
        scaling = own["ServerlessV2ScalingConfiguration"]
        same = [
            *("--db-cluster-identifier", name, "--db-subnet-group-name", own["DBSubnetGroup"]),
            *("--db-cluster-parameter-group-name", own["DBClusterParameterGroup"]),
            *("--vpc-security-group-ids", *groups, "--copy-tags-to-snapshot"),
            "--serverless-v2-scaling-configuration",
            f"MinCapacity={scaling['MinCapacity']},MaxCapacity={scaling['MaxCapacity']}",
            *("--enable-cloudwatch-logs-exports", "postgresql", "--no-deletion-protection"),
            *("--tags", f"Key=Environment,Value={self._aws.target.environment}"),
        ]
        if wanted.snapshot:
            self._aws(
                *("rds", "restore-db-cluster-from-snapshot", "--engine", own["Engine"]),
                *("--snapshot-identifier", wanted.snapshot, *same),
            )
        else:
            at = ("--restore-to-time", wanted.time) if wanted.time else ()
            origin = self.name.replace(self._aws.target.environment, wanted.environment)
            self._aws(
                *("rds", "restore-db-cluster-to-point-in-time"),
                *("--source-db-cluster-identifier", origin),
                *(at or ("--use-latest-restorable-time",)),
                *same,
            )
        for place in range(instances):
            self._aws(
                *("rds", "create-db-instance", "--db-cluster-identifier", name),
                *("--db-instance-identifier", f"{name}-{place}", "--engine", own["Engine"]),
                *("--db-instance-class", _CLASS, "--no-publicly-accessible"),
                *("--no-auto-minor-version-upgrade", "--enable-performance-insights"),
                *("--promotion-tier", "1"),
            )
        self._wait(name, instances)
        return f"{instances} instances"

    def rename(self, old: str, new: str, instances: list[str]) -> str:
        """Give a cluster and its instances, writer first, other names."""
        for before, after in zip(self.instances(old), instances, strict=True):
            self._aws(
                *("rds", "modify-db-instance", "--db-instance-identifier", before),
                *("--new-db-instance-identifier", after, "--apply-immediately"),
            )
        self._aws(
            *("rds", "modify-db-cluster", "--db-cluster-identifier", old),
            *("--new-db-cluster-identifier", new, "--apply-immediately"),
        )
        self._wait(new, len(instances), instances)
        return "renamed"

    def settle(self, protected: bool) -> str:
        """Give the database what a restored one lacks: its owner's password in a secret of AWS's.

        Only now, so that the secret carries the name that may be read.
        """
        own = self.find(self.name)
        assert own is not None
        self._aws(
            *("rds", "modify-db-cluster", "--db-cluster-identifier", self.name),
            *("--manage-master-user-password", "--apply-immediately"),
            "--deletion-protection" if protected else "--no-deletion-protection",
        )
        self._wait(self.name, len(own["DBClusterMembers"]))
        return "done"

    @contextmanager
    def thrown_away(self, name: str) -> Iterator[None]:
        """Delete a cluster at the end, and one of before at once."""
        self._throw_away(name)
        try:
            yield
        finally:
            print(f"{name} is taken away", flush=True)
            self._throw_away(name)

    def _throw_away(self, name: str) -> None:
        if self.find(name) is None:
            return
        for instance in self.instances(name):
            self._aws(
                *("rds", "delete-db-instance", "--db-instance-identifier", instance),
                "--skip-final-snapshot",
            )
        self._aws(
            *("rds", "delete-db-cluster", "--db-cluster-identifier", name, "--skip-final-snapshot")
        )
        deadline = time.monotonic() + LONGEST_SECONDS
        while self.find(name) is not None and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)

    def _wait(self, name: str, instances: int, called: list[str] | None = None) -> None:
        """Wait until a cluster and its instances are available. Raises RestoreError."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            cluster = self.find(name)
            if cluster is not None and cluster["Status"] == "available":
                found = self.instances(name)
                if len(found) == instances and (called is None or set(found) == set(called)):
                    states = [self._state(instance) for instance in found]
                    if states == ["available"] * instances:
                        return
            time.sleep(_LOOK_SECONDS)
        raise RestoreError(f"{name} is not available after {LONGEST_SECONDS // 3600} hours")

    def _state(self, instance: str) -> str:
        found = self._aws("rds", "describe-db-instances", "--db-instance-identifier", instance)
        return str(found["DBInstances"][0]["DBInstanceStatus"])
