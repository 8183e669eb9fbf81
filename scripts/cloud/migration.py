"""The task that brings the database's schema up to date before services change."""

from __future__ import annotations

from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.stacks import NO_CHANGES, outputs
from templates.cluster import MIGRATIONS
from templates.names import CHARGING_POINT


class MigrationError(RuntimeError):
    """The schema is as it was; the message holds the end of the task's log."""


def migrate(aws: Aws, tag: str) -> str:
    """Run the migrations of an image, unless they were the last to run; say what was done.

    Raises MigrationError; whoever deploys stops there, and the services stay as they are.
    """
    parameter = f"/vni/{aws.target.environment}/migrated-image"
    cluster = outputs(aws, "cluster")
    # The definition counts too: a new secret or database must be made known to the schema.
    wanted = f"{tag} {cluster['MigrationTask'].rsplit('/', 1)[-1]}"
    if _last(aws, parameter) == wanted:
        return NO_CHANGES
    network = outputs(aws, "network")
    subnets = [network[name] for name in sorted(network) if name.startswith("PrivateSubnet")]
    group = outputs(aws, "firewall")["ChargingPointTasks"]
    answer = aws(
        *("ecs", "run-task", "--cluster", cluster["Name"], "--launch-type", "FARGATE"),
        *("--task-definition", cluster["MigrationTask"], "--started-by", "deploy"),
        "--network-configuration",
        f"awsvpcConfiguration={{subnets=[{','.join(subnets)}],securityGroups=[{group}],"
        "assignPublicIp=DISABLED}",
    )
    if answer["failures"]:
        raise MigrationError(f"the migration did not start: {answer['failures'][0]['reason']}")
    task = answer["tasks"][0]["taskArn"]
    where = ("--cluster", cluster["Name"], "--tasks", task)
    aws("ecs", "wait", "tasks-stopped", *where)
    ended = aws("ecs", "describe-tasks", *where)["tasks"][0]
    container = ended["containers"][0]
    if container.get("exitCode") != 0:
        why = container.get("reason") or ended.get("stoppedReason") or "it failed"
        raise MigrationError(f"the migration failed ({why}):\n{_log(aws, task)}")
    aws(
        *("ssm", "put-parameter", "--overwrite", "--type", "String"),
        *("--name", parameter, "--value", wanted),
    )
    return "schema brought up to date"


def forget(aws: Aws) -> None:
    """Take away the note of what was migrated last."""
    try:
        aws("ssm", "delete-parameter", "--name", f"/vni/{aws.target.environment}/migrated-image")
    except AwsError as error:
        if error.code != "ParameterNotFound":
            raise


def _last(aws: Aws, parameter: str) -> str | None:
    try:
        return str(aws("ssm", "get-parameter", "--name", parameter)["Parameter"]["Value"])
    except AwsError as error:
        if error.code == "ParameterNotFound":
            return None
        raise


def _log(aws: Aws, task: str) -> str:
    group = f"/vni/{aws.target.environment}/{MIGRATIONS}"
    stream = f"{CHARGING_POINT}/{CHARGING_POINT}/{task.rsplit('/', 1)[-1]}"
    try:
        answer = aws(
            *("logs", "get-log-events", "--log-group-name", group),
            *("--log-stream-name", stream, "--limit", "20"),
        )
    except AwsError:
        return f"(no log in {group})"
    return "\n".join(f"  {event['message']}" for event in answer["events"])
