"""The Dockerfiles say what the task definitions and the images' names say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.cloud.images import ALL_IMAGES as IMAGES
from templates.naming import (
    CHARGING_POINT,
    CHARGING_POINT_PORT,
    CONSOLE,
    CONSOLE_PORT,
    THIRD_PARTY,
    THIRD_PARTY_PORT,
)
from templates.parts import containers
from templates.stacks import console, services

ROOT = Path(__file__).parents[2]
PORTS = {
    CHARGING_POINT: CHARGING_POINT_PORT,
    CONSOLE: CONSOLE_PORT,
    THIRD_PARTY: THIRD_PARTY_PORT,
}


def dockerfile(service):
    return (ROOT / IMAGES[service].package / "Dockerfile").read_text()


def said(service, instruction):
    """The last of an instruction's words, as Docker counts it."""
    return re.findall(rf"^{instruction} (.+)$", dockerfile(service), re.MULTILINE)[-1]


def task_definition(service):
    """The service's container, as its stack has it."""
    stack = console if service == CONSOLE else services
    for resource in stack.build().to_dict()["Resources"].values():
        if resource["Type"] == "AWS::ECS::TaskDefinition":
            container = resource["Properties"]["ContainerDefinitions"][0]
            if container["Name"] == service:
                return container
    raise AssertionError(service)


@pytest.mark.parametrize("service", IMAGES)
def test_by_default_an_image_runs_as_its_task_does(service):
    task = task_definition(service)
    assert json.loads(said(service, "CMD")) == task["Command"]
    assert said(service, "USER") == task["User"] == containers.USER
    assert int(said(service, "EXPOSE")) == PORTS[service]
    assert not re.search("^ENTRYPOINT", dockerfile(service), re.MULTILINE)


@pytest.mark.parametrize("service", IMAGES)
def test_whatever_goes_into_an_image_changes_its_name(service):
    copied = {
        word
        for words in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(service), re.MULTILINE)
        for word in words.split()
    }
    sources = set(IMAGES[service].sources) - {".dockerignore"}
    assert copied == sources
    admitted = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sources <= set(admitted)


def test_all_stand_on_the_same_base():
    assert len({said(service, "ARG") for service in IMAGES}) == 1
