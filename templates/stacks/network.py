"""The network: a VPC over two or three zones, with fixed addresses for what goes out.

Public subnets hold the load balancers and the NAT gateways, private ones everything of ours.
The addresses of the NAT gateways are what the roaming hub's operator lets in.
"""

from __future__ import annotations

from troposphere import (
    AWS_NO_VALUE,
    And,
    Cidr,
    Condition,
    GetAtt,
    GetAZs,
    If,
    Join,
    Output,
    Ref,
    Select,
    Sub,
    Template,
    ec2,
    logs,
)

from templates.exports import offer
from templates.iam.roles import role
from templates.iam.services import write_logs
from templates.naming import log_group_name, tags
from templates.parameters import (
    add_load_balancer_kind,
    add_nat_conditions,
    add_zones,
    given,
    log_days,
    new_template,
    text,
)

STACK = "network"
ZONES = ("A", "B", "C")
# Every environment has the same, unless it is told another (VPC_CIDR): networks that are to be
# joined must differ.
DEFAULT_CIDR = "10.40.0.0/16"
# 4,096 addresses a subnet: a task takes one, and 100,000 charging points take a few dozen tasks.
_SUBNET_BITS = 12


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI network: VPC, subnets, NAT gateways with fixed addresses.")
    _add_parameters(template)
    vpc = template.add_resource(
        ec2.VPC(
            "Vpc",
            CidrBlock=Ref("VpcCidr"),
            EnableDnsSupport=True,
            EnableDnsHostnames=True,
            Tags=tags(),
        )
    )
    gateway = template.add_resource(ec2.InternetGateway("InternetGateway", Tags=tags()))
    attachment = template.add_resource(
        ec2.VPCGatewayAttachment(
            "InternetGatewayAttachment", VpcId=Ref(vpc), InternetGatewayId=Ref(gateway)
        )
    )
    public_routes = template.add_resource(
        ec2.RouteTable("PublicRoutes", VpcId=Ref(vpc), Tags=tags("public"))
    )
    template.add_resource(
        ec2.Route(
            "PublicDefaultRoute",
            RouteTableId=Ref(public_routes),
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=Ref(gateway),
            DependsOn=attachment.title,
        )
    )
    for index, zone in enumerate(ZONES):
        _add_zone(template, vpc, public_routes, index, zone)
    template.add_resource(
        ec2.VPCEndpoint(
            "S3Endpoint",
            VpcId=Ref(vpc),
            VpcEndpointType="Gateway",
            ServiceName=Sub("com.amazonaws.${AWS::Region}.s3"),
            # Images come from S3: this way past the NAT gateways, which cost by the gigabyte.
            RouteTableIds=[Ref(f"PrivateRoutes{z}") for z in ZONES[:2]]
            + [If("ThreeZones", Ref("PrivateRoutesC"), Ref(AWS_NO_VALUE))],
        )
    )
    _add_flow_logs(template, vpc)
    _add_outputs(template, vpc)
    return template


def _add_parameters(template: Template) -> None:
    text(
        template,
        "VpcCidr",
        "Addresses of the VPC; six subnets of 4,096 must fit",
        Default=DEFAULT_CIDR,
        AllowedPattern=r"(\d{1,3}\.){3}\d{1,3}/1[6-7]",
    )
    add_zones(template)
    for zone in ZONES:
        text(
            template,
            f"Zone{zone}",
            "Availability zone by name; empty: one of the first",
            Default="",
        )
        given(template, f"Zone{zone}")
    log_days(template)
    add_nat_conditions(template)
    add_load_balancer_kind(template)
    template.add_condition("NetworkInC", And(Condition("IsNetwork"), Condition("ThreeZones")))


def _add_zone(
    template: Template, vpc: ec2.VPC, public_routes: ec2.RouteTable, index: int, zone: str
) -> None:
    """Add a zone's public and private subnet, its NAT gateway and its way out."""
    optional = _optional(zone)
    subnets = Cidr(Ref("VpcCidr"), 2 * len(ZONES), _SUBNET_BITS)
    for kind, place in (("Public", index), ("Private", len(ZONES) + index)):
        template.add_resource(
            ec2.Subnet(
                f"{kind}Subnet{zone}",
                VpcId=Ref(vpc),
                AvailabilityZone=If(
                    f"HasZone{zone}", Ref(f"Zone{zone}"), Select(index, GetAZs(""))
                ),
                CidrBlock=Select(place, subnets),
                MapPublicIpOnLaunch=False,
                Tags=tags(f"{kind.lower()}-{zone.lower()}"),
                **optional,
            )
        )
    template.add_resource(
        ec2.SubnetRouteTableAssociation(
            f"PublicRoutes{zone}Association",
            SubnetId=Ref(f"PublicSubnet{zone}"),
            RouteTableId=Ref(public_routes),
            **optional,
        )
    )
    template.add_resource(
        ec2.EIP(
            f"ChargingPointAddress{zone}",
            Domain="vpc",
            Tags=tags(f"charging-point-{zone.lower()}"),
            DependsOn="InternetGatewayAttachment",
            Condition=_condition_of_address(zone),
        )
    )
    has_nat = {} if zone == "A" else {"Condition": f"NatIn{zone}"}
    template.add_resource(
        ec2.EIP(
            f"NatAddress{zone}",
            Domain="vpc",
            Tags=tags(f"nat-{zone.lower()}"),
            DependsOn="InternetGatewayAttachment",
            **has_nat,
        )
    )
    template.add_resource(
        ec2.NatGateway(
            f"NatGateway{zone}",
            AllocationId=GetAtt(f"NatAddress{zone}", "AllocationId"),
            SubnetId=Ref(f"PublicSubnet{zone}"),
            Tags=tags(zone.lower()),
            **has_nat,
        )
    )
    template.add_resource(
        ec2.RouteTable(
            f"PrivateRoutes{zone}", VpcId=Ref(vpc), Tags=tags(f"private-{zone.lower()}"), **optional
        )
    )
    template.add_resource(
        ec2.SubnetRouteTableAssociation(
            f"PrivateRoutes{zone}Association",
            SubnetId=Ref(f"PrivateSubnet{zone}"),
            RouteTableId=Ref(f"PrivateRoutes{zone}"),
            **optional,
        )
    )
    own = Ref(f"NatGateway{zone}")
    template.add_resource(
        ec2.Route(
            f"PrivateDefaultRoute{zone}",
            RouteTableId=Ref(f"PrivateRoutes{zone}"),
            DestinationCidrBlock="0.0.0.0/0",
            NatGatewayId=own if zone == "A" else If(f"NatIn{zone}", own, Ref("NatGatewayA")),
            **optional,
        )
    )


def _add_flow_logs(template: Template, vpc: ec2.VPC) -> None:
    group = template.add_resource(
        logs.LogGroup(
            "FlowLogGroup",
            LogGroupName=log_group_name("network"),
            RetentionInDays=Ref("LogDays"),
        )
    )
    writer = role(
        template, "FlowLogRole", "vpc-flow-logs", {"write-logs": write_logs(GetAtt(group, "Arn"))}
    )
    template.add_resource(
        ec2.FlowLog(
            "FlowLog",
            ResourceId=Ref(vpc),
            ResourceType="VPC",
            # What was let in is in the services' logs; what was not is only here.
            TrafficType="REJECT",
            LogGroupName=Ref(group),
            DeliverLogsPermissionArn=GetAtt(writer, "Arn"),
            Tags=tags(),
        )
    )


def _add_outputs(template: Template, vpc: ec2.VPC) -> None:
    offer(template, STACK, "VpcId", Ref(vpc), "The VPC")
    offer(template, STACK, "VpcCidr", Ref("VpcCidr"), "Its addresses")
    for kind in ("Public", "Private"):
        for zone in ZONES:
            offer(
                template,
                STACK,
                f"{kind}Subnet{zone}",
                Ref(f"{kind}Subnet{zone}"),
                f"The {kind.lower()} subnet of zone {zone}",
                **_optional(zone),
            )
    for zone in ZONES:
        offer(
            template,
            STACK,
            f"NatGateway{zone}",
            Ref(f"NatGateway{zone}"),
            f"The NAT gateway of zone {zone}",
            **({} if zone == "A" else {"Condition": f"NatIn{zone}"}),
        )
    for zone in ZONES:
        offer(
            template,
            STACK,
            f"ChargingPointAllocation{zone}",
            GetAtt(f"ChargingPointAddress{zone}", "AllocationId"),
            f"The charging points' address in zone {zone}",
            Condition=_condition_of_address(zone),
        )
    template.add_output(
        Output(
            "ChargingPointAddresses",
            Description="The addresses of the charging points' network load balancer",
            Value=If(
                "ThreeZones",
                Join(",", [Ref(f"ChargingPointAddress{zone}") for zone in ZONES]),
                Join(",", [Ref(f"ChargingPointAddress{zone}") for zone in ZONES[:2]]),
            ),
            Condition="IsNetwork",
        )
    )
    # No export: nobody imports them, and they may be added to.
    template.add_output(
        Output(
            "NatAddresses",
            Description=(
                "The addresses that our requests come from; give them to the hub's operator"
            ),
            Value=If(
                "NatInC",
                Join(",", [Ref(f"NatAddress{zone}") for zone in ZONES]),
                If(
                    "NatInB",
                    Join(",", [Ref(f"NatAddress{zone}") for zone in ZONES[:2]]),
                    Ref("NatAddressA"),
                ),
            ),
        )
    )


def _condition_of_address(zone: str) -> str:
    return "NetworkInC" if zone == "C" else "IsNetwork"


def _optional(zone: str) -> dict[str, str]:
    return {"Condition": "ThreeZones"} if zone == "C" else {}
