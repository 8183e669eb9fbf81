"""What all containers of ours have in common: hardened, logged, fed from secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from troposphere import AWS_NO_VALUE, If, Join, Ref, Sub, ecs

from templates.exports import imported
from templates.naming import camel, service_name, tags

# Fargate's longest; cp_backend drains within it.
STOP_TIMEOUT_SECONDS = 120
SCRATCH = "scratch"
"""A folder of the images that a task may have a volume at, to write to; its root is read-only."""
DATABASE_NAME = "vni"
OPEN_FILES = 65_535
# Not root, and no user that the image knows.
USER = "10001:10001"


@dataclass(frozen=True)
class Only:
    """A variable's value where a container has the variable only under a condition."""

    condition: str
    value: object


def container(
    service: str,
    *,
    command: list[str],
    environment: Mapping[str, object],
    secrets: Mapping[str, object],
    log_group: object,
    name: str = "",
    optional_secrets: Mapping[str, tuple[str, object]] | None = None,
    **more: object,
) -> ecs.ContainerDefinition:
    """Return a container of a task: an image of a service with a command.

    secrets: variable → ``valueFrom``; optional_secrets: variable → (condition, ``valueFrom``).
    environment: variable → value, or `Only` with one. name: the service's where empty. more:
    ports, health check.
    """
    given: list[object] = [ecs.Secret(Name=k, ValueFrom=v) for k, v in sorted(secrets.items())]
    given += [
        If(condition, ecs.Secret(Name=k, ValueFrom=v), Ref(AWS_NO_VALUE))
        for k, (condition, v) in sorted((optional_secrets or {}).items())
    ]
    return ecs.ContainerDefinition(
        Name=name or service,
        Image=Join(
            ":",
            [
                imported("registry", f"{camel(service)}RepositoryUri"),
                Ref(f"{camel(service)}ImageTag"),
            ],
        ),
        Command=command,
        Essential=True,
        Environment=[_variable(k, v) for k, v in sorted(environment.items())],
        Secrets=given,
        User=USER,
        ReadonlyRootFilesystem=True,
        LinuxParameters=ecs.LinuxParameters(InitProcessEnabled=True),
        StopTimeout=STOP_TIMEOUT_SECONDS,
        Ulimits=[ecs.Ulimit(Name="nofile", SoftLimit=OPEN_FILES, HardLimit=OPEN_FILES)],
        LogConfiguration=ecs.LogConfiguration(
            LogDriver="awslogs",
            Options={
                "awslogs-group": log_group,
                "awslogs-region": Ref("AWS::Region"),
                "awslogs-stream-prefix": name or service,
                # A slow log must not stop charging points; a full buffer drops lines instead.
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        ),
        **more,
    )


def task_definition(
    title: str,
    tag: str,
    containers: Sequence[ecs.ContainerDefinition],
    *,
    starter: object,
    architecture: object = None,
    cpu: object = "256",
    memory: object = "512",
    **more: object,
) -> ecs.TaskDefinition:
    """Return a task on Fargate. title: in its template; tag: its family, and whose it is.

    starter: ARN of the role that starts it. architecture: the template's parameter where None.
    more: the role that its programs have.
    """
    return ecs.TaskDefinition(
        title,
        Family=service_name(tag),
        Cpu=cpu,
        Memory=memory,
        RuntimePlatform=ecs.RuntimePlatform(
            CpuArchitecture=architecture or Ref("Architecture"), OperatingSystemFamily="LINUX"
        ),
        ExecutionRoleArn=starter,
        ContainerDefinitions=list(containers),
        Tags=tags(tag),
        RequiresCompatibilities=["FARGATE"],
        NetworkMode="awsvpc",
        # The definition before stays: a service can go back to it, and whoever deploys needs no
        # right to take definitions away, which AWS gives for all environments or for none.
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Retain",
        **more,
    )


def _variable(name: str, value: object) -> object:
    if isinstance(value, Only):
        variable = ecs.Environment(Name=name, Value=value.value)
        return If(value.condition, variable, Ref(AWS_NO_VALUE))
    return ecs.Environment(Name=name, Value=value)


def secret_key(secret_arn: object, key: str, version: object = "") -> Join:
    """Return ``valueFrom`` of one key of a JSON secret. version: its id; empty: the current."""
    return Join("", [secret_arn, f":{key}::", version])


def database_environment(name: str = DATABASE_NAME) -> dict[str, object]:
    """Return where the database is, for a container."""
    return {"DATABASE_HOST": imported("database", "Endpoint"), "DATABASE_NAME": name}


def scratch() -> dict[str, Any]:
    """Return what a container has to write to: a volume, for a task with `scratch_volumes`."""
    return {"MountPoints": [ecs.MountPoint(SourceVolume=SCRATCH, ContainerPath=f"/{SCRATCH}")]}


def scratch_volumes() -> list[ecs.Volume]:
    """Return the volumes of a task whose container has `scratch`: as large as Fargate's disk."""
    return [ecs.Volume(Name=SCRATCH)]


def file_store() -> dict[str, object]:
    """Return where firmware and logs are, for a container."""
    return {"FILE_STORE": Sub("s3://${Bucket}", Bucket=imported("storage", "Files"))}


def stores() -> dict[str, object]:
    """Return where files and archives are, and what to write to, for a container with `scratch`."""
    return file_store() | {
        "ARCHIVE_STORE": Sub("s3://${Bucket}", Bucket=imported("storage", "Archive")),
        "TMPDIR": f"/{SCRATCH}",
    }


def database_secrets() -> dict[str, object]:
    """Return how the services log in to the database, for a container."""
    secret = imported("database", "ApplicationSecret")
    return {
        "DATABASE_USER": secret_key(secret, "username"),
        "DATABASE_PASSWORD": secret_key(secret, "password"),
    }


def arn_of_log_group(name: str) -> Sub:
    """Return the ARN of a log group's streams."""
    return Sub(
        "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}"
        f":log-group:/vni/${{Environment}}/{name}:*"
    )
