"""The network stack, as CloudFormation will read it."""

import pytest

from templates.environments import STAGING, sizes
from templates.stacks import network


@pytest.fixture(scope="module")
def resources():
    return network.build().to_dict()["Resources"]


def of_type(resources, kind):
    return {name: r for name, r in resources.items() if r["Type"] == f"AWS::{kind}"}


def test_what_a_third_zone_brings_depends_on_it(resources):
    in_c = {
        name: resource.get("Condition")
        for name, resource in resources.items()
        if name.endswith("C") or "RoutesC" in name
    }
    assert len(in_c) == 9
    assert set(in_c.values()) == {"ThreeZones", "NatInC", "NetworkInC"}


def test_only_public_subnets_lead_straight_out(resources):
    routes = of_type(resources, "EC2::Route")
    straight = [name for name, r in routes.items() if "GatewayId" in r["Properties"]]
    assert straight == ["PublicDefaultRoute"]
    associations = of_type(resources, "EC2::SubnetRouteTableAssociation")
    for name, association in associations.items():
        subnet = association["Properties"]["SubnetId"]["Ref"]
        table = association["Properties"]["RouteTableId"]["Ref"]
        assert subnet.startswith("Public") == (table == "PublicRoutes"), name
    assert len(associations) == len(of_type(resources, "EC2::Subnet")) == 6


def test_every_private_zone_has_a_way_out_through_a_fixed_address(resources):
    for zone in "ABC":
        route = resources[f"PrivateDefaultRoute{zone}"]["Properties"]
        assert route["DestinationCidrBlock"] == "0.0.0.0/0"
        nat = resources[f"NatGateway{zone}"]["Properties"]
        assert nat["AllocationId"] == {"Fn::GetAtt": [f"NatAddress{zone}", "AllocationId"]}
        assert nat["SubnetId"] == {"Ref": f"PublicSubnet{zone}"}


def test_nothing_gets_a_public_address_by_itself(resources):
    for subnet in of_type(resources, "EC2::Subnet").values():
        assert subnet["Properties"]["MapPublicIpOnLaunch"] is False


def test_an_environment_nobody_listed_is_a_small_one():
    assert sizes("featurex") == sizes("staging") == STAGING
    assert sizes("production").nat_per_zone
