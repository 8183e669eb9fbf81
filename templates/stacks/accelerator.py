"""How clients find the services: two fixed addresses each, and names in DNS.

The hub's are the only way to its load balancer, which has no public address. Clients' addresses
are preserved, so the firewall still sees the hub's own. With a hosted zone each service has a name
there, so that charging points carry a name and not an address.
"""

from __future__ import annotations

from troposphere import AWS_NO_VALUE, GetAtt, If, Join, Output, Ref, Sub, Template, route53
from troposphere import globalaccelerator as ga

from templates.exports import imported
from templates.naming import CHARGING_POINT, THIRD_PARTY, camel, named, tags
from templates.parameters import given, new_template, switch, text
from templates.parts.mutual_tls import MUTUAL_TLS_PORT, add_switch

STACK = "accelerator"
# Of all accelerators. Source: AWS General Reference, Global Accelerator endpoints and quotas.
_ACCELERATORS_ZONE = "Z2BJ6XQ5FK7U4H"


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI accelerator: fixed addresses for the services.")
    wanted = switch(
        template, "AccelerateChargingPoints", True, "Fixed addresses for charging points too"
    )
    ports = {
        CHARGING_POINT: [
            ga.PortRange(FromPort=443, ToPort=443),
            If(
                add_switch(template),
                ga.PortRange(FromPort=MUTUAL_TLS_PORT, ToPort=MUTUAL_TLS_PORT),
                Ref(AWS_NO_VALUE),
            ),
        ],
        THIRD_PARTY: [ga.PortRange(FromPort=443, ToPort=443)],
    }
    for service, condition in ((CHARGING_POINT, {"Condition": wanted}), (THIRD_PARTY, {})):
        _add_accelerator(template, service, ports[service], condition)
    _add_names(template, wanted)
    return template


def _add_names(template: Template, accelerated: str) -> None:
    """Add ``charging-point.<domain>`` and ``third-party.<domain>``, in a hosted zone if given.

    accelerated: the condition that charging points have an accelerator.
    """
    text(
        template,
        "HostedZone",
        "Id of the hosted zone that the services have names in; empty: none",
        Default="",
        AllowedPattern="|Z[A-Z0-9]{1,31}",
    )
    text(template, "Domain", "What those names end with, such as charging.example", Default="")
    named_ = given(template, "HostedZone")
    balancer = {
        "DNSName": imported("services", "ChargingPointHost"),
        "HostedZoneId": imported("services", "ChargingPointHostZone"),
    }
    for service in (CHARGING_POINT, THIRD_PARTY):
        title = camel(service)
        target = {
            "DNSName": GetAtt(f"{title}Accelerator", "DnsName"),
            "HostedZoneId": _ACCELERATORS_ZONE,
        }
        if service == CHARGING_POINT:
            target = {name: If(accelerated, target[name], balancer[name]) for name in target}
        record = template.add_resource(
            route53.RecordSetType(
                f"{title}Record",
                HostedZoneId=Ref("HostedZone"),
                Name=Sub(f"{service}.${{Domain}}"),
                Type="A",
                AliasTarget=route53.AliasTarget(EvaluateTargetHealth=False, **target),
                Condition=named_,
            )
        )
        template.add_output(
            Output(f"{title}Name", Description="Name in DNS", Value=Ref(record), Condition=named_)
        )


def _add_accelerator(
    template: Template, service: str, ports: list[object], condition: dict[str, str]
) -> None:
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
            PortRanges=ports,
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
