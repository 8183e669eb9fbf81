"""What runs once a day: bills are booked, the energy is audited, old months are archived."""

from __future__ import annotations

import json

from troposphere import GetAtt, Ref, Sub, Template, scheduler

from templates.exports import imported, subnets
from templates.iam.roles import role
from templates.iam.services import run_task, tasks_of
from templates.naming import BOOKS, THIRD_PARTY, camel, log_group_name, named
from templates.parts.checks import skips
from templates.parts.containers import (
    container,
    database_environment,
    database_secrets,
    scratch,
    scratch_volumes,
    stores,
    task_definition,
)
from templates.parts.operations import add_files_role

# UTC, after the day that is audited; bills first, so that the audit sees them.
DAILY = {
    "book-bills": ("cron(30 1 * * ? *)", ["bills", "book"]),
    "audit-energy": ("cron(0 2 * * ? *)", ["audit", "run", "--metrics", "${Environment}"]),
    "maintain-data": ("cron(0 3 * * ? *)", ["maintain", "--metrics", "${Environment}"]),
}
"""Name → when, and words of `python -m operations`."""


def add_daily_tasks(template: Template) -> None:
    """Add them, for a template with the services' image tags, architecture and zones.

    They are tasks of the image that has the back office, with the database and nothing else.
    """
    keeper = add_files_role(template, "BooksTaskRole")
    task = template.add_resource(
        task_definition(
            "BooksTask",
            BOOKS,
            [
                container(
                    THIRD_PARTY,
                    name=BOOKS,
                    command=["python", "-m", "operations", "--help"],
                    environment=database_environment() | stores(),
                    secrets=database_secrets(),
                    log_group=log_group_name(THIRD_PARTY),
                    **scratch(),
                )
            ],
            starter=imported("cluster", "ExecutionRole"),
            cpu="512",
            memory="2048",
            Volumes=scratch_volumes(),
            TaskRoleArn=keeper,
        )
    )
    starter = role(
        template,
        "ScheduleRole",
        "scheduler",
        # Of any revision: a deployment must not wait for what it lets run.
        {"run-tasks": run_task(tasks_of(BOOKS), imported("cluster", "ExecutionRole"), keeper)},
        tag=BOOKS,
    )
    for name, (when, words) in DAILY.items():
        override = {"name": BOOKS, "command": ["python", "-m", "operations", *words]}
        overrides = json.dumps({"containerOverrides": [override]})
        template.add_resource(
            scheduler.Schedule(
                f"{camel(name)}Schedule",
                Name=named(name),
                ScheduleExpression=when,
                FlexibleTimeWindow=scheduler.FlexibleTimeWindow(Mode="OFF"),
                Target=scheduler.Target(
                    Arn=imported("cluster", "Arn"),
                    RoleArn=GetAtt(starter, "Arn"),
                    EcsParameters=scheduler.EcsParameters(
                        TaskDefinitionArn=Ref(task),
                        LaunchType="FARGATE",
                        NetworkConfiguration=scheduler.NetworkConfiguration(
                            AwsvpcConfiguration=scheduler.AwsVpcConfiguration(
                                AssignPublicIp="DISABLED",
                                SecurityGroups=[imported("firewall", "ThirdPartyTasks")],
                                Subnets=subnets("Private"),
                            )
                        ),
                        TaskCount=1,
                    ),
                    Input=Sub(overrides) if "${" in overrides else overrides,
                    # What could not be started at 2:00 is started until 3:00, and not twice.
                    RetryPolicy=scheduler.RetryPolicy(
                        MaximumEventAgeInSeconds=3600, MaximumRetryAttempts=10
                    ),
                ),
                Metadata=skips("it holds words of a command line, and no data", "CKV_AWS_297"),
            )
        )
