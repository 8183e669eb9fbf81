"""`python -m tests.cloud.emulator`: an AWS on loopback, as far as our templates and programs go.

ministack does most of it; `tests/cloud/handlers.py` teaches its CloudFormation the rest. Containers
do not run here, so a task that RunTask starts is a process of this machine: the container's command
with its environment and its secrets. An access key of twelve digits is the account that it belongs
to, so a test has an empty account by naming a new one.

Environment: GATEWAY_PORT, the port; TASK_DATABASE_URL, a PostgreSQL whose superuser makes the
databases that tasks use; IMAGES, where `tests/cloud/engine.py` keeps what is in images.
"""

from __future__ import annotations

import contextvars
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

# Read by ministack when it is imported.
os.environ |= {
    "BIND_HOST": "127.0.0.1",
    "DOCKER_HOST": "unix:///nonexistent",
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
    "LOG_LEVEL": "WARNING",
    # Of every key here; the signature of an address that was signed ahead is really compared.
    "AWS_SECRET_ACCESS_KEY": "none",
}

import psycopg
from ministack import app
from ministack.core.responses import (
    get_account_id,
    set_request_account_id,
    set_request_region,
)
from ministack.services import alb, cloudwatch_logs, ecs
from ministack.services.cloudformation import _stacks, provisioners
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.cloud import databases, registry
from tests.cloud.handlers import HANDLERS, RECORDS, describe_scaling

ROOT = Path(__file__).parents[2]
TASK_SECONDS = 300
ANSWER_SECONDS = 20
# Roles belong to the whole server, and two test workers may migrate at the same time.
_ONE_AT_A_TIME = 20_401

# --- tasks --------------------------------------------------------------------------------

_run_task = ecs._ACTION_MAP["RunTask"]


def run_task(data: dict[str, Any]) -> Any:
    """Answer RunTask: run the command of each task's first container here.

    The answer waits a little for its end, so that whoever asks next finds the task stopped; not
    for long, since the CLI would ask a second time.
    """
    answer = _run_task(data)
    for started in json.loads(answer[2]).get("tasks", []):
        # The account and the region that ask are known by the context.
        work = contextvars.copy_context()
        thread = threading.Thread(target=work.run, args=(_to_its_end, started["taskArn"]))
        thread.start()
        thread.join(ANSWER_SECONDS)
    return answer


def _to_its_end(task_arn: str) -> None:
    task = ecs._tasks[task_arn]
    definition = ecs._task_defs[ecs._resolve_td_key(task["taskDefinitionArn"])]
    try:
        with psycopg.connect(os.environ["TASK_DATABASE_URL"], autocommit=True) as server:
            server.execute("SELECT pg_advisory_lock(%s)", (_ONE_AT_A_TIME,))
            code = _run_container(server, task, definition["containerDefinitions"][0])
    except Exception:
        ecs._mark_task_stopped(task_arn, task, "the emulator failed", "TaskFailedToStart", 1)
        raise
    reason = "Essential container in task exited"
    ecs._mark_task_stopped(task_arn, task, reason, "EssentialContainerExited", code)


def _run_container(
    server: psycopg.Connection[Any], task: dict[str, Any], container: dict[str, Any]
) -> int:
    """Run a container's command with its environment and secrets; log what it says."""
    overrides = (task.get("overrides") or {}).get("containerOverrides") or [{}]
    container = container | {"command": overrides[0].get("command", container["command"])}
    given = [*container.get("environment", []), *overrides[0].get("environment", [])]
    variables = {e["name"]: e["value"] for e in given}
    variables |= ecs._resolve_container_secrets(container)
    cluster = task["clusterArn"].rsplit("/", 1)[-1]
    name = databases.of(variables["DATABASE_HOST"].split(".")[0])
    variables["DATABASE_URL"] = _database(server, name, variables)
    program, *words = container["command"]
    assert program == "python"
    if "create" in words:
        # On a server that others use too, a database of a task's own needs a name of its own.
        words[-1] = f"{get_account_id()}_{cluster}_{words[-1]}"
    run = subprocess.run(
        [sys.executable, *words],
        # The image's own code: an older image knows no newer migration.
        cwd=Path(os.environ["IMAGES"], registry.digest_of(container["image"])),
        env={"PATH": os.environ["PATH"], **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TASK_SECONDS,
        check=False,
    )
    log = ecs._awslogs_config(container, task["taskArn"].rsplit("/", 1)[-1], "")
    ecs._ensure_awslogs_stream(log)
    for line in run.stdout.splitlines():
        ecs._emit_awslogs_event(log, line)
    return run.returncode


def _database(server: psycopg.Connection[Any], name: str, variables: dict[str, str]) -> str:
    """Return the address of a cluster's database, made if it is missing.

    Its owner is the task's user with the task's password, as in Aurora no superuser but one that
    may make roles. Host and TLS are not Aurora's.
    """
    user, password = variables["DATABASE_USER"], variables["DATABASE_PASSWORD"]
    parts = conninfo_to_dict(os.environ["TASK_DATABASE_URL"])
    for looked_for, exists, create in (
        (
            user,
            "SELECT 1 FROM pg_roles WHERE rolname = %s",
            "CREATE ROLE {0} LOGIN",
        ),
        (name, "SELECT 1 FROM pg_database WHERE datname = %s", "CREATE DATABASE {1} OWNER {0}"),
    ):
        if not server.execute(exists, (looked_for,)).fetchone():
            server.execute(sql.SQL(create).format(sql.Identifier(user), sql.Identifier(name)))
    server.execute(
        sql.SQL("ALTER ROLE {} CREATEROLE CREATEDB PASSWORD {}").format(
            sql.Identifier(user), sql.Literal(password)
        )
    )
    host, port = parts["host"], parts.get("port", 5432)
    return f"postgresql://{user}:{quote(password, safe='')}@/{name}?host={host}&port={port}"


# --- services -----------------------------------------------------------------------------

_describe_services = ecs._ACTION_MAP["DescribeServices"]


def describe_services(data: dict[str, Any]) -> Any:
    """Answer DescribeServices, and replace more tasks where a deployment is under way.

    ECS replaces tasks until all are new; ministack goes on only when a container ends.
    """
    cluster = ecs._resolve_cluster_name(data.get("cluster", "default"))
    for key, service in list(ecs._services.items()):
        newest = ecs._primary_deployment(service)
        if key.startswith(f"{cluster}/") and newest and newest["rolloutState"] == "IN_PROGRESS":
            ecs._reconcile_service_tasks(cluster, key)
    return _describe_services(data)


# --- targets ------------------------------------------------------------------------------

DRAINING: dict[tuple[str, str], float] = {}
"""(target group, target) → when its deregistration delay ends, by the monotonic clock."""
_set_targets = alb.set_targets_for_group


def set_targets(group: str, targets: Any, previous_ids: Any = ()) -> bool:
    """Let ECS put its tasks into a target group; those that go are drained."""
    staying = {target for target, _ in targets}
    for target in set(previous_ids) - staying:
        _drain(group, target)
    for target in staying:
        DRAINING.pop((group, target), None)
    return bool(_set_targets(group, targets, previous_ids))


def deregister_targets(params: dict[str, Any]) -> Any:
    """Answer DeregisterTargets: the targets are drained, as at AWS."""
    group = alb._p(params, "TargetGroupArn")
    for target in alb._parse_targets_param(params):
        if target["Id"] in {t["Id"] for t in alb._targets.get(group, [])}:
            _drain(group, target["Id"])
    return alb._deregister_targets(params)


def _drain(group: str, target: str) -> None:
    attributes = {a["Key"]: a["Value"] for a in alb._tg_attrs.get(group, [])}
    seconds = float(attributes.get("deregistration_delay.timeout_seconds", 300))
    DRAINING[group, target] = time.monotonic() + seconds


def describe_target_health(params: dict[str, Any]) -> Any:
    """Answer DescribeTargetHealth with the states that ministack does not know.

    A target that is asked for by its id and is not registered is `unused` at AWS, and `draining`
    while its deregistration delay lasts.
    """
    group = alb._p(params, "TargetGroupArn")
    if group not in alb._tgs:
        return alb._error("TargetGroupNotFound", f"Target group '{group}' not found.")
    registered = {t["Id"]: t for t in alb._targets.get(group, [])}
    draining = {
        target for (of, target), end in DRAINING.items() if of == group and end > time.monotonic()
    }
    asked = [t["Id"] for t in alb._parse_targets_param(params)] or [*registered, *draining]
    port = alb._tgs[group].get("Port", 80)
    members = ""
    for target in asked:
        if target in registered:
            state, reason = "healthy", ""
        elif target in draining:
            state, reason = "draining", "<Reason>Target.DeregistrationInProgress</Reason>"
        else:
            state, reason = "unused", "<Reason>Target.NotRegistered</Reason>"
        members += (
            f"<member><Target><Id>{target}</Id><Port>{port}</Port></Target>"
            f"<TargetHealth><State>{state}</State>{reason}</TargetHealth></member>"
        )
    return alb._xml(
        200,
        "DescribeTargetHealth",
        f"<TargetHealthDescriptions>{members}</TargetHealthDescriptions>",
    )


# --- logs ---------------------------------------------------------------------------------

_pattern = cloudwatch_logs._compile_filter_pattern


def filter_pattern(raw: str) -> Callable[[str], bool]:
    """Return whether a log line fits a pattern; ministack takes every line for one of JSON's."""
    found = re.fullmatch(r'\{ \$\.(\w+) = "([^"]*)" \}', raw)
    if not found:
        fits: Callable[[str], bool] = _pattern(raw)
        return fits
    field, wanted = found.groups()

    def matches(line: str) -> bool:
        try:
            return bool(json.loads(line).get(field) == wanted)
        except (ValueError, AttributeError):
            return False

    return matches


# --- the process --------------------------------------------------------------------------

_ministack = app.app


async def emulator(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer what is ours, hand the rest to ministack."""
    if scope["type"] == "http":
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        service, _, action = headers.get("x-amz-target", "").partition(".")
        if scope["path"] == "/_recorded":
            await _answer(send, list(RECORDS.values()))
            return
        if blob := registry.layer(scope["path"]):
            await _answer_with(send, blob, b"application/octet-stream")
            return
        if surroundings := surroundings_of_a_task(scope["path"]):
            await _answer(send, surroundings)
            return
        if scope["path"] == "/_quotas":
            QUOTAS.update(json.loads(await _body(receive)))
            await _answer(send, {})
            return
        if scope["path"] == "/_status":
            await _answer(send, set_status(**json.loads(await _body(receive))))
            return
        if service == "ServiceQuotasV20190624":
            await _answer(send, quotas(action, json.loads(await _body(receive))))
            return
        if action == "ListAccelerators":
            await _answer(send, {"Accelerators": []})
            return
        if action == "DescribeImageScanFindings":
            await _answer(send, scan_findings(json.loads(await _body(receive))))
            return
        if service == "AnyScaleFrontendService":
            await _answer(send, describe_scaling(action))
            return
    await _ministack(scope, receive, send)


def surroundings_of_a_task(path: str) -> dict[str, Any] | None:
    """Answer what Fargate answers inside a task; None for other paths.

    /_task/ADDRESS/task: the metadata of a task of that address. /_credentials/ACCOUNT: credentials
    of a role of that account.
    """
    match path.split("/"):
        case ["", "_task", address, "task"]:
            networks = [{"NetworkMode": "awsvpc", "IPv4Addresses": [address]}]
            return {"Containers": [{"Name": "charging-point", "Networks": networks}]}
        case ["", "_credentials", account]:
            return {"AccessKeyId": account, "SecretAccessKey": "none", "Token": "none"}
    return None


def scan_findings(asked: dict[str, Any]) -> dict[str, Any]:
    """Answer for ECR, which ministack lets scan nothing; an image's tag says what is found.

    bad…: a critical finding; watched…, watchedbad…: the same where Amazon Inspector scans, whose
    findings have another form and whose scans never end.
    """
    tag = asked["imageId"]["imageTag"]
    severity = "CRITICAL" if "bad" in tag else "MEDIUM"
    if tag.startswith("watch"):
        finding = {
            "title": "CVE-2026-0001 - libfoo",
            "severity": severity,
            "status": "ACTIVE",
            "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-2026-0001"},
        }
        found: dict[str, Any] = {"enhancedFindings": [finding]}
    else:
        found = {"findings": [{"name": "CVE-2026-0001", "severity": severity}]}
    return {
        "imageScanStatus": {"status": "ACTIVE" if tag.startswith("watch") else "COMPLETE"},
        "imageScanFindings": {**found, "findingSeverityCounts": {severity: 1}},
    }


def set_status(Account: str, Region: str, Name: str, Status: str) -> dict[str, Any]:  # noqa: N803 - AWS's words
    """Put a stack into a state that is hard to come by."""
    set_request_account_id(Account)
    set_request_region(Region)
    _stacks[Name]["StackStatus"] = Status
    return {}


QUOTAS: dict[str, float] = {
    "L-3032A538": 64,
    "L-0263D0A3": 64,
    "L-F678F1CE": 64,
    "L-53DA6B97": 64,
    "L-ACCELERATORS": 20,
    # As in a new account.
    "L-RESERVED": 0,
}
"""Quotas by code, of all accounts; the last two are not AWS's. POST /_quotas sets some."""
_QUOTA_NAMES = {
    "L-ACCELERATORS": "Accelerators per AWS account",
    "L-RESERVED": "Reserved Application Load Balancer Capacity Units (LCUs) per Region",
}


def quotas(action: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Answer Service Quotas' GetServiceQuota or ListServiceQuotas."""
    if action == "GetServiceQuota":
        return {"Quota": {"QuotaCode": asked["QuotaCode"], "Value": QUOTAS[asked["QuotaCode"]]}}
    return {
        "Quotas": [
            {"QuotaCode": code, "QuotaName": name, "Value": QUOTAS[code]}
            for code, name in _QUOTA_NAMES.items()
        ]
    }


RESERVED: dict[str, str] = {}
"""Load balancer → the capacity units that are reserved for it."""


def modify_capacity_reservation(params: dict[str, Any]) -> Any:
    """Answer ELB's ModifyCapacityReservation, which ministack lacks."""
    balancer = alb._p(params, "LoadBalancerArn")
    if alb._p(params, "ResetCapacityReservation") == "true":
        RESERVED.pop(balancer, None)
    else:
        RESERVED[balancer] = alb._p(params, "MinimumLoadBalancerCapacity.CapacityUnits")
    return describe_capacity_reservation(params, "Modify")


def describe_capacity_reservation(params: dict[str, Any], verb: str = "Describe") -> Any:
    """Answer ELB's DescribeCapacityReservation."""
    units = RESERVED.get(alb._p(params, "LoadBalancerArn"))
    inner = (
        "<MinimumLoadBalancerCapacity>"
        f"<CapacityUnits>{units}</CapacityUnits></MinimumLoadBalancerCapacity>"
        if units
        else ""
    )
    return alb._xml(200, f"{verb}CapacityReservation", inner + "<CapacityReservationState/>")


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Any, value: object) -> None:
    await _answer_with(send, json.dumps(value).encode(), b"application/x-amz-json-1.1")


async def _answer_with(send: Any, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until SIGTERM."""
    provisioners._RESOURCE_HANDLERS.update(HANDLERS)
    ecs._ACTION_MAP["RunTask"] = run_task
    ecs._ACTION_MAP["DescribeServices"] = describe_services
    alb.set_targets_for_group = set_targets
    alb._ACTION_MAP["DeregisterTargets"] = deregister_targets
    alb._ACTION_MAP["DescribeTargetHealth"] = describe_target_health
    alb._ACTION_MAP["ModifyCapacityReservation"] = modify_capacity_reservation
    alb._ACTION_MAP["DescribeCapacityReservation"] = describe_capacity_reservation
    cloudwatch_logs._compile_filter_pattern = filter_pattern
    registry.install()
    databases.install()
    app.app = emulator
    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
