"""Load balancer capacity that is reserved for an event that is foreseen, and given back.

AWS's quota for it is 0 in a new account, it is paid for by the hour, and an ALB grows by itself;
so no environment has any by default. docs/decisions/0050-no-capacity-reserved-by-default.md.
"""

from __future__ import annotations

import re

from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.fleet import sizes_of
from scripts.cloud.inputs import InputError
from scripts.cloud.stacks import outputs
from templates.naming import CHARGING_POINT, camel

SMALLEST_UNITS = 100
"""What AWS reserves at least for an application load balancer."""


def reserve(aws: Aws, units: int) -> str:
    """Reserve so many LCU for the charging points' load balancer, or give all back (0).

    Returns what was done. Raises InputError where the quota is too small.
    """
    if sizes_of(aws).load_balancer == "network":
        raise InputError(
            "a network load balancer grows by itself as fast as connections come; only of an "
            "application load balancer is capacity reserved"
        )
    balancer = (
        "--load-balancer-arn",
        outputs(aws, "services")[f"{camel(CHARGING_POINT)}LoadBalancer"],
    )
    if units == 0:
        aws("elbv2", "modify-capacity-reservation", *balancer, "--reset-capacity-reservation")
        return "no capacity is reserved"
    if units < SMALLEST_UNITS:
        raise InputError(f"UNITS is {units}; AWS reserves {SMALLEST_UNITS} at least, 0 gives back")
    _check_quota(aws, units)
    aws(
        *("elbv2", "modify-capacity-reservation", *balancer),
        *("--minimum-load-balancer-capacity", f"CapacityUnits={units}"),
    )
    states = aws("elbv2", "describe-capacity-reservation", *balancer)["CapacityReservationState"]
    zones = ", ".join(f"{z['AvailabilityZone']} {z['State']['Code']}" for z in states)
    return f"{units} LCU asked for ({zones or 'no zone yet'}); it takes minutes, at times hours"


def _check_quota(aws: Aws, units: int) -> None:
    """Raise InputError where the quota is too small."""
    try:
        quotas = aws(
            *("service-quotas", "list-service-quotas"),
            *("--service-code", "elasticloadbalancing"),
        )["Quotas"]
    except AwsError:
        return  # whoever may not read quotas learns it from the load balancer
    for quota in quotas:
        name = quota["QuotaName"]
        if re.search(r"reserved.*application.*capacity units", name, re.IGNORECASE):
            if quota["Value"] < units:
                raise InputError(
                    f"the quota {name!r} is {quota['Value']:g}; ask for more first: aws "
                    "service-quotas request-service-quota-increase --service-code "
                    f"elasticloadbalancing --quota-code {quota['QuotaCode']} "
                    f"--desired-value {units}"
                )
            return
