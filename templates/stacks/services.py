"""The two services: each a task definition, a load balancer, and rules to grow and shrink."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from troposphere import (
    AWS_NO_VALUE,
    Equals,
    FindInMap,
    GetAtt,
    If,
    Join,
    Not,
    Parameter,
    Ref,
    Template,
    cloudwatch,
    ecs,
)
from troposphere import applicationautoscaling as scaling
from troposphere import elasticloadbalancingv2 as elb

from templates.exports import imported, offer
from templates.iam.services import be_entered
from templates.naming import CHARGING_POINT, THIRD_PARTY, service_name
from templates.parameters import (
    add_architecture,
    add_zones,
    new_template,
    number,
    switch,
    text,
    yes_or_no,
)
from templates.parts import hub
from templates.parts.alarms import (
    CHARGING_POINT_METRICS,
    FIVE_MINUTES,
    Metric,
    add_runbook,
    alarm,
    own,
)
from templates.parts.containers import database_environment, database_secrets
from templates.parts.service import PROGRAMS, Program, Service, add_load_balancer, add_task_role
from templates.stacks.firewall import HTTPS

STACK = "services"
CPU_TARGET_PERCENT = 60
# What Fargate has, in thousandths of a processor.
PROCESSORS = [256, 512, 1024, 2048, 4096, 8192, 16384]

# Above the ping interval (60 s) with room for a lost ping, so that a quiet charging point is
# never cut off by the load balancer.
WEBSOCKET_IDLE_SECONDS = 180
# The hub waits 10 s for an answer.
REQUEST_IDLE_SECONDS = 30
# A task stops within 120 s; its charging points have been closed with 1012 by then.
WEBSOCKET_DRAIN_SECONDS = 120
REQUEST_DRAIN_SECONDS = 20


@dataclass(frozen=True)
class Live:
    """What makes the two services differ."""

    program: Program
    scheme: str
    idle_seconds: int
    drain_seconds: int
    scale_in_seconds: int
    errors_in_five_minutes: int
    settings: dict[str, object]
    beside: tuple[ecs.ContainerDefinition, ...] = ()
    balancer: dict[str, Any] = field(default_factory=dict)


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI services: charging-point-backend and third-party-backend.")
    _add_parameters(template)
    for live in (_charging_points(), _hub()):
        _add_service(template, live)
    _add_scaling_by_connections(template)
    return template


def _add_parameters(template: Template) -> None:
    add_zones(template)
    add_architecture(template)
    add_runbook(template)
    hub.add_parameters(template)
    text(template, "CertificateArn", "Certificate of both load balancers, in ACM")
    switch(template, "AllowExec", False, "Let people open a shell in a task")
    yes_or_no(template, "Protected", False, "Refuse to delete load balancers")
    number(template, "LoadBalancerCapacity", 0, "LCU kept ready for charging points; 0: none")
    number(template, "ConnectionsPerNode", 15_000, "Connections above which it grows", 100)
    # A node is one process, which one processor keeps busy.
    template.add_mapping("Nodes", {str(cpu): {"Count": max(1, cpu // 1024)} for cpu in PROCESSORS})
    template.add_condition("HasCapacity", Not(Equals(Ref("LoadBalancerCapacity"), 0)))


def _charging_points() -> Live:
    program = PROGRAMS[CHARGING_POINT]
    return Live(
        program,
        "internet-facing",
        WEBSOCKET_IDLE_SECONDS,
        WEBSOCKET_DRAIN_SECONDS,
        # Charging points reconnect when a task goes: seldom, then.
        scale_in_seconds=1800,
        # A full node answers 503 with Retry-After; a storm brings some of them.
        errors_in_five_minutes=100,
        settings=program.settings(
            Ref("Environment"),
            PROCESSES=FindInMap("Nodes", Ref("ChargingPointCpu"), "Count"),
            DRAIN_TIME="100",
        ),
        balancer={
            "MinimumLoadBalancerCapacity": If(
                "HasCapacity",
                elb.MinimumLoadBalancerCapacity(CapacityUnits=Ref("LoadBalancerCapacity")),
                Ref(AWS_NO_VALUE),
            )
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
        scale_in_seconds=300,
        errors_in_five_minutes=10,
        settings=program.settings(Ref("Environment")) | hub.web_environment(),
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
            template, title, program.name, {"be-entered": ("IsAllowExec", be_entered())}
        ),
        task_group=imported("firewall", f"{title}Tasks"),
        settings=live.settings | database_environment(),
        secrets=database_secrets(),
        drain_seconds=live.drain_seconds,
        # Connections last for weeks: a new task must fill before the old ones.
        target_attributes={"load_balancing.algorithm.type": "least_outstanding_requests"},
        health_check=_health_check(program.port),
        beside=live.beside,
    )
    balancer = add_load_balancer(
        template,
        title,
        program.name,
        scheme=live.scheme,
        security_group=imported("firewall", f"{title}LoadBalancer"),
        idle_seconds=live.idle_seconds,
        protected=Ref("Protected"),
        **live.balancer,
    )
    group = service.add_targets(template, balancer, HTTPS)
    _offer_load_balancer(template, title, balancer, group)
    roll_back = _add_alarms(template, live, balancer, group)
    running = service.add_service(
        template,
        service_name(program.name),
        group,
        {
            "MinimumHealthyPercent": 100,
            "MaximumPercent": 200,
            # Tasks that start well and serve badly are taken back too.
            "Alarms": ecs.DeploymentAlarms(
                Enable=True, Rollback=True, AlarmNames=[Ref(alarm) for alarm in roll_back]
            ),
        },
        # No DesiredCount: it belongs to the autoscaling, and a deployment must not reset it.
        # Moving a task for symmetry's sake would disconnect its charging points.
        AvailabilityZoneRebalancing="DISABLED",
        EnableExecuteCommand=If("IsAllowExec", True, False),
    )
    _add_scaling(template, live, running)
    offer(template, STACK, f"{title}ServiceName", GetAtt(running, "Name"), "Name of the service")


def _health_check(port: int) -> ecs.HealthCheck:
    """Return the container's own check; ECS does not read the image's HEALTHCHECK."""
    alive = (
        f"import urllib.request as r;r.urlopen('http://127.0.0.1:{port}/health/live', timeout=4)"
    )
    return ecs.HealthCheck(
        Command=["CMD", "python", "-c", alive], Interval=15, Timeout=5, Retries=3, StartPeriod=30
    )


def _offer_load_balancer(
    template: Template, title: str, balancer: elb.LoadBalancer, group: elb.TargetGroup
) -> None:
    for name, value, description in (
        ("LoadBalancer", Ref(balancer), "ARN of the load balancer"),
        ("Host", GetAtt(balancer, "DNSName"), "Its name in DNS"),
        ("LoadBalancerFullName", GetAtt(balancer, "LoadBalancerFullName"), "Its name in metrics"),
        ("TargetsFullName", GetAtt(group, "TargetGroupFullName"), "Its targets' name in metrics"),
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
                ScaleInCooldown=1800,
                ScaleOutCooldown=120,
            ),
        )
    )


def _add_alarms(
    template: Template, live: Live, balancer: elb.LoadBalancer, group: elb.TargetGroup
) -> list[cloudwatch.Alarm]:
    at_balancer = {"LoadBalancer": GetAtt(balancer, "LoadBalancerFullName")}
    at_targets = {**at_balancer, "TargetGroup": GetAtt(group, "TargetGroupFullName")}
    return [
        alarm(
            template,
            f"{live.program.name}-tasks-unhealthy",
            f"Tasks of the {live.program.name} service have been unhealthy for three minutes",
            Metric("AWS/ApplicationELB", "UnHealthyHostCount", at_targets, "Maximum"),
            0,
            periods=3,
        ),
        alarm(
            template,
            f"{live.program.name}-5xx",
            f"The {live.program.name} service has answered many requests with 5xx",
            {
                "tasks": Metric("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", at_targets),
                "balancer": Metric("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", at_balancer),
            },
            live.errors_in_five_minutes,
            # Without an error there is no metric, and a sum with nothing is nothing.
            expression="FILL(tasks, 0) + FILL(balancer, 0)",
            period=FIVE_MINUTES,
            periods=1,
        ),
    ]


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
                ScaleInCooldown=live.scale_in_seconds,
                ScaleOutCooldown=60,
            ),
        )
    )
