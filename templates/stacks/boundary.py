"""The boundary: what no role of the environment may do, whatever its own policies say."""

from __future__ import annotations

from troposphere import Ref, Template, iam

from templates.exports import offer
from templates.iam.services import boundary
from templates.naming import named
from templates.parameters import new_template
from templates.parts.checks import skips

STACK = "boundary"


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI boundary: what no role of the environment may do.")
    policy = template.add_resource(
        iam.ManagedPolicy(
            "Boundary",
            # By name, so that whoever may create roles can be held to it.
            ManagedPolicyName=named("boundary"),
            Description="What no role of this environment may do, whatever its policies say",
            PolicyDocument=boundary(),
            Metadata=skips(
                "it grants nothing: it is the most that roles with policies of their own can have",
                "CKV_AWS_109",
                "CKV_AWS_111",
            ),
        )
    )
    offer(template, STACK, "Arn", Ref(policy), "ARN of the boundary")
    return template
