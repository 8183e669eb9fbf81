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

from templates import database, hub
from templates.alarms import (
    CHARGING_POINT_METRICS,
    FIVE_MINUTES,
    Metric,
    add_runbook,
    alarm,
    own,
)
from templates.cluster import add_architecture
from templates.containers import (
    WITHOUT_COMPUTE_SPECIFICS,
    container,
    database_environment,
    database_secrets,
    runtime,
)
from templates.names import (
    CHARGING_POINT,
    CHARGING_POINT_PORT,
    THIRD_PARTY,
    THIRD_PARTY_PORT,
    add_zones,
    camel,
    imported,
    log_group_name,
    new_template,
    number,
    offer,
    service_name,
    subnets,
    switch,
    tags,
    text,
    yes_or_no,
)
from templates.policies import be_entered
from templates.roles import role

STACK = "services"
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
CPU_TARGET_PERCENT = 60
# What Fargate has, in thousandths of a processor.
PROCESSORS = [256, 512, 1024, 2048, 4096, 8192, 16384]

ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - of a task in a private subnet, behind its firewall

# Above the ping interval (60 s) with room for a lost ping, so that a quiet charging point is
# never cut off by the load balancer.
WEBSOCKET_IDLE_SECONDS = 180
# The hub waits 10 s for an answer.
REQUEST_IDLE_SECONDS = 30
# A task stops within 120 s; its charging points have been told to go elsewhere by then.
WEBSOCKET_DRAIN_SECONDS = 120
REQUEST_DRAIN_SECONDS = 20


@dataclass(frozen=True)
class Service:
    """What makes the two services differ."""

    name: str
    port: int
    command: list[str]
    scheme: str
    subnets: str
    idle_seconds: int
    drain_seconds: int
    scale_in_seconds: int
    errors_in_five_minutes: int
    environment: dict[str, Any] = field(default_factory=dict)
    beside: list[ecs.ContainerDefinition] = field(default_factory=list)
    balancer: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The beginning of its resources' and parameters' names."""
        return camel(self.name)


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI services: charging-point-backend and third-party-backend.")
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
    for service in (
        Service(
            CHARGING_POINT,
            CHARGING_POINT_PORT,
            ["python", "-m", "cp_backend"],
            "internet-facing",
            "Public",
            WEBSOCKET_IDLE_SECONDS,
            WEBSOCKET_DRAIN_SECONDS,
            # Charging points reconnect when a task goes: seldom, then.
            scale_in_seconds=1800,
            # A full node answers 503 with Retry-After; a storm brings some of them.
            errors_in_five_minutes=100,
            environment={
                "CP_BACKEND_HOST": ALL_ADDRESSES,
                "CP_BACKEND_ENVIRONMENT": Ref("Environment"),
                "CP_BACKEND_FORWARDED_HOPS": "1",
                "CP_BACKEND_PROCESSES": FindInMap("Nodes", Ref("ChargingPointCpu"), "Count"),
                "CP_BACKEND_DRAIN_TIME": "100",
            },
            balancer={
                "MinimumLoadBalancerCapacity": If(
                    "HasCapacity",
                    elb.MinimumLoadBalancerCapacity(CapacityUnits=Ref("LoadBalancerCapacity")),
                    Ref(AWS_NO_VALUE),
                )
            },
        ),
        Service(
            THIRD_PARTY,
            THIRD_PARTY_PORT,
            ["python", "-m", "third_party_backend"],
            # The accelerator is the only way in.
            "internal",
            "Private",
            REQUEST_IDLE_SECONDS,
            REQUEST_DRAIN_SECONDS,
            scale_in_seconds=300,
            errors_in_five_minutes=10,
            environment={"THIRD_PARTY_HOST": ALL_ADDRESSES} | hub.web_environment(),
            beside=[hub.relay()],
        ),
    ):
        _add_service(template, service)
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
    return template


def _add_service(template: Template, service: Service) -> None:
    title = service.title
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
    group, roll_back = _add_load_balancer(template, service)
    running = template.add_resource(
        ecs.Service(
            f"{title}Service",
            ServiceName=service_name(service.name),
            Cluster=imported("cluster", "Arn"),
            TaskDefinition=Ref(_add_task(template, service)),
            LaunchType="FARGATE",
            PlatformVersion="LATEST",
            # No DesiredCount: it belongs to the autoscaling, and a deployment must not reset it.
            DeploymentConfiguration=ecs.DeploymentConfiguration(
                MinimumHealthyPercent=100,
                MaximumPercent=200,
                DeploymentCircuitBreaker=ecs.DeploymentCircuitBreaker(Enable=True, Rollback=True),
                # Tasks that start well and serve badly are taken back too.
                Alarms=ecs.DeploymentAlarms(
                    Enable=True, Rollback=True, AlarmNames=[Ref(alarm) for alarm in roll_back]
                ),
            ),
            # Moving a task for symmetry's sake would disconnect its charging points.
            AvailabilityZoneRebalancing="DISABLED",
            HealthCheckGracePeriodSeconds=60,
            EnableExecuteCommand=If("IsAllowExec", True, False),
            EnableECSManagedTags=True,
            PropagateTags="SERVICE",
            LoadBalancers=[
                ecs.LoadBalancer(
                    ContainerName=service.name,
                    ContainerPort=service.port,
                    TargetGroupArn=Ref(group),
                )
            ],
            NetworkConfiguration=ecs.NetworkConfiguration(
                AwsvpcConfiguration=ecs.AwsvpcConfiguration(
                    AssignPublicIp="DISABLED",
                    SecurityGroups=[imported("firewall", f"{title}Tasks")],
                    Subnets=subnets("Private"),
                )
            ),
            DependsOn=f"{title}Listener",
            Tags=tags(service.name),
        )
    )
    _add_scaling(template, service, running)
    offer(template, STACK, f"{title}ServiceName", GetAtt(running, "Name"), "Name of the service")


def _add_task(template: Template, service: Service) -> ecs.TaskDefinition:
    # The program itself needs nothing of AWS.
    task_role = role(
        template,
        f"{service.title}TaskRole",
        "ecs-tasks",
        {},
        optional={"be-entered": ("IsAllowExec", be_entered())},
        tag=service.name,
    )
    alive = (
        "import urllib.request as r;"
        f"r.urlopen('http://127.0.0.1:{service.port}/health/live', timeout=4)"
    )
    return template.add_resource(
        ecs.TaskDefinition(
            f"{service.title}Task",
            Family=service_name(service.name),
            Cpu=Ref(f"{service.title}Cpu"),
            Memory=Ref(f"{service.title}Memory"),
            RuntimePlatform=runtime(Ref("Architecture")),
            ExecutionRoleArn=imported("cluster", "ExecutionRole"),
            TaskRoleArn=GetAtt(task_role, "Arn"),
            ContainerDefinitions=[
                container(
                    service.name,
                    command=service.command,
                    environment=service.environment | database_environment(database.NAME),
                    secrets=database_secrets(),
                    log_group=log_group_name(service.name),
                    PortMappings=[ecs.PortMapping(ContainerPort=service.port, Protocol="tcp")],
                    # ECS does not read the image's own HEALTHCHECK.
                    HealthCheck=ecs.HealthCheck(
                        Command=["CMD", "python", "-c", alive],
                        Interval=15,
                        Timeout=5,
                        Retries=3,
                        StartPeriod=30,
                    ),
                ),
                *service.beside,
            ],
            Tags=tags(service.name),
            **WITHOUT_COMPUTE_SPECIFICS,
        )
    )


def _add_load_balancer(
    template: Template, service: Service
) -> tuple[elb.TargetGroup, list[cloudwatch.Alarm]]:
    """Add a load balancer; return its targets, and the alarms that take a deployment back."""
    title = service.title
    balancer = template.add_resource(
        elb.LoadBalancer(
            f"{title}LoadBalancer",
            Type="application",
            Scheme=service.scheme,
            Subnets=subnets(service.subnets),
            SecurityGroups=[imported("firewall", f"{title}LoadBalancer")],
            LoadBalancerAttributes=_attributes(
                elb.LoadBalancerAttributes,
                {
                    "idle_timeout.timeout_seconds": str(service.idle_seconds),
                    "routing.http.drop_invalid_header_fields.enabled": "true",
                    "deletion_protection.enabled": Ref("Protected"),
                },
            ),
            Tags=tags(service.name),
            **service.balancer,
        )
    )
    group = template.add_resource(
        elb.TargetGroup(
            f"{title}Targets",
            VpcId=imported("network", "VpcId"),
            TargetType="ip",
            Protocol="HTTP",
            Port=service.port,
            # Health checks do not speak WebSocket; the service answers HTTP on the same port.
            HealthCheckPath="/health/ready",
            HealthCheckIntervalSeconds=10,
            HealthCheckTimeoutSeconds=5,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=3,
            Matcher=elb.Matcher(HttpCode="200"),
            TargetGroupAttributes=_attributes(
                elb.TargetGroupAttribute,
                {
                    "deregistration_delay.timeout_seconds": str(service.drain_seconds),
                    # Connections last for weeks: a new task must fill before the old ones.
                    "load_balancing.algorithm.type": "least_outstanding_requests",
                },
            ),
            Tags=tags(service.name),
        )
    )
    template.add_resource(
        elb.Listener(
            f"{title}Listener",
            LoadBalancerArn=Ref(balancer),
            Port=443,
            Protocol="HTTPS",
            SslPolicy=TLS_POLICY,
            Certificates=[elb.Certificate(CertificateArn=Ref("CertificateArn"))],
            DefaultActions=[elb.Action(Type="forward", TargetGroupArn=Ref(group))],
        )
    )
    offer(template, STACK, f"{title}LoadBalancer", Ref(balancer), "ARN of the load balancer")
    offer(template, STACK, f"{title}Host", GetAtt(balancer, "DNSName"), "Its name in DNS")
    offer(
        template,
        STACK,
        f"{title}LoadBalancerFullName",
        GetAtt(balancer, "LoadBalancerFullName"),
        "Its name in metrics",
    )
    offer(
        template,
        STACK,
        f"{title}TargetsFullName",
        GetAtt(group, "TargetGroupFullName"),
        "Its targets' name in metrics",
    )
    return group, _add_alarms(template, service, balancer, group)


def _add_alarms(
    template: Template, service: Service, balancer: elb.LoadBalancer, group: elb.TargetGroup
) -> list[cloudwatch.Alarm]:
    at_balancer = {"LoadBalancer": GetAtt(balancer, "LoadBalancerFullName")}
    at_targets = {**at_balancer, "TargetGroup": GetAtt(group, "TargetGroupFullName")}
    return [
        alarm(
            template,
            f"{service.name}-tasks-unhealthy",
            f"Tasks of the {service.name} service have been unhealthy for three minutes",
            Metric("AWS/ApplicationELB", "UnHealthyHostCount", at_targets, "Maximum"),
            0,
            periods=3,
        ),
        alarm(
            template,
            f"{service.name}-5xx",
            f"The {service.name} service has answered many requests with 5xx",
            {
                "tasks": Metric("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", at_targets),
                "balancer": Metric("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", at_balancer),
            },
            service.errors_in_five_minutes,
            # Without an error there is no metric, and a sum with nothing is nothing.
            expression="FILL(tasks, 0) + FILL(balancer, 0)",
            period=FIVE_MINUTES,
            periods=1,
        ),
    ]


def _add_scaling(template: Template, service: Service, running: ecs.Service) -> None:
    title = service.title
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
                ScaleInCooldown=service.scale_in_seconds,
                ScaleOutCooldown=60,
            ),
        )
    )


def _attributes(kind: Any, values: dict[str, object]) -> list[Any]:
    return [kind(Key=key, Value=value) for key, value in values.items()]
