"""The accelerators, as CloudFormation will read them."""

from templates.stacks import accelerator, services


def test_only_the_charging_points_accelerator_can_be_switched_off():
    template = accelerator.build().to_dict()
    for part in ("Resources", "Outputs"):
        for name, value in template[part].items():
            wanted = "IsAccelerateChargingPoints" if name.startswith("ChargingPoint") else None
            if name.endswith(("Record", "Name")):
                wanted = "HasHostedZone"
            assert value.get("Condition") == wanted, name
    assert len(template["Resources"]) == 6 + 2


def test_without_an_accelerator_a_name_leads_to_the_load_balancer_itself():
    records = accelerator.build().to_dict()["Resources"]
    target = records["ChargingPointRecord"]["Properties"]["AliasTarget"]
    for part, export in (("DNSName", "Host"), ("HostedZoneId", "HostZone")):
        condition, _, without = target[part]["Fn::If"]
        assert condition == "IsAccelerateChargingPoints"
        name = f"vni-cpo-services-${{Environment}}:ChargingPoint{export}"
        assert without == {"Fn::ImportValue": {"Fn::Sub": name}}


def test_the_accelerator_is_the_only_way_to_the_hubs_load_balancer():
    resources = services.build().to_dict()["Resources"]
    assert resources["ThirdPartyLoadBalancer"]["Properties"]["Scheme"] == "internal"
    endpoints = accelerator.build().to_dict()["Resources"]["ThirdPartyEndpoints"]["Properties"]
    (endpoint,) = endpoints["EndpointConfigurations"]
    # Else the firewall would see the accelerator's addresses and not the hub's.
    assert endpoint["ClientIPPreservationEnabled"] is True
