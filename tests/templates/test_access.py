"""Who may do what: the table of docs/access.md, tried on the policies themselves."""

import json
import re
from pathlib import Path

import pytest

from templates.__main__ import STACKS
from templates.iam import people
from templates.stacks import access, boundary
from tests.iam import is_allowed, resolved
from tests.rights import ACCOUNT, MFA, arn, as_json, parameters, policies_of, the_boundary

ROOT = Path(__file__).parents[2]
WITHOUT_MFA = {"aws:MultiFactorAuthPresent": "false"}
ROLE = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}


def stack(env, name):
    return arn("cloudformation", f"stack/vni-cpo-{name}-{env}/0")


def role_of(env, name="execution"):
    return arn("iam", f"role/vni-cpo-{env}-{name}", "")


def service_of(env):
    return arn("ecs", f"service/vni-cpo-{env}/vni-backend-charging-point-{env}")


def looking(env):
    """What somebody wants to see → (action, resource, context) that it takes."""
    cluster, service = f"vni-cpo-{env}", service_of(env)
    return {
        "see metrics and alarms": [
            ("cloudwatch:GetMetricData", "*", {}),
            ("cloudwatch:DescribeAlarms", "*", {}),
            ("ecs:DescribeServices", service, {}),
        ],
        "read logs, ask the saved queries": [
            ("logs:FilterLogEvents", arn("logs", f"log-group:/vni/{env}/charging-point:*"), {}),
            ("logs:StartQuery", arn("logs", f"log-group:/vni/{env}/third-party:*"), {}),
            ("logs:GetQueryResults", "*", {}),
        ],
        "see stacks, network, images and builds": [
            ("cloudformation:GetTemplate", stack(env, "services"), {}),
            ("ec2:DescribeSecurityGroups", "*", {}),
            ("ecr:DescribeImages", arn("ecr", f"repository/vni-backend-third-party-{env}"), {}),
            ("codebuild:BatchGetBuilds", arn("codebuild", f"project/{cluster}-builds"), {}),
        ],
    }


def delivering(env):
    """The same of what is done with images and tasks."""
    cluster, service, role = f"vni-cpo-{env}", service_of(env), role_of(env)
    return {
        "start a pipeline, approve a release": [
            (
                "codepipeline:StartPipelineExecution",
                arn("codepipeline", f"vni-backend-charging-point-{env}"),
                {},
            ),
            (
                "codepipeline:PutApprovalResult",
                arn("codepipeline", f"vni-backend-charging-point-{env}/Approve/Approve"),
                {},
            ),
        ],
        "deploy an image": [
            ("ecr:PutImage", arn("ecr", f"repository/vni-backend-charging-point-{env}"), {}),
            (
                "cloudformation:ExecuteChangeSet",
                stack(env, "services"),
                {},
            ),
            ("ecs:RegisterTaskDefinition", "*", {}),
            ("ecs:UpdateService", service, {}),
            ("iam:PassRole", role, ROLE),
        ],
        "run a migration, with the password of the schema's owner": [
            ("ecs:RunTask", arn("ecs", f"task-definition/vni-backend-migrations-{env}:7"), {}),
            (
                "iam:PassRole",
                role_of(env, "migration-execution"),
                ROLE,
            ),
            ("ssm:PutParameter", arn("ssm", f"parameter/vni/{env}/migrated"), {}),
        ],
        "stop a task": [("ecs:StopTask", arn("ecs", f"task/{cluster}/0123"), {})],
        "run the operator's commands": [
            ("ecs:RunTask", arn("ecs", f"task-definition/vni-backend-operations-{env}:7"), {}),
            ("iam:PassRole", role_of(env, "operations-execution"), ROLE),
            ("s3:PutObject", f"arn:aws:s3:::vni-cpo-{env}-operations-{ACCOUNT}/me/0/output", {}),
            ("s3:GetObject", f"arn:aws:s3:::vni-cpo-{env}-operations-{ACCOUNT}/me/0/output", {}),
            ("kms:Decrypt", arn("kms", "key/0"), {"aws:ResourceTag/Environment": env}),
        ],
    }


def changing(env):
    """The same of what changes the environment."""
    tagged = {"aws:ResourceTag/Environment": env}
    cluster = f"vni-cpo-{env}"
    secret = arn("secretsmanager", f"secret:{cluster}-database-application-AbCdEf")
    return {
        "change network, firewall or database": [
            ("cloudformation:ExecuteChangeSet", stack(env, "network"), {}),
            # What is made, and what it is made in.
            ("ec2:CreateSubnet", arn("ec2", "subnet/*"), {}),
            ("ec2:CreateSubnet", arn("ec2", "vpc/vpc-0"), tagged),
            ("acm:ImportCertificate", arn("acm", "certificate/*"), {}),
            (
                "elasticloadbalancing:AddListenerCertificates",
                arn("elasticloadbalancing", "listener/x"),
                tagged,
            ),
            ("ec2:DeleteSubnet", arn("ec2", "subnet/subnet-0"), tagged),
            (
                "ec2:RevokeSecurityGroupIngress",
                arn("ec2", "security-group/sg-0"),
                tagged,
            ),
            ("rds:ModifyDBCluster", arn("rds", f"cluster:{cluster}"), {}),
            # An instance is created in AWS's own groups too.
            ("rds:CreateDBInstance", arn("rds", f"db:vni-cpo-database-{env}-writer-0abc"), {}),
            ("rds:CreateDBInstance", arn("rds", "pg:default.aurora-postgresql17"), {}),
            ("rds:CreateDBInstance", arn("rds", "og:default:aurora-postgresql-17"), {}),
        ],
        "give the services names in the hosted zone": [
            (
                "route53:ChangeResourceRecordSets",
                f"arn:aws:route53:::hostedzone/Z0{env.upper()}",
                {
                    "route53:ChangeResourceRecordSetsNormalizedRecordNames": (
                        f"charging-point.{env}.example"
                    )
                },
            ),
        ],
        "delete the environment": [
            ("cloudformation:DeleteStack", stack(env, "database"), {}),
        ],
        "read a secret": [("secretsmanager:GetSecretValue", secret, {})],
    }


def having_a_console(env):
    """The same of the operators' console."""
    tagged = {"aws:ResourceTag/Environment": env}
    return {
        "change the console, or who may sign in to it": [
            ("cloudformation:ExecuteChangeSet", stack(env, "console"), {}),
            ("iam:PassRole", role_of(env, "console-execution"), ROLE),
            ("acm:RequestCertificate", arn("acm", "certificate/*"), {}),
            ("cognito-idp:CreateUserPool", "*", {}),
            ("cognito-idp:AdminAddUserToGroup", arn("cognito-idp", "userpool/x"), tagged),
            (
                "route53:ChangeResourceRecordSets",
                f"arn:aws:route53:::hostedzone/Z0{env.upper()}",
                {
                    "route53:ChangeResourceRecordSetsNormalizedRecordNames": (
                        f"_0123.console.{env}.example"
                    )
                },
            ),
        ],
    }


def granting(env):
    """The same of what makes or takes rights."""
    limit = arn("iam", f"policy/vni-cpo-{env}-boundary", "")
    bounded = {"iam:PermissionsBoundary": limit}
    cluster, role = f"vni-cpo-{env}", role_of(env)
    return {
        "make a role inside the boundary": [
            ("iam:CreateRole", role, bounded),
            ("iam:PutRolePolicy", role, bounded),
        ],
        "make a role without the boundary": [("iam:CreateRole", role, {})],
        "change the boundary, or take it off a role": [
            (
                "iam:CreatePolicyVersion",
                limit,
                {},
            ),
            ("iam:DeleteRolePermissionsBoundary", role, bounded),
        ],
        "make users, or join a group": [
            ("iam:CreateUser", arn("iam", "user/mallory", ""), {}),
            ("iam:AddUserToGroup", arn("iam", f"group/{cluster}-administrators", ""), {}),
        ],
        "give a role to another service": [
            ("iam:PassRole", role, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ],
    }


def cases(env):
    """What somebody wants → (action, resource, context) that it takes; all of them must do."""
    return {
        **looking(env),
        **delivering(env),
        **changing(env),
        **having_a_console(env),
        **granting(env),
    }


READS = (
    "see metrics and alarms",
    "read logs, ask the saved queries",
    "see stacks, network, images and builds",
)
WHO = (
    ("observers", "staging"),
    ("developers", "staging"),
    ("developers", "production"),
    ("administrators", "production"),
)
# Whoever may do something has a letter: r for reading, M for what needs MFA.
TABLE = {
    "see metrics and alarms": "rrrr",
    "read logs, ask the saved queries": "rrrr",
    "see stacks, network, images and builds": "-rrr",
    "start a pipeline, approve a release": "-M-M",
    "deploy an image": "-M-M",
    "run a migration, with the password of the schema's owner": "---M",
    "stop a task": "-M-M",
    "run the operator's commands": "---M",
    "change network, firewall or database": "---M",
    "give the services names in the hosted zone": "---M",
    "change the console, or who may sign in to it": "---M",
    "delete the environment": "---M",
    "read a secret": "---M",
    "make a role inside the boundary": "---M",
    "make a role without the boundary": "----",
    "change the boundary, or take it off a role": "----",
    "make users, or join a group": "----",
    "give a role to another service": "----",
}


def allowed(group, environment, wanted, more):
    """Whether everything that it takes is allowed."""
    policies = policies_of(group, environment)
    return [
        is_allowed(policies, action, resource, {**context, **more, "aws:username": "ada"})
        for action, resource, context in wanted
    ]


@pytest.mark.parametrize("what", TABLE)
@pytest.mark.parametrize(("group", "environment"), WHO)
def test_who_may_do_what(group, environment, what):
    letter = TABLE[what][WHO.index((group, environment))]
    wanted = cases(environment)[what]
    with_mfa = allowed(group, environment, wanted, MFA)
    without = allowed(group, environment, wanted, WITHOUT_MFA)
    unsaid = allowed(group, environment, wanted, {})
    every, none = [True] * len(wanted), [False] * len(wanted)
    if letter == "-":
        # Half of it may be allowed for another purpose, all of it never.
        assert not all(with_mfa)
        assert not any(without)
        return
    assert with_mfa == every
    assert without == unsaid == (every if letter == "r" else none)


@pytest.mark.parametrize(("group", "environment"), WHO)
def test_nobody_reaches_into_another_environment(group, environment):
    other = "production" if environment == "staging" else "staging"
    for what, wanted in cases(other).items():
        if what == "see metrics and alarms":
            continue  # AWS knows no resource for them
        assert not all(allowed(group, environment, wanted, MFA)), what


# Of these AWS knows no resource, they make something that is nobody's yet, or they only look.
EVERYWHERE = re.compile(
    r"\w+[:-]*\w*:(Describe|Get|List|StopQuery|Create|Allocate|BatchGet)"
    r"|ecs:(De)?[Rr]egisterTaskDefinition|logs:(Put|Delete)QueryDefinition"
    r"|ecr:GetAuthorizationToken|ssmmessages:|codestar-connections:|codeconnections:"
    r"|ec2:DeleteNetworkInterface|acm:RequestCertificate"
)


def grants(environment):
    """Every statement that allows people or the environment's roles something."""
    documents = [("boundary", the_boundary(environment))]
    for group in access.GROUPS:
        documents += [(group, policy) for policy in policies_of(group, environment)]
    for name, document in documents:
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            yield name, statement


@pytest.mark.parametrize("other", ["production", "prestaging", "staging2"])
def test_no_statement_reaches_what_is_anothers(other):
    """Each pattern that names staging's, asked for another environment's of the same kind."""
    asked = 0
    for name, statement in grants("staging"):
        for resource in statement["Resource"]:
            if "staging" not in resource.lower():
                continue
            theirs = (
                resource.replace("staging", other)
                .replace("STAGING", other.upper())
                .replace("*", "0")
            )
            for action in statement["Action"]:
                asked += 1
                context = {**MFA, "aws:ResourceTag/Environment": other}
                assert not is_allowed(
                    [{"Statement": [statement]}], action.replace("*", "X"), theirs, context
                ), f"{name}: {action} {theirs}"
    assert asked > 150


TAKEN = {
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ecs:DescribeServices",
}
"""What a role may do with another environment's images and services."""


def test_what_has_a_number_for_a_name_must_carry_the_environments_tag():
    """For what is production's by its tag, nothing but looking, making and texts is allowed."""
    cluster = arn("rds", "cluster:vni-cpo-production")
    theirs = {
        **MFA,
        "aws:ResourceTag/Environment": "production",
        "aws:ResourceTag/aws:rds:primaryDBClusterArn": cluster,
        "aws:username": "ada",
        "iam:PassedToService": "ecs-tasks.amazonaws.com",
    }
    for name, statement in grants("staging"):
        for resource in statement["Resource"]:
            if "staging" in resource.lower() or ":user/" in resource or ":mfa/" in resource:
                continue
            for action in statement["Action"]:
                if EVERYWHERE.match(action):
                    continue
                asked = action.replace("*", "X")
                allowed = is_allowed(
                    [{"Statement": [statement]}], asked, resource.replace("*", "0"), theirs
                )
                # AWS knows no tags of accelerators' listeners and of scaling targets; default
                # groups of the database are nobody's.
                untagged = (resource + ":::").split(":")[2] in (
                    "globalaccelerator",
                    "application-autoscaling",
                )
                defaults = ":pg:default" in resource or ":og:default" in resource
                role = "aws-service-role" in resource or "secret:rds!cluster" in resource
                # To release what another environment runs: images hold no secret.
                taken = resource.endswith("/vni-backend-*") and action in TAKEN
                # Glue asks at the account's catalog, and at the database or table besides.
                catalog = resource.endswith(":catalog")
                # AWS knows no tags for these; which firewall is put there, its name says.
                firewalls = action.endswith((":SetWebAcl", ":DisassociateWebACL"))
                assert (
                    not allowed
                    or catalog
                    or firewalls
                    or untagged
                    or defaults
                    or taken
                    or (role and "GetSecretValue" not in action)
                ), f"{name}: {action} {resource}"


def test_the_databases_own_secret_is_read_by_its_own_environment_only():
    document = the_boundary("staging")
    # As AWS names and tags it.
    secret = arn("secretsmanager", "secret:rds!cluster-0aaaaaaa-bbbb-AbCdEf")
    tag = "aws:ResourceTag/aws:rds:primaryDBClusterArn"
    read = "secretsmanager:GetSecretValue"
    for environment, expected in (("staging", True), ("production", False)):
        context = {tag: arn("rds", f"cluster:vni-cpo-{environment}")}
        assert is_allowed([document], read, secret, context) is expected
    assert not is_allowed([document], read, secret, {})
    for group in access.GROUPS:
        mine = {**MFA, tag: arn("rds", "cluster:vni-cpo-staging")}
        assert not is_allowed(policies_of(group, "staging"), read, secret, mine), group


def test_a_developer_gets_no_password_of_the_owner_by_a_task_of_his_own():
    """Neither a definition with the migration's role, nor the migration with another command."""
    policies = policies_of("developers", "staging")
    for name in ("migration-execution", "test-database-execution", "migrate-live-build"):
        role = arn("iam", f"role/vni-cpo-staging-{name}", "")
        assert not is_allowed(policies, "iam:PassRole", role, {**MFA, **ROLE}), name
    for family in ("migrations", "test-database", "operations"):
        task = arn("ecs", f"task-definition/vni-backend-{family}-staging:1")
        assert not is_allowed(policies, "ecs:RunTask", task, MFA), family
    stack = arn("cloudformation", "stack/vni-cpo-cluster-staging/0")
    assert not is_allowed(policies, "cloudformation:ExecuteChangeSet", stack, MFA)


def test_what_makes_something_anywhere_breaks_nothing_elsewhere():
    policies = policies_of("administrators", "staging")
    for action, resource in (
        ("ec2:DeleteSubnet", arn("ec2", "subnet/subnet-0")),
        ("ec2:TerminateInstances", arn("ec2", "instance/i-0")),
        ("elasticloadbalancing:DeleteLoadBalancer", arn("elasticloadbalancing", "loadbalancer/x")),
        ("globalaccelerator:DeleteAccelerator", arn("globalaccelerator", "accelerator/x", "")),
        ("kms:ScheduleKeyDeletion", arn("kms", "key/0")),
        ("ec2:AuthorizeSecurityGroupIngress", arn("ec2", "security-group/sg-0")),
        ("ec2:CreateRoute", arn("ec2", "route-table/rtb-0")),
        ("elasticloadbalancing:CreateListener", arn("elasticloadbalancing", "loadbalancer/x")),
        ("acm:DeleteCertificate", arn("acm", "certificate/0")),
    ):
        for tag in ({}, {"aws:ResourceTag/Environment": "production"}):
            assert not is_allowed(policies, action, resource, {**MFA, **tag}), action


def test_nobody_takes_something_by_tagging_it():
    policies = policies_of("administrators", "staging")
    for action, resource in (
        ("ec2:CreateTags", arn("ec2", "subnet/subnet-0")),
        ("elasticloadbalancing:AddTags", arn("elasticloadbalancing", "loadbalancer/x")),
        ("globalaccelerator:TagResource", arn("globalaccelerator", "accelerator/x", "")),
        ("kms:TagResource", arn("kms", "key/0")),
    ):
        tag = "aws:ResourceTag/Environment"
        assert is_allowed(policies, action, resource, MFA), action
        assert is_allowed(policies, action, resource, {**MFA, tag: "staging"}), action
        assert not is_allowed(policies, action, resource, {**MFA, tag: "production"}), action


@pytest.mark.parametrize("group", access.GROUPS)
def test_everybody_can_register_mfa_and_only_for_themselves(group):
    policies = policies_of(group, "production")
    me = {"aws:username": "ada"}
    mine, theirs = (arn("iam", f"user/{name}", "") for name in ("ada", "bob"))
    for action in ("iam:EnableMFADevice", "iam:ChangePassword"):
        assert is_allowed(policies, action, mine, me)
        assert not is_allowed(policies, action, theirs, {**me, **MFA})
    assert is_allowed(policies, "iam:CreateVirtualMFADevice", arn("iam", "mfa/ada", ""), me)
    # A stolen key must not be able to take MFA off.
    for action in ("iam:DeactivateMFADevice", "iam:CreateAccessKey"):
        assert not is_allowed(policies, action, mine, me)
        assert is_allowed(policies, action, mine, {**me, **MFA})


def test_observers_see_no_data():
    policies = policies_of("observers", "production")
    for action in (
        *("secretsmanager:GetSecretValue", "s3:GetObject", "ssm:GetParameter", "kms:Decrypt"),
        *("rds-data:ExecuteStatement", "rds:DownloadDBLogFilePortion", "ecs:ExecuteCommand"),
        "ecr:BatchGetImage",
    ):
        assert not is_allowed(policies, action, "*", MFA)


def test_the_documented_table_is_this_one():
    signs = {"r": "yes", "M": "with MFA", "-": "no"}
    rows = [
        f"| {what} | " + " | ".join(signs[letter] for letter in letters) + " |"
        for what, letters in TABLE.items()
    ]
    text = (ROOT / "docs/access.md").read_text()
    documented = [line for line in text.splitlines() if line.startswith("| ")]
    assert documented[2:] == rows or documented[1:] == rows


def statements():
    for name, resource in access.build().to_dict()["Resources"].items():
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            document = resolved(
                as_json(resource["Properties"]["PolicyDocument"]), parameters("staging")
            )
            for statement in document["Statement"]:
                yield name, statement


def test_what_is_allowed_on_everything_looks_makes_or_asks_for_the_tag():
    """Where AWS knows no name; everywhere else resources are named."""
    making = {f"{service}:{one}" for service, all_ in people._MAKERS.items() for one in all_}
    looking = ("Describe", "Get", "List", "StopQuery")
    # A definition does nothing before somebody runs it, with a role that he may pass; a saved
    # query is a text.
    harmless = {"ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition"}
    harmless |= {"logs:PutQueryDefinition", "logs:DeleteQueryDefinition"}
    # A web firewall must be named beside the load balancer that it is put before.
    harmless.add("elasticloadbalancing:SetWebAcl")
    for name, statement in statements():
        if statement["Resource"] != ["*"]:
            continue
        condition = statement.get("Condition", {})
        tagged = "aws:ResourceTag/Environment" in {
            **condition.get("StringEquals", {}),
            **condition.get("Null", {}),
        }
        for action in statement["Action"]:
            verb = action.split(":")[1]
            allowed = tagged or verb.startswith(looking) or action in making | harmless
            assert allowed, f"{name}: {action}"


def test_everything_that_does_more_than_look_wants_mfa():
    looking = ("Describe", "Get", "List", "Filter", "StartQuery", "StopQuery", "BatchGet")
    # One's own first device, and one's own password.
    own = {"ChangePassword", "EnableMFADevice", "ResyncMFADevice", "CreateVirtualMFADevice"}
    for name, statement in statements():
        if "aws:MultiFactorAuthPresent" in statement.get("Condition", {}).get("Bool", {}):
            continue
        for action in statement["Action"]:
            verb = action.split(":")[1]
            assert verb.startswith((*looking, "BatchCheck")) or verb in own, f"{name}: {action}"


# What the account allows of sizes. Source: IAM quotas.


def test_policies_fit_into_what_iam_takes():
    for stack, module in STACKS.items():
        for name, resource in module.build().to_dict()["Resources"].items():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::IAM::ManagedPolicy":
                assert length(properties["PolicyDocument"]) <= 6144, f"{stack}/{name}"
            if resource["Type"] == "AWS::IAM::Group":
                assert len(properties["ManagedPolicyArns"]) <= 10
            if resource["Type"] == "AWS::IAM::Role":
                assert length(as_json(properties["Policies"])) <= 10_240, f"{stack}/{name}"


def length(document):
    # Longer than any of ours will be: the longest environment's name.
    values = parameters("e" * 20)
    text = json.dumps(as_json(document), separators=(",", ":"))
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return len(text)


def roles():
    for stack, module in STACKS.items():
        for name, resource in module.build().to_dict()["Resources"].items():
            if resource["Type"] == "AWS::IAM::Role":
                yield pytest.param(resource["Properties"], id=f"{stack}/{name}")


ROLES = list(roles())


@pytest.mark.parametrize("role", ROLES)
def test_every_role_stands_within_the_boundary(role):
    export = {"Fn::ImportValue": {"Fn::Sub": f"vni-cpo-{boundary.STACK}-${{Environment}}:Arn"}}
    assert role["PermissionsBoundary"] == export
    assert role["RoleName"]["Fn::Sub"].startswith("vni-cpo-${Environment}-")
    assert len(role["RoleName"]["Fn::Sub"].replace("${Environment}", "e" * 20)) <= 64


@pytest.mark.parametrize("role", ROLES)
def test_the_boundary_leaves_each_role_what_it_needs(role):
    """Every action that a role's policies name is one that the boundary allows somewhere."""
    document = the_boundary("staging")
    within = {action for s in document["Statement"] for action in s["Action"]}
    for entry in as_json(role["Policies"]):
        entry = entry["Fn::If"][1] if "Fn::If" in entry else entry
        for statement in entry["PolicyDocument"]["Statement"]:
            assert set(statement["Action"]) <= within, entry["PolicyName"]


def test_no_role_can_make_itself_mightier_or_read_others_secrets():
    document = the_boundary("staging")
    for action, resource in (
        ("iam:CreateRole", arn("iam", "role/vni-cpo-staging-x", "")),
        ("iam:PutRolePolicy", arn("iam", "role/vni-cpo-staging-x", "")),
        ("iam:CreateAccessKey", arn("iam", "user/ada", "")),
        ("sts:AssumeRole", arn("iam", "role/Admin", "")),
        (
            "secretsmanager:GetSecretValue",
            arn("secretsmanager", "secret:vni-cpo-production-github-AbCdEf"),
        ),
        ("s3:GetObject", "arn:aws:s3:::somebody-elses/file"),
        ("ec2:DeleteSubnet", arn("ec2", "subnet/subnet-0")),
    ):
        assert not is_allowed([document], action, resource, MFA), action


def test_no_template_holds_a_password_or_a_key():
    for file in (ROOT / "generated").glob("*.yml"):
        text = file.read_text()
        for word in ("LoginProfile", "AWS::IAM::AccessKey", " MasterUserPassword:"):
            assert word not in text, f"{file.name}: {word}"


@pytest.mark.parametrize(
    ("statement", "action", "resource", "context", "expected"),
    [
        ({"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}, "S3:getobject", "x", {}, True),
        ({"Effect": "Allow", "Action": "s3:Get*", "Resource": "a?c"}, "s3:GetX", "abc", {}, True),
        ({"Effect": "Allow", "Action": "s3:Get*", "Resource": "a?c"}, "s3:GetX", "abbc", {}, False),
        ({"Effect": "Allow", "Action": "s3:GetX", "Resource": "a.c"}, "s3:GetX", "abc", {}, False),
        ({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}, "s3:GetX", "x", {}, False),
        (
            {
                "Effect": "Allow",
                "Action": "s3:GetX",
                "Resource": "*",
                "Condition": {"StringEquals": {"k": ["a", "b"]}},
            },
            "s3:GetX",
            "x",
            {"K": "b"},
            True,
        ),
        (
            {
                "Effect": "Allow",
                "Action": "s3:GetX",
                "Resource": "*",
                "Condition": {"StringEquals": {"k": "a"}},
            },
            "s3:GetX",
            "x",
            {},
            False,
        ),
    ],
)
def test_the_evaluator_decides_as_iam_does(statement, action, resource, context, expected):
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    assert is_allowed([{"Statement": [statement]}], action, resource, context) is expected
    denied = statement["Effect"] == "Deny"
    both = [{"Statement": [statement]}, {"Statement": [everything]}]
    assert is_allowed(both, action, resource, context) is not denied
    narrow = {"Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}
    assert not is_allowed(both, action, resource, context, boundary=narrow)


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"k": "v"}}},
    ],
)
def test_the_evaluator_refuses_what_it_does_not_know(statement):
    with pytest.raises(AssertionError, match="does not know"):
        is_allowed([{"Statement": [statement]}], "s3:GetX", "x", {"k": "v"})
