"""The image registry: one repository a service, tags that never change their meaning."""

from __future__ import annotations

import json

from troposphere import GetAtt, Ref, Template, ecr

from templates.exports import offer
from templates.naming import CONSOLE, SERVICES, camel, service_name, tags
from templates.parameters import new_template

STACK = "registry"
KEPT_IMAGES = 50
RELEASED = "released-"
"""How the second tag of an image begins that runs or ran: `released-` and its first tag."""
_KEPT_RELEASES = 1000


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI registry: container images of the services.")
    # An empty one costs nothing, and an image has to be there before its service.
    for service in (*SERVICES, CONSOLE):
        repository = template.add_resource(
            ecr.Repository(
                f"{camel(service)}Repository",
                RepositoryName=service_name(service),
                ImageScanningConfiguration=ecr.ImageScanningConfiguration(ScanOnPush=True),
                ImageTagMutability="IMMUTABLE",
                LifecyclePolicy=ecr.LifecyclePolicy(LifecyclePolicyText=_lifecycle()),
                # Images can be built again from their commits.
                EmptyOnDelete=True,
                Tags=tags(service),
            )
        )
        name = camel(service)
        offer(template, STACK, f"{name}RepositoryName", Ref(repository), "Its name")
        offer(
            template,
            STACK,
            f"{name}RepositoryUri",
            GetAtt(repository, "RepositoryUri"),
            "Where images are pushed to and pulled from",
        )
        offer(template, STACK, f"{name}RepositoryArn", GetAtt(repository, "Arn"), "Its ARN")
    return template


def _lifecycle() -> str:
    return json.dumps(
        {
            "rules": [
                # What a rule matches, no later rule expires: the registry knows nothing of ECS,
                # and a task that cannot be started again is an outage.
                _rule(
                    1,
                    f"keep {_KEPT_RELEASES:,} that ran",
                    {"tagStatus": "tagged", "tagPrefixList": [RELEASED]},
                    _KEPT_RELEASES,
                ),
                _rule(
                    2,
                    f"of the others keep the newest {KEPT_IMAGES}",
                    {"tagStatus": "any"},
                    KEPT_IMAGES,
                ),
            ]
        }
    )


def _rule(
    priority: int, description: str, selection: dict[str, object], most: int
) -> dict[str, object]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": {**selection, "countType": "imageCountMoreThan", "countNumber": most},
        "action": {"type": "expire"},
    }
