"""IAM policies with awacs, one function a purpose."""

from __future__ import annotations

from awacs import aws, sts
from awacs import logs as logs_actions
from troposphere import GetAtt, logs


def assumed_by(*services: str) -> aws.PolicyDocument:
    """Return the trust policy of a role that these AWS services take on (`ecs-tasks`)."""
    return aws.PolicyDocument(
        Version="2012-10-17",
        Statement=[
            aws.Statement(
                Effect=aws.Allow,
                Action=[sts.AssumeRole],
                Principal=aws.Principal("Service", [f"{name}.amazonaws.com" for name in services]),
            )
        ],
    )


def allow(*statements: tuple[list[aws.Action], list[object]]) -> aws.PolicyDocument:
    """Return a policy of (actions, resources) pairs."""
    return aws.PolicyDocument(
        Version="2012-10-17",
        Statement=[
            aws.Statement(Effect=aws.Allow, Action=actions, Resource=resources)
            for actions, resources in statements
        ],
    )


def write_log_group(group: logs.LogGroup) -> aws.PolicyDocument:
    """Let something write to one log group and to no other."""
    return allow(
        (
            [
                logs_actions.CreateLogStream,
                logs_actions.PutLogEvents,
                logs_actions.DescribeLogStreams,
            ],
            [GetAtt(group, "Arn")],
        )
    )
