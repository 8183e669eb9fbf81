"""An environment that has a console by choice, and is without it again."""

from __future__ import annotations

import re

import psycopg
import pytest

from operations.console.balancer_sign_in import GROUPS, BalancerSignIn
from operations.console.settings import from_environment
from templates.stacks import console
from tests.databases import with_database

WHERE = {
    "ENVIRONMENT": "staging",
    "CONSOLE_ADDRESSES": "198.51.100.0/24, 203.0.113.9",
    "HOSTED_ZONE": "Z0123STAGING",
    "DOMAIN": "staging.vni.example",
}
STACK = "vni-cpo-console-staging"


@pytest.fixture(scope="module")
def whole(account):
    """An environment without a console."""
    return account.deploy("staging")


@pytest.fixture(scope="module")
def deployed(account, whole):
    """What was said as it got one."""
    run = account.make("deploy-console", **WHERE)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def stacks(account):
    found = account.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"] for stack in found}


def container_of(account, environment="staging"):
    (service,) = account.client("ecs").describe_services(
        cluster=f"vni-cpo-{environment}", services=[f"vni-backend-console-{environment}"]
    )["services"]
    task = account.client("ecs").describe_task_definition(taskDefinition=service["taskDefinition"])
    (container,) = task["taskDefinition"]["containerDefinitions"]
    return service, container


def listener_of(account):
    elb = account.client("elbv2")
    (balancer,) = [
        b
        for b in elb.describe_load_balancers()["LoadBalancers"]
        if "onsole" in b["LoadBalancerName"] or "onsole" in b["LoadBalancerArn"]
    ]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    return balancer, listener


def test_an_environment_is_without_it_unless_somebody_says_so(account, whole):
    assert STACK not in stacks(account)
    built = [words for words in account.engine_did() if words[0] == "build"]
    assert not [words for words in built if "operations/Dockerfile" in words]
    status = account.make("environment-status", ENVIRONMENT="staging")
    assert re.search(r"^  console +not there \(make deploy-console\)$", status.stdout, re.MULTILINE)
    assert status.returncode == 0, status.stdout + status.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"CONSOLE_ADDRESSES": ""}, "CONSOLE_ADDRESSES is not set"),
        ({"HOSTED_ZONE": "", "DOMAIN": ""}, "HOSTED_ZONE and DOMAIN are not set"),
        ({"CONSOLE_ADDRESSES": "198.51.100.1/24"}, "did you mean 198.51.100.0/24?"),
        ({"CONSOLE_SIGN_IN": "google"}, "CONSOLE_SIGN_IN is 'google'; give cognito or local"),
    ],
)
def test_what_is_lacking_is_said_before_anything_is_touched(account, whole, given, said):
    before = stacks(account), account.engine_did()
    run = account.make("deploy-console", **{**WHERE, **given})
    assert run.returncode == 2
    assert said in run.stderr
    assert (stacks(account), account.engine_did()) == before


def test_it_starts_with_its_image_its_settings_and_its_user(account, deployed):
    assert "operators open               https://console.staging.vni.example/" in deployed
    service, container = container_of(account)
    assert service["runningCount"] == service["desiredCount"] == 1
    assert container["command"] == ["python", "-m", "operations.console"]
    assert container["readonlyRootFilesystem"] is True
    assert container["user"] == "10001:10001"
    assert all("database-console" in secret["valueFrom"] for secret in container["secrets"])
    status = account.make("environment-status", ENVIRONMENT="staging").stdout
    assert re.search(r"^  vni-backend-console-staging +1 of 1 tasks$", status, re.MULTILINE)
    (push,) = [w for w in account.engine_did() if w[0] == "push" and "console" in w[-1]]
    assert push[-1] == container["image"]
    # The program takes what it is told, down to the last name.
    told = {v["name"]: v["value"] for v in container["environment"]}
    settings = from_environment(
        {name: value for name, value in told.items() if name.startswith("CONSOLE_")}
    )
    BalancerSignIn(settings)
    outputs = account.outputs(STACK)
    balancer, _ = listener_of(account)
    assert settings.oidc_signer == balancer["LoadBalancerArn"]
    assert settings.oidc_issuer.endswith(f"/{outputs['ConsolePeople']}")
    assert settings.oidc_sign_out.endswith("&logout_uri=https://console.staging.vni.example/")
    assert (settings.secure, settings.forwarded_hops, settings.statement_timeout) == (True, 1, 2.0)


def test_people_sign_in_at_the_load_balancer_and_programs_do_not(account, deployed):
    _, listener = listener_of(account)
    first, then = sorted(listener["DefaultActions"], key=lambda action: action["Order"])
    assert (first["Type"], then["Type"]) == ("authenticate-cognito", "forward")
    rules = account.client("elbv2").describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    (rule,) = [rule for rule in rules if not rule["IsDefault"]]
    assert [action["Type"] for action in rule["Actions"]] == ["forward"]
    (condition,) = rule["Conditions"]
    assert condition["PathPatternConfig"]["Values"] == ["/api/*"]


def test_nobody_makes_himself_an_account_and_everybody_has_a_second_factor(account, deployed):
    cognito = account.client("cognito-idp")
    pool = account.outputs(STACK)["ConsolePeople"]
    found = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]
    assert found["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert found["MfaConfiguration"] == "ON"
    groups = {g["GroupName"] for g in cognito.list_groups(UserPoolId=pool)["Groups"]}
    assert groups == set(GROUPS) == set(console.GROUPS)
    (client,) = cognito.list_user_pool_clients(UserPoolId=pool)["UserPoolClients"]
    secret = cognito.describe_user_pool_client(UserPoolId=pool, ClientId=client["ClientId"])[
        "UserPoolClient"
    ]["ClientSecret"]
    # The load balancer asks for it itself.
    assert secret
    described = account.client("cloudformation").describe_stacks(StackName=STACK)
    assert secret not in str(described) + deployed + str(container_of(account))


def test_only_admitted_addresses_come_in_and_only_it_is_let_to_the_database(account, deployed):
    groups = account.client("ec2").describe_security_groups()["SecurityGroups"]
    by_description = {group["Description"]: group for group in groups}
    balancer = by_description["VNI: load balancer of the console"]
    tasks = by_description["VNI: tasks of the console"]
    admitted = {
        (rule["FromPort"], cidr["CidrIp"])
        for rule in balancer["IpPermissions"]
        for cidr in rule["IpRanges"]
    }
    assert admitted == {(443, "198.51.100.0/24"), (443, "203.0.113.9/32")}
    into = {
        pair["GroupId"]
        for rule in by_description["VNI: the database"]["IpPermissions"]
        for pair in rule["UserIdGroupPairs"]
    }
    assert tasks["GroupId"] in into
    assert balancer["GroupId"] not in into


def test_its_user_of_the_database_changes_no_readings(server_url, account, deployed):
    url = with_database(server_url, f"{account.number}_vni-cpo-staging")
    with psycopg.connect(url) as connection:
        rights = connection.execute(
            "SELECT has_table_privilege('vni_console', 'commands', 'INSERT'),"
            " has_table_privilege('vni_console', 'meter_values', 'SELECT'),"
            " has_table_privilege('vni_console', 'meter_values', 'UPDATE')"
        ).fetchone()
    assert rights == (True, True, False)


@pytest.mark.parametrize("target", ["deploy-console", "deploy-backend-services"])
def test_a_second_run_changes_nothing(account, deployed, target):
    before = account.client("cloudformation").describe_stacks()["Stacks"]
    run = account.make(target, ENVIRONMENT="staging", WHITELIST_IP="203.0.113.7")
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^Nothing changed; \d+ s\.$", run.stdout, re.MULTILINE)
    assert re.search(r"^ ?\d+/\d+ console +no changes", run.stdout, re.MULTILINE)
    assert account.client("cloudformation").describe_stacks()["Stacks"] == before


def test_a_new_commit_reaches_it_with_the_others(account, deployed):
    file = account.project / "operations/console/static/console.css"
    file.write_text(file.read_text() + "\n/* another */\n")
    account.commit("Change the console's style")
    _, before = container_of(account)
    account.deploy("staging")
    _, after = container_of(account)
    assert after["image"] != before["image"]
    assert after["environment"] == before["environment"]


def test_with_accounts_of_its_own_nobody_signs_in_at_the_load_balancer(account, deployed):
    run = account.make("deploy-console", ENVIRONMENT="staging", CONSOLE_SIGN_IN="local")
    assert run.returncode == 0, run.stdout + run.stderr
    _, listener = listener_of(account)
    assert [action["Type"] for action in listener["DefaultActions"]] == ["forward"]
    _, container = container_of(account)
    told = {v["name"] for v in container["environment"]}
    assert not [name for name in told if "OIDC" in name]
    assert "ConsolePeople" not in account.outputs(STACK)


def test_it_goes_alone_and_leaves_nothing(account, deployed):
    refused = account.make("delete-console", ENVIRONMENT="staging", CONFIRM="staging")
    assert refused.returncode == 2
    others = stacks(account) - {STACK}
    run = account.make("delete-console", ENVIRONMENT="staging", CONFIRM="console of staging")
    assert run.returncode == 0, run.stdout + run.stderr
    assert stacks(account) == others
    pools = account.client("cognito-idp").list_user_pools(MaxResults=10)["UserPools"]
    assert not pools
    names = [g["logGroupName"] for g in account.client("logs").describe_log_groups()["logGroups"]]
    assert "/vni/staging/console" not in names
    again = account.make("delete-console", ENVIRONMENT="staging", CONFIRM="console of staging")
    assert again.returncode == 2
    assert "staging has no console" in again.stderr
