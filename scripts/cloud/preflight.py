"""What an account must have before the first stack: quotas, zones, rights, in one message.

Quotas and zones are asked of AWS, rights by its policy simulator. What cannot be asked (whoever
deploys may lack the right to ask) is printed and does not stop the deployment.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.inputs import InputError
from scripts.cloud.stacks import look, name_of
from scripts.cloud.steps import NO_CHANGES
from templates.environments import Sizes
from templates.naming import SERVICES, log_group_name, named, service_name

# Global Accelerator does not preserve clients' addresses there, and the hub's are what the firewall
# knows: docs.aws.amazon.com/global-accelerator/latest/dg/preserve-client-ip-address.regions.html
ZONES_WITHOUT_CLIENT_ADDRESSES = ("usw1-az2", "apne1-az3", "cac1-az3")
# It has one endpoint, whatever the region of what it leads to.
_ACCELERATOR_REGION = ("--region", "us-west-2")
# A migration, and the tests of both services that a pipeline has.
_OTHER_VCPU = 0.25 + 2 * 0.25

SERVICE_LINKED = (
    "ecs.amazonaws.com",
    "rds.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
    "globalaccelerator.amazonaws.com",
)
"""Services that take on a role of their own in an account; CloudFormation makes it too late."""


@dataclass(frozen=True)
class Quota:
    """A quota and what of it this environment needs besides what is used already."""

    service: str
    code: str
    what: str
    needed: float
    used: Callable[[], float] = field(default=lambda: 0.0)


def make_service_linked_roles(aws: Aws) -> str:
    """Make the roles that AWS's services take on, where the account lacks them; return which."""
    made = []
    for service in SERVICE_LINKED:
        try:
            aws("iam", "create-service-linked-role", "--aws-service-name", service)
        except AwsError as error:
            # AWS says InvalidInput for a role that is there: "… has been taken in this account".
            if error.code not in ("InvalidInput", "EntityAlreadyExists"):
                raise
        else:
            made.append(service.split(".")[0])
    return f"made for {', '.join(made)}" if made else NO_CHANGES


def check(aws: Aws, sizes: Sizes, zones: list[str]) -> None:
    """See that the account can have an environment of these sizes. zones: chosen ones, or none.

    Raises InputError with everything that lacks, before anything is made.
    """
    _check_kind(aws, sizes)
    lacking = [*_zones(aws, sizes, zones), *_quotas(aws, sizes), *rights(aws, _caller(aws))]
    if lacking:
        raise InputError(
            f"the account cannot have {aws.target.environment} yet; it lacks\n  "
            + "\n  ".join(lacking)
        )


def _check_kind(aws: Aws, sizes: Sizes) -> None:
    """Raise InputError where the environment has a load balancer of the other kind."""
    services = look(aws).get("services", {})
    given = {p["ParameterKey"]: p["ParameterValue"] for p in services.get("Parameters", [])}
    has = given.get("LoadBalancer", "application" if services else sizes.load_balancer)
    if has != sizes.load_balancer:
        raise InputError(
            f"{aws.target.environment} has a load balancer of the kind {has!r}, and "
            f"templates/environments.py wants {sizes.load_balancer!r}. Another has another "
            "address; make an environment of another name beside it, and move the charging points"
        )


def vcpu(sizes: Sizes) -> tuple[float, float]:
    """Return the vCPU of the tasks at least while each is replaced, and at most."""
    charging, hub = sizes.charging_point_cpu / 1024, sizes.third_party_cpu / 1024

    def during_a_deployment(charging_tasks: int, hub_tasks: int) -> float:
        charging_tasks = math.floor(charging_tasks * sizes.charging_point_max_percent / 100)
        return charging_tasks * charging + 2 * hub_tasks * hub + _OTHER_VCPU

    return (
        during_a_deployment(sizes.charging_point_min_tasks, sizes.third_party_min_tasks),
        during_a_deployment(sizes.charging_point_max_tasks, sizes.third_party_max_tasks),
    )


def _zones(aws: Aws, sizes: Sizes, chosen: list[str]) -> Iterator[str]:
    found: list[dict[str, Any]] = aws(
        *("ec2", "describe-availability-zones", "--filters"),
        "Name=zone-type,Values=availability-zone",
    )["AvailabilityZones"]
    ids = {zone["ZoneName"]: zone["ZoneId"] for zone in found if zone["State"] == "available"}
    wanted = chosen or sorted(ids)[: sizes.zones]
    if len(wanted) < sizes.zones:
        yield (
            f"zones: {aws.target.environment} stands in {sizes.zones}, and {aws.region} has "
            f"{len(wanted)}"
        )
    for name in wanted:
        if name not in ids:
            yield f"the zone {name}: {aws.region} has {', '.join(sorted(ids))}"
        elif ids[name] in ZONES_WITHOUT_CLIENT_ADDRESSES:
            yield (
                f"another zone than {name} ({ids[name]}): Global Accelerator hides clients' "
                "addresses there; choose with AVAILABILITY_ZONES=…"
            )


def _quotas(aws: Aws, sizes: Sizes) -> Iterator[str]:
    is_new = "network" not in look(aws)
    least, most = vcpu(sizes)
    quotas = [Quota("fargate", "L-3032A538", "Fargate On-Demand vCPU", least)]
    if is_new:
        quotas += [
            Quota(
                *("ec2", "L-0263D0A3", "elastic IP addresses"),
                (sizes.zones if sizes.nat_per_zone else 1)
                + (sizes.zones if sizes.load_balancer == "network" else 0),
                lambda: _count(aws, "Addresses", "ec2", "describe-addresses"),
            ),
            Quota(
                *("vpc", "L-F678F1CE", "VPCs", 1),
                lambda: _count(aws, "Vpcs", "ec2", "describe-vpcs"),
            ),
            Quota(
                *("elasticloadbalancing", "L-53DA6B97", "application load balancers", 2),
                lambda: _count(aws, "LoadBalancers", "elbv2", "describe-load-balancers"),
            ),
        ]
    for quota in quotas:
        try:
            value = aws(
                *("service-quotas", "get-service-quota", "--service-code", quota.service),
                *("--quota-code", quota.code),
            )["Quota"]["Value"]
            used = quota.used()
        except AwsError as error:
            _print(f"The quota of {quota.what} could not be read: {error}")
            continue
        if value < used + quota.needed:
            yield (
                f"{quota.what}: the quota is {value:g}, {used:g} are used and {quota.needed:g} more"
                f" needed (service-quotas request-service-quota-increase --service-code "
                f"{quota.service} --quota-code {quota.code} --desired-value "
                f"{math.ceil(used + quota.needed)})"
            )
        elif quota.code == "L-3032A538" and value < most:
            _print(
                f"Fargate's quota of {value:g} vCPU is enough to begin; grown to its most, "
                f"{aws.target.environment} takes {most:g}."
            )
    if is_new:
        yield from _accelerators(aws, 2 if sizes.accelerate_charging_points else 1)


def _accelerators(aws: Aws, needed: int) -> Iterator[str]:
    try:
        used = _count(
            aws, "Accelerators", "globalaccelerator", "list-accelerators", *_ACCELERATOR_REGION
        )
        quotas = aws(
            *("service-quotas", "list-service-quotas", "--service-code", "globalaccelerator"),
            *_ACCELERATOR_REGION,
        )["Quotas"]
    except AwsError as error:
        _print(f"The quota of accelerators could not be read: {error}")
        return
    for quota in quotas:
        is_it = re.match(r"accelerators\b", quota["QuotaName"], re.IGNORECASE)
        if is_it and quota["Value"] < used + needed:
            yield f"accelerators: the quota is {quota['Value']:g}, {used:g} used, {needed} needed"


def _caller(aws: Aws) -> str:
    """Return the ARN of the user or role that deploys."""
    caller = str(aws("sts", "get-caller-identity")["Arn"])
    role = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.+", caller)
    return "arn:{}:iam::{}:role/{}".format(*role.groups()) if role else caller


def rights(aws: Aws, caller: str) -> Iterator[str]:
    """Ask the policy simulator about one action of each kind that a deployment takes.

    caller: the ARN of a user or role. Yields what is not allowed.
    """
    if caller.endswith(":root"):
        return
    for resource, actions in _wanted(aws).items():
        try:
            results = aws(
                *("iam", "simulate-principal-policy", "--policy-source-arn", caller),
                *("--action-names", *actions),
                *(("--resource-arns", resource) if resource != "*" else ()),
                "--context-entries",
                "ContextKeyName=aws:MultiFactorAuthPresent,ContextKeyValues=true,"
                "ContextKeyType=boolean",
                "ContextKeyName=iam:PermissionsBoundary,ContextKeyType=string,ContextKeyValues="
                + _arn(aws, "iam", f"policy/{aws.target.spelled(named('boundary'))}", ""),
            )["EvaluationResults"]
        except AwsError as error:
            _print(f"Your rights could not be checked: {error}")
            return
        for result in results:
            if result["EvalDecision"] != "allowed":
                yield f"your right to {result['EvalActionName']} at {resource}"


def _wanted(aws: Aws) -> dict[str, tuple[str, ...]]:
    """Return what a deployment does: resource → actions."""
    spelled = aws.target.spelled
    ours = spelled(named())
    return {
        "*": (
            *("acm:ImportCertificate", "ec2:CreateVpc", "ec2:AllocateAddress", "kms:CreateKey"),
            *("elasticloadbalancing:CreateLoadBalancer", "globalaccelerator:CreateAccelerator"),
        ),
        _arn(aws, "cloudformation", f"stack/{name_of(aws, 'network')}/*"): (
            *("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet"),
        ),
        _arn(aws, "ecs", f"cluster/{ours}"): ("ecs:CreateCluster",),
        _arn(aws, "rds", f"cluster:{ours}"): ("rds:CreateDBCluster",),
        _arn(aws, "rds", "pg:default.aurora-postgresql17"): ("rds:CreateDBInstance",),
        _arn(aws, "ecr", f"repository/{spelled(service_name(SERVICES[0]))}"): (
            *("ecr:CreateRepository", "ecr:PutImage"),
        ),
        _arn(aws, "logs", f"log-group:{spelled(log_group_name('network'))}:*"): (
            "logs:CreateLogGroup",
        ),
        _arn(aws, "secretsmanager", f"secret:{ours}-certificate-authority-*"): (
            "secretsmanager:CreateSecret",
        ),
        _arn(aws, "iam", f"role/{ours}-execution", ""): ("iam:CreateRole",),
    }


def _arn(aws: Aws, service: str, resource: str, region: str | None = None) -> str:
    where = aws.region if region is None else region
    partition = "aws-cn" if aws.region.startswith("cn-") else "aws"
    return f"arn:{partition}:{service}:{where}:{aws.target.account}:{resource}"


def _count(aws: Aws, what: str, *words: str) -> float:
    return len(aws(*words)[what])


def _print(text: str) -> None:
    print(text, file=sys.stderr)
