"""Tasks that run once, to their end: a migration, the making of a database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from scripts.cloud.aws import Aws, AwsError, temporary_files
from scripts.cloud.stacks import outputs
from templates.naming import CHARGING_POINT, log_group_name

# The CLI's own waiter gives up after ten minutes; an index on a large table takes hours.
LONGEST_SECONDS = 12 * 3600
# To replace a task: pull and start 2 min, drain 140 s, stop 120 s at most; twice that.
_TASK_SECONDS = 13 * 60
_ROLLOUT_SECONDS = 10 * 60
_LOOK_SECONDS = 3


class TaskError(RuntimeError):
    """A task did not do its work; the message holds the end of its log."""


def run_to_its_end(aws: Aws, what: str, definition: str, group: str, log: str) -> None:
    """Run a task, wait for it, and see that it succeeded. Raises TaskError.

    what: such as `migration`, for the message. group: its security group. log: what its log
    group is called within the environment.
    """
    task, ended = _run(aws, what, definition, group)
    container = ended["containers"][0]
    if container.get("exitCode") != 0:
        why = container.get("reason") or ended.get("stoppedReason") or "it failed"
        raise TaskError(f"the {what} failed ({why}):\n{_end_of_log(aws, log, task)}")


def run_once(aws: Aws, definition: str, group: str, overrides: str) -> int | None:
    """Run a task with another command, wait for it, and return its exit code, if it has one.

    overrides: JSON, which may hold secrets. Raises TaskError where it does not start.
    """
    with temporary_files(overrides=overrides.encode()) as files:
        more = ("--overrides", f"file://{files['overrides']}")
        _, ended = _run(aws, "task", definition, group, more)
    code: int | None = ended["containers"][0].get("exitCode")
    return code


def _run(
    aws: Aws, what: str, definition: str, group: str, more: tuple[str, ...] = ()
) -> tuple[str, dict[str, Any]]:
    """Run a task; return its ARN and its description once it has stopped. Raises TaskError."""
    cluster = outputs(aws, "cluster")["Name"]
    network = outputs(aws, "network")
    subnets = [network[name] for name in sorted(network) if name.startswith("PrivateSubnet")]
    answer = aws(
        *("ecs", "run-task", "--cluster", cluster, "--launch-type", "FARGATE"),
        *("--task-definition", definition, "--started-by", "deploy", *more),
        "--network-configuration",
        f"awsvpcConfiguration={{subnets=[{','.join(subnets)}],securityGroups=[{group}],"
        "assignPublicIp=DISABLED}",
    )
    if answer["failures"]:
        raise TaskError(f"the {what} did not start: {answer['failures'][0]['reason']}")
    task = answer["tasks"][0]["taskArn"]
    return task, _wait_for_its_end(aws, what, ("--cluster", cluster, "--tasks", task))


def _wait_for_its_end(aws: Aws, what: str, where: tuple[str, ...]) -> dict[str, Any]:
    """Return the task once it has stopped. Raises TaskError."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        task: dict[str, Any] = aws("ecs", "describe-tasks", *where)["tasks"][0]
        if task["lastStatus"] == "STOPPED":
            return task
        if time.monotonic() > deadline:
            raise TaskError(
                f"the {what} has run for {LONGEST_SECONDS // 3600} hours and goes on; look at its "
                "log before you deploy again"
            )
        time.sleep(_LOOK_SECONDS)


def wait_until_stable(aws: Aws, cluster: str, service: str) -> None:
    """Wait until a service runs one deployment, whole. Raises TaskError.

    The CLI's own waiter gives up after ten minutes; charging points' tasks are replaced a few at a
    time, each with its drain. So the deadline follows the number of tasks.
    """
    where = ("--cluster", cluster, "--services", service)
    began = time.monotonic()
    while True:
        found = aws("ecs", "describe-services", *where)["services"][0]
        newest, *older = found["deployments"]
        if newest.get("rolloutState") == "FAILED":
            raise TaskError(f"{service}: {newest.get('rolloutStateReason', 'it went back')}")
        if not older and found["runningCount"] == found["desiredCount"]:
            return
        seconds = longest_rollout_seconds(found["desiredCount"])
        if time.monotonic() > began + seconds:
            raise TaskError(_unstable(service, seconds, found))
        time.sleep(_LOOK_SECONDS)


def longest_rollout_seconds(tasks: int) -> int:
    """Return how long a service of so many tasks may take to replace all of them."""
    return _ROLLOUT_SECONDS + _TASK_SECONDS * tasks


def _unstable(service: str, seconds: int, found: Mapping[str, Any]) -> str:
    """Return what a service does instead of becoming stable, with ECS's own newest words."""
    deployments = ", ".join(
        f"{d['status'].lower()}: {d['runningCount']} of {d['desiredCount']} tasks run"
        for d in found["deployments"]
    )
    events = "".join(f"\n  {event['message']}" for event in found.get("events", [])[:3])
    return (
        f"{service} is not stable after {seconds // 60} minutes ({deployments}); ECS goes on "
        f"trying, and `make environment-status` shows how far it is{events}"
    )


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
