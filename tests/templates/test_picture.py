"""The pictures of docs/cloud.md are the templates'."""

import re

import pytest
from troposphere import Template, s3

from templates import picture
from templates.__main__ import PICTURE, STACKS


@pytest.fixture(scope="module")
def templates():
    return {name: module.build() for name, module in STACKS.items()}


@pytest.fixture(scope="module")
def cloud(templates):
    return picture.cloud(templates)


def test_the_page_is_fresh(templates):
    assert PICTURE.read_text() == picture.page(templates)


@pytest.mark.parametrize(
    "arrow",
    [
        # The way of a charging point, and of the hub, each step from another stack's export.
        "points --> accelerator_ChargingPointAccelerator",
        "accelerator_ChargingPointAccelerator --> services_ChargingPointLoadBalancer",
        "services_ChargingPointLoadBalancer --> services_ChargingPointService",
        "services_ChargingPointService --> database_Cluster",
        "hub --> accelerator_ThirdPartyAccelerator",
        "accelerator_ThirdPartyAccelerator --> services_ThirdPartyLoadBalancer",
        "services_ThirdPartyService -->|goes out by| network_NatGateway",
    ],
)
def test_what_leads_where(cloud, arrow):
    assert f"  {arrow}\n" in cloud


def test_nothing_of_the_internet_reaches_what_is_private(cloud):
    private = cloud.split('subgraph private["Private subnets"]\n')[1].split("  end\n")[0]
    for name in ("Cluster", "ChargingPointService", "ThirdPartyService", "ThirdPartyLoadBalancer"):
        assert f"{name}[" in private
        assert not re.search(rf"(points|hub) --> \w+_{name}\n", cloud)


def test_what_a_template_gains_is_in_the_picture(templates):
    more = Template()
    more.add_resource(s3.Bucket("NewOne"))
    found = picture.cloud({**templates, "new": more})
    assert 'new_NewOne[("new one<br/><i>S3</i>")]' in found


def test_every_arrow_joins_what_is_drawn(cloud):
    drawn = set(re.findall(r"^ +(\w+)[\[(]", cloud, re.MULTILINE))
    for line in re.findall(r"^  (\w+ -->.*)$", cloud, re.MULTILINE):
        source, target = re.fullmatch(r"(\w+) -->(?:\|[^|]+\|)? (\w+)", line).groups()
        assert {source, target} <= drawn, line


def test_the_pipeline_asks_a_person_before_production(templates):
    found = picture.pipeline(templates["deployment-pipeline"])
    arrows = dict(re.findall(r"(\w+) --> (\w+)", found))
    assert arrows["Test_Charge"] == "Approve_Approve"
    assert arrows["Approve_Approve"] == "Release_Migrate"
