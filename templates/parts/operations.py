"""The operator's commands as a task that runs once: `make operations`.

Its image is that of the hub's service, which has the commands in it. It has a user of its own at
the database, nothing calls it, and what it prints goes to the caller's object and to no log.
"""

from __future__ import annotations

from troposphere import GetAtt, Template, ecs

from templates.exports import imported
from templates.iam.roles import role
from templates.iam.services import keep_files, pull_images, read_secrets, write_logs
from templates.naming import THIRD_PARTY, camel, log_group_name
from templates.parts.containers import (
    arn_of_log_group,
    container,
    database_environment,
    scratch,
    scratch_volumes,
    secret_key,
    stores,
    task_definition,
)

OPERATIONS = "operations"


def add_files_role(template: Template, title: str) -> object:
    """Add a role that may keep files and archives, for tasks with `stores`; return its ARN."""
    buckets = [imported("storage", name) for name in ("FilesArn", "ArchiveArn")]
    policy = keep_files(imported("storage", "KeyArn"), *buckets)
    return GetAtt(role(template, title, "ecs-tasks", {"keep-files": policy}), "Arn")


def add_operations(template: Template) -> ecs.TaskDefinition:
    """Add the task, for a template with `Architecture` and the image's tag."""
    secret = imported("database", "OperationsSecret")
    starter = role(
        template,
        "OperationsExecutionRole",
        "ecs-tasks",
        {
            "pull-images": pull_images(imported("registry", f"{camel(THIRD_PARTY)}RepositoryArn")),
            "write-logs": write_logs(arn_of_log_group(OPERATIONS)),
            "read-secrets": read_secrets(secret),
        },
    )
    return template.add_resource(
        task_definition(
            "OperationsTask",
            OPERATIONS,
            [
                container(
                    THIRD_PARTY,
                    name=OPERATIONS,
                    command=["python", "-m", "operations", "--help"],
                    environment=database_environment() | stores(),
                    secrets={
                        "DATABASE_USER": secret_key(secret, "username"),
                        "DATABASE_PASSWORD": secret_key(secret, "password"),
                    },
                    log_group=log_group_name(OPERATIONS),
                    **scratch(),
                )
            ],
            starter=GetAtt(starter, "Arn"),
            memory="1024",
            Volumes=scratch_volumes(),
            TaskRoleArn=add_files_role(template, "OperationsTaskRole"),
        )
    )
