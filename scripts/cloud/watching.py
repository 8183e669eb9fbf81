"""The state of an environment, with links to AWS's pages of it; its logs."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from scripts.cloud import stacks
from scripts.cloud.aws import Aws
from scripts.cloud.environment import print_addresses
from scripts.cloud.images import stack_of
from scripts.cloud.links import links
from templates.__main__ import OPTIONAL, STACKS
from templates.naming import CONSOLE, SERVICES, camel, log_group_name, named

_LOOK_SECONDS = 3
# As many as DescribeTasks describes.
_MANY = 100


def status(aws: Aws) -> bool:
    """Print stacks, services, tasks, addresses and alarms; return whether all is well."""
    environment = aws.target.environment
    found = stacks.look(aws)
    print(f"Stacks of {environment} in {aws.region}")
    well = True
    for stack in STACKS:
        entry = found.get(stack)
        if entry is None:
            maker = f" ({OPTIONAL[stack]})" if stack in OPTIONAL else ""
            print(f"  {stack:<19} not there{maker}")
            well &= stack in OPTIONAL
            continue
        when = str(entry.get("LastUpdatedTime") or entry["CreationTime"])[:16].replace("T", " ")
        print(f"  {stack:<19} {entry['StackStatus']:<28} {when}")
        well &= entry["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    if "services" in found:
        well &= _print_services(aws)
    if "network" in found:
        print("Addresses")
        print_addresses(aws)
    alarms = aws(
        *("cloudwatch", "describe-alarms", "--alarm-name-prefix", f"{aws.target.spelled(named())}-")
    )["MetricAlarms"]
    ringing = [alarm for alarm in alarms if alarm["StateValue"] == "ALARM"]
    print(f"Alarms: {len(alarms)}, of which {len(ringing)} ring")
    for alarm in ringing:
        print(f"  {alarm['AlarmName']}: {alarm.get('StateReason', '')}")
    print("Links")
    for what, address in links(aws).items():
        print(f"  {what:<36} {address}")
    return well and not ringing


def _print_services(aws: Aws) -> bool:
    cluster = stacks.outputs(aws, "cluster")["Name"]
    here = [s for s in (*SERVICES, CONSOLE) if stack_of(s) in stacks.look(aws)]
    answer = aws(
        *("ecs", "describe-services", "--cluster", cluster, "--services"),
        *(stacks.outputs(aws, stack_of(s))[f"{camel(s)}ServiceName"] for s in here),
    )
    print("Services")
    well = True
    for service in answer["services"]:
        running, wanted = service["runningCount"], service["desiredCount"]
        print(f"  {service['serviceName']:<48} {running} of {wanted} tasks")
        well &= running >= wanted
    tasks = aws("ecs", "list-tasks", "--cluster", cluster)["taskArns"]
    if tasks:
        print("Tasks")
        described = aws("ecs", "describe-tasks", "--cluster", cluster, "--tasks", *tasks[:_MANY])
        for task in described["tasks"]:
            number = task["taskArn"].rsplit("/", 1)[-1]
            image = task["containers"][0].get("image", "").rsplit(":", 1)[-1]
            group = task.get("group", "").removeprefix("service:")
            print(f"  {number} {task['lastStatus']:<12} {group:<48} image {image}")
    return well


def tail_logs(aws: Aws, service: str, charging_point: str, minutes: int) -> None:
    """Print a service's log lines, of the last minutes and then as they come, until Ctrl-C.

    charging_point: only lines that name it; all where empty.
    """
    group = aws.target.spelled(log_group_name(service))
    since = int((time.time() - 60 * minutes) * 1000)
    seen: set[str] = set()
    pattern = f'{{ $.charging_point = "{charging_point}" }}' if charging_point else ""
    while True:
        answer = aws(
            *("logs", "filter-log-events", "--log-group-name", group),
            *("--start-time", str(since)),
            *(("--filter-pattern", pattern) if pattern else ()),
        )
        fresh = [event for event in answer["events"] if event["eventId"] not in seen]
        for event in fresh:
            at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            print(f"{at:%H:%M:%S} {event['message']}", flush=True)
        if fresh:
            since = max(event["timestamp"] for event in fresh)
            # Several events may share the last millisecond; the next look finds them again.
            seen = {e["eventId"] for e in answer["events"] if e["timestamp"] == since}
        time.sleep(_LOOK_SECONDS)
