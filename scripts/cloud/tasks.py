"""Tasks that run once, to their end: a migration, the making of a database."""

from __future__ import annotations

from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.stacks import outputs
from templates.naming import CHARGING_POINT, log_group_name, parameter_name


class TaskError(RuntimeError):
    """A task did not do its work; the message holds the end of its log."""


def run_to_its_end(aws: Aws, what: str, definition: str, group: str, log: str) -> None:
    """Run a task and wait for it. Raises TaskError.

    what: such as `migration`, for the message. group: its security group. log: what its log
    group is called within the environment.
    """
    cluster = outputs(aws, "cluster")["Name"]
    network = outputs(aws, "network")
    subnets = [network[name] for name in sorted(network) if name.startswith("PrivateSubnet")]
    answer = aws(
        *("ecs", "run-task", "--cluster", cluster, "--launch-type", "FARGATE"),
        *("--task-definition", definition, "--started-by", "deploy"),
        "--network-configuration",
        f"awsvpcConfiguration={{subnets=[{','.join(subnets)}],securityGroups=[{group}],"
        "assignPublicIp=DISABLED}",
    )
    if answer["failures"]:
        raise TaskError(f"the {what} did not start: {answer['failures'][0]['reason']}")
    task = answer["tasks"][0]["taskArn"]
    where = ("--cluster", cluster, "--tasks", task)
    aws("ecs", "wait", "tasks-stopped", *where)
    ended = aws("ecs", "describe-tasks", *where)["tasks"][0]
    container = ended["containers"][0]
    if container.get("exitCode") != 0:
        why = container.get("reason") or ended.get("stoppedReason") or "it failed"
        raise TaskError(f"the {what} failed ({why}):\n{_end_of_log(aws, log, task)}")


def note(aws: Aws, name: str) -> str | None:
    """Return what was noted in the environment under a name, or None."""
    try:
        answer = aws("ssm", "get-parameter", "--name", _parameter(aws, name))
    except AwsError as error:
        if error.code == "ParameterNotFound":
            return None
        raise
    return str(answer["Parameter"]["Value"])


def write_note(aws: Aws, name: str, text: str) -> None:
    """Note something, so that the next deployment need not do it again."""
    aws(
        *("ssm", "put-parameter", "--overwrite", "--type", "String"),
        *("--name", _parameter(aws, name), "--value", text),
    )


def forget(aws: Aws, name: str) -> None:
    """Take a note away, if there is one."""
    try:
        aws("ssm", "delete-parameter", "--name", _parameter(aws, name))
    except AwsError as error:
        if error.code != "ParameterNotFound":
            raise


def _parameter(aws: Aws, name: str) -> str:
    return aws.target.spelled(parameter_name(name))


def _end_of_log(aws: Aws, log: str, task: str) -> str:
    group = aws.target.spelled(log_group_name(log))
    stream = f"{CHARGING_POINT}/{CHARGING_POINT}/{task.rsplit('/', 1)[-1]}"
    try:
        answer = aws(
            *("logs", "get-log-events", "--log-group-name", group),
            *("--log-stream-name", stream, "--limit", "20"),
        )
    except AwsError:
        return f"(no log in {group})"
    return "\n".join(f"  {event['message']}" for event in answer["events"])
