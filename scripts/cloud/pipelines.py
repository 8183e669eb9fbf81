"""The delivery pipelines, and the token by which they learn of commits; see docs/pipeline.md."""

from __future__ import annotations

import getpass
import json
import re
import secrets
import sys

from scripts.cloud import notes, plan, tasks
from scripts.cloud.aws import Aws, AwsError, temporary_files
from scripts.cloud.certificates import TEST, Certificates
from scripts.cloud.inputs import InputError
from scripts.cloud.stacks import deploy, look, outputs
from scripts.cloud.steps import NO_CHANGES, Work, run
from templates.naming import SERVICES, camel, name_of_test_service
from templates.stacks import builds, deployment_pipeline, test_services
from templates.stacks.test_services import DATABASE_TASK

_NOTE = DATABASE_TASK
_STACKS = (test_services.STACK, builds.STACK, deployment_pipeline.STACK)
_TOKEN = re.compile(r"[!-~]{20,255}")


def deploy_pipelines(aws: Aws, source: dict[str, str], alarm_parameters: dict[str, str]) -> None:
    """Bring the pipelines and their test services up to date. source: `inputs.source`.

    A protected environment's changes are shown and have to be confirmed. Raises InputError where
    they are not, and where the environment or the token is not there yet.
    """
    if "services" not in look(aws):
        raise InputError(
            f"{aws.target.environment} has no services to deliver to; "
            "`make deploy-backend-services` makes them"
        )
    if not source.get("ConnectionArn"):
        # A new version of the secret is a new parameter: else AWS would keep the old token.
        source = {**source, "TokenVersion": _token_version(aws)}
    certificates = Certificates(aws)
    parameters = {**source, **alarm_parameters, **_images_that_run(aws)}
    if deployment_pipeline.STACK in look(aws):
        plan.ask(aws, {stack: lambda: parameters for stack in _STACKS}, {})

    def with_certificate() -> dict[str, str]:
        return {**parameters, "CertificateArn": certificates.arns[TEST]}

    steps: dict[str, Work] = {
        "certificate of the tests": lambda: certificates.create(names=[TEST]),
        test_services.STACK: lambda: deploy(aws, test_services.STACK, with_certificate()),
        "database of the tests": lambda: _make_database(aws),
        **{f"test of {service}": _want_a_task(aws, service) for service in SERVICES},
        builds.STACK: lambda: deploy(aws, builds.STACK, with_certificate()),
        deployment_pipeline.STACK: lambda: deploy(aws, deployment_pipeline.STACK, parameters),
    }
    run(steps, "The pipelines are there")
    for service in SERVICES:
        print(f"  {outputs(aws, deployment_pipeline.STACK)[f'{camel(service)}Pipeline']}")


def store_token(aws: Aws) -> None:
    """Ask for the GitHub token without showing it, and keep it in Secrets Manager.

    The secret that GitHub signs its webhooks with is made once and stays. Raises InputError.
    """
    token = _ask()
    known = _secret(aws)
    content = {"token": token, "webhook": known.get("webhook") or secrets.token_urlsafe(32)}
    if known == content:
        print("This token is stored already.")
        return
    # A file, since everybody on a machine can read what stands on a command line.
    with temporary_files(secret=json.dumps(content).encode()) as files:
        text = ("--secret-string", f"file://{files['secret']}")
        if known:
            aws("secretsmanager", "put-secret-value", "--secret-id", _name(aws), *text)
        else:
            aws(
                *("secretsmanager", "create-secret", "--name", _name(aws), *text),
                *("--description", "GitHub token of the delivery pipelines, and of its webhooks"),
                *("--tags", f"Key=Environment,Value={aws.target.environment}"),
            )
    print(f"Stored in {_name(aws)}; `make deploy-delivery-pipeline` uses it.")


def make_room(aws: Aws) -> None:
    """Empty what would keep the builds' stack from going."""
    aws("s3", "rm", f"s3://{outputs(aws, builds.STACK)['Artifacts']}", "--recursive")


def forget(aws: Aws) -> None:
    """Take away what no stack owns: the token, and the note about the tests' database."""
    notes.forget(aws, _NOTE)
    try:
        aws(
            *("secretsmanager", "delete-secret", "--secret-id", _name(aws)),
            "--force-delete-without-recovery",
        )
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise


def _name(aws: Aws) -> str:
    return aws.target.spelled(deployment_pipeline.GITHUB_SECRET)


def _secret(aws: Aws) -> dict[str, str]:
    try:
        answer = aws("secretsmanager", "get-secret-value", "--secret-id", _name(aws))
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return {}
        raise
    content: dict[str, str] = json.loads(answer["SecretString"])
    return content


def _ask() -> str:
    if sys.stdin.isatty():
        token = getpass.getpass("GitHub token (it is not shown): ")
    else:
        token = sys.stdin.readline()
    token = token.strip()
    if not _TOKEN.fullmatch(token):
        raise InputError(
            "that is no GitHub token; make one with the scopes repo and admin:repo_hook, and type "
            "or pipe it in"
        )
    return token


def _token_version(aws: Aws) -> str:
    try:
        answer = aws("secretsmanager", "describe-secret", "--secret-id", _name(aws))
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            raise InputError(
                "no GitHub token is stored; `make store-github-token` asks for it, or give "
                "CONNECTION_ARN=…, a CodeConnections connection"
            ) from None
        raise
    stages: dict[str, list[str]] = answer["VersionIdsToStages"]
    return next(version for version, names in stages.items() if "AWSCURRENT" in names)


def _images_that_run(aws: Aws) -> dict[str, str]:
    """Return the parameters of the images that the environment was last deployed with."""
    given = {p["ParameterKey"]: p["ParameterValue"] for p in look(aws)["services"]["Parameters"]}
    return {f"{camel(service)}ImageTag": given[f"{camel(service)}ImageTag"] for service in SERVICES}


def _make_database(aws: Aws) -> str:
    stack = outputs(aws, test_services.STACK)
    definition = stack["DatabaseTask"]
    if notes.read(aws, _NOTE) == definition:
        return NO_CHANGES
    tasks.run_to_its_end(
        aws, "making of the database", definition, stack["TasksGroup"], DATABASE_TASK
    )
    notes.write(aws, _NOTE, definition)
    return "made, or brought up to date"


def _want_a_task(aws: Aws, service: str) -> Work:
    def work() -> str:
        cluster = outputs(aws, "cluster")["Name"]
        where = ("--cluster", cluster)
        name = aws.target.spelled(name_of_test_service(service))
        found = aws("ecs", "describe-services", *where, "--services", name)["services"][0]
        if found["desiredCount"]:
            return NO_CHANGES
        aws("ecs", "update-service", *where, "--service", name, "--desired-count", "1")
        tasks.wait_until_stable(aws, cluster, name)
        return "one task runs"

    return work
