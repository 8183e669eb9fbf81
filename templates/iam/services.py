"""What AWS's services may do for us, and our programs at AWS: with awacs, one function a purpose.

What people may do is in `templates/iam/people.py`.
"""

from __future__ import annotations

from awacs import (
    acm,
    aws,
    codebuild,
    codeconnections,
    codepipeline,
    codestar_connections,
    ec2,
    ecr,
    ecs,
    elasticloadbalancing,
    iam,
    kms,
    s3,
    secretsmanager,
    sns,
    sts,
)
from awacs import logs as logs_actions
from troposphere import Ref, Sub

from templates.naming import BOOKS

VERSION = "2012-10-17"

_PULL = [ecr.BatchCheckLayerAvailability, ecr.BatchGetImage, ecr.GetDownloadUrlForLayer]
_PUSH = [ecr.CompleteLayerUpload, ecr.InitiateLayerUpload, ecr.PutImage, ecr.UploadLayerPart]
_SEE_IMAGES = [ecr.DescribeImages, ecr.DescribeImageScanFindings]
_WRITE_LOGS = [
    logs_actions.CreateLogStream,
    logs_actions.PutLogEvents,
    logs_actions.DescribeLogStreams,
]
_INTERFACES = [ec2.CreateNetworkInterface, ec2.DeleteNetworkInterface]
_SEE_NETWORK = [
    ec2.DescribeDhcpOptions,
    ec2.DescribeNetworkInterfaces,
    ec2.DescribeSecurityGroups,
    ec2.DescribeSubnets,
    ec2.DescribeVpcs,
]
_UPDATE_SERVICES = [ecs.DescribeServices, ecs.UpdateService]
_DEFINE_TASKS = [ecs.DescribeTaskDefinition, ecs.RegisterTaskDefinition]
_START_BUILDS = [codebuild.BatchGetBuilds, codebuild.StartBuild]
_REPORT = [
    codebuild.BatchPutTestCases,
    codebuild.CreateReport,
    codebuild.CreateReportGroup,
    codebuild.UpdateReport,
]
_ARTIFACTS = [s3.GetObject, s3.GetObjectVersion, s3.PutObject]
# Those are what `charging.service.s3` calls.
_FILES = [s3.AbortMultipartUpload, s3.DeleteObject, s3.GetObject, s3.PutObject]
_USE_KEY = [kms.Decrypt, kms.DescribeKey, kms.Encrypt, kms.GenerateDataKey]
# CodeConnections had another name before, and checks permissions by either.
_USE_CONNECTION = [codeconnections.UseConnection, codestar_connections.UseConnection]


def arn(service: str, resource: str, other: object = None) -> Sub:
    """Return the ARN of something in this account and region; may name ``${Environment}``.

    other: what ``${From}`` in it stands for, another environment.
    """
    text = f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"
    return Sub(text, From=other) if other else Sub(text)


def arn_of_role(name: str = "*") -> Sub:
    """Return the ARN of this environment's role of a name, or of all of them."""
    return Sub(
        f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/vni-cpo-${{Environment}}-{name}"
    )


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
    return allow((_WRITE_LOGS, list(group_arns)))


def pull_images(*repository_arns: object) -> aws.PolicyDocument:
    """Let something pull images from these repositories."""
    return allow(
        # A token is for the whole registry: AWS knows no resource for it.
        ([ecr.GetAuthorizationToken], ["*"]),
        (_PULL, list(repository_arns)),
    )


def push_images(*repository_arns: object) -> aws.PolicyDocument:
    """Let something push images to these repositories and read what their scans found."""
    return allow(
        ([ecr.GetAuthorizationToken], ["*"]),
        ([*_PULL, *_PUSH, *_SEE_IMAGES], list(repository_arns)),
    )


def take_images(service: str, environment: object) -> aws.PolicyDocument:
    """Let something see which image a service of another environment runs, and copy it."""
    name = f"vni-backend-{service}-${{From}}"
    return allow(
        ([ecs.DescribeServices], [arn("ecs", f"service/vni-cpo-${{From}}/{name}", environment)]),
        (_PULL, [arn("ecr", f"repository/{name}", environment)]),
    )


def start_pipelines(*pipeline_arns: object) -> aws.PolicyDocument:
    """Let events start these pipelines."""
    return allow(([codepipeline.StartPipelineExecution], list(pipeline_arns)))


def read_secrets(*secret_arns: object) -> aws.PolicyDocument:
    """Let something read these secrets."""
    return allow(([secretsmanager.GetSecretValue], list(secret_arns)))


def ask_about_own_target() -> aws.PolicyDocument:
    """Let a task see whether its load balancer drains it; AWS knows no resource for it."""
    return allow(([elasticloadbalancing.DescribeTargetHealth], ["*"]))


def use_artifacts(bucket_arn: object, key_arn: object) -> aws.PolicyDocument:
    """Let something read and write what a pipeline's steps hand to each other."""
    return allow(
        (_ARTIFACTS, [Sub("${Bucket}/*", Bucket=bucket_arn)]),
        ([s3.GetBucketVersioning], [bucket_arn]),
        (_USE_KEY, [key_arn]),
    )


def keep_files(key_arn: object, *bucket_arns: object) -> aws.PolicyDocument:
    """Let a program keep files in these buckets, read them and take them away."""
    return allow(
        (_FILES, [Sub("${Bucket}/*", Bucket=arn_) for arn_ in bucket_arns]),
        (_USE_KEY, [key_arn]),
    )


def start_builds(*project_arns: object) -> aws.PolicyDocument:
    """Let a pipeline start these projects and see how they end."""
    return allow((_START_BUILDS, list(project_arns)))


def deploy_tasks(service_arns: list[object], role_arns: list[object]) -> aws.PolicyDocument:
    """Let a pipeline give these services a new task definition, with these roles and no other."""
    return aws.PolicyDocument(
        Version=VERSION,
        Statement=[
            *update_services(*service_arns).Statement,
            # AWS knows no resource for describing and registering definitions.
            aws.Statement(Effect=aws.Allow, Action=_DEFINE_TASKS, Resource=["*"]),
            aws.Statement(
                Effect=aws.Allow,
                Action=[ecs.TagResource],
                Resource=[arn("ecs", "task-definition/vni-backend-*-${Environment}:*")],
            ),
            pass_roles("ecs-tasks", *role_arns),
        ],
    )


def update_services(*service_arns: object) -> aws.PolicyDocument:
    """Let something change these services of ECS and see how their tasks are."""
    return aws.PolicyDocument(
        Version=VERSION,
        Statement=[
            aws.Statement(Effect=aws.Allow, Action=_UPDATE_SERVICES, Resource=list(service_arns)),
            aws.Statement(
                Effect=aws.Allow,
                Action=[ecs.DescribeTasks],
                Resource=[arn("ecs", "task/vni-cpo-${Environment}/*")],
            ),
            _list_tasks(),
        ],
    )


def _list_tasks() -> aws.Statement:
    # AWS knows no resource for it but machines of ours, of which there are none.
    return aws.Statement(
        Effect=aws.Allow,
        Action=[ecs.ListTasks],
        Resource=["*"],
        Condition=aws.Condition(
            aws.ArnEquals("ecs:cluster", arn("ecs", "cluster/vni-cpo-${Environment}"))
        ),
    )


def tasks_of(name: str) -> Sub:
    """Return the ARN of all revisions of a task definition of this environment."""
    return arn("ecs", f"task-definition/vni-backend-{name}-${{Environment}}:*")


def run_task(definition_arn: object, *role_arns: object) -> aws.PolicyDocument:
    """Let something run a task in the environment's cluster, with these roles and no other."""
    return aws.PolicyDocument(
        Version=VERSION,
        Statement=[
            aws.Statement(
                Effect=aws.Allow,
                Action=[ecs.RunTask],
                Resource=[definition_arn],
                Condition=aws.Condition(
                    aws.ArnEquals("ecs:cluster", arn("ecs", "cluster/vni-cpo-${Environment}"))
                ),
            ),
            pass_roles("ecs-tasks", *role_arns),
        ],
    )


def pass_roles(service: str, *role_arns: object) -> aws.Statement:
    """Let somebody hand these roles to a service of AWS, such as `ecs-tasks`."""
    return aws.Statement(
        Effect=aws.Allow,
        Action=[iam.PassRole],
        Resource=list(role_arns),
        Condition=aws.Condition(
            aws.StringEquals("iam:PassedToService", f"{service}.amazonaws.com")
        ),
    )


def see_services(*service_arns: object) -> aws.PolicyDocument:
    """Let something see what these services of ECS run."""
    return allow(
        ([ecs.DescribeServices], list(service_arns)),
        # AWS knows no resource for it.
        ([ecs.DescribeTaskDefinition], ["*"]),
    )


def publish(topic_arn: object, key_arn: object) -> aws.PolicyDocument:
    """Let something publish to an encrypted topic."""
    return allow(
        ([sns.Publish], [topic_arn]),
        ([kms.Decrypt, kms.GenerateDataKey], [key_arn]),
    )


def use_connection(connection_arn: object) -> aws.PolicyDocument:
    """Let a pipeline fetch sources over a CodeConnections connection."""
    return allow((_USE_CONNECTION, [connection_arn]))


def report_tests(*group_arns: object) -> aws.PolicyDocument:
    """Let builds put down the results of their tests."""
    return allow((_REPORT, list(group_arns)))


def read_certificate(certificate_arn: object) -> aws.PolicyDocument:
    """Let something fetch a certificate and its authority's, without their keys."""
    return allow(([acm.GetCertificate], [certificate_arn]))


def build_in_network(*subnet_arns: object) -> aws.PolicyDocument:
    """Let builds have network interfaces in these subnets."""
    return aws.PolicyDocument(
        Version=VERSION,
        Statement=[
            # AWS knows no resource for these.
            aws.Statement(Effect=aws.Allow, Action=_SEE_NETWORK, Resource=["*"]),
            aws.Statement(
                Effect=aws.Allow,
                Action=[ec2.CreateNetworkInterface],
                # Security groups have no names before they are made.
                Resource=[*subnet_arns, arn("ec2", "security-group/*")],
            ),
            aws.Statement(
                Effect=aws.Allow,
                Action=_INTERFACES,
                # They have no names before they are made.
                Resource=[arn("ec2", "network-interface/*")],
            ),
            _give_interfaces(),
        ],
    )


def _give_interfaces() -> aws.Statement:
    return aws.Statement(
        Effect=aws.Allow,
        Action=[ec2.CreateNetworkInterfacePermission],
        Resource=[arn("ec2", "network-interface/*")],
        # Only to CodeBuild; into which subnets, another statement says.
        Condition=aws.Condition(
            aws.StringEquals("ec2:AuthorizedService", "codebuild.amazonaws.com")
        ),
    )


def publish_alerts(topic_arn: object) -> aws.PolicyDocument:
    """Return the policy of the topic: this account's alarms publish to it, and its events."""
    return aws.PolicyDocument(Version=VERSION, Statement=_let_alert([sns.Publish], topic_arn))


def keep_key(*more: aws.Statement) -> aws.PolicyDocument:
    """Return the policy of a key: the account's own policies decide, and these besides."""
    return aws.PolicyDocument(
        Version=VERSION,
        Statement=[
            aws.Statement(
                Effect=aws.Allow,
                Principal=aws.AWSPrincipal(
                    Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")
                ),
                # A key nobody administers can never be changed again; "*" is the key itself.
                Action=[aws.Action("kms", "*")],
                Resource=["*"],
            ),
            *more,
        ],
    )


def alerts_key() -> aws.PolicyDocument:
    """Return the policy of the key that encrypts alerts: who publishes them may use it."""
    return keep_key(*_let_alert([kms.Decrypt, kms.GenerateDataKey], "*"))


def only_encrypted_transport(bucket_arn: object) -> aws.PolicyDocument:
    """Return the policy of a bucket that answers over TLS only."""
    return aws.PolicyDocument(
        Version=VERSION,
        Statement=[
            aws.Statement(
                Effect=aws.Deny,
                Principal=aws.Principal("*"),
                Action=[aws.Action("s3", "*")],
                Resource=[bucket_arn, Sub("${Bucket}/*", Bucket=bucket_arn)],
                Condition=aws.Condition(aws.Bool("aws:SecureTransport", False)),
            )
        ],
    )


def only_own_folder(bucket_arn: object) -> aws.PolicyDocument:
    """Return the policy of a bucket whose callers reach the objects under their own id only."""
    return aws.PolicyDocument(
        Version=VERSION,
        Statement=[
            *only_encrypted_transport(bucket_arn).Statement,
            aws.Statement(
                Effect=aws.Deny,
                Principal=aws.Principal("*"),
                Action=[s3.GetObject, s3.PutObject],
                NotResource=[Sub("${Bucket}/${!aws:userid}/*", Bucket=bucket_arn)],
            ),
        ],
    )


def boundary() -> aws.PolicyDocument:
    """Return the most that any role of an environment may do: run services and deliver them.

    No role may make users, roles or policies, nor reach what is another environment's: everything
    is named, or carries the environment's tag where AWS gives it a number for a name.
    """
    tagged = aws.StringEquals("aws:ResourceTag/Environment", Ref("Environment"))
    cluster = arn("rds", "cluster:vni-cpo-${Environment}")
    return aws.PolicyDocument(
        Version=VERSION,
        Statement=[
            *allow(
                # AWS knows no resource for these, or they have no names before they are made.
                (
                    [
                        *(ecr.GetAuthorizationToken, *_SEE_NETWORK, *_DEFINE_TASKS),
                        *(elasticloadbalancing.DescribeTargetHealth, *_USE_CONNECTION),
                    ],
                    ["*"],
                ),
                (_INTERFACES, [arn("ec2", "network-interface/*")]),
                (
                    [*_PULL, *_PUSH, *_SEE_IMAGES],
                    [arn("ecr", "repository/vni-backend-*-${Environment}")],
                ),
                # Images are no secret: a pipeline takes over what another environment runs.
                (_PULL, [arn("ecr", "repository/vni-backend-*")]),
                ([ecs.DescribeServices], [arn("ecs", "service/vni-cpo-*/vni-backend-*")]),
                (
                    [codepipeline.StartPipelineExecution],
                    [arn("codepipeline", "vni-backend-*-${Environment}")],
                ),
                (_WRITE_LOGS, [arn("logs", "log-group:/vni/${Environment}/*")]),
                (
                    [*_UPDATE_SERVICES, ecs.DescribeTasks, ecs.TagResource],
                    [
                        arn("ecs", "service/vni-cpo-${Environment}/*"),
                        arn("ecs", "task/vni-cpo-${Environment}/*"),
                        arn("ecs", "task-definition/vni-backend-*-${Environment}:*"),
                    ],
                ),
                (
                    [*_START_BUILDS, *_REPORT],
                    [
                        arn("codebuild", "project/vni-cpo-${Environment}-*"),
                        arn("codebuild", "report-group/vni-cpo-${Environment}-*"),
                    ],
                ),
                ([sns.Publish], [arn("sns", "vni-cpo-${Environment}-*")]),
                (
                    [
                        *_ARTIFACTS,
                        *(action for action in _FILES if action not in _ARTIFACTS),
                        s3.GetBucketVersioning,
                    ],
                    [Sub("arn:${AWS::Partition}:s3:::vni-cpo-${Environment}-*")],
                ),
                (
                    [secretsmanager.GetSecretValue],
                    [arn("secretsmanager", "secret:vni-cpo-${Environment}-*")],
                ),
                ([ecs.RunTask], [tasks_of(BOOKS)]),
            ).Statement,
            pass_roles("ecs-tasks", arn_of_role()),
            _list_tasks(),
            _give_interfaces(),
            aws.Statement(
                Effect=aws.Allow,
                Action=[ec2.CreateNetworkInterface],
                Resource=[arn("ec2", "subnet/*"), arn("ec2", "security-group/*")],
                Condition=aws.Condition(tagged),
            ),
            aws.Statement(
                Effect=aws.Allow,
                Action=[*_USE_KEY, acm.GetCertificate],
                Resource=["*"],
                Condition=aws.Condition(tagged),
            ),
            aws.Statement(
                Effect=aws.Allow,
                Action=[secretsmanager.GetSecretValue],
                # The database's own: AWS names it after a number and tags it with its cluster.
                Resource=[arn("secretsmanager", "secret:rds!cluster-*")],
                Condition=aws.Condition(
                    aws.StringEquals("aws:ResourceTag/aws:rds:primaryDBClusterArn", cluster)
                ),
            ),
        ],
    )


def _let_alert(actions: list[aws.Action], resource: object) -> list[aws.Statement]:
    return [
        aws.Statement(
            Effect=aws.Allow,
            Principal=aws.Principal(
                "Service", ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
            ),
            Action=actions,
            Resource=[resource],
            Condition=aws.Condition(aws.StringEquals("aws:SourceAccount", Ref("AWS::AccountId"))),
        ),
        # EventBridge tells SNS nothing that a condition could ask for.
        aws.Statement(
            Effect=aws.Allow,
            Principal=aws.Principal("Service", ["events.amazonaws.com"]),
            Action=actions,
            Resource=[resource],
        ),
    ]
