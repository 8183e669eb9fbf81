"""Who may talk to whom: every security group of the environment, on one page.

charging points ──443──▶ ChargingPointLoadBalancer ──9000──▶ ChargingPointTasks ──5432──▶ Database
roaming hub only ─443──▶ ThirdPartyLoadBalancer ───9100──▶ ThirdPartyTasks ─────5432──▶ Database
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
from templates.parameters import given, new_template, text
from templates.parts.mutual_tls import MUTUAL_TLS_PORT, add_switch

STACK = "firewall"
HTTPS = 443
MAX_HUB_ADDRESSES = 10
"""CloudFormation has no loops; so many parameters HubAddress1, HubAddress2, … there are."""


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI firewall: who may talk to whom.")
    hub = [_hub_address(template, place) for place in range(1, MAX_HUB_ADDRESSES + 1)]
    with_certificates = _from_addresses(
        "0.0.0.0/0", MUTUAL_TLS_PORT, "charging points with a certificate"
    )
    anybody = [
        _from_addresses("0.0.0.0/0", HTTPS, "charging points, wherever they are"),
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
            [_from_group(balancer, port, "the load balancer")],
            # To the hub, to registries and to CloudWatch, through the NAT gateways.
            egress=[_to_anywhere(HTTPS), _to_database()],
        )
        template.add_resource(_way_out(balancer, group, port))
        tasks.append(group)
    _group(
        template,
        "Database",
        "the database",
        [_from_group(group, DATABASE_PORT, f"{group.title}") for group in tasks],
    )
    return template


def _hub_address(template: Template, place: int) -> If:
    name = f"HubAddress{place}"
    text(
        template,
        name,
        "CIDR from which the roaming hub calls; empty for none",
        Default="",
        AllowedPattern=r"|(\d{1,3}\.){3}\d{1,3}/\d{1,2}",
    )
    rule = _from_addresses(Ref(name), HTTPS, "the roaming hub")
    return If(given(template, name), rule, Ref(AWS_NO_VALUE))


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
            SecurityGroupEgress=egress or [_nowhere()],
            Tags=tags(name.lower()),
        )
    )
    offer(template, STACK, name, Ref(group), f"Security group of the {description}")
    return group


def _from_addresses(cidr: object, port: int, who: str) -> ec2.SecurityGroupRule:
    return ec2.SecurityGroupRule(
        IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp=cidr, Description=who
    )


def _from_group(source: ec2.SecurityGroup, port: int, who: str) -> ec2.SecurityGroupRule:
    return ec2.SecurityGroupRule(
        IpProtocol="tcp",
        FromPort=port,
        ToPort=port,
        SourceSecurityGroupId=Ref(source),
        Description=who,
    )


def _to_anywhere(port: int) -> ec2.SecurityGroupRule:
    return ec2.SecurityGroupRule(
        IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0", Description="HTTPS"
    )


def _to_database() -> ec2.SecurityGroupRule:
    # By address: a rule by group would make a circle of the two groups.
    return ec2.SecurityGroupRule(
        IpProtocol="tcp",
        FromPort=DATABASE_PORT,
        ToPort=DATABASE_PORT,
        CidrIp=imported("network", "VpcCidr"),
        Description="the database",
    )


def _nowhere() -> ec2.SecurityGroupRule:
    return ec2.SecurityGroupRule(
        IpProtocol="icmp",
        FromPort=252,
        ToPort=86,
        CidrIp="255.255.255.255/32",
        Description="nowhere",
    )


def _way_out(
    balancer: ec2.SecurityGroup, tasks: ec2.SecurityGroup, port: int
) -> ec2.SecurityGroupEgress:
    return ec2.SecurityGroupEgress(
        f"{balancer.title}Egress",
        GroupId=Ref(balancer),
        IpProtocol="tcp",
        FromPort=port,
        ToPort=port,
        DestinationSecurityGroupId=Ref(tasks),
        Description="its tasks",
    )
