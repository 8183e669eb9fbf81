"""What CodeBuild does in the pipelines: projects, their roles, and what they hand on.

The work itself is in the build specifications beside the packages.
"""

from __future__ import annotations

from typing import Any

from troposphere import (
    AWS_NO_VALUE,
    Equals,
    GetAtt,
    If,
    Ref,
    Sub,
    Template,
    codebuild,
    kms,
    logs,
    s3,
)

from templates.exports import imported, offer, subnets
from templates.iam.roles import role
from templates.iam.services import (
    arn,
    build_in_network,
    push_images,
    read_certificate,
    read_secrets,
    report_tests,
    see_services,
    take_images,
    update_services,
    use_artifacts,
    write_logs,
)
from templates.naming import kebab, log_group_name, name_of_test_service, tags
from templates.parameters import (
    add_architecture,
    add_master_secret,
    add_promotion,
    add_zones,
    log_days,
    new_template,
    text,
)
from templates.parts.buckets import add_bucket, add_bucket_policy, add_key, expiry
from templates.parts.checks import skips
from templates.parts.containers import arn_of_log_group, database_environment, secret_key
from templates.parts.service import PROGRAMS, Program
from templates.stacks import test_services
from templates.stacks.network import ZONES

REPOSITORY = r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+"

STACK = "builds"
BUILDS = "builds"
ARTIFACT_DAYS = 30
BUILD_MINUTES = 45
MIGRATION_MINUTES = 8 * 60
"""An index on a large table takes hours; CodePipeline waits as long for an action."""
MIGRATION_SPECIFICATION = "charging/database/buildspec.yml"
MIGRATE_TEST, MIGRATE_LIVE = "MigrateTest", "MigrateLive"


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI builds: what CodeBuild does in the pipelines.")
    add_zones(template)
    add_architecture(template)
    log_days(template)
    text(template, "Repository", "Repository on GitHub, as owner/name", AllowedPattern=REPOSITORY)
    text(template, "CertificateArn", "Certificate of the tests' load balancer, in ACM")
    add_promotion(template)
    template.add_condition("IsArm", Equals(Ref("Architecture"), "ARM64"))
    key, bucket = _add_artifacts(template)
    projects = _Projects(template, key, use_artifacts(GetAtt(bucket, "Arn"), GetAtt(key, "Arn")))
    projects.add_migrations()
    for service in PROGRAMS.values():
        projects.add_build(service)
        projects.add_test(service)
    offer(template, STACK, "Artifacts", Ref(bucket), "Bucket of what steps hand to each other")
    offer(template, STACK, "ArtifactsArn", GetAtt(bucket, "Arn"), "Its ARN")
    offer(template, STACK, "KeyArn", GetAtt(key, "Arn"), "Key that encrypts it")
    return template


def _add_artifacts(template: Template) -> tuple[kms.Key, s3.Bucket]:
    key = add_key(template, "Encrypts what the pipelines' steps hand to each other", "artifacts")
    bucket = add_bucket(
        template,
        "Artifacts",
        "artifacts",
        key,
        [expiry("artifacts-are-of-the-day", ARTIFACT_DAYS)],
        Metadata=skips(
            "artifacts are made again from their commit, and only the pipelines read them",
            "CKV_AWS_18",
            "CKV_AWS_21",
        ),
    )
    add_bucket_policy(template, bucket)
    return key, bucket


class _Projects:
    """CodeBuild's projects: build and test for each service, and migrations for both."""

    def __init__(self, template: Template, key: kms.Key, artifacts: object) -> None:
        self._template = template
        self._key = key
        self._artifacts = artifacts
        self._secret = imported(test_services.STACK, "Secret")
        self._logs = template.add_resource(
            logs.LogGroup(
                "BuildLogs", LogGroupName=log_group_name(BUILDS), RetentionInDays=Ref("LogDays")
            )
        )

    def add_migrations(self) -> None:
        """Add what migrates the tests' database, and what migrates the real one."""
        master = add_master_secret(self._template)
        application = imported("database", "ApplicationSecret")
        self._add(
            MIGRATE_TEST,
            MIGRATION_SPECIFICATION,
            in_network=True,
            plain=database_environment(test_services.DATABASE),
            secrets=test_services.of_the_test(self._secret),
            policies={"read-secrets": read_secrets(self._secret)},
            minutes=MIGRATION_MINUTES,
        )
        self._add(
            MIGRATE_LIVE,
            MIGRATION_SPECIFICATION,
            in_network=True,
            plain={**database_environment(), "GRANT": "--grant"},
            secrets={
                "DATABASE_USER": secret_key(master, "username"),
                "DATABASE_PASSWORD": secret_key(master, "password"),
                "APPLICATION_USER": secret_key(application, "username"),
                "APPLICATION_PASSWORD": secret_key(application, "password"),
            },
            policies={"read-secrets": read_secrets(master, application)},
            minutes=MIGRATION_MINUTES,
        )

    def add_build(self, service: Program) -> None:
        """Add the project that tests, builds, scans and pushes, or takes over another's image."""
        self._add(
            f"{service.title}Build",
            f"{service.package}/buildspec.yml",
            in_network=False,
            privileged=True,
            plain={
                "REPOSITORY": Ref("Repository"),
                "REPOSITORY_URI": imported("registry", f"{service.title}RepositoryUri"),
                "LIVE_SERVICE": imported("services", f"{service.title}ServiceName"),
                "CLUSTER": imported("cluster", "Name"),
                "PROMOTE_FROM": Ref("PromoteFrom"),
            },
            secrets={},
            policies={
                "report-tests": _report(f"{service.title}Build"),
                "push-images": push_images(imported("registry", f"{service.title}RepositoryArn")),
                "see-services": see_services(arn_of_service(service.name)),
            },
            optional={
                "take-images": (
                    "HasPromoteFrom",
                    take_images(service.name, Ref("PromoteFrom")),
                )
            },
        )

    def add_test(self, service: Program) -> None:
        """Add the project that lets charging points charge at the test service."""
        self._add(
            f"{service.title}Test",
            f"{service.package}/buildspec-test.yml",
            in_network=True,
            plain={
                **database_environment(test_services.DATABASE),
                "CLUSTER": imported("cluster", "Name"),
                "TEST_HOST": imported(test_services.STACK, "Host"),
                "TEST_SERVICE": name_of_test_service(service.name),
                "CERTIFICATE_ARN": Ref("CertificateArn"),
            },
            secrets=test_services.of_the_test(self._secret),
            policies={
                "report-tests": _report(f"{service.title}Test"),
                "read-secrets": read_secrets(self._secret),
                "read-certificate": read_certificate(Ref("CertificateArn")),
                # To have it drained while charging points charge.
                "update-services": update_services(arn_of_service(service.name, "-test")),
            },
        )

    def _add(
        self,
        title: str,
        specification: str,
        *,
        in_network: bool,
        plain: dict[str, object],
        secrets: dict[str, object],
        policies: dict[str, Any],
        privileged: bool = False,
        optional: dict[str, tuple[str, object]] | None = None,
        minutes: int = BUILD_MINUTES,
    ) -> None:
        builder = role(
            self._template,
            f"{title}BuildRole" if not title.endswith("Build") else f"{title}Role",
            "codebuild",
            {
                "write-logs": write_logs(arn_of_log_group(BUILDS)),
                "use-artifacts": self._artifacts,
                **({"build-in-network": _in_our_network()} if in_network else {}),
                **policies,
            },
            optional=optional,
        )
        variables = {
            "ACCOUNT_ID": Ref("AWS::AccountId"),
            "ENVIRONMENT": Ref("Environment"),
            **plain,
        }
        self._template.add_resource(
            codebuild.Project(
                f"{title}Project",
                Name=Sub(project_name(title)),
                Description=f"{specification}, for docs/pipeline.md",
                ServiceRole=GetAtt(builder, "Arn"),
                EncryptionKey=GetAtt(self._key, "Arn"),
                Source=codebuild.Source(Type="CODEPIPELINE", BuildSpec=specification),
                Artifacts=codebuild.Artifacts(Type="CODEPIPELINE"),
                TimeoutInMinutes=minutes,
                QueuedTimeoutInMinutes=60,
                Environment=codebuild.Environment(
                    Type=If("IsArm", "ARM_CONTAINER", "LINUX_CONTAINER"),
                    Image=If(
                        "IsArm",
                        "aws/codebuild/amazonlinux-aarch64-standard:3.0",
                        "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                    ),
                    # All tests, and an image: 4 processors; the rest waits most of the time.
                    ComputeType=f"BUILD_GENERAL1_{'MEDIUM' if privileged else 'SMALL'}",
                    # A container engine needs it; what only tests or migrates has none.
                    PrivilegedMode=privileged,
                    EnvironmentVariables=[
                        codebuild.EnvironmentVariable(Name=n, Value=v, Type=kind)
                        for kind, values in (("PLAINTEXT", variables), ("SECRETS_MANAGER", secrets))
                        for n, v in sorted(values.items())
                    ],
                ),
                LogsConfig=codebuild.LogsConfig(
                    CloudWatchLogs=codebuild.CloudWatchLogs(
                        Status="ENABLED", GroupName=Ref(self._logs), StreamName=title
                    )
                ),
                Tags=tags(BUILDS),
                **(
                    {
                        "VpcConfig": codebuild.VpcConfig(
                            VpcId=imported("network", "VpcId"),
                            Subnets=subnets("Private"),
                            SecurityGroupIds=[imported(test_services.STACK, "Builds")],
                        )
                    }
                    if in_network
                    else {}
                ),
            )
        )


def project_name(title: str) -> str:
    """Return the name of a project, such as `ChargingPointBuild`, for Sub."""
    return f"vni-cpo-${{Environment}}-{kebab(title)}"


def _report(title: str) -> object:
    return report_tests(arn("codebuild", f"report-group/{project_name(title)}-*"))


def arn_of_service(service: str, suffix: str = "") -> Sub:
    """Return the ARN of a service of ECS, or with `-test` of its test."""
    return arn(
        "ecs", f"service/vni-cpo-${{Environment}}/vni-backend-{service}-${{Environment}}{suffix}"
    )


def _in_our_network() -> object:
    first, second, third = (
        Sub(
            "arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:subnet/${Subnet}",
            Subnet=imported("network", f"PrivateSubnet{zone}"),
        )
        for zone in ZONES
    )
    return build_in_network(first, second, If("ThreeZones", third, Ref(AWS_NO_VALUE)))
