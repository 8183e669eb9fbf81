"""Roles: each taken on by one service of AWS, with named policies, inside the boundary.

The boundary is what no role of an environment can do, whatever its policies say. So a person
who may create roles, as whoever deploys must, cannot make one that is mightier than that; see
docs/decisions/0018-people-and-their-limits.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from troposphere import AWS_NO_VALUE, If, Ref, Template, iam

from templates.exports import imported
from templates.iam.services import assumed_by
from templates.naming import kebab, named, tags


def role(
    template: Template,
    title: str,
    taken_on_by: str,
    policies: Mapping[str, object],
    *,
    optional: Mapping[str, tuple[str, object]] | None = None,
    tag: str = "",
    condition: str = "",
) -> iam.Role:
    """Give a template a role. taken_on_by: a service of AWS, such as `ecs-tasks`.

    policies: name → document. optional: name → (condition, document). condition: under which
    there is the role; always where empty.
    """
    inline: list[object] = [
        iam.Policy(PolicyName=name, PolicyDocument=document) for name, document in policies.items()
    ]
    inline += [
        If(condition, iam.Policy(PolicyName=name, PolicyDocument=document), Ref(AWS_NO_VALUE))
        for name, (condition, document) in (optional or {}).items()
    ]
    return template.add_resource(
        iam.Role(
            title,
            # By name, so that a policy can say whose roles somebody may give to a service.
            RoleName=named(kebab(title.removesuffix("Role"))),
            AssumeRolePolicyDocument=assumed_by(taken_on_by),
            PermissionsBoundary=imported("boundary", "Arn"),
            Policies=inline,
            Tags=tags(tag),
            **({"Condition": condition} if condition else {}),
        )
    )
