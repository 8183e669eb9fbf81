"""The cluster, what tasks need before they start, and the task that migrates the database.

It comes before the services in a deployment, so that the schema is ready when they change.
"""

from __future__ import annotations

from troposphere import GetAtt, If, Ref, Template, ecs, logs

from templates.exports import imported, offer
from templates.iam.roles import role
from templates.iam.services import pull_images, read_secrets, write_logs
from templates.naming import (
    CHARGING_POINT,
    SERVICES,
    camel,
    log_group_name,
    named,
    tags,
)
from templates.parameters import (
    add_architecture,
    add_master_secret,
    log_days,
    new_template,
    switch,
    text,
)
from templates.parts import hub
from templates.parts.containers import (
    arn_of_log_group,
    container,
    database_environment,
    secret_key,
    task_definition,
)
from templates.parts.operations import OPERATIONS

STACK = "cluster"
MIGRATIONS = "migrations"
# Lets the operations' user read and write rows.
OPERATIONS_ACCESS = "operations-access"
# Lets the console's user read, and write what the console writes.
CONSOLE_ACCESS = "console-access"


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI cluster: where tasks run, and the migration of the database.")
    insights = switch(template, "ContainerInsights", False, "Metrics of each task")
    architecture = add_architecture(template)
    days = log_days(template)
    text(template, f"{camel(CHARGING_POINT)}ImageTag", "Tag of the image that migrates")
    cluster = template.add_resource(
        ecs.Cluster(
            "Cluster",
            ClusterName=named(),
            ClusterSettings=[
                ecs.ClusterSetting(
                    Name="containerInsights", Value=If(insights, "enabled", "disabled")
                )
            ],
            Tags=tags(),
        )
    )
    groups = {
        part: template.add_resource(
            logs.LogGroup(
                f"{camel(part)}Logs", LogGroupName=log_group_name(part), RetentionInDays=days
            )
        )
        for part in (*SERVICES, MIGRATIONS, OPERATIONS)
    }
    secret = hub.add_secret(template)
    starter = role(
        template,
        "ExecutionRole",
        "ecs-tasks",
        {
            "pull-images": pull_images(
                *(imported("registry", f"{camel(service)}RepositoryArn") for service in SERVICES)
            ),
            "write-logs": write_logs(*(arn_of_log_group(part) for part in groups)),
            "read-secrets": read_secrets(
                imported("database", "ApplicationSecret"), GetAtt(secret, "Id")
            ),
        },
    )
    _add_owners_tasks(template, architecture, Ref(groups[MIGRATIONS]))
    offer(template, STACK, "Name", Ref(cluster), "Name of the cluster")
    offer(template, STACK, "Arn", GetAtt(cluster, "Arn"), "ARN of the cluster")
    offer(
        template, STACK, "HubSecret", GetAtt(secret, "Id"), "Secret of our certificate at the hub"
    )
    offer(template, STACK, "ExecutionRole", GetAtt(starter, "Arn"), "What starts tasks")
    return template


def _add_owners_tasks(template: Template, architecture: Ref, group: Ref) -> None:
    """Add the tasks that know the schema's owner: migrations, and two users' rights.

    All bring the schema up to date, the others find it so, and give a user of the database its
    rights.
    """
    master = add_master_secret(template)
    secrets = {
        MIGRATIONS: imported("database", "ApplicationSecret"),
        OPERATIONS_ACCESS: imported("database", "OperationsSecret"),
        CONSOLE_ACCESS: imported("database", "ConsoleSecret"),
    }
    # Only these tasks may read the secret of the schema's owner.
    starter = role(
        template,
        "MigrationExecutionRole",
        "ecs-tasks",
        {
            "pull-images": pull_images(
                imported("registry", f"{camel(CHARGING_POINT)}RepositoryArn")
            ),
            "write-logs": write_logs(arn_of_log_group(MIGRATIONS)),
            "read-secrets": read_secrets(master, *secrets.values()),
        },
    )
    for name, secret in secrets.items():
        title = "Migration" if name == MIGRATIONS else camel(name)
        rights = "--grant-console" if name == CONSOLE_ACCESS else "--grant"
        definition = template.add_resource(
            task_definition(
                f"{title}Task",
                name,
                [
                    container(
                        CHARGING_POINT,
                        command=["python", "-m", "charging.database", "upgrade", rights],
                        environment=database_environment(),
                        secrets={
                            "DATABASE_USER": secret_key(master, "username"),
                            "DATABASE_PASSWORD": secret_key(master, "password"),
                            "APPLICATION_USER": secret_key(secret, "username"),
                            "APPLICATION_PASSWORD": secret_key(secret, "password"),
                        },
                        log_group=group,
                    )
                ],
                starter=GetAtt(starter, "Arn"),
                architecture=architecture,
            )
        )
        offer(template, STACK, f"{title}Task", Ref(definition), f"Task of the {name}")
