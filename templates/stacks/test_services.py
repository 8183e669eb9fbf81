"""A small environment to try a commit in: a test service each, a database, one load balancer.

Only builds reach it; nothing in it reaches what drivers and charging points use. See
docs/decisions/0017-one-way-into-production.md.
"""

from __future__ import annotations

from troposphere import GetAtt, Output, Ref, Sub, Template, ec2, logs, secretsmanager
from troposphere import elasticloadbalancingv2 as elb

from templates.exports import imported, offer
from templates.iam.roles import role
from templates.iam.services import pull_images, read_secrets, write_logs
from templates.naming import (
    CHARGING_POINT,
    DATABASE_PORT,
    THIRD_PARTY,
    camel,
    log_group_name,
    name_of_test_service,
    named,
    tags,
)
from templates.parameters import (
    add_architecture,
    add_master_secret,
    add_zones,
    log_days,
    new_template,
    text,
)
from templates.parts.containers import (
    arn_of_log_group,
    container,
    database_environment,
    secret_key,
    task_definition,
)
from templates.parts.rules import HTTPS
from templates.parts.service import (
    PROGRAMS,
    Program,
    Service,
    add_load_balancer,
    add_task_role,
    policies_of_tasks,
)
from templates.stacks.services import REQUEST_IDLE_SECONDS, WEBSOCKET_IDLE_SECONDS

STACK = "test-services"
DATABASE = "vni_test"
# Makes that database.
DATABASE_TASK = "test-database"
# Its owner too: only this database is its, and no other.
DATABASE_USER = "vni_test"


# Of each service's test at the small load balancer.
LISTENER_PORTS = {CHARGING_POINT: HTTPS, THIRD_PARTY: 8443}


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI test services: where a commit is tried before it goes on.")
    add_zones(template)
    add_architecture(template)
    log_days(template)
    text(template, "CertificateArn", "Certificate of the tests' load balancer, in ACM")
    for service in PROGRAMS.values():
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
    load_balancer = add_load_balancer(
        template,
        "Test",
        "test",
        scheme="internal",
        security_group=Ref(balancer),
        idle_seconds=WEBSOCKET_IDLE_SECONDS,
        protected="false",
    )
    for service in PROGRAMS.values():
        template.add_resource(
            logs.LogGroup(
                f"{service.title}TestLogs",
                LogGroupName=log_group_name(service.tested_name),
                RetentionInDays=Ref("LogDays"),
            )
        )
    starter = _add_execution_role(template, secret)
    for service in PROGRAMS.values():
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
    to_database = to(DATABASE_PORT, inside, "the database")
    anywhere = to(HTTPS, "0.0.0.0/0", "AWS, and package registries")
    builds = group(
        "Builds",
        "builds that test and migrate",
        [
            anywhere,
            to_database,
            *(to(LISTENER_PORTS[s.name], inside, "the test") for s in (PROGRAMS[THIRD_PARTY],)),
        ],
    )
    tasks = group("TestTasks", "tasks under test", [anywhere, to_database])
    balancer = group(
        "TestBalancer",
        "load balancer of the tests",
        [to(service.port, inside, "tasks under test") for service in PROGRAMS.values()],
    )
    for service in PROGRAMS.values():
        let_in(
            Ref(balancer),
            f"{service.title}TestIn",
            builds,
            LISTENER_PORTS[service.name],
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
                    *(imported("registry", f"{s.title}RepositoryArn") for s in PROGRAMS.values())
                ),
                "write-logs": write_logs(
                    *(arn_of_log_group(s.tested_name) for s in PROGRAMS.values())
                ),
                "read-secrets": read_secrets(GetAtt(secret, "Id")),
            },
        ),
        "Arn",
    )


def _add_test_service(
    template: Template,
    program: Program,
    load_balancer: elb.LoadBalancer,
    tasks: ec2.SecurityGroup,
    starter: object,
    secret: secretsmanager.Secret,
) -> None:
    title = f"{program.title}Test"
    service = Service(
        program,
        title,
        program.tested_name,
        cpu="256",
        memory="512",
        execution_role=starter,
        task_role=add_task_role(template, title, program.tested_name, policies_of_tasks(program)),
        task_group=Ref(tasks),
        settings=_settings(program) | database_environment(DATABASE),
        secrets=of_the_test(GetAtt(secret, "Id")),
        drain_seconds=REQUEST_IDLE_SECONDS,
        certificates={"": Ref("CertificateArn")},
    )
    group = service.add_targets(template, load_balancer, LISTENER_PORTS[program.name])
    service.add_service(
        template,
        name_of_test_service(program.name),
        Ref(group),
        {"MinimumHealthyPercent": 100, "MaximumPercent": 200},
        # Its database does not exist before this stack does; who deploys the stack makes it,
        # and then wants a task.
        DesiredCount=0,
    )


def _settings(program: Program) -> dict[str, object]:
    """Return a tested program's settings."""
    # Its metrics are not the environment's.
    environment = Sub("${Environment}-test")
    if program.name == CHARGING_POINT:
        return program.settings(environment, DRAIN_TIME="5") | {
            "TARGET_GROUP_ARN": Ref("ChargingPointTestTargets")
        }
    # Builds play the hub, from within the network.
    return program.settings(environment, ALLOWED_CIDRS=imported("network", "VpcCidr"))


def of_the_test(secret: object) -> dict[str, object]:
    """Return what a container or a build gets of the tests' secret."""
    return {
        "DATABASE_USER": secret_key(secret, "username"),
        "DATABASE_PASSWORD": secret_key(secret, "password"),
    }


def _add_test_database(template: Template, secret: secretsmanager.Secret) -> None:
    """Add the task that makes the tests' database and its owner; who deploys the stack runs it."""
    master = add_master_secret(template)
    template.add_resource(
        logs.LogGroup(
            "TestDatabaseLogs",
            LogGroupName=log_group_name(DATABASE_TASK),
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
            "write-logs": write_logs(arn_of_log_group(DATABASE_TASK)),
            # No build has these: code that nobody has approved never sees the owner's password.
            "read-secrets": read_secrets(master, GetAtt(secret, "Id")),
        },
    )
    definition = template.add_resource(
        task_definition(
            "TestDatabaseTask",
            DATABASE_TASK,
            [
                container(
                    CHARGING_POINT,
                    command=["python", "-m", "charging.database", "create", DATABASE],
                    environment=database_environment(),
                    secrets={
                        "DATABASE_USER": secret_key(master, "username"),
                        "DATABASE_PASSWORD": secret_key(master, "password"),
                        "APPLICATION_USER": secret_key(GetAtt(secret, "Id"), "username"),
                        "APPLICATION_PASSWORD": secret_key(GetAtt(secret, "Id"), "password"),
                    },
                    log_group=log_group_name(DATABASE_TASK),
                )
            ],
            starter=GetAtt(starter, "Arn"),
        )
    )
    template.add_output(
        Output(
            "DatabaseTask",
            Description="Task that makes the tests' database",
            Value=Ref(definition),
        )
    )
