"""Rules of security groups: who may come in, and where to something may go out."""

from __future__ import annotations

from troposphere import AWS_NO_VALUE, If, Ref, Template, ec2

from templates.exports import imported
from templates.naming import DATABASE_PORT
from templates.parameters import given, text

HTTPS = 443


def from_parameter(template: Template, name: str, description: str, who: str) -> If:
    """Give a template a parameter that is a CIDR or empty; return what admits it."""
    text(
        template,
        name,
        f"{description}; empty for none",
        Default="",
        AllowedPattern=r"|(\d{1,3}\.){3}\d{1,3}/\d{1,2}",
    )
    rule = from_addresses(Ref(name), HTTPS, who)
    return If(given(template, name), rule, Ref(AWS_NO_VALUE))


def from_addresses(cidr: object, port: int, who: str) -> ec2.SecurityGroupRule:
    """Admit connections from addresses. who: calls from there."""
    return ec2.SecurityGroupRule(
        IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp=cidr, Description=who
    )


def from_group(source: ec2.SecurityGroup, port: int, who: str) -> ec2.SecurityGroupRule:
    """Admit connections from what is in another group. who: that is."""
    return ec2.SecurityGroupRule(
        IpProtocol="tcp",
        FromPort=port,
        ToPort=port,
        SourceSecurityGroupId=Ref(source),
        Description=who,
    )


def to_anywhere(port: int) -> ec2.SecurityGroupRule:
    """Let connections out to every address."""
    return ec2.SecurityGroupRule(
        IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0", Description="HTTPS"
    )


def to_database() -> ec2.SecurityGroupRule:
    """Let connections out to the database."""
    # By address: a rule by group would make a circle of the two groups.
    return ec2.SecurityGroupRule(
        IpProtocol="tcp",
        FromPort=DATABASE_PORT,
        ToPort=DATABASE_PORT,
        CidrIp=imported("network", "VpcCidr"),
        Description="the database",
    )


def nowhere() -> ec2.SecurityGroupRule:
    """Let nothing out: this rule leads nowhere."""
    return ec2.SecurityGroupRule(
        IpProtocol="icmp",
        FromPort=252,
        ToPort=86,
        CidrIp="255.255.255.255/32",
        Description="nowhere",
    )


def way_out(
    balancer: ec2.SecurityGroup, tasks: ec2.SecurityGroup, port: int
) -> ec2.SecurityGroupEgress:
    """Return the rule that lets a load balancer reach its tasks, which name it themselves."""
    return ec2.SecurityGroupEgress(
        f"{balancer.title}Egress",
        GroupId=Ref(balancer),
        IpProtocol="tcp",
        FromPort=port,
        ToPort=port,
        DestinationSecurityGroupId=Ref(tasks),
        Description="its tasks",
    )
