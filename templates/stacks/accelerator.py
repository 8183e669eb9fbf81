"""Global Accelerator: two fixed addresses a service, the same all over the world.

The hub's are the only way to its load balancer, which has no public address. Clients' addresses
are preserved, so the firewall still sees the hub's own.
"""

from __future__ import annotations

from troposphere import GetAtt, Join, Output, Ref, Template
from troposphere import globalaccelerator as ga

from templates.exports import imported
from templates.naming import CHARGING_POINT, THIRD_PARTY, camel, named, tags
from templates.parameters import new_template, switch

STACK = "accelerator"


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI accelerator: fixed addresses for the services.")
    wanted = switch(
        template, "AccelerateChargingPoints", True, "Fixed addresses for charging points too"
    )
    for service, condition in ((CHARGING_POINT, {"Condition": wanted}), (THIRD_PARTY, {})):
        _add_accelerator(template, service, condition)
    return template


def _add_accelerator(template: Template, service: str, condition: dict[str, str]) -> None:
    title = camel(service)
    accelerator = template.add_resource(
        ga.Accelerator(
            f"{title}Accelerator",
            Name=named(service),
            Enabled=True,
            IpAddressType="IPV4",
            Tags=tags(service),
            **condition,
        )
    )
    listener = template.add_resource(
        ga.Listener(
            f"{title}Listener",
            AcceleratorArn=GetAtt(accelerator, "AcceleratorArn"),
            Protocol="TCP",
            PortRanges=[ga.PortRange(FromPort=443, ToPort=443)],
            # A charging point keeps its connection; there is no state to return to.
            ClientAffinity="NONE",
            **condition,
        )
    )
    template.add_resource(
        ga.EndpointGroup(
            f"{title}Endpoints",
            ListenerArn=GetAtt(listener, "ListenerArn"),
            EndpointGroupRegion=Ref("AWS::Region"),
            EndpointConfigurations=[
                ga.EndpointConfiguration(
                    EndpointId=imported("services", f"{title}LoadBalancer"),
                    ClientIPPreservationEnabled=True,
                )
            ],
            **condition,
        )
    )
    template.add_output(
        Output(
            f"{title}Addresses",
            Description="Fixed addresses",
            Value=Join(",", GetAtt(accelerator, "Ipv4Addresses")),
            **condition,
        )
    )
    template.add_output(
        Output(
            f"{title}AcceleratorHost",
            Description="Name in DNS",
            Value=GetAtt(accelerator, "DnsName"),
            **condition,
        )
    )
