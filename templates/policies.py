"""IAM policies with awacs, one function a purpose."""

from __future__ import annotations

from awacs import aws, ecr, secretsmanager, ssmmessages, sts
from awacs import logs as logs_actions

VERSION = "2012-10-17"


def assumed_by(*services: str) -> aws.PolicyDocument:
    """Return the trust policy of a role that these AWS services take on (`ecs-tasks`)."""
    return aws.PolicyDocument(
        Version=VERSION,
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
        Version=VERSION,
        Statement=[
            aws.Statement(Effect=aws.Allow, Action=actions, Resource=resources)
            for actions, resources in statements
        ],
    )


def write_logs(*group_arns: object) -> aws.PolicyDocument:
    """Let something write to these log groups and to no other. group_arns: ending in ``:*``."""
    actions = [
        logs_actions.CreateLogStream,
        logs_actions.PutLogEvents,
        logs_actions.DescribeLogStreams,
    ]
    return allow((actions, list(group_arns)))


def pull_images(*repository_arns: object) -> aws.PolicyDocument:
    """Let something pull images from these repositories."""
    return allow(
        # A token is for the whole registry: AWS knows no resource for it.
        ([ecr.GetAuthorizationToken], ["*"]),
        (
            [ecr.BatchCheckLayerAvailability, ecr.BatchGetImage, ecr.GetDownloadUrlForLayer],
            list(repository_arns),
        ),
    )


def read_secrets(*secret_arns: object) -> aws.PolicyDocument:
    """Let something read these secrets."""
    return allow(([secretsmanager.GetSecretValue], list(secret_arns)))


def be_entered() -> aws.PolicyDocument:
    """Let a task open the channels of ECS Exec; AWS knows no resource for them."""
    actions = [
        ssmmessages.CreateControlChannel,
        ssmmessages.CreateDataChannel,
        ssmmessages.OpenControlChannel,
        ssmmessages.OpenDataChannel,
    ]
    return allow((actions, ["*"]))
