"""Pipelines and people, by the real Makefile and the real AWS CLI, in an account that was empty.

The tests are a story and run in order. What CodePipeline itself does is only recorded.
"""

import json
import os
import pty
import re
import shlex
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from scripts.cloud.__main__ import LOGS
from templates.__main__ import OPTIONAL
from templates.stacks import access
from tests.databases import with_database

TOKEN = "ghp_" + "a1B2c3D4e5" * 3
SERVICES = ("charging-point", "third-party")
SECRET = "vni-cpo-staging-github"
HERE = {"ENVIRONMENT": "staging", "GITHUB_REPOSITORY": "vni/backend"}


@pytest.fixture(scope="module")
def staging(account):
    return account.deploy(
        "staging", ALARM_EMAIL="on-call@vni.example", GITHUB_REPOSITORY="vni/backend"
    )


@pytest.fixture(scope="module")
def token(account, staging):
    return store(account, TOKEN)


@pytest.fixture(scope="module")
def pipelines(account, token):
    return deploy(account)


def deploy(account, **more):
    run = account.make("deploy-delivery-pipeline", **HERE, **more)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def store(account, text):
    """Pipe a token in; return what was said."""
    run = subprocess.run(
        ["make", f"VENV={account.venv}", "store-github-token"],
        cwd=account.project,
        env={**account.variables, "ENVIRONMENT": "staging"},
        input=text + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert text not in run.stdout + run.stderr
    return run.stdout


def secret(account):
    answer = account.client("secretsmanager").get_secret_value(SecretId=SECRET)
    return json.loads(answer["SecretString"])


def pipeline(account, service):
    """A recorded pipeline: stage → actions."""
    (record,) = [
        r["Properties"]
        for r in account.recorded("AWS::CodePipeline::Pipeline")
        if r["Properties"]["Name"] == f"vni-backend-{service}-staging"
    ]
    return record, {stage["Name"]: stage["Actions"] for stage in record["Stages"]}


# --- what was asked for wrongly -----------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "variables", "expected"),
    [
        ("deploy-delivery-pipeline", {}, "GITHUB_REPOSITORY is not set: give owner and name"),
        ("deploy-delivery-pipeline", {"GITHUB_REPOSITORY": "backend"}, "as owner/name"),
        (
            "deploy-delivery-pipeline",
            {"GITHUB_REPOSITORY": "vni/backend", "CONNECTION_ARN": "arn:aws:s3:::x"},
            "which is no ARN of a CodeConnections connection",
        ),
        (
            "deploy-delivery-pipeline",
            {"GITHUB_REPOSITORY": "vni/backend", "BRANCH": "a b"},
            "which is no name of a branch",
        ),
        (
            "deploy-delivery-pipeline",
            {"GITHUB_REPOSITORY": "vni/backend", "PROMOTE_FROM": "Prod!"},
            "which is no name of an environment",
        ),
        (
            "deploy-delivery-pipeline",
            {"GITHUB_REPOSITORY": "vni/backend"},
            "no services to deliver to; `make deploy-backend-services` makes them",
        ),
        ("store-github-token", {}, "that is no GitHub token"),
        ("deploy-access", {"ENVIRONMENT": "UPPER"}, "ENVIRONMENT is 'UPPER'"),
    ],
)
def test_what_is_asked_for_wrongly_is_refused_and_nothing_is_made(
    account, target, variables, expected
):
    run = account.make(target, **{"ENVIRONMENT": "empty", **variables})
    assert run.returncode == 2
    assert expected in run.stderr
    assert len([line for line in run.stderr.splitlines() if "make: ***" not in line]) == 1
    stacks = account.client("cloudformation").describe_stacks()["Stacks"]
    assert not [stack for stack in stacks if stack["StackName"].endswith("-empty")]


def test_without_a_token_nobody_begins(account, staging):
    run = account.make("deploy-delivery-pipeline", **HERE)
    assert run.returncode == 2
    assert "no GitHub token is stored; `make store-github-token` asks for it" in run.stderr
    assert OPTIONAL.keys().isdisjoint(
        stack["StackName"].removeprefix("vni-cpo-").removesuffix("-staging")
        for stack in account.client("cloudformation").describe_stacks()["Stacks"]
    )


# --- the token ----------------------------------------------------------------------------


def test_a_token_is_stored_and_shown_nowhere(account, token):
    kept = secret(account)
    assert kept["token"] == TOKEN
    assert len(kept["webhook"]) >= 32
    assert "already" in store(account, TOKEN)
    assert secret(account) == kept
    for file in account.project.rglob("*"):
        if file.is_file() and file.stat().st_size < 1_000_000 and ".git/" not in str(file):
            assert TOKEN not in file.read_text(errors="replace"), file


def test_a_terminal_does_not_echo_it(account, staging):
    """The real thing: a person at a terminal types it."""
    master, slave = pty.openpty()
    program = subprocess.Popen(
        [account.python, "-m", "scripts.cloud", "store-github-token"],
        cwd=account.project,
        env={**account.variables, "ENVIRONMENT": "staging", "PYTHONUNBUFFERED": "1"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )
    os.close(slave)
    seen = b""
    while b"not shown" not in seen:
        seen += os.read(master, 1000)
    os.write(master, b"ghp_" + b"typed00000" * 3 + b"\n")
    while True:
        try:
            piece = os.read(master, 1000)
        except OSError:  # the other end is gone
            break
        if not piece:
            break
        seen += piece
    assert program.wait(60) == 0, seen
    assert b"typed00000" not in seen
    assert b"Stored in vni-cpo-staging-github" in seen
    assert secret(account)["token"] == "ghp_" + "typed00000" * 3
    store(account, TOKEN)


# --- what exists --------------------------------------------------------------------------


def test_the_pipelines_are_there_and_a_second_run_changes_nothing(account, pipelines):
    assert re.search(r"^The pipelines are there in \d+ s\.$", pipelines, re.MULTILINE)
    for service in SERVICES:
        assert f"  vni-backend-{service}-staging\n" in pipelines
    assert "Nothing changed" in deploy(account)
    plan = account.make("plan", ENVIRONMENT="staging", WHITELIST_IP="203.0.113.7")
    assert re.search(r"^deployment-pipeline +no changes$", plan.stdout, re.MULTILINE), plan.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_commit_goes_through_every_step_in_order(account, pipelines, service):
    properties, stages = pipeline(account, service)
    assert list(stages) == ["Source", "Build", "Test", "Approve", "Release"]
    steps = [
        (stage, action["Name"], action["ActionTypeId"]["Provider"])
        for stage, actions in stages.items()
        for action in sorted(actions, key=lambda a: int(a["RunOrder"]))
    ]
    assert steps == [
        ("Source", "Source", "GitHub"),
        ("Build", "Build", "CodeBuild"),
        ("Test", "Migrate", "CodeBuild"),
        ("Test", "Deploy", "ECS"),
        ("Test", "Charge", "CodeBuild"),
        ("Approve", "Approve", "Manual"),
        ("Release", "Migrate", "CodeBuild"),
        ("Release", "Deploy", "ECS"),
    ]
    # What a step takes, one before it has made.
    made = set()
    for actions in stages.values():
        for action in actions:
            assert {a["Name"] for a in action.get("InputArtifacts", [])} <= made
        made |= {a["Name"] for action in actions for a in action.get("OutputArtifacts", [])}
    (_, deploy_test, _), (_, release) = stages["Test"], stages["Release"]
    assert deploy_test["Configuration"]["ServiceName"] == f"vni-backend-{service}-staging-test"
    assert release["Configuration"]["ServiceName"] == f"vni-backend-{service}-staging"
    assert properties["ArtifactStore"]["EncryptionKey"]["Type"] == "KMS"
    projects = {p["name"] for p in codebuild(account)}
    for stage in stages.values():
        for action in stage:
            name = action["Configuration"].get("ProjectName")
            assert name is None or name in projects


def codebuild(account):
    client = account.client("codebuild")
    return client.batch_get_projects(names=client.list_projects()["projects"])["projects"]


@pytest.mark.parametrize("service", SERVICES)
def test_the_source_is_github_with_the_token_and_a_webhook(account, pipelines, service):
    _, stages = pipeline(account, service)
    configuration = stages["Source"][0]["Configuration"]
    assert configuration["Owner"] == "vni"
    assert configuration["Repo"] == "backend"
    assert configuration["Branch"] == "main"
    kept = secret(account)
    # As CloudFormation resolved it: the dynamic reference names the secret's version.
    assert configuration["OAuthToken"] == kept["token"]
    (webhook,) = [
        r["Properties"]
        for r in account.recorded("AWS::CodePipeline::Webhook")
        if r["Properties"]["TargetPipeline"] == f"vni-backend-{service}-staging"
    ]
    assert webhook["AuthenticationConfiguration"] == {"SecretToken": kept["webhook"]}
    assert webhook["Filters"] == [{"JsonPath": "$.ref", "MatchEquals": "refs/heads/{Branch}"}]


@pytest.mark.parametrize("service", SERVICES)
def test_approval_leads_to_what_will_change(account, pipelines, service):
    _, stages = pipeline(account, service)
    (approval,) = stages["Approve"]
    topic = account.outputs("vni-cpo-alerts-staging")["Topic"]
    assert approval["Configuration"]["NotificationArn"] == topic
    assert approval["Configuration"]["ExternalEntityLink"] == "#{Build.CHANGES_URL}"
    assert stages["Build"][0]["Namespace"] == "Build"


def test_the_tests_are_apart_from_what_drivers_use(account, pipelines):
    ecs = account.client("ecs")
    names = [f"vni-backend-{service}-staging-test" for service in SERVICES]
    found = ecs.describe_services(cluster="vni-cpo-staging", services=names)["services"]
    assert [(s["serviceName"], s["desiredCount"]) for s in found] == [(n, 1) for n in names]
    for service in found:
        definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])
        (container,) = definition["taskDefinition"]["containerDefinitions"]
        variables = {e["name"]: e["value"] for e in container["environment"]}
        assert variables["DATABASE_NAME"] == "vni_test"
        assert all("database-test" in s["valueFrom"] for s in container["secrets"])
        assert definition["taskDefinition"]["cpu"] == "256"
    elb = account.client("elbv2")
    (balancer,) = [
        b
        for b in elb.describe_load_balancers()["LoadBalancers"]
        if b["DNSName"] == account.outputs("vni-cpo-test-services-staging")["Host"]
    ]
    assert balancer["Scheme"] == "internal"
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert {(one["Port"], one["Protocol"]) for one in listeners} == {
        (443, "HTTPS"),
        (8443, "HTTPS"),
    }


def test_only_builds_reach_the_tests(account, pipelines):
    ec2 = account.client("ec2")
    filters = [{"Name": "tag:Environment", "Values": ["staging"]}]
    found = {
        next(t["Value"] for t in g["Tags"] if t["Key"] == "Name"): g
        for g in ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    }
    builds, balancer, tasks = (
        found[f"vni-cpo-staging-{name}"] for name in ("builds", "testbalancer", "testtasks")
    )

    def sources(group):
        for rule in group["IpPermissions"]:
            assert not rule["IpRanges"]
            for pair in rule["UserIdGroupPairs"]:
                yield rule["FromPort"], pair["GroupId"]

    assert set(sources(balancer)) == {(443, builds["GroupId"]), (8443, builds["GroupId"])}
    assert set(sources(tasks)) == {(9000, balancer["GroupId"]), (9100, balancer["GroupId"])}
    assert builds["IpPermissions"] == []
    database = set(sources(found["vni-cpo-staging-database"]))
    assert {(5432, builds["GroupId"]), (5432, tasks["GroupId"])} < database


def test_code_that_nobody_approved_sees_no_real_secret(account, pipelines):
    iam = account.client("iam")
    master = account.outputs("vni-cpo-database-staging")["MasterSecret"]
    application = account.outputs("vni-cpo-database-staging")["ApplicationSecret"]
    for project in codebuild(account):
        role = project["serviceRole"].rsplit("/", 1)[1]
        text = "".join(
            json.dumps(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
        )
        live = project["name"] == "vni-cpo-staging-migrate-live"
        assert (master in text) == (application in text) == live, project["name"]
        for variable in project["environment"]["environmentVariables"]:
            if "PASSWORD" in variable["name"]:
                assert variable["type"] == "SECRETS_MANAGER"
        assert project["environment"]["privilegedMode"] == project["name"].endswith("-build")


def test_the_tests_database_is_made_and_its_owner_has_nothing_else(server_url, account, pipelines):
    name = f"{account.number}_vni-cpo-staging_vni_test"
    answer = account.client("secretsmanager").get_secret_value(
        SecretId="vni-cpo-staging-database-test"
    )
    user = json.loads(answer["SecretString"])
    assert user["username"] == "vni_test"
    with psycopg.connect(with_database(server_url, name), autocommit=True) as database:
        owner = database.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert owner == ("vni_test",)
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    real = with_database(server_url, f"{account.number}_vni-cpo-staging")
    with psycopg.connect(real, autocommit=True) as database:
        database.execute("SET ROLE vni_test")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.execute("SELECT count(*) FROM sessions")


def test_artifacts_are_private(account, pipelines):
    bucket = account.outputs("vni-cpo-builds-staging")["Artifacts"]
    s3 = account.client("s3")
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Statement"][0]["Effect"] == "Deny"


def test_failures_are_told(account, pipelines):
    events = account.client("events")
    name = "vni-cpo-staging-pipeline-failed"
    pattern = json.loads(events.describe_rule(Name=name)["EventPattern"])
    assert pattern["detail"] == {
        "state": ["FAILED"],
        "pipeline": [f"vni-backend-{service}-staging" for service in SERVICES],
    }
    (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
    assert target["Arn"] == account.outputs("vni-cpo-alerts-staging")["Topic"]
    (alarm,) = account.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["AlarmActions"] == [target["Arn"]]


def test_somebody_hears_alarms_and_they_lead_to_the_runbook(account, staging):
    sns = account.client("sns")
    topic = account.outputs("vni-cpo-alerts-staging")["Topic"]
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "on-call@vni.example")
    alarms = account.client("cloudwatch").describe_alarms(AlarmNamePrefix="vni-cpo-staging-")
    assert len(alarms["MetricAlarms"]) > 15
    for alarm in alarms["MetricAlarms"]:
        short = alarm["AlarmName"].removeprefix("vni-cpo-staging-")
        link = f"https://github.com/vni/backend/blob/main/docs/runbook.md#{short}"
        assert alarm["AlarmDescription"].endswith(link)
        assert alarm["AlarmActions"] == [topic]


def test_the_dashboard_is_on_what_was_made(account, staging):
    cloudwatch = account.client("cloudwatch")
    body = json.loads(cloudwatch.get_dashboard(DashboardName="vni-cpo-staging")["DashboardBody"])
    lines = [line for w in body["widgets"] for line in w["properties"].get("metrics", [])]
    named = {line[place]: line[place + 1] for line in lines for place in range(2, len(line) - 1, 2)}
    assert named["DBClusterIdentifier"] == "vni-cpo-staging"
    assert named["Environment"] == "staging"
    nats = account.client("ec2").describe_nat_gateways()["NatGateways"]
    assert named["NatGatewayId"] in {n["NatGatewayId"] for n in nats}
    assert "${" not in json.dumps(body)


def test_deployments_are_taken_back_by_alarms(account, staging):
    found = account.client("ecs").describe_services(
        cluster="vni-cpo-staging", services=[f"vni-backend-{s}-staging" for s in SERVICES]
    )["services"]
    for service, name in zip(found, SERVICES, strict=True):
        configuration = service["deploymentConfiguration"]
        assert configuration["alarms"] == {
            "enable": True,
            "rollback": True,
            "alarmNames": [
                f"vni-cpo-staging-{name}-tasks-unhealthy",
                f"vni-cpo-staging-{name}-5xx",
            ],
        }
        assert configuration["deploymentCircuitBreaker"]["rollback"] is True


# --- the build, for real ------------------------------------------------------------------


DELIVER = """
from scripts import pipeline
pipeline.RESULTS.mkdir(parents=True, exist_ok=True)
pipeline._deliver(pipeline._connect(), pipeline.IMAGES["third-party"])
"""


def in_codebuild(account, project, program, environment="staging", **more):
    """Run a piece of Python as CodeBuild would, with the variables of the project that was made."""
    (made,) = [p for p in codebuild(account) if p["name"] == f"vni-cpo-{environment}-{project}"]
    variables = {
        v["name"]: v["value"]
        for v in made["environment"]["environmentVariables"]
        if v["type"] == "PLAINTEXT"
    }
    return subprocess.run(
        [account.python, "-c", program],
        cwd=account.project,
        env={
            **account.variables,
            **variables,
            "CODEBUILD_BUILD_ID": "1",
            "PYTHONPATH": str(account.project),
            **more,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def deliver(account, commit):
    """Do the part of the build that lint and tests come before, and that talks to AWS."""
    return in_codebuild(account, "third-party-build", DELIVER, COMMIT_ID=commit)


def digest_in(account, repository, tag):
    (image,) = account.client("ecr").describe_images(
        repositoryName=repository, imageIds=[{"imageTag": tag}]
    )["imageDetails"]
    return image["imageDigest"]


def test_what_is_built_is_pushed_scanned_and_handed_on(account, pipelines):
    run = deliver(account, "0123456789abcdef0123456789abcdef01234567")
    assert run.returncode == 0, run.stderr
    results = account.project / "build/pipeline"
    for file, names in (("-test", ["third-party"]), ("", ["third-party", "relay"])):
        handed = json.loads((results / f"imagedefinitions{file}.json").read_text())
        assert [image["name"] for image in handed] == names
        for image in handed:
            assert image["imageUri"].endswith("vni-backend-third-party-staging:0123456789ab")
    images = account.client("ecr").describe_images(
        repositoryName="vni-backend-third-party-staging",
        imageIds=[{"imageTag": "0123456789ab"}],
    )
    assert len(images["imageDetails"]) == 1
    told = (results / "variables").read_text()
    assert "export IMAGE_TAG=0123456789ab\n" in told
    assert re.search(
        r"CHANGES_URL=https://github.com/vni/backend/compare/[0-9a-f]{12}\.\.\.0123456789abcdef",
        told,
    )


# The second kind of scan is Amazon Inspector's, which never ends and has another form.
@pytest.mark.parametrize("kind", ["", "watch"])
def test_what_a_scan_finds_stops_the_commit_unless_it_is_accepted(account, pipelines, kind):
    good, bad = f"{kind}good23456789abcdef", f"{kind}bad23456789abcdef"
    assert deliver(account, good).returncode == 0
    run = deliver(account, bad)
    assert run.returncode == 1
    assert "CVE-2026-0001" in run.stderr
    accepted = account.project / "requirements/accepted-findings.toml"
    text = accepted.read_text()
    today = datetime.now(UTC).date()

    def accept(until):
        entry = f'name = "CVE-2026-0001"\nreason = "no fix yet"\nuntil = {until}\n'
        accepted.write_text(f"{text}\n[[finding]]\n{entry}")
        return deliver(account, bad)

    run = accept(today)
    assert run.returncode == 0, run.stderr
    assert f"CVE-2026-0001 is accepted: no fix yet (until {today})" in run.stdout
    assert accept(today - timedelta(days=1)).returncode == 1
    run = accept(today + timedelta(days=91))
    accepted.write_text(text)
    assert run.returncode == 1
    assert "accepted for more than 90 days" in run.stderr


def test_the_base_of_the_images_is_pinned_for_all(account):
    files = sorted(account.project.glob("*/Dockerfile"))
    assert len(files) == 3
    before = [file.read_text() for file in files]
    run = account.make("pin-base-image")
    after = [file.read_text() for file in files]
    again = account.make("pin-base-image")
    for file, text in zip(files, before, strict=True):
        file.write_text(text)
    assert run.returncode == again.returncode == 0, run.stderr
    line = (
        "ARG PYTHON_IMAGE=public.ecr.aws/docker/library/python:3.13-slim@sha256:"
        + "0123456789abcdef" * 4
    )
    for text, pinned in zip(before, after, strict=True):
        assert pinned.splitlines()[:-1].count(line) == 1
        assert len(pinned.splitlines()) == len(text.splitlines())


def test_the_image_that_runs_is_kept_from_expiring(account, pipelines):
    """A push is what lets images expire, and the registry knows nothing of ECS."""
    ecr, name = account.client("ecr"), "vni-backend-third-party-staging"
    ecs = account.client("ecs")
    (service,) = ecs.describe_services(cluster="vni-cpo-staging", services=[name])["services"]
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    tag = task["containerDefinitions"][0]["image"].rsplit(":", 1)[1]

    assert digest_in(account, name, f"released-{tag}") == digest_in(account, name, tag)
    policy = json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"])
    first, second = sorted(policy["rules"], key=lambda rule: rule["rulePriority"])
    assert first["selection"]["tagPrefixList"] == ["released-"]
    assert first["selection"]["countNumber"] == 1000
    assert second["selection"]["tagStatus"] == "any"


def test_a_change_of_settings_keeps_what_the_pipeline_released(account, pipelines):
    ecs, name = account.client("ecs"), "vni-backend-third-party-staging"

    def images():
        (service,) = ecs.describe_services(cluster="vni-cpo-staging", services=[name])["services"]
        task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])
        return task["taskDefinition"], {
            c["image"] for c in task["taskDefinition"]["containerDefinitions"]
        }

    # As the pipeline's action of ECS does: past CloudFormation.
    assert deliver(account, "0123456789abcdef0123456789abcdef01234567").returncode == 0
    task, (image,) = images()
    released = f"{image.rsplit(':', 1)[0]}:0123456789ab"
    containers = [c | {"image": released} for c in task["containerDefinitions"]]
    kept = ("family", "networkMode", "cpu", "memory", "requiresCompatibilities", "taskRoleArn")
    ecs.register_task_definition(
        **{key: task[key] for key in (*kept, "executionRoleArn") if key in task},
        containerDefinitions=containers,
    )
    ecs.update_service(cluster="vni-cpo-staging", service=name, taskDefinition=task["family"])
    assert images()[1] == {released}
    account.deploy("staging", CHARGING_POINTS="40000", ALARM_EMAIL="somebody@vni.example")
    assert images()[1] == {released}
    # The other service's deployment touches it as little.
    account.deploy("staging", target="deploy-cp-backend")
    assert images()[1] == {released}


WHERE = """
import json
from scripts import pipeline
pipeline.RESULTS.mkdir(parents=True, exist_ok=True)
print(json.dumps(pipeline._where_the_test_is(pipeline._connect())))
"""


def test_the_test_knows_whom_to_trust_and_what_to_drain(account, pipelines):
    run = in_codebuild(account, "charging-point-test", WHERE)
    assert run.returncode == 0, run.stderr
    where = json.loads(run.stdout)
    authority = account.project / "var/certificates/staging/ca.pem"
    assert Path(where["ACCEPTANCE_CA_FILE"]).read_text() == authority.read_text()
    assert where["ACCEPTANCE_HOST"] == account.outputs("vni-cpo-test-services-staging")["Host"]
    assert where["ACCEPTANCE_TLS_NAME"] == "charging-point.staging.vni.internal"
    ecs, name = account.client("ecs"), "vni-backend-charging-point-staging-test"

    def deployment():
        answer = ecs.describe_services(cluster="vni-cpo-staging", services=[name])
        return answer["services"][0]["deployments"][0]["id"]

    before = deployment()
    subprocess.run(
        shlex.split(where["ACCEPTANCE_DRAIN"]),
        env={**account.variables, **where},
        check=True,
        capture_output=True,
    )
    assert deployment() != before


# --- a new token, people, and the end -----------------------------------------------------


def test_a_new_token_is_a_change_of_the_stack(account, pipelines):
    new = "ghp_" + "z9Y8x7W6v5" * 3
    webhook = secret(account)["webhook"]
    store(account, new)
    assert secret(account) == {"token": new, "webhook": webhook}
    said = deploy(account)
    assert re.search(r"deployment-pipeline +deployed", said)
    _, stages = pipeline(account, "third-party")
    assert stages["Source"][0]["Configuration"]["OAuthToken"] == new


def test_people_are_in_groups_with_what_was_tested(account, staging):
    run = account.make("deploy-access", ENVIRONMENT="staging")
    assert run.returncode == 0, run.stderr
    iam = account.client("iam")
    for group in ("administrators", "developers", "observers"):
        name = f"vni-cpo-staging-{group}"
        answer = iam.get_group(GroupName=name)
        assert [u["UserName"] for u in answer["Users"]] == [f"vni-cpo-staging-example-{group[:-1]}"]
        attached = iam.list_attached_group_policies(GroupName=name)["AttachedPolicies"]
        wanted = {f"vni-cpo-staging-{policy}" for policy in access.GROUPS[group]}
        assert {policy["PolicyName"] for policy in attached} == wanted
        # One that is a group's own is for whoever has a hosted zone.
        assert iam.list_group_policies(GroupName=name)["PolicyNames"] == []
    user = "vni-cpo-staging-example-observer"
    assert iam.list_access_keys(UserName=user)["AccessKeyMetadata"] == []
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_login_profile(UserName=user)
    assert "Nothing changed" in account.make("deploy-access", ENVIRONMENT="staging").stdout


def test_logs_can_be_followed_for_one_charging_point(account, staging):
    logs = account.client("logs")
    group = "/vni/staging/charging-point"
    logs.create_log_stream(logGroupName=group, logStreamName="test")
    now = int(time.time() * 1000)
    lines = [
        json.dumps({"event": "connected", "charging_point": name}) for name in ("CP1", "CP2", "CP1")
    ]
    logs.put_log_events(
        logGroupName=group,
        logStreamName="test",
        logEvents=[{"timestamp": now + n, "message": line} for n, line in enumerate(lines)],
    )
    program = subprocess.Popen(
        [account.python, "-m", "scripts.cloud", "tail-logs", "charging-point"],
        cwd=account.project,
        env={**account.variables, "ENVIRONMENT": "staging", "CHARGING_POINT": "CP1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    # What is written afterwards comes too; it is the last that is waited for.
    seen: list[str] = []
    try:
        while len(seen) < 2:
            line = program.stdout.readline()
            assert line, "it ended"
            if "{" in line:
                seen.append(json.loads(line[line.index("{") :])["charging_point"])
    finally:
        program.terminate()
        program.wait(30)
    assert seen == ["CP1", "CP1"]


def test_every_log_that_can_be_followed_is_there(account, pipelines):
    groups = account.client("logs").describe_log_groups(logGroupNamePrefix="/vni/staging/")
    names = {g["logGroupName"].removeprefix("/vni/staging/") for g in groups["logGroups"]}
    assert set(LOGS) - {"console"} <= names  # which is there by choice


DELETE = """
from scripts.cloud import pipelines, environment, inputs
from scripts.cloud.aws import Aws
import os
aws = Aws(inputs.target(os.environ))
for stack in ("deployment-pipeline", "builds", "test-services"):
    environment._delete(aws, stack)
pipelines.forget(aws)
"""


# --- what another environment runs ----------------------------------------------------------


PROMOTE = """
from scripts import pipeline
pipeline.RESULTS.mkdir(parents=True, exist_ok=True)
pipeline._build(pipeline.IMAGES["third-party"])
"""


@pytest.fixture(scope="module")
def live(account, pipelines):
    """Another environment, whose pipelines release what staging runs."""
    account.deploy("live")
    run = account.make(
        "deploy-delivery-pipeline",
        ENVIRONMENT="live",
        GITHUB_REPOSITORY="vni/backend",
        CONNECTION_ARN="arn:aws:codeconnections:eu-central-1:123456789012:connection/x",
        PROMOTE_FROM="staging",
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def image_that_runs(account, environment, service):
    """(tag, digest) of what a service runs."""
    (found,) = account.client("ecs").describe_services(
        cluster=f"vni-cpo-{environment}", services=[f"vni-backend-{service}-{environment}"]
    )["services"]
    task = account.client("ecs").describe_task_definition(taskDefinition=found["taskDefinition"])
    image = task["taskDefinition"]["containerDefinitions"][0]["image"]
    repository, tag = image.rsplit("/", 1)[1].rsplit(":", 1)
    return tag, digest_in(account, repository, tag)


def test_a_pipeline_releases_what_another_environment_runs_by_digest(account, live):
    def build(commit):
        return in_codebuild(
            account, "third-party-build", PROMOTE, environment="live", COMMIT_ID=commit
        )

    tag, digest = image_that_runs(account, "staging", "third-party")
    did = len(account.engine_did())
    run = build("f" * 40)
    assert run.returncode == 1
    assert f"staging runs {tag} and not ffffffffffff, which this commit is" in run.stderr
    run = build(tag.ljust(40, "0"))
    assert run.returncode == 0, run.stderr
    assert digest_in(account, "vni-backend-third-party-live", tag) == digest
    handed = json.loads((account.project / "build/pipeline/imagedefinitions.json").read_text())
    assert {i["imageUri"].rsplit("/", 1)[1] for i in handed} == {
        f"vni-backend-third-party-live:{tag}"
    }
    assert len(account.engine_did()) == did


def test_it_waits_for_the_other_environment_and_not_for_commits(account, live):
    rules = {
        r["Name"]: json.loads(r["EventPattern"])
        for r in account.client("events").list_rules()["Rules"]
        if r["Name"].endswith("-promotion")
    }
    assert set(rules) == {f"vni-cpo-live-{service}-promotion" for service in SERVICES}
    for service in SERVICES:
        detail = rules[f"vni-cpo-live-{service}-promotion"]["detail"]
        assert detail == {"state": ["SUCCEEDED"], "pipeline": [f"vni-backend-{service}-staging"]}
    sources = [
        r["Properties"]["Stages"][0]["Actions"][0]["Configuration"]
        for r in account.recorded("AWS::CodePipeline::Pipeline")
        if r["Properties"]["Name"].endswith("-live")
    ]
    assert [str(source["DetectChanges"]).lower() for source in sources] == ["false", "false"]


def test_the_pipelines_go_with_what_they_left_in_their_bucket(account, pipelines):
    """As `make delete-environment` does; tests/cloud/test_deploying.py deletes the rest."""
    bucket = account.outputs("vni-cpo-builds-staging")["Artifacts"]
    account.client("s3").put_object(Bucket=bucket, Key="of/a/run", Body=b"x")
    run = subprocess.run(
        [account.python, "-c", DELETE],
        cwd=account.project,
        env={
            **account.variables,
            "ENVIRONMENT": "staging",
            "PYTHONPATH": str(account.project),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    left = account.recorded("AWS::CodePipeline::Pipeline")
    assert [r for r in left if r["Properties"]["Name"].endswith("-staging")] == []
    assert not {p["name"] for p in codebuild(account) if p["name"].startswith("vni-cpo-staging")}
    buckets = account.client("s3").list_buckets()["Buckets"]
    assert bucket not in {b["Name"] for b in buckets}
    secrets = account.client("secretsmanager").list_secrets()["SecretList"]
    assert not {s["Name"] for s in secrets} & {SECRET, "vni-cpo-staging-database-test"}
