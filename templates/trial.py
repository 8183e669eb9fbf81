"""A small environment to try a commit in: a test service each, a database, one load balancer.

Only builds reach it; nothing in it reaches what drivers and charging points use. See
docs/decisions/0017-one-way-into-production.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from troposphere import GetAtt, Output, Ref, Sub, Template, ec2, ecs, logs, secretsmanager
from troposphere import elasticloadbalancingv2 as elb

from templates.cluster import add_architecture
from templates.containers import (
    WITHOUT_COMPUTE_SPECIFICS,
    arn_of_log_group,
    container,
    database_environment,
    runtime,
    secret_key,
)
from templates.firewall import HTTPS
from templates.names import (
    CHARGING_POINT,
    CHARGING_POINT_PORT,
    DATABASE_PORT,
    THIRD_PARTY,
    THIRD_PARTY_PORT,
    add_zones,
    camel,
    imported,
    log_days,
    log_group_name,
    named,
    new_template,
    offer,
    service_name,
    subnets,
    tags,
    text,
)
from templates.policies import pull_images, read_secrets, write_logs
from templates.roles import role
from templates.services import ALL_ADDRESSES, REQUEST_IDLE_SECONDS, TLS_POLICY

STACK = "test-services"
DATABASE = "vni_test"
# Its owner too: only this database is its, and no other.
DATABASE_USER = "vni_test"


@dataclass(frozen=True)
class Delivered:
    """A service that a pipeline delivers. listener_port: of its test at the small load balancer."""

    name: str
    package: str
    port: int
    listener_port: int
    command: list[str]
    environment: dict[str, Any]

    @property
    def title(self) -> str:
        """The beginning of its resources' names."""
        return camel(self.name)

    @property
    def test(self) -> str:
        """What its test service is called, without the environment."""
        return f"{self.name}-test"


DELIVERED = (
    Delivered(
        CHARGING_POINT,
        "cp_backend",
        CHARGING_POINT_PORT,
        HTTPS,
        ["python", "-m", "cp_backend"],
        {
            "CP_BACKEND_HOST": ALL_ADDRESSES,
            # Its metrics are not the environment's.
            "CP_BACKEND_ENVIRONMENT": Sub("${Environment}-test"),
            "CP_BACKEND_FORWARDED_HOPS": "1",
            "CP_BACKEND_DRAIN_TIME": "5",
        },
    ),
    Delivered(
        THIRD_PARTY,
        "third_party_backend",
        THIRD_PARTY_PORT,
        8443,
        ["python", "-m", "third_party_backend"],
        {
            "THIRD_PARTY_HOST": ALL_ADDRESSES,
            "THIRD_PARTY_ENVIRONMENT": Sub("${Environment}-test"),
            "THIRD_PARTY_FORWARDED_HOPS": "1",
            # Builds play the hub, from within the network.
            "THIRD_PARTY_ALLOWED_CIDRS": imported("network", "VpcCidr"),
        },
    ),
)


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI test services: where a commit is tried before it goes on.")
    add_zones(template)
    add_architecture(template)
    log_days(template)
    text(template, "CertificateArn", "Certificate of the load balancers, in ACM")
    for service in DELIVERED:
        text(template, f"{service.title}ImageTag", "Tag of the image that the test begins with")
    builds, tasks, balancer = _add_firewall(template)
    secret = template.add_resource(
        secretsmanager.Secret(
            "TestSecret",
            Name=named("database-test"),
            Description="The tests' user of the database",
            GenerateSecretString=secretsmanager.GenerateSecretString(
                SecretStringTemplate=f'{{"username": "{DATABASE_USER}"}}',
                GenerateStringKey="password",
                PasswordLength=40,
                ExcludePunctuation=True,
            ),
            Tags=tags("test"),
        )
    )
    load_balancer = template.add_resource(
        elb.LoadBalancer(
            "TestLoadBalancer",
            Type="application",
            Scheme="internal",
            Subnets=subnets("Private"),
            SecurityGroups=[Ref(balancer)],
            LoadBalancerAttributes=[
                elb.LoadBalancerAttributes(Key=name, Value=value)
                for name, value in {
                    "idle_timeout.timeout_seconds": "180",
                    "routing.http.drop_invalid_header_fields.enabled": "true",
                    "deletion_protection.enabled": "false",
                }.items()
            ],
            Tags=tags("test"),
        )
    )
    for service in DELIVERED:
        template.add_resource(
            logs.LogGroup(
                f"{service.title}TestLogs",
                LogGroupName=log_group_name(service.test),
                RetentionInDays=Ref("LogDays"),
            )
        )
    starter = _add_execution_role(template, secret)
    for service in DELIVERED:
        _add_test_service(template, service, load_balancer, tasks, starter, secret)
    _add_test_database(template, secret)
    offer(template, STACK, "Builds", Ref(builds), "Security group of builds that test and migrate")
    offer(
        template, STACK, "Secret", GetAtt(secret, "Id"), "Secret of the tests' user of the database"
    )
    offer(template, STACK, "Host", GetAtt(load_balancer, "DNSName"), "Where tests connect to")
    template.add_output(
        Output("TasksGroup", Description="Security group of tasks under test", Value=Ref(tasks))
    )
    return template


def _add_firewall(
    template: Template,
) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup, ec2.SecurityGroup]:
    """Add who may talk to whom; return the groups of builds, test tasks and load balancer.

    builds ──443, 8443──▶ load balancer ──9000, 9100──▶ test tasks; both ──5432──▶ database
    """

    def group(name: str, what: str, out: list[object]) -> ec2.SecurityGroup:
        return template.add_resource(
            ec2.SecurityGroup(
                name,
                GroupDescription=f"VNI: {what}",
                VpcId=imported("network", "VpcId"),
                SecurityGroupEgress=out,
                Tags=tags(name.lower()),
            )
        )

    def to(port: int, cidr: object, what: str) -> ec2.SecurityGroupRule:
        return ec2.SecurityGroupRule(
            IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp=cidr, Description=what
        )

    def let_in(into: object, name: str, source: ec2.SecurityGroup, port: int, what: str) -> None:
        template.add_resource(
            ec2.SecurityGroupIngress(
                name,
                GroupId=into,
                IpProtocol="tcp",
                FromPort=port,
                ToPort=port,
                SourceSecurityGroupId=Ref(source),
                Description=what,
            )
        )

    inside = imported("network", "VpcCidr")
    database = to(DATABASE_PORT, inside, "the database")
    anywhere = to(HTTPS, "0.0.0.0/0", "AWS, and package registries")
    builds = group(
        "Builds",
        "builds that test and migrate",
        [anywhere, database, *(to(s.listener_port, inside, "the test") for s in DELIVERED[1:])],
    )
    tasks = group("TestTasks", "tasks under test", [anywhere, database])
    balancer = group(
        "TestBalancer",
        "load balancer of the tests",
        [to(service.port, inside, "tasks under test") for service in DELIVERED],
    )
    for service in DELIVERED:
        let_in(
            Ref(balancer),
            f"{service.title}TestIn",
            builds,
            service.listener_port,
            f"builds test the {service.name} service",
        )
        let_in(Ref(tasks), f"{service.title}TaskIn", balancer, service.port, "the load balancer")
    for source in (builds, tasks):
        let_in(
            imported("firewall", "Database"),
            f"DatabaseFrom{source.title}",
            source,
            DATABASE_PORT,
            f"{source.title}",
        )
    return builds, tasks, balancer


def _add_execution_role(template: Template, secret: secretsmanager.Secret) -> object:
    return GetAtt(
        role(
            template,
            "TestExecutionRole",
            "ecs-tasks",
            {
                "pull-images": pull_images(
                    *(imported("registry", f"{s.title}RepositoryArn") for s in DELIVERED)
                ),
                "write-logs": write_logs(*(arn_of_log_group(s.test) for s in DELIVERED)),
                "read-secrets": read_secrets(GetAtt(secret, "Id")),
            },
        ),
        "Arn",
    )


def _add_test_service(
    template: Template,
    service: Delivered,
    load_balancer: elb.LoadBalancer,
    tasks: ec2.SecurityGroup,
    starter: object,
    secret: secretsmanager.Secret,
) -> None:
    title = f"{service.title}Test"
    group = template.add_resource(
        elb.TargetGroup(
            f"{title}Targets",
            VpcId=imported("network", "VpcId"),
            TargetType="ip",
            Protocol="HTTP",
            Port=service.port,
            HealthCheckPath="/health/ready",
            HealthCheckIntervalSeconds=10,
            HealthCheckTimeoutSeconds=5,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=3,
            Matcher=elb.Matcher(HttpCode="200"),
            TargetGroupAttributes=[
                elb.TargetGroupAttribute(
                    Key="deregistration_delay.timeout_seconds", Value=str(REQUEST_IDLE_SECONDS)
                )
            ],
            Tags=tags(service.test),
        )
    )
    template.add_resource(
        elb.Listener(
            f"{title}Listener",
            LoadBalancerArn=Ref(load_balancer),
            Port=service.listener_port,
            Protocol="HTTPS",
            SslPolicy=TLS_POLICY,
            Certificates=[elb.Certificate(CertificateArn=Ref("CertificateArn"))],
            DefaultActions=[elb.Action(Type="forward", TargetGroupArn=Ref(group))],
        )
    )
    task_role = role(template, f"{title}TaskRole", "ecs-tasks", {}, tag=service.test)
    definition = template.add_resource(
        ecs.TaskDefinition(
            f"{title}Task",
            Family=service_name(service.test),
            Cpu="256",
            Memory="512",
            RuntimePlatform=runtime(Ref("Architecture")),
            ExecutionRoleArn=starter,
            TaskRoleArn=GetAtt(task_role, "Arn"),
            ContainerDefinitions=[
                container(
                    service.name,
                    command=service.command,
                    environment=service.environment | database_environment(DATABASE),
                    secrets=of_the_test(GetAtt(secret, "Id")),
                    log_group=log_group_name(service.test),
                    PortMappings=[ecs.PortMapping(ContainerPort=service.port, Protocol="tcp")],
                )
            ],
            Tags=tags(service.test),
            **WITHOUT_COMPUTE_SPECIFICS,
        )
    )
    template.add_resource(
        ecs.Service(
            f"{title}Service",
            ServiceName=service_name_of_test(service.name),
            Cluster=imported("cluster", "Arn"),
            TaskDefinition=Ref(definition),
            LaunchType="FARGATE",
            PlatformVersion="LATEST",
            # Its database does not exist before this stack does; who deploys the stack makes it,
            # and then wants a task.
            DesiredCount=0,
            DeploymentConfiguration=ecs.DeploymentConfiguration(
                MinimumHealthyPercent=100,
                MaximumPercent=200,
                DeploymentCircuitBreaker=ecs.DeploymentCircuitBreaker(Enable=True, Rollback=True),
            ),
            HealthCheckGracePeriodSeconds=60,
            EnableECSManagedTags=True,
            PropagateTags="SERVICE",
            LoadBalancers=[
                ecs.LoadBalancer(
                    ContainerName=service.name,
                    ContainerPort=service.port,
                    TargetGroupArn=Ref(group),
                )
            ],
            NetworkConfiguration=ecs.NetworkConfiguration(
                AwsvpcConfiguration=ecs.AwsvpcConfiguration(
                    AssignPublicIp="DISABLED",
                    SecurityGroups=[Ref(tasks)],
                    Subnets=subnets("Private"),
                )
            ),
            DependsOn=f"{title}Listener",
            Tags=tags(service.test),
        )
    )


def service_name_of_test(service: str) -> Sub:
    """Return the name of a service's test: `vni-backend-<service>-<environment>-test`."""
    return Sub(f"vni-backend-{service}-${{Environment}}-test")


def of_the_test(secret: object) -> dict[str, object]:
    """Return what a container or a build gets of the tests' secret."""
    return {
        "DATABASE_USER": secret_key(secret, "username"),
        "DATABASE_PASSWORD": secret_key(secret, "password"),
    }


def _add_test_database(template: Template, secret: secretsmanager.Secret) -> None:
    """Add the task that makes the tests' database and its owner; who deploys the stack runs it."""
    master = imported("database", "MasterSecret")
    template.add_resource(
        logs.LogGroup(
            "TestDatabaseLogs",
            LogGroupName=log_group_name("test-database"),
            RetentionInDays=Ref("LogDays"),
        )
    )
    starter = role(
        template,
        "TestDatabaseExecutionRole",
        "ecs-tasks",
        {
            "pull-images": pull_images(
                imported("registry", f"{camel(CHARGING_POINT)}RepositoryArn")
            ),
            "write-logs": write_logs(arn_of_log_group("test-database")),
            # No build has these: code that nobody has approved never sees the owner's password.
            "read-secrets": read_secrets(master, GetAtt(secret, "Id")),
        },
    )
    definition = template.add_resource(
        ecs.TaskDefinition(
            "TestDatabaseTask",
            Family=Sub("vni-backend-test-database-${Environment}"),
            Cpu="256",
            Memory="512",
            RuntimePlatform=runtime(Ref("Architecture")),
            ExecutionRoleArn=GetAtt(starter, "Arn"),
            ContainerDefinitions=[
                container(
                    CHARGING_POINT,
                    command=["python", "-m", "charging.database", "create", DATABASE],
                    environment=database_environment("vni"),
                    secrets={
                        "DATABASE_USER": secret_key(master, "username"),
                        "DATABASE_PASSWORD": secret_key(master, "password"),
                        "APPLICATION_USER": secret_key(GetAtt(secret, "Id"), "username"),
                        "APPLICATION_PASSWORD": secret_key(GetAtt(secret, "Id"), "password"),
                    },
                    log_group=log_group_name("test-database"),
                )
            ],
            Tags=tags("test-database"),
            **WITHOUT_COMPUTE_SPECIFICS,
        )
    )
    template.add_output(
        Output(
            "DatabaseTask",
            Description="Task that makes the tests' database",
            Value=Ref(definition),
        )
    )
