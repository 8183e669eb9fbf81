"""Policies as they are in an environment: of groups of people, and the boundary of its roles."""

from __future__ import annotations

import json

from templates.environments import sizes
from templates.stacks import access, boundary
from tests.iam import resolved

ACCOUNT = "111122223333"
REGION = "eu-central-1"
MFA = {"aws:MultiFactorAuthPresent": "true"}


def parameters(environment):
    return {
        "Environment": environment,
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::AccountId": ACCOUNT,
        "HostedZone": f"Z0{environment.upper()}",
        "Domain": f"{environment}.example",
    }


def policies_of(group, environment):
    """What a group's policies say in an environment, resolved."""
    resources = access.build().to_dict()["Resources"]
    of_group = as_json(resources[f"{access.camel(group)}Group"]["Properties"])
    attached = of_group["ManagedPolicyArns"]
    names = []
    for entry in attached:
        if "Fn::If" in entry:
            condition, yes, no = entry["Fn::If"]
            assert condition == "IsDevelopersDeploy"
            entry = yes if sizes(environment).developers_deploy else no
        if entry["Ref"] != "AWS::NoValue":
            names.append(entry["Ref"])
    # Those of whoever has a hosted zone.
    own = [entry["Fn::If"][1]["PolicyDocument"] for entry in of_group.get("Policies", [])]
    managed = [as_json(resources[name]["Properties"]["PolicyDocument"]) for name in names]
    return [resolved(document, parameters(environment)) for document in managed + own]


def the_boundary(environment):
    """The boundary's policy in an environment, resolved."""
    (policy,) = boundary.build().to_dict()["Resources"].values()
    return resolved(as_json(policy["Properties"]["PolicyDocument"]), parameters(environment))


def as_json(document):
    return json.loads(json.dumps(document, default=lambda one: one.to_dict()))


def arn(service, resource, region=REGION):
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"
