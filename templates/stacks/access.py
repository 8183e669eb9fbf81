"""People: three groups, what each may do, and an example user in each.

Nobody has a password here: whoever adds a person gives the first one, to be changed at once; see
docs/access.md.
"""

from __future__ import annotations

from troposphere import AWS_NO_VALUE, If, Output, Ref, Template, iam

from templates.iam import people
from templates.naming import camel, named, tags
from templates.parameters import given, new_template, switch, text

STACK = "access"

POLICIES = {
    "own-credentials": people.own_credentials,
    "see-health": people.see_health,
    "read-logs": people.read_logs,
    "read-configuration": people.read_configuration,
    "deploy-services": people.deploy_services,
    "debug-services": people.debug_services,
    "administer-stacks": people.administer_stacks,
    "administer-network": people.administer_network,
    "administer-secrets": people.administer_secrets,
    "administer-roles": people.administer_roles,
}

_LOOK = ("own-credentials", "see-health", "read-logs")
GROUPS = {
    "observers": _LOOK,
    "developers": (*_LOOK, "read-configuration", "deploy-services", "debug-services"),
    "administrators": (
        *_LOOK,
        "read-configuration",
        "deploy-services",
        "debug-services",
        "administer-stacks",
        "administer-network",
        "administer-secrets",
        "administer-roles",
    ),
}
"""Group → its policies."""

ONLY_WHERE_DEVELOPERS_DEPLOY = ("deploy-services", "debug-services")
"""What developers have in staging and not in production."""


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI access: groups of people and what they may do.")
    deploying = switch(template, "DevelopersDeploy", True, "Whether developers may deploy here")
    text(template, "HostedZone", "Hosted zone of the services' names; empty: none", Default="")
    text(template, "Domain", "What those names end with", Default="")
    named_ = given(template, "HostedZone")
    managed = {
        name: template.add_resource(
            iam.ManagedPolicy(
                f"{camel(name)}Policy",
                ManagedPolicyName=named(name),
                Description=_purpose(document),
                PolicyDocument=document(),
            )
        )
        for name, document in POLICIES.items()
    }
    for group, policies in GROUPS.items():
        # A group has ten managed policies at most, and this is only for whoever has a zone.
        names = iam.Policy(PolicyName="administer-names", PolicyDocument=people.administer_names())
        more = (
            {"Policies": [If(named_, names, Ref(AWS_NO_VALUE))]}
            if group == "administrators"
            else {}
        )
        made = template.add_resource(
            iam.Group(
                f"{camel(group)}Group",
                GroupName=named(group),
                **more,
                ManagedPolicyArns=[
                    If(deploying, Ref(managed[name]), Ref(AWS_NO_VALUE))
                    if group == "developers" and name in ONLY_WHERE_DEVELOPERS_DEPLOY
                    else Ref(managed[name])
                    for name in policies
                ],
            )
        )
        person = f"example-{group.removesuffix('s')}"
        user = template.add_resource(
            # Without password and keys, so nobody can be it before somebody gives them.
            iam.User(f"{camel(person)}User", UserName=named(person), Tags=tags(person))
        )
        template.add_resource(
            iam.UserToGroupAddition(
                f"{camel(person)}Membership", GroupName=Ref(made), Users=[Ref(user)]
            )
        )
        template.add_output(
            Output(f"{camel(group)}Group", Description=f"Group of {group}", Value=Ref(made))
        )
    return template


def _purpose(document: object) -> str:
    return (document.__doc__ or "").splitlines()[0]
