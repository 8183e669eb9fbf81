"""Who may talk to whom: every security group of the services, on one page.

charging points ──443──▶ ChargingPointLoadBalancer ──9000──▶ ChargingPointTasks ──5432──▶ Database
roaming hub only ─443──▶ ThirdPartyLoadBalancer ───9100──▶ ThirdPartyTasks ─────5432──▶ Database

An environment with a console has its three rules in the stack `console`.
"""

from __future__ import annotations

from troposphere import AWS_NO_VALUE, If, Ref, Template, ec2

from templates.exports import imported, offer
from templates.naming import (
    CHARGING_POINT,
    CHARGING_POINT_PORT,
    DATABASE_PORT,
    THIRD_PARTY,
    THIRD_PARTY_PORT,
    camel,
    tags,
)
from templates.parameters import new_template
from templates.parts.mutual_tls import MUTUAL_TLS_PORT, add_switch
from templates.parts.rules import (
    HTTPS,
    from_addresses,
    from_group,
    from_parameter,
    nowhere,
    to_anywhere,
    to_database,
    way_out,
)

STACK = "firewall"
MAX_HUB_ADDRESSES = 10
"""CloudFormation has no loops; so many parameters HubAddress1, HubAddress2, … there are."""


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI firewall: who may talk to whom.")
    hub = [
        from_parameter(
            template,
            f"HubAddress{place}",
            "CIDR from which the roaming hub calls",
            "the roaming hub",
        )
        for place in range(1, MAX_HUB_ADDRESSES + 1)
    ]
    with_certificates = from_addresses(
        "0.0.0.0/0", MUTUAL_TLS_PORT, "charging points with a certificate"
    )
    anybody = [
        from_addresses("0.0.0.0/0", HTTPS, "charging points, wherever they are"),
        If(add_switch(template), with_certificates, Ref(AWS_NO_VALUE)),
    ]
    tasks = []
    for service, port, admitted in (
        (CHARGING_POINT, CHARGING_POINT_PORT, anybody),
        (THIRD_PARTY, THIRD_PARTY_PORT, hub),
    ):
        balancer = _group(
            template,
            f"{camel(service)}LoadBalancer",
            f"load balancer of the {service} service",
            admitted,
        )
        group = _group(
            template,
            f"{camel(service)}Tasks",
            f"tasks of the {service} service",
            [from_group(balancer, port, "the load balancer")],
            # To the hub, to registries and to CloudWatch, through the NAT gateways.
            egress=[to_anywhere(HTTPS), to_database()],
        )
        template.add_resource(way_out(balancer, group, port))
        tasks.append(group)
    _group(
        template,
        "Database",
        "the database",
        [from_group(group, DATABASE_PORT, f"{group.title}") for group in tasks],
    )
    return template


def _group(
    template: Template,
    name: str,
    description: str,
    ingress: list[object],
    egress: list[object] | None = None,
) -> ec2.SecurityGroup:
    group = template.add_resource(
        ec2.SecurityGroup(
            name,
            GroupDescription=f"VNI: {description}",
            VpcId=imported("network", "VpcId"),
            SecurityGroupIngress=ingress,
            # Without a rule AWS would let everything out; this one leads nowhere.
            SecurityGroupEgress=egress or [nowhere()],
            Tags=tags(name.lower()),
        )
    )
    offer(template, STACK, name, Ref(group), f"Security group of the {description}")
    return group
