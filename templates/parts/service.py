"""A service behind a load balancer: targets, listener, task definition, ECS service.

The services that drivers and charging points use and those that the pipelines test are made of
the same parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from troposphere import GetAtt, Ref, Template, ecs
from troposphere import elasticloadbalancingv2 as elb

from templates.exports import imported, subnets
from templates.iam.roles import role
from templates.iam.services import ask_about_own_target, keep_files
from templates.naming import (
    CHARGING_POINT,
    CHARGING_POINT_PORT,
    CONSOLE,
    THIRD_PARTY,
    THIRD_PARTY_PORT,
    camel,
    log_group_name,
    tags,
)
from templates.parts.containers import container, task_definition

TLS_POLICIES = {
    # TLS 1.2 and 1.3 with forward secrecy, and TLS_RSA_WITH_AES_128/256_GCM besides: a central
    # system SHALL have them, and older charging points have nothing else. Source: "Improved
    # security for OCPP 1.6-J", A00.FR.317 and 318; Elastic Load Balancing, "Security policies".
    CHARGING_POINT: "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06",
    THIRD_PARTY: "ELBSecurityPolicy-TLS13-1-2-2021-06",
    CONSOLE: "ELBSecurityPolicy-TLS13-1-2-2021-06",
}
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - of a task in a private subnet, behind its firewall


@dataclass(frozen=True)
class Program:
    """A program that listens. package: of Python; prefix: of its settings' names."""

    name: str
    package: str
    port: int
    prefix: str

    @property
    def title(self) -> str:
        """The beginning of its resources' and parameters' names."""
        return camel(self.name)

    @property
    def tested_name(self) -> str:
        """What its test service is called, without the environment."""
        return f"{self.name}-test"

    @property
    def command(self) -> list[str]:
        """What its container runs."""
        return ["python", "-m", self.package]

    def settings(self, environment: object, **more: object) -> dict[str, object]:
        """Return its settings behind one load balancer. environment: the name in its metrics."""
        return {
            f"{self.prefix}_{name}": value
            for name, value in {
                "HOST": ALL_ADDRESSES,
                "ENVIRONMENT": environment,
                "FORWARDED_HOPS": "1",
                **more,
            }.items()
        }


PROGRAMS = {
    program.name: program
    for program in (
        Program(CHARGING_POINT, "cp_backend", CHARGING_POINT_PORT, "CP_BACKEND"),
        Program(THIRD_PARTY, "third_party_backend", THIRD_PARTY_PORT, "THIRD_PARTY"),
    )
}


@dataclass(frozen=True)
class Service:
    """A program as an ECS service behind a load balancer.

    title: the beginning of its resources' names. tag: its name within the environment, which is
    that of its task definition and its log group too. drain_seconds: how long a target keeps its
    connections once it is deregistered. certificates: ARNs by the kind of their keys; the first is
    what a client gets that names no host. beside: more containers of its tasks. before: what its
    listener does with a request before it forwards it, in order.
    """

    program: Program
    title: str
    tag: str
    cpu: object
    memory: object
    execution_role: object
    task_role: object
    task_group: object
    settings: Mapping[str, object]
    secrets: Mapping[str, object]
    drain_seconds: int
    certificates: Mapping[str, object]
    target_attributes: Mapping[str, object] = field(default_factory=dict)
    health_check: ecs.HealthCheck | None = None
    beside: tuple[ecs.ContainerDefinition, ...] = ()
    before: tuple[object, ...] = ()

    def add_targets(
        self, template: Template, balancer: elb.LoadBalancer, port: int, condition: str = ""
    ) -> elb.TargetGroup:
        """Add its target group, and the listener of a load balancer that forwards to it.

        condition: under which there are both; always where empty.
        """
        return self._add_targets(
            template,
            self.title,
            port,
            Ref(balancer),
            ("HTTP", "HTTPS"),
            self.target_attributes,
            {"Condition": condition} if condition else {},
        )

    def add_network_targets(
        self, template: Template, balancer: elb.LoadBalancer, port: int, condition: str
    ) -> elb.TargetGroup:
        """Add the same for a network load balancer, which ends TLS and speaks no HTTP.

        Who is behind a connection it says in a header of its own, since its sockets have its own
        addresses. It never cuts what is open: not at the end of the delay, nor when a health
        check fails.
        """
        return self._add_targets(
            template,
            f"{self.title}Network",
            port,
            Ref(balancer),
            ("TCP", "TLS"),
            {
                "deregistration_delay.connection_termination.enabled": "false",
                "preserve_client_ip.enabled": "false",
                "proxy_protocol_v2.enabled": "true",
                "target_health_state.unhealthy.connection_termination.enabled": "false",
            },
            {"Condition": condition},
        )

    def _add_targets(
        self,
        template: Template,
        title: str,
        port: int,
        balancer_arn: object,
        protocols: tuple[str, str],
        more_attributes: Mapping[str, object],
        condition: Mapping[str, str],
    ) -> elb.TargetGroup:
        """Add a target group and its listener. protocols: to the targets, and of clients."""
        to_targets, of_clients = protocols
        group = template.add_resource(
            elb.TargetGroup(
                f"{title}Targets",
                VpcId=imported("network", "VpcId"),
                TargetType="ip",
                Protocol=to_targets,
                Port=self.program.port,
                # Health checks do not speak WebSocket; the service answers HTTP on the same port.
                # Whether it lives, not whether the database does: ECS replaces what fails this.
                HealthCheckProtocol="HTTP",
                HealthCheckPath="/health/live",
                HealthCheckIntervalSeconds=10,
                HealthCheckTimeoutSeconds=5,
                HealthyThresholdCount=2,
                UnhealthyThresholdCount=3,
                Matcher=elb.Matcher(HttpCode="200"),
                TargetGroupAttributes=attributes(
                    elb.TargetGroupAttribute,
                    {
                        "deregistration_delay.timeout_seconds": str(self.drain_seconds),
                        **more_attributes,
                    },
                ),
                Tags=tags(self.tag),
                **condition,
            )
        )
        first, *_ = self.certificates.values()
        listener = template.add_resource(
            elb.Listener(
                f"{title}Listener",
                LoadBalancerArn=balancer_arn,
                Port=port,
                Protocol=of_clients,
                SslPolicy=TLS_POLICIES[self.program.name],
                Certificates=[elb.Certificate(CertificateArn=first)],
                DefaultActions=[
                    *self.before,
                    elb.Action(
                        Type="forward",
                        TargetGroupArn=Ref(group),
                        **({"Order": len(self.before) + 1} if self.before else {}),
                    ),
                ],
                **condition,
            )
        )
        if len(self.certificates) > 1:
            self._add_certificates(template, title, listener, condition)
        return group

    def _add_certificates(
        self,
        template: Template,
        title: str,
        listener: elb.Listener,
        condition: Mapping[str, str],
    ) -> None:
        """Let a listener choose among all certificates, by what a client can verify.

        The first, which a client gets that names no host, stands here too: the choice for a client
        that names one is among these alone. Source: Elastic Load Balancing, "SSL certificates for
        your Application Load Balancer", certificate list.
        """
        for kind, certificate in self.certificates.items():
            template.add_resource(
                elb.ListenerCertificate(
                    f"{title}{kind}Certificate",
                    ListenerArn=Ref(listener),
                    Certificates=[elb.Certificate(CertificateArn=certificate)],
                    **condition,
                )
            )

    def add_service(
        self,
        template: Template,
        name: object,
        group_arn: object,
        deployment: Mapping[str, object],
        listener: object = None,
        **more: object,
    ) -> ecs.Service:
        """Add its task definition and the ECS service that runs it.

        group_arn: of its targets. listener: the one that forwards to them, where it is not its
        own or one of several.
        deployment: how tasks are replaced, besides the circuit breaker. more: properties of the
        ECS service.
        """
        return template.add_resource(
            ecs.Service(
                f"{self.title}Service",
                ServiceName=name,
                Cluster=imported("cluster", "Arn"),
                TaskDefinition=Ref(self._add_task(template)),
                LaunchType="FARGATE",
                PlatformVersion="LATEST",
                DeploymentConfiguration=ecs.DeploymentConfiguration(
                    DeploymentCircuitBreaker=ecs.DeploymentCircuitBreaker(
                        Enable=True, Rollback=True
                    ),
                    **deployment,
                ),
                HealthCheckGracePeriodSeconds=60,
                EnableECSManagedTags=True,
                PropagateTags="SERVICE",
                LoadBalancers=[
                    ecs.LoadBalancer(
                        ContainerName=self.program.name,
                        ContainerPort=self.program.port,
                        TargetGroupArn=group_arn,
                    )
                ],
                NetworkConfiguration=ecs.NetworkConfiguration(
                    AwsvpcConfiguration=ecs.AwsvpcConfiguration(
                        AssignPublicIp="DISABLED",
                        SecurityGroups=[self.task_group],
                        Subnets=subnets("Private"),
                    )
                ),
                **(
                    # Named here, it is made before, as by DependsOn, which knows no conditions.
                    {"Metadata": {"Listener": listener}}
                    if listener
                    else {"DependsOn": f"{self.title}Listener"}
                ),
                Tags=tags(self.tag),
                **more,
            )
        )

    def _add_task(self, template: Template) -> ecs.TaskDefinition:
        more = {"HealthCheck": self.health_check} if self.health_check else {}
        return template.add_resource(
            task_definition(
                f"{self.title}Task",
                self.tag,
                [
                    container(
                        self.program.name,
                        command=self.program.command,
                        environment=self.settings,
                        secrets=self.secrets,
                        log_group=log_group_name(self.tag),
                        PortMappings=[
                            ecs.PortMapping(ContainerPort=self.program.port, Protocol="tcp")
                        ],
                        **more,
                    ),
                    *self.beside,
                ],
                starter=self.execution_role,
                cpu=self.cpu,
                memory=self.memory,
                TaskRoleArn=self.task_role,
            )
        )


def health_command(port: int) -> str:
    """Return the Python of a container's own check: once ready, then alive.

    A task that never reached the database must not replace one that has; one that loses it keeps
    its connections. /dev/shm is the one place that a task may write to.
    """
    return (
        "import pathlib, urllib.request as r;"
        f"seen = pathlib.Path('/dev/shm/ready-{port}');"
        f"r.urlopen(f'http://127.0.0.1:{port}/health/'"
        " + ('live' if seen.exists() else 'ready'), timeout=4);"
        "seen.touch()"
    )


def container_health(port: int) -> ecs.HealthCheck:
    """Return the container's own check; ECS does not read the image's HEALTHCHECK."""
    return ecs.HealthCheck(
        Command=["CMD", "python", "-c", health_command(port)],
        Interval=15,
        Timeout=5,
        Retries=3,
        StartPeriod=30,
    )


def policies_of_tasks(program: Program) -> dict[str, object]:
    """Return what a program may do at AWS: name → policy."""
    # Charging points' connections are closed one by one while the load balancer drains the task.
    if program.name != CHARGING_POINT:
        return {}
    return {
        "see-drain": ask_about_own_target(),
        "keep-files": keep_files(imported("storage", "KeyArn"), imported("storage", "FilesArn")),
    }


def add_task_role(
    template: Template,
    title: str,
    tag: str,
    policies: Mapping[str, object],
) -> object:
    """Add the role of a service's tasks, and return its ARN.

    policies: name → what the program itself may do at AWS.
    """
    return GetAtt(
        role(template, f"{title}TaskRole", "ecs-tasks", policies, tag=tag),
        "Arn",
    )


def add_load_balancer(
    template: Template,
    title: str,
    tag: str,
    *,
    scheme: str,
    security_group: object,
    idle_seconds: int,
    protected: object,
    **more: object,
) -> elb.LoadBalancer:
    """Add an application load balancer. scheme: `internal` or `internet-facing`.

    idle_seconds: after which it closes a quiet connection. protected: whether it refuses to be
    deleted. more: further properties.
    """
    return template.add_resource(
        elb.LoadBalancer(
            f"{title}LoadBalancer",
            Type="application",
            Scheme=scheme,
            Subnets=subnets("Private" if scheme == "internal" else "Public"),
            SecurityGroups=[security_group],
            LoadBalancerAttributes=attributes(
                elb.LoadBalancerAttributes,
                {
                    "idle_timeout.timeout_seconds": str(idle_seconds),
                    "routing.http.drop_invalid_header_fields.enabled": "true",
                    "deletion_protection.enabled": protected,
                },
            ),
            Tags=tags(tag),
            **more,
        )
    )


def add_network_load_balancer(
    template: Template,
    title: str,
    tag: str,
    *,
    security_group: object,
    mappings: list[object],
    protected: object,
    condition: str,
) -> elb.LoadBalancer:
    """Add a network load balancer that is there under a condition.

    mappings: `SubnetMapping`s, a public subnet and an address each.
    """
    return template.add_resource(
        elb.LoadBalancer(
            f"{title}NetworkLoadBalancer",
            Type="network",
            Scheme="internet-facing",
            SubnetMappings=mappings,
            SecurityGroups=[security_group],
            LoadBalancerAttributes=attributes(
                elb.LoadBalancerAttributes,
                {
                    # Connections stay for weeks: a zone with fewer tasks must not fill first.
                    "load_balancing.cross_zone.enabled": "true",
                    "deletion_protection.enabled": protected,
                },
            ),
            Tags=tags(tag),
            Condition=condition,
        )
    )


def attributes(kind: Any, values: Mapping[str, object]) -> list[Any]:
    """Return attributes of a load balancer or a target group, as CloudFormation lists them."""
    return [kind(Key=key, Value=value) for key, value in values.items()]
