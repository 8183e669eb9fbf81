"""What an account lacks is said at once, before the first stack; what AWS wants first is made."""

import json
import subprocess

import pytest

from scripts.cloud import preflight
from templates.environments import sizes

HERE = {"ENVIRONMENT": "staging", "WHITELIST_IP": "203.0.113.7"}
PLENTY = {"L_3032A538": 64, "L_0263D0A3": 64}


def stacks(account):
    return account.client("cloudformation").describe_stacks()["Stacks"]


@pytest.fixture
def quotas(account):
    """Set quotas for a test: ``quotas(L_0263D0A3=1)``."""
    yield account.set_quotas
    account.set_quotas(L_RESERVED=0, **PLENTY)


def test_all_that_lacks_is_one_message_and_nothing_is_made(account, quotas):
    quotas(L_3032A538=2, L_0263D0A3=0)
    run = account.make(
        "deploy-backend-services", **HERE, AVAILABILITY_ZONES="eu-central-1a,eu-central-1z"
    )
    assert run.returncode == 2
    assert "the account cannot have staging yet; it lacks" in run.stderr
    for what in (
        "the zone eu-central-1z: eu-central-1 has eu-central-1a",
        "Fargate On-Demand vCPU: the quota is 2, 0 are used and ",
        "--quota-code L-3032A538 --desired-value ",
        "elastic IP addresses: the quota is 0, 0 are used and 1 more needed",
    ):
        assert what in run.stderr
    assert stacks(account) == []
    assert account.client("iam").list_roles()["Roles"] == []


RIGHTS = """
import json, os, sys
from scripts.cloud import preflight
from scripts.cloud.aws import Aws
from scripts.cloud.inputs import target
print(json.dumps(list(preflight.rights(Aws(target(os.environ)), sys.argv[1]))))
"""


def lacking(account, caller):
    """What whoever deploys lacks the right to."""
    run = subprocess.run(
        [account.python, "-c", RIGHTS, f"arn:aws:iam::{account.number}:{caller}"],
        cwd=account.project,
        env={**account.variables, "ENVIRONMENT": "staging"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_whoever_lacks_rights_hears_which(account):
    iam = account.client("iam")
    iam.create_user(UserName="ada")
    iam.put_user_policy(
        UserName="ada",
        PolicyName="some",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}],
            }
        ),
    )
    found = str(lacking(account, "user/ada"))
    cluster = f"arn:aws:ecs:eu-central-1:{account.number}:cluster/vni-cpo-staging"
    assert f"your right to ecs:CreateCluster at {cluster}" in found
    assert "your right to iam:CreateRole at " in found
    assert "ec2:" not in found
    # The account's owner may do everything, and nobody can ask for them.
    assert lacking(account, "root") == []


def test_the_quotas_that_a_fleet_takes_follow_it():
    small, large = (preflight.vcpu(sizes("production", fleet)) for fleet in (1_000, 100_000))
    # Three tasks and one more, the hub's two twice, a migration and two tests.
    assert small[0] == 4 + 2 + 0.75
    assert large[0] == 9 + 2 + 0.75
    assert large[1] > large[0] > small[0]


@pytest.fixture(scope="module")
def staging(account):
    return account.deploy(
        "staging",
        CHARGING_POINTS="40000",
        VPC_CIDR="10.64.0.0/16",
        AVAILABILITY_ZONES="eu-central-1b,eu-central-1a",
    )


def test_roles_of_awss_services_are_there_before_the_stacks(account, staging):
    roles = account.client("iam").list_roles(PathPrefix="/aws-service-role/")["Roles"]
    # The emulator has one role for services whose names begin alike.
    made = {role["Path"].split("/")[2] for role in roles}
    assert made == set(preflight.SERVICE_LINKED) - {"ecs.application-autoscaling.amazonaws.com"}
    first = staging.index("roles of AWS's services")
    assert first < staging.index("network")


def test_zones_and_addresses_are_those_that_were_asked_for(account, staging):
    outputs = account.outputs("vni-cpo-network-staging")
    ec2 = account.client("ec2")
    assert outputs["VpcCidr"] == "10.64.0.0/16"
    for letter in "AB":
        (subnet,) = ec2.describe_subnets(SubnetIds=[outputs[f"PrivateSubnet{letter}"]])["Subnets"]
        assert subnet["AvailabilityZone"] == f"eu-central-1{'b' if letter == 'A' else 'a'}"


def test_the_fleet_decides_the_tasks_and_is_remembered(account, staging):
    def tasks():
        found = account.client("ecs").describe_services(
            cluster="vni-cpo-staging", services=["vni-backend-charging-point-staging"]
        )["services"][0]
        return found["desiredCount"], int(found["deploymentConfiguration"]["maximumPercent"])

    assert tasks() == (4, 125)
    again = account.deploy("staging")
    assert "Nothing changed" in again
    assert tasks() == (4, 125)
    run = account.make("deploy-backend-services", **HERE, CHARGING_POINTS="100001")
    assert run.returncode == 2
    assert "one environment holds 100000; docs/cells.md says how" in run.stderr


def test_capacity_is_reserved_for_an_event_and_given_back(account, staging, quotas):
    balancer = account.outputs("vni-cpo-services-staging")["ChargingPointLoadBalancer"]

    def reserved():
        answer = account.client("elbv2").describe_capacity_reservation(LoadBalancerArn=balancer)
        return answer.get("MinimumLoadBalancerCapacity", {}).get("CapacityUnits")

    def reserve(units):
        return account.make("reserve-capacity", ENVIRONMENT="staging", UNITS=units)

    assert reserved() is None
    for units, word in (
        ("150", "per Region' is 0; ask for more first"),
        ("20", "AWS reserves 100 at least"),
        ("many", "give so many LCU"),
        ("", "give so many LCU"),
    ):
        run = reserve(units)
        assert run.returncode == 2, run.stdout
        assert word in run.stderr
    quotas(L_RESERVED=1000)
    run = reserve("150")
    assert run.returncode == 0, run.stderr
    assert reserved() == 150
    assert "no capacity is reserved" in reserve("0").stdout
    assert reserved() is None
