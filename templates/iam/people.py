"""What people may do: with awacs, one function a purpose. What services may do is in `policies`.

Whatever changes something is allowed only with MFA, by a condition of the statement itself; see
docs/decisions/0018-people-and-their-limits.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from awacs import (
    acm,
    application_autoscaling,
    aws,
    budgets,
    cloudformation,
    cloudwatch,
    codebuild,
    codepipeline,
    ec2,
    ecr,
    ecs,
    elasticloadbalancing,
    globalaccelerator,
    iam,
    logs,
    rds,
    route53,
    scheduler,
    secretsmanager,
    ssm,
    wafv2,
)
from troposphere import Sub

from templates.iam.services import VERSION, arn, arn_of_role
from templates.naming import CONSOLE, SERVICES

_WITH_MFA = aws.Bool("aws:MultiFactorAuthPresent", True)
_OURS = "${Environment}"


def look(*actions: aws.Action, at: list[object]) -> aws.Statement:
    """Return a statement that allows what changes nothing."""
    return aws.Statement(Effect=aws.Allow, Action=list(actions), Resource=at)


def change(
    *actions: aws.Action, at: list[object], when: list[object] | None = None
) -> aws.Statement:
    """Return a statement that allows what changes something, to whoever has shown MFA.

    when: further conditions.
    """
    return aws.Statement(
        Effect=aws.Allow,
        Action=list(actions),
        Resource=at,
        Condition=aws.Condition([_WITH_MFA, *(when or [])]),
    )


def policy(*statements: aws.Statement) -> aws.PolicyDocument:
    """Return a policy of these statements."""
    return aws.PolicyDocument(Version=VERSION, Statement=list(statements))


def own_credentials() -> aws.PolicyDocument:
    """Let people look after their own password, keys and MFA device.

    The first device is registered without MFA, or nobody could; all else needs it.
    """
    return policy(
        look(iam.GetAccountPasswordPolicy, iam.ListVirtualMFADevices, at=["*"]),
        look(
            iam.ChangePassword,
            iam.EnableMFADevice,
            iam.GetUser,
            iam.ListAccessKeys,
            iam.ListMFADevices,
            iam.ResyncMFADevice,
            at=[_user()],
        ),
        look(
            iam.CreateVirtualMFADevice,
            at=[Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:mfa/*")],
        ),
        change(
            iam.CreateAccessKey,
            iam.DeactivateMFADevice,
            iam.DeleteAccessKey,
            iam.UpdateAccessKey,
            at=[_user()],
        ),
    )


def see_health() -> aws.PolicyDocument:
    """Let people see how an environment is: metrics, alarms, services, stacks; no data."""
    return policy(
        # None of these tells what charging points or drivers did, and AWS names no resource
        # for most of them.
        look(
            acm.DescribeCertificate,
            acm.ListCertificates,
            application_autoscaling.DescribeScalableTargets,
            application_autoscaling.DescribeScalingActivities,
            application_autoscaling.DescribeScalingPolicies,
            cloudformation.DescribeStacks,
            cloudwatch.DescribeAlarmHistory,
            cloudwatch.DescribeAlarms,
            cloudwatch.GetDashboard,
            cloudwatch.GetMetricData,
            cloudwatch.GetMetricStatistics,
            cloudwatch.ListDashboards,
            cloudwatch.ListMetrics,
            ecs.DescribeClusters,
            ecs.DescribeServices,
            ecs.DescribeTaskDefinition,
            ecs.DescribeTasks,
            ecs.ListClusters,
            ecs.ListServices,
            ecs.ListTasks,
            elasticloadbalancing.DescribeListeners,
            elasticloadbalancing.DescribeLoadBalancers,
            elasticloadbalancing.DescribeTargetGroups,
            elasticloadbalancing.DescribeTargetHealth,
            rds.DescribeDBClusters,
            rds.DescribeDBInstances,
            at=["*"],
        ),
        look(
            codepipeline.GetPipeline,
            codepipeline.GetPipelineExecution,
            codepipeline.GetPipelineState,
            codepipeline.ListPipelineExecutions,
            at=[_pipelines()],
        ),
    )


def read_logs() -> aws.PolicyDocument:
    """Let people read the environment's logs and ask the saved queries."""
    return policy(
        look(
            logs.DescribeLogGroups,
            logs.DescribeQueries,
            logs.DescribeQueryDefinitions,
            logs.GetQueryResults,
            logs.StopQuery,
            at=["*"],
        ),
        look(
            logs.DescribeLogStreams,
            logs.FilterLogEvents,
            logs.GetLogEvents,
            logs.GetLogRecord,
            logs.StartQuery,
            at=[_logs()],
        ),
    )


def read_configuration() -> aws.PolicyDocument:
    """Let people see how an environment is made: stacks, network, images, builds; no secrets."""
    return policy(
        look(
            cloudformation.DescribeChangeSet,
            cloudformation.DescribeStackEvents,
            cloudformation.DescribeStackResources,
            cloudformation.GetTemplate,
            cloudformation.GetTemplateSummary,
            cloudformation.ListChangeSets,
            at=[_stacks()],
        ),
        look(
            ec2.DescribeNatGateways,
            ec2.DescribeRouteTables,
            ec2.DescribeSecurityGroups,
            ec2.DescribeSubnets,
            ec2.DescribeVpcs,
            ecr.GetAuthorizationToken,
            globalaccelerator.DescribeAccelerator,
            globalaccelerator.ListAccelerators,
            at=["*"],
        ),
        look(
            ecr.BatchCheckLayerAvailability,
            ecr.BatchGetImage,
            ecr.DescribeImages,
            ecr.DescribeImageScanFindings,
            ecr.GetDownloadUrlForLayer,
            ecr.ListImages,
            at=[_repositories()],
        ),
        look(codebuild.BatchGetBuilds, codebuild.ListBuildsForProject, at=[_projects()]),
        look(ssm.GetParameter, at=[_parameters()]),
    )


def deploy_services() -> aws.PolicyDocument:
    """Let people deploy new images: by the pipelines, or by `make deploy-cp-backend`.

    Only the services change, with the roles that they have. A migration is run by the pipeline or
    an administrator: its task knows the password of the schema's owner, and whoever may start it
    may have it print that.
    """
    return policy(
        change(
            codepipeline.PutApprovalResult,
            codepipeline.RetryStageExecution,
            codepipeline.StartPipelineExecution,
            codepipeline.StopPipelineExecution,
            at=[_pipelines(), _pipelines("/*")],
        ),
        change(codebuild.RetryBuild, codebuild.StopBuild, at=[_projects()]),
        change(
            ecr.CompleteLayerUpload,
            ecr.InitiateLayerUpload,
            ecr.PutImage,
            ecr.UploadLayerPart,
            at=[_repositories()],
        ),
        change(
            cloudformation.CreateChangeSet,
            cloudformation.DeleteChangeSet,
            cloudformation.ExecuteChangeSet,
            at=[_stacks(f"vni-cpo-services-{_OURS}")],
        ),
        # AWS knows no resource for it; a definition does nothing before somebody runs it, with a
        # role that he may pass.
        change(ecs.RegisterTaskDefinition, at=["*"]),
        change(ecs.TagResource, at=[*_task_definitions(), _services()]),
        change(ecs.UpdateService, at=[_services()]),
        _hand_over("ecs-tasks", roles=_ROLES_OF_SERVICES),
    )


def debug_services() -> aws.PolicyDocument:
    """Let people stop and replace tasks, and follow their logs live."""
    return policy(
        change(ecs.StopTask, at=[arn("ecs", f"task/vni-cpo-{_OURS}/*")]),
        change(ecs.UpdateService, at=[_services()]),
        change(logs.StartLiveTail, at=[_logs()]),
    )


def administer_stacks() -> aws.PolicyDocument:
    """Let people deploy and delete every stack of the environment, and what has names in it."""
    return policy(
        change(aws.Action("cloudformation", "*"), at=[_stacks()]),
        change(aws.Action("ecr", "*"), at=[_repositories()]),
        change(
            aws.Action("ecs", "*"),
            at=[
                arn("ecs", f"{kind}/{name}")
                for kind, name in (
                    ("cluster", f"vni-cpo-{_OURS}"),
                    ("service", f"vni-cpo-{_OURS}/*"),
                    ("task", f"vni-cpo-{_OURS}/*"),
                )
            ]
            + _task_definitions(),
        ),
        # AWS knows no resource for it: deleted stacks take their definitions with them.
        change(ecs.DeregisterTaskDefinition, at=["*"]),
        change(
            aws.Action("logs", "*"),
            at=[_logs(), arn("logs", f"log-group:/aws/rds/cluster/vni-cpo-{_OURS}/*")],
        ),
        change(
            aws.Action("cloudwatch", "*"),
            at=[
                arn("cloudwatch", f"alarm:vni-cpo-{_OURS}-*"),
                Sub(
                    f"arn:${{AWS::Partition}}:cloudwatch::${{AWS::AccountId}}:dashboard/vni-cpo-{_OURS}"
                ),
            ],
        ),
        change(aws.Action("sns", "*"), at=[arn("sns", f"vni-cpo-{_OURS}-*")]),
        change(aws.Action("events", "*"), at=[arn("events", f"rule/vni-cpo-{_OURS}-*")]),
        change(aws.Action("ssm", "*"), at=[_parameters()]),
        change(
            aws.Action("codebuild", "*"),
            at=[_projects(), arn("codebuild", f"report-group/vni-cpo-{_OURS}-*")],
        ),
        change(
            aws.Action("codepipeline", "*"),
            at=[
                _pipelines(),
                _pipelines("/*"),
                arn("codepipeline", f"webhook:vni-backend-*-{_OURS}"),
            ],
        ),
        change(
            *(budgets.ModifyBudget, budgets.ViewBudget, budgets.TagResource),
            at=[
                Sub(
                    "arn:${AWS::Partition}:budgets::${AWS::AccountId}:budget/"
                    f"vni-cpo-{_OURS}-month"
                )
            ],
        ),
        change(
            *(wafv2.CreateWebACL, wafv2.DeleteWebACL, wafv2.GetWebACL, wafv2.UpdateWebACL),
            *(wafv2.AssociateWebACL, wafv2.TagResource),
            at=[arn("wafv2", f"regional/webacl/vni-cpo-{_OURS}-third-party/*")],
        ),
        change(
            # AWS asks for no tag; which firewall may be put there, the statement above says.
            wafv2.DisassociateWebACL,
            at=[arn("elasticloadbalancing", "loadbalancer/app/*")],
        ),
        # AWS knows no resource for it.
        change(elasticloadbalancing.SetWebAcl, at=["*"]),
        change(
            *_actions({"glue": ("*Database", "*Table"), "athena": ("*WorkGroup", "*Resource")}),
            at=[
                arn("glue", "catalog"),
                arn("glue", f"database/vni_cpo_{_OURS}"),
                arn("glue", f"table/vni_cpo_{_OURS}/*"),
                arn("athena", f"workgroup/vni-cpo-{_OURS}"),
            ],
        ),
        change(aws.Action("s3", "*"), at=[Sub(f"arn:${{AWS::Partition}}:s3:::vni-cpo-{_OURS}-*")]),
        change(
            aws.Action("rds", "*"),
            at=[
                arn("rds", f"{kind}:{name}")
                for kind, name in (
                    ("cluster", f"vni-cpo-{_OURS}"),
                    # Of restores: beside it, and the one of before.
                    ("cluster", f"vni-cpo-{_OURS}-*"),
                    ("db", f"vni-cpo-{_OURS}-*"),
                    ("db", f"vni-cpo-database-{_OURS}-*"),
                    ("subgrp", f"vni-cpo-database-{_OURS}-*"),
                    ("cluster-pg", f"vni-cpo-database-{_OURS}-*"),
                    ("cluster-snapshot", f"vni-cpo-database-{_OURS}-*"),
                    ("cluster-snapshot", f"vni-cpo-{_OURS}-*"),
                    # AWS's own, which every instance is created with.
                    ("pg", "default.*"),
                    ("og", "default:*"),
                )
            ],
        ),
    )


def administer_network() -> aws.PolicyDocument:
    """Let people make network and load balancers, and change those of this environment only.

    Their names are numbers that AWS gives, so the environment's tag says whose they are: what has
    none yet may be tagged, what has another's may not.
    """
    ours = [aws.StringEquals("aws:ResourceTag/Environment", Sub(_OURS))]
    nobodys = [aws.Null("aws:ResourceTag/Environment", True)]
    return policy(
        look(*_actions(_LOOKERS), at=["*"]),
        change(*_actions(_MAKERS), at=["*"]),
        # What is made within a network, or for something, takes two rights: at what is new, and at
        # what it is made in.
        change(*_ec2(_IN_A_NETWORK), at=[*_ec2_of("route-table", "security-group", "subnet")]),
        change(*_ec2(_FOR_OTHERS), at=[*_ec2_of("natgateway", "vpc-endpoint", "vpc-flow-log")]),
        change(
            *_ec2(_IN_A_NETWORK + _FOR_OTHERS),
            at=[*_ec2_of("elastic-ip", "route-table", "security-group", "subnet", "vpc")],
            when=ours,
        ),
        change(*_actions(_TAGGERS), at=["*"], when=nobodys),
        change(*_actions(_CHANGERS), at=["*"], when=ours),
        # AWS knows no tags of these.
        change(
            *_actions({"globalaccelerator": ("*EndpointGroup", "*Listener")}),
            at=[Sub("arn:${AWS::Partition}:globalaccelerator::${AWS::AccountId}:accelerator/*")],
        ),
        change(
            application_autoscaling.DeleteScalingPolicy,
            application_autoscaling.DeregisterScalableTarget,
            application_autoscaling.PutScalingPolicy,
            application_autoscaling.RegisterScalableTarget,
            application_autoscaling.TagResource,
            at=[arn("application-autoscaling", "scalable-target/*")],
        ),
        change(logs.DeleteQueryDefinition, logs.PutQueryDefinition, at=["*"]),
        change(
            scheduler.CreateSchedule,
            scheduler.DeleteSchedule,
            scheduler.GetSchedule,
            scheduler.UpdateSchedule,
            at=[arn("scheduler", f"schedule/default/vni-cpo-{_OURS}-*")],
        ),
    )


def administer_secrets() -> aws.PolicyDocument:
    """Let people make, read and remove the environment's secrets."""
    return policy(
        change(
            aws.Action("secretsmanager", "*"),
            at=[arn("secretsmanager", f"secret:vni-cpo-{_OURS}-*")],
        ),
        # The database's own, which AWS names after a number and tags with its cluster.
        change(
            secretsmanager.CreateSecret,
            secretsmanager.DescribeSecret,
            secretsmanager.TagResource,
            at=[arn("secretsmanager", "secret:rds!cluster-*")],
        ),
    )


def administer_roles() -> aws.PolicyDocument:
    """Let people make and remove this environment's roles: only inside its boundary.

    The boundary itself, users and groups are not theirs: the account's owner has those.
    """
    boundary = Sub(
        "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/vni-cpo-${Environment}-boundary"
    )
    return policy(
        change(
            iam.CreateRole,
            iam.DeleteRolePolicy,
            iam.PutRolePermissionsBoundary,
            iam.PutRolePolicy,
            at=[arn_of_role()],
            when=[aws.StringEquals("iam:PermissionsBoundary", boundary)],
        ),
        change(
            iam.DeleteRole,
            iam.TagRole,
            iam.UntagRole,
            iam.UpdateAssumeRolePolicy,
            iam.UpdateRoleDescription,
            at=[arn_of_role()],
        ),
        look(
            iam.GetRole,
            iam.GetRolePolicy,
            iam.ListRolePolicies,
            iam.ListRoleTags,
            at=[arn_of_role()],
        ),
        look(iam.GetPolicy, iam.GetPolicyVersion, iam.ListPolicyVersions, at=[boundary]),
        _hand_over("codebuild", "codepipeline", "ecs-tasks", "scheduler", "vpc-flow-logs"),
        change(
            iam.CreateServiceLinkedRole,
            at=[Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/*")],
        ),
    )


def administer_names() -> aws.PolicyDocument:
    """Let people give the services their names in the environment's hosted zone, and no others."""
    return policy(
        look(
            route53.GetHostedZone,
            route53.ListResourceRecordSets,
            at=[_hosted_zone()],
        ),
        look(route53.GetChange, at=[Sub("arn:${AWS::Partition}:route53:::change/*")]),
        change(
            route53.ChangeResourceRecordSets,
            at=[_hosted_zone()],
            when=[
                aws.ForAllValuesStringLike(
                    "route53:ChangeResourceRecordSetsNormalizedRecordNames",
                    [
                        *(Sub(f"{service}.${{Domain}}") for service in (*SERVICES, CONSOLE)),
                        # By which ACM sees whose name it is.
                        Sub(f"_*.{CONSOLE}.${{Domain}}"),
                    ],
                )
            ],
        ),
    )


# Service → actions; a star stands for what AWS adds to a verb.
_LOOKERS = {
    "acm": ("Describe*", "List*"),
    "cognito-idp": ("DescribeUserPoolDomain",),
    "cloudformation": ("ListExports", "ListImports"),
    "ec2": ("Describe*",),
    "elasticloadbalancing": ("Describe*",),
    "globalaccelerator": ("Describe*", "List*"),
    "kms": ("Describe*", "List*"),
    "rds": ("Describe*", "ListTagsForResource"),
    "secretsmanager": ("GetRandomPassword",),
}
_MAKERS = {
    "acm": ("RequestCertificate",),
    "cognito-idp": ("CreateUserPool",),
    "ec2": ("AllocateAddress", "CreateInternetGateway", "CreateVpc"),
    "elasticloadbalancing": ("CreateLoadBalancer", "CreateTargetGroup", "CreateTrustStore"),
    "globalaccelerator": ("CreateAccelerator",),
    "kms": ("CreateKey",),
}
_IN_A_NETWORK = ("CreateRouteTable", "CreateSecurityGroup", "CreateSubnet")
_FOR_OTHERS = ("CreateFlowLogs", "CreateNatGateway", "CreateVpcEndpoint")
# What puts something in the place of what has no tag, and may be nobody's.
_TAGGERS = {
    "acm": ("AddTagsToCertificate", "ImportCertificate"),
    "cognito-idp": ("TagResource",),
    "ec2": ("CreateTags",),
    "elasticloadbalancing": ("AddTags",),
    "globalaccelerator": ("TagResource",),
    "kms": ("TagResource",),
}
_CHANGERS = {
    # A certificate is renewed by importing another over it.
    "acm": ("DeleteCertificate", "GetCertificate", "ImportCertificate"),
    # The console's pool, and who is in it.
    "cognito-idp": (
        *("Admin*", "Create*", "Delete*", "Describe*", "Get*", "List*", "Set*", "TagResource"),
        "Update*",
    ),
    "ec2": (
        *("Associate*", "Attach*", "Authorize*", "CreateRoute", "CreateTags", "Delete*"),
        *("Detach*", "Disassociate*", "Modify*", "Release*", "Replace*", "Revoke*"),
    ),
    "elasticloadbalancing": (
        *("AddListenerCertificates", "AddTags", "CreateListener", "CreateRule", "Delete*"),
        *("Modify*", "RemoveListenerCertificates", "RemoveTags", "Set*"),
    ),
    "globalaccelerator": ("DeleteAccelerator", "TagResource", "UpdateAccelerator*"),
    "kms": (
        "Decrypt",
        "GenerateDataKey",
        "Disable*",
        "Enable*",
        "Put*",
        "ScheduleKeyDeletion",
        "TagResource",
        "Update*",
    ),
}


def _actions(wanted: Mapping[str, Sequence[str]]) -> list[aws.Action]:
    return [aws.Action(service, one) for service, actions in wanted.items() for one in actions]


_ROLES_OF_SERVICES = (
    *("execution", "operations-execution", "operations-task", "books-task"),
    *(f"{service}-task" for service in SERVICES),
)
"""What the two services' tasks, and others of their images, are started with and take on."""


def _hand_over(*services: str, roles: Sequence[str] = ("*",)) -> aws.Statement:
    return change(
        iam.PassRole,
        at=[arn_of_role(role) for role in roles],
        when=[
            aws.StringEquals(
                "iam:PassedToService", [f"{service}.amazonaws.com" for service in services]
            )
        ],
    )


def _user() -> Sub:
    return Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:user/${!aws:username}")


def _stacks(name: str = f"vni-cpo-*-{_OURS}") -> Sub:
    return arn("cloudformation", f"stack/{name}/*")


def _logs() -> Sub:
    return arn("logs", f"log-group:/vni/{_OURS}/*")


def _parameters() -> Sub:
    return arn("ssm", f"parameter/vni/{_OURS}/*")


def _task_definitions() -> list[Sub]:
    return [arn("ecs", f"task-definition/vni-backend-*-{_OURS}:*")]


def _ec2(actions: Sequence[str]) -> list[aws.Action]:
    return [aws.Action("ec2", one) for one in actions]


def _ec2_of(*kinds: str) -> list[Sub]:
    return [arn("ec2", f"{kind}/*") for kind in kinds]


def _hosted_zone() -> Sub:
    return Sub("arn:${AWS::Partition}:route53:::hostedzone/${HostedZone}")


def _repositories() -> Sub:
    return arn("ecr", f"repository/vni-backend-*-{_OURS}")


def _services() -> Sub:
    return arn("ecs", f"service/vni-cpo-{_OURS}/*")


def _projects() -> Sub:
    return arn("codebuild", f"project/vni-cpo-{_OURS}-*")


def _pipelines(rest: str = "") -> Sub:
    return arn("codepipeline", f"vni-backend-*-{_OURS}{rest}")
