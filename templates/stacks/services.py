"""The two services: each a task definition, a load balancer, and rules to grow and shrink."""

from __future__ import annotations

from dataclasses import dataclass, field

from troposphere import (
    AWS_NO_VALUE,
    Condition,
    FindInMap,
    GetAtt,
    If,
    Join,
    Not,
    Parameter,
    Ref,
    Template,
    ecs,
)
from troposphere import applicationautoscaling as scaling
from troposphere import elasticloadbalancingv2 as elb

from templates.exports import imported, offer
from templates.naming import CHARGING_POINT, THIRD_PARTY, service_name
from templates.parameters import (
    add_architecture,
    add_load_balancer_kind,
    add_zones,
    new_template,
    number,
    text,
    yes_or_no,
)
from templates.parts import hub, mutual_tls
from templates.parts.alarms import (
    CHARGING_POINT_METRICS,
    FIVE_MINUTES,
    Metric,
    add_runbook,
    alarm,
    own,
)
from templates.parts.containers import (
    Only,
    database_environment,
    database_secrets,
    file_store,
)
from templates.parts.daily import add_daily_tasks
from templates.parts.operations import add_operations
from templates.parts.rules import HTTPS
from templates.parts.service import (
    PROGRAMS,
    Program,
    Service,
    add_load_balancer,
    add_network_load_balancer,
    add_task_role,
    container_health,
    policies_of_tasks,
)
from templates.stacks.network import ZONES

STACK = "services"
CERTIFICATES = {
    "ChargingPointCertificateArn": "RSA certificate of the charging points' load balancer",
    "ChargingPointEcdsaCertificateArn": "ECDSA certificate of the charging points' load balancer",
    "ThirdPartyCertificateArn": "Certificate of the hub's load balancer",
}
"""The parameters that take them."""
CPU_TARGET_PERCENT = 60
# What Fargate has, in thousandths of a processor.
PROCESSORS = [256, 512, 1024, 2048, 4096, 8192, 16384]

# Above the ping interval (60 s) with room for a lost ping, so that a quiet charging point is
# never cut off by the load balancer.
WEBSOCKET_IDLE_SECONDS = 180
# The hub waits 10 s for an answer.
REQUEST_IDLE_SECONDS = 30
# How long a node takes to close its connections with 1012, at an even pace.
NODE_DRAIN_SECONDS = 100
# ECS deregisters a target, waits until the delay has passed, and only then sends SIGTERM; what is
# open at the end of the delay the load balancer cuts. So a node must have closed its connections
# within it: 20 s to learn of it, its drain, and 20 s more.
WEBSOCKET_DRAIN_SECONDS = NODE_DRAIN_SECONDS + 40
REQUEST_DRAIN_SECONDS = 20


@dataclass(frozen=True)
class Live:
    """What makes the two services differ."""

    program: Program
    scheme: str
    idle_seconds: int
    drain_seconds: int
    scales_in: bool
    errors_in_five_minutes: int
    max_percent: object
    settings: dict[str, object]
    certificates: dict[str, object]
    beside: tuple[ecs.ContainerDefinition, ...] = ()
    refusals: dict[str, Metric] = field(default_factory=dict)
    """5xx by design, which count for no alarm."""


@dataclass(frozen=True)
class Balanced:
    """What the rest of the stack needs to know of a load balancer and its targets."""

    arn: object
    host: object
    zone: object
    full_name: object
    group_arn: object
    group_full_name: object
    listener: object

    @classmethod
    def by(cls, balancer: elb.LoadBalancer, group: elb.TargetGroup) -> Balanced:
        """Return what is known of these."""
        return cls(
            Ref(balancer),
            GetAtt(balancer, "DNSName"),
            GetAtt(balancer, "CanonicalHostedZoneID"),
            GetAtt(balancer, "LoadBalancerFullName"),
            Ref(group),
            GetAtt(group, "TargetGroupFullName"),
            Ref(group.title.replace("Targets", "Listener")),
        )

    def or_if(self, condition: str, other: Balanced) -> Balanced:
        """Return what is of the other where a condition is true, and of this one elsewhere."""
        return Balanced(
            If(condition, other.arn, self.arn),
            If(condition, other.host, self.host),
            If(condition, other.zone, self.zone),
            If(condition, other.full_name, self.full_name),
            If(condition, other.group_arn, self.group_arn),
            If(condition, other.group_full_name, self.group_full_name),
            If(condition, other.listener, self.listener),
        )


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI services: charging-point-backend and third-party-backend.")
    _add_parameters(template)
    for live in (_charging_points(template), _hub()):
        _add_service(template, live)
    _add_scaling_by_connections(template)
    add_daily_tasks(template)
    offer(
        template,
        STACK,
        "OperationsTask",
        Ref(add_operations(template)),
        "Task of the operator's commands",
    )
    return template


def _add_parameters(template: Template) -> None:
    add_zones(template)
    add_architecture(template)
    add_load_balancer_kind(template)
    template.add_condition("IsApplication", Not(Condition("IsNetwork")))
    add_runbook(template)
    hub.add_parameters(template)
    mutual_tls.add_parameter(template)
    for parameter, description in CERTIFICATES.items():
        text(template, parameter, f"{description}, in ACM")
    yes_or_no(template, "Protected", False, "Refuse to delete load balancers")
    number(template, "ConnectionsPerNode", 15_000, "Connections above which it grows", 100)
    # A node is one process, which one processor keeps busy.
    template.add_mapping("Nodes", {str(cpu): {"Count": max(1, cpu // 1024)} for cpu in PROCESSORS})


def _charging_points(template: Template) -> Live:
    program = PROGRAMS[CHARGING_POINT]
    return Live(
        program,
        "internet-facing",
        WEBSOCKET_IDLE_SECONDS,
        WEBSOCKET_DRAIN_SECONDS,
        # Connections do not move: a task that goes disconnects its charging points for a few
        # dollars a day. Whoever wants fewer tasks says so, in a deployment.
        scales_in=False,
        errors_in_five_minutes=100,
        # A few at a time: all old tasks at once would be a storm of the whole fleet.
        max_percent=number(
            template, "ChargingPointMaxPercent", 150, "Tasks at most during a deployment, %", 101
        ),
        # 503 with Retry-After, of a node that is full or has no database: a storm brings many, and
        # the storm that a deployment makes must not take that deployment back.
        refusals={"refused": own(CHARGING_POINT_METRICS, "HandshakesPutOff")},
        settings=program.settings(
            Ref("Environment"),
            PROCESSES=FindInMap("Nodes", Ref("ChargingPointCpu"), "Count"),
            # A network load balancer appends to no header: what stands in one is the client's.
            FORWARDED_HOPS=If("IsNetwork", "0", "1"),
            PROXY_PROTOCOL_FROM=Only("IsNetwork", imported("network", "VpcCidr")),
            DRAIN_TIME=str(NODE_DRAIN_SECONDS),
            **mutual_tls.settings(),
        )
        # A node asks this group whether it is being drained; no setting of its own, so that images
        # that do not know it start as well.
        | {
            "TARGET_GROUP_ARN": If(
                "IsNetwork", Ref("ChargingPointNetworkTargets"), Ref("ChargingPointTargets")
            )
        }
        | file_store(),
        certificates={
            "Rsa": Ref("ChargingPointCertificateArn"),
            "Ecdsa": Ref("ChargingPointEcdsaCertificateArn"),
        },
    )


def _hub() -> Live:
    program = PROGRAMS[THIRD_PARTY]
    return Live(
        program,
        # The accelerator is the only way in.
        "internal",
        REQUEST_IDLE_SECONDS,
        REQUEST_DRAIN_SECONDS,
        scales_in=True,
        errors_in_five_minutes=10,
        max_percent=200,
        settings=program.settings(Ref("Environment")) | hub.web_environment(),
        certificates={"": Ref("ThirdPartyCertificateArn")},
        beside=(hub.relay(),),
    )


def _add_service(template: Template, live: Live) -> None:
    program = live.program
    title = program.title
    text(template, f"{title}ImageTag", "Tag of the image that runs")
    template.add_parameter(
        Parameter(
            f"{title}Cpu",
            Type="Number",
            Default=512,
            AllowedValues=PROCESSORS,
            Description="Thousandths of a processor for a task",
        )
    )
    number(template, f"{title}Memory", 1024, "MB for a task", 512)
    number(template, f"{title}MinTasks", 2, "Tasks at least", 1)
    number(template, f"{title}MaxTasks", 4, "Tasks at most", 1)
    service = Service(
        program,
        title,
        program.name,
        cpu=Ref(f"{title}Cpu"),
        memory=Ref(f"{title}Memory"),
        execution_role=imported("cluster", "ExecutionRole"),
        task_role=add_task_role(
            template,
            title,
            program.name,
            policies_of_tasks(program),
        ),
        task_group=imported("firewall", f"{title}Tasks"),
        settings=live.settings | database_environment(),
        secrets=database_secrets(),
        drain_seconds=live.drain_seconds,
        certificates=live.certificates,
        # Connections last for weeks: a new task must fill before the old ones.
        target_attributes={"load_balancing.algorithm.type": "least_outstanding_requests"},
        health_check=container_health(program.port),
        beside=live.beside,
    )
    if program.name == CHARGING_POINT:
        balanced = _add_either_load_balancer(template, service, live)
        mutual_tls.add_listener(template, template.resources["ChargingPointListener"])
    else:
        balancer = _add_application_load_balancer(template, live)
        balanced = Balanced.by(balancer, service.add_targets(template, balancer, HTTPS))
    _offer_load_balancer(template, title, balanced)
    roll_back = _add_alarms(template, live, balanced)
    running = service.add_service(
        template,
        service_name(program.name),
        balanced.group_arn,
        {
            "MinimumHealthyPercent": 100,
            "MaximumPercent": live.max_percent,
            # Tasks that start well and serve badly are taken back too.
            "Alarms": ecs.DeploymentAlarms(Enable=True, Rollback=True, AlarmNames=roll_back),
        },
        listener=balanced.listener,
        # No DesiredCount: it belongs to the autoscaling, and a deployment must not reset it.
        # Moving a task for symmetry's sake would disconnect its charging points.
        AvailabilityZoneRebalancing="DISABLED",
    )
    _add_scaling(template, live, running)
    offer(template, STACK, f"{title}ServiceName", GetAtt(running, "Name"), "Name of the service")


def _add_application_load_balancer(
    template: Template, live: Live, **condition: str
) -> elb.LoadBalancer:
    program = live.program
    return add_load_balancer(
        template,
        program.title,
        program.name,
        scheme=live.scheme,
        security_group=imported("firewall", f"{program.title}LoadBalancer"),
        idle_seconds=live.idle_seconds,
        protected=Ref("Protected"),
        **condition,
    )


def _add_either_load_balancer(template: Template, service: Service, live: Live) -> Balanced:
    """Add the charging points' load balancer of the environment's kind."""
    title = service.title
    application = _add_application_load_balancer(template, live, Condition="IsApplication")
    network = add_network_load_balancer(
        template,
        title,
        service.tag,
        security_group=imported("firewall", f"{title}LoadBalancer"),
        mappings=[
            *(_mapping(zone) for zone in ZONES[:2]),
            If("ThreeZones", _mapping(ZONES[2]), Ref(AWS_NO_VALUE)),
        ],
        protected=Ref("Protected"),
        condition="IsNetwork",
    )
    return Balanced.by(
        application, service.add_targets(template, application, HTTPS, "IsApplication")
    ).or_if(
        "IsNetwork",
        Balanced.by(network, service.add_network_targets(template, network, HTTPS, "IsNetwork")),
    )


def _mapping(zone: str) -> elb.SubnetMapping:
    return elb.SubnetMapping(
        SubnetId=imported("network", f"PublicSubnet{zone}"),
        AllocationId=imported("network", f"ChargingPointAllocation{zone}"),
    )


def _offer_load_balancer(template: Template, title: str, balanced: Balanced) -> None:
    for name, value, description in (
        ("LoadBalancer", balanced.arn, "ARN of the load balancer"),
        ("Host", balanced.host, "Its name in DNS"),
        ("HostZone", balanced.zone, "The hosted zone of that name"),
        ("LoadBalancerFullName", balanced.full_name, "Its name in metrics"),
        ("TargetsFullName", balanced.group_full_name, "Its targets' name in metrics"),
    ):
        offer(template, STACK, f"{title}{name}", value, description)


def _add_scaling_by_connections(template: Template) -> None:
    connections = own(CHARGING_POINT_METRICS, "Connections")
    template.add_resource(
        scaling.ScalingPolicy(
            "ChargingPointScalingByConnections",
            PolicyName="connections",
            PolicyType="TargetTrackingScaling",
            ScalingTargetId=Ref("ChargingPointScaling"),
            TargetTrackingScalingPolicyConfiguration=scaling.TargetTrackingScalingPolicyConfiguration(
                CustomizedMetricSpecification=scaling.CustomizedMetricSpecification(
                    Namespace=connections.namespace,
                    MetricName=connections.name,
                    Dimensions=[
                        scaling.MetricDimension(Name=name, Value=value)
                        for name, value in connections.dimensions.items()
                    ],
                    # Every node tells its own, so the average is that of a node.
                    Statistic="Average",
                ),
                TargetValue=Ref("ConnectionsPerNode"),
                DisableScaleIn=True,
                ScaleOutCooldown=120,
            ),
        )
    )


def _add_alarms(template: Template, live: Live, balanced: Balanced) -> list[object]:
    """Add the alarms that take a deployment back; return their names."""
    title = live.program.title
    # A network load balancer knows no HTTP.
    at_balancer = {"LoadBalancer": GetAtt(f"{title}LoadBalancer", "LoadBalancerFullName")}
    at_targets = {
        **at_balancer,
        "TargetGroup": GetAtt(f"{title}Targets", "TargetGroupFullName"),
    }
    charging_points = live.program.name == CHARGING_POINT
    unhealthy = alarm(
        template,
        f"{live.program.name}-tasks-unhealthy",
        f"Tasks of the {live.program.name} service have been unhealthy for three minutes",
        Metric(
            If("IsNetwork", "AWS/NetworkELB", "AWS/ApplicationELB")
            if charging_points
            else "AWS/ApplicationELB",
            "UnHealthyHostCount",
            {"LoadBalancer": balanced.full_name, "TargetGroup": balanced.group_full_name},
            "Maximum",
        ),
        0,
        periods=3,
    )
    errors = alarm(
        template,
        f"{live.program.name}-5xx",
        f"The {live.program.name} service has answered many requests with 5xx",
        {
            "tasks": Metric("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", at_targets),
            "balancer": Metric("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", at_balancer),
            **live.refusals,
        },
        live.errors_in_five_minutes,
        # Without an error there is no metric, and a sum with nothing is nothing.
        expression="FILL(tasks, 0) + FILL(balancer, 0)"
        + "".join(f" - FILL({refused}, 0)" for refused in live.refusals),
        period=FIVE_MINUTES,
        # A node counts its refusals a minute later than the load balancer its answers: of a
        # burst at the end of a period they would be missing in it.
        periods=2 if live.refusals else 1,
        **({"Condition": "IsApplication"} if charging_points else {}),
    )
    if charging_points:
        return [Ref(unhealthy), If("IsNetwork", Ref(AWS_NO_VALUE), Ref(errors))]
    return [Ref(unhealthy), Ref(errors)]


def _add_scaling(template: Template, live: Live, running: ecs.Service) -> None:
    title = live.program.title
    target = template.add_resource(
        scaling.ScalableTarget(
            f"{title}Scaling",
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId=Join("/", ["service", imported("cluster", "Name"), GetAtt(running, "Name")]),
            MinCapacity=Ref(f"{title}MinTasks"),
            MaxCapacity=Ref(f"{title}MaxTasks"),
        )
    )
    template.add_resource(
        scaling.ScalingPolicy(
            f"{title}ScalingByCpu",
            PolicyName="cpu",
            PolicyType="TargetTrackingScaling",
            ScalingTargetId=Ref(target),
            TargetTrackingScalingPolicyConfiguration=scaling.TargetTrackingScalingPolicyConfiguration(
                PredefinedMetricSpecification=scaling.PredefinedMetricSpecification(
                    PredefinedMetricType="ECSServiceAverageCPUUtilization"
                ),
                TargetValue=CPU_TARGET_PERCENT,
                DisableScaleIn=not live.scales_in,
                ScaleInCooldown=300,
                ScaleOutCooldown=60,
            ),
        )
    )
