"""The image registry: one repository a service, tags that never change their meaning."""

from __future__ import annotations

import json

from troposphere import GetAtt, Ref, Template, ecr

from templates.exports import offer
from templates.naming import SERVICES, camel, service_name, tags
from templates.parameters import new_template

STACK = "registry"
KEPT_IMAGES = 50


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI registry: container images of the services.")
    for service in SERVICES:
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
                {
                    "rulePriority": 1,
                    "description": f"keep the newest {KEPT_IMAGES}",
                    "selection": {
                        "tagStatus": "any",
                        "countType": "imageCountMoreThan",
                        "countNumber": KEPT_IMAGES,
                    },
                    "action": {"type": "expire"},
                }
            ]
        }
    )
