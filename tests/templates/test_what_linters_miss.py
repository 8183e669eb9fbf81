"""What neither cfn-lint nor checkov sees, held against all templates at once."""

import re

import pytest

import cp_backend.settings
import cp_backend.transport
import third_party_backend.settings
from scripts.cloud.stacks import template_file
from templates.__main__ import STACKS
from templates.environments import ENVIRONMENTS, Sizes, sizes
from templates.parts import mutual_tls

CP = "charging-point"
TEMPLATES = {name: module.build().to_dict() for name, module in STACKS.items()}
# Of these actions AWS knows no resource that could be named (the service authorization reference).
WITHOUT_RESOURCE = {
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTasks",
    "ecs:RegisterTaskDefinition",
    "elasticloadbalancing:DescribeTargetHealth",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}
# Fargate's sizes: thousandths of a processor → MB, from, to, by.
FARGATE = {
    256: (512, 2048, 512),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16384, 1024),
    4096: (8192, 30720, 1024),
}


def resources(kind):
    """All resources of a type, as (stack, name, properties)."""
    return [
        (stack, name, resource.get("Properties", {}))
        for stack, template in TEMPLATES.items()
        for name, resource in template["Resources"].items()
        if resource["Type"] == f"AWS::{kind}"
    ]


def walk(value):
    """Every dictionary in a template, at any depth."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from walk(part)


def containers():
    return [
        (name, container)
        for _, name, task in resources("ECS::TaskDefinition")
        for container in task["ContainerDefinitions"]
    ]


def environment_of(container):
    """A container's variables, those too that it has only under a condition."""
    return {
        one["Name"]: one["Value"]
        for one in walk(container["Environment"])
        if {"Name", "Value"} <= one.keys()
    }


def attributes(properties, field):
    return {a["Key"]: a["Value"] for a in properties[field]}


@pytest.mark.parametrize(("task", "container"), containers())
def test_containers(task, container):
    assert 0 < container["StopTimeout"] <= 120
    assert container["LinuxParameters"]["InitProcessEnabled"] is True
    assert container["ReadonlyRootFilesystem"] is True
    assert container["User"].split(":")[0] not in ("", "0", "root")
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY$")
    assert not [name for name in environment_of(container) if secret.search(name)]


@pytest.mark.parametrize(("task", "container"), containers())
def test_what_a_container_sets_is_a_setting(task, container):
    """An unknown variable of ours keeps a program from starting."""
    named = set(environment_of(container))
    named |= {s["Name"] for s in walk(container["Secrets"]) if "ValueFrom" in s}
    for module in (cp_backend.settings, third_party_backend.settings):
        known = {variable for variable, _, _ in module.table()}
        assert {name for name in named if name.startswith(module.PREFIX)} <= known


def test_a_stop_fits_into_its_time():
    delays = {
        name: int(
            attributes(group, "TargetGroupAttributes")["deregistration_delay.timeout_seconds"]
        )
        for _, name, group in resources("ElasticLoadBalancingV2::TargetGroup")
    }
    assert all(0 < delay <= 3600 for delay in delays.values())
    settings_of_a_node = cp_backend.settings.Settings()
    assert delays["ChargingPointNetworkTargets"] == delays["ChargingPointTargets"]
    for part in ("ChargingPoint", "ChargingPointTest"):
        (container,) = [c for t, c in containers() if t == f"{part}Task"]
        variables = environment_of(container)
        drain = float(variables["CP_BACKEND_DRAIN_TIME"])
        assert drain + cp_backend.settings.Settings().close_timeout < container["StopTimeout"]
        # ECS sends SIGTERM only after the delay, at whose end the load balancer cuts what is open.
        assert delays[f"{part}Targets"] >= 20 + drain + settings_of_a_node.close_timeout


def test_a_load_balancer_outwaits_its_clients():
    settings = cp_backend.settings.Settings()
    idle = {
        name: int(attributes(p, "LoadBalancerAttributes")["idle_timeout.timeout_seconds"])
        for _, name, p in resources("ElasticLoadBalancingV2::LoadBalancer")
        if name in ("ChargingPointLoadBalancer", "ThirdPartyLoadBalancer")
    }
    assert max(idle.values()) <= 4000
    assert idle["ChargingPointLoadBalancer"] > 2 * settings.ping_interval
    # The hub waits ten seconds for an answer.
    assert idle["ThirdPartyLoadBalancer"] > 10


def test_a_network_load_balancer_cuts_nothing_and_says_who_connects():
    (group,) = [
        g
        for _, name, g in resources("ElasticLoadBalancingV2::TargetGroup")
        if name == "ChargingPointNetworkTargets"
    ]
    said = attributes(group, "TargetGroupAttributes")
    assert said["proxy_protocol_v2.enabled"] == "true"
    assert said["deregistration_delay.connection_termination.enabled"] == "false"
    assert said["target_health_state.unhealthy.connection_termination.enabled"] == "false"
    (container,) = [c for t, c in containers() if t == "ChargingPointTask" and c["Name"] == CP]
    variables = environment_of(container)
    # Of the two ways to learn a client's address a node has the one of its load balancer alone.
    assert variables["CP_BACKEND_FORWARDED_HOPS"] == {"Fn::If": ["IsNetwork", "0", "1"]}
    (entry,) = [one["Fn::If"] for one in container["Environment"] if "PROXY_PROTOCOL" in str(one)]
    assert (entry[0], entry[2]) == ("IsNetwork", {"Ref": "AWS::NoValue"})


def test_the_header_that_is_refused_is_the_one_that_nodes_believe():
    assert mutual_tls.SUBJECT_HEADER == cp_backend.transport.SUBJECT_HEADER
    (rule,) = [
        p
        for _, _, p in resources("ElasticLoadBalancingV2::ListenerRule")
        if p["ListenerArn"] == {"Ref": "ChargingPointListener"}
    ]
    (condition,) = rule["Conditions"]
    assert condition["HttpHeaderConfig"]["HttpHeaderName"] == mutual_tls.SUBJECT_HEADER


def test_tasks_are_targets_by_address():
    for _, _, group in resources("ElasticLoadBalancingV2::TargetGroup"):
        assert group["TargetType"] == "ip"
        # ECS replaces what fails it, connections and all: a database that is away must not.
        assert group["HealthCheckPath"] == "/health/live"


def test_charging_points_are_not_disconnected_to_save_a_task():
    policies = [
        policy["TargetTrackingScalingPolicyConfiguration"]
        for _, name, policy in resources("ApplicationAutoScaling::ScalingPolicy")
        if name.startswith("ChargingPoint")
    ]
    assert len(policies) == 2
    assert all(policy["DisableScaleIn"] is True for policy in policies)


def test_refusals_by_design_take_no_deployment_back():
    (alarm,) = [
        a for _, name, a in resources("CloudWatch::Alarm") if name == "ChargingPoint5xxAlarm"
    ]
    expression, *metrics = alarm["Metrics"]
    assert expression["Expression"].endswith("- FILL(refused, 0)")
    names = {m["Id"]: m["MetricStat"]["Metric"]["MetricName"] for m in metrics}
    assert names["refused"] == "HandshakesPutOff"


def test_no_capacity_is_reserved_by_default():
    """Its quota is 0 in a new account."""
    for _, _, balancer in resources("ElasticLoadBalancingV2::LoadBalancer"):
        assert "MinimumLoadBalancerCapacity" not in balancer


def test_policies_name_actions_and_resources():
    found = 0
    for stack, template in TEMPLATES.items():
        if stack == "access":
            continue  # what people may do, tests/templates/test_access.py tries
        for name, resource in template["Resources"].items():
            if resource["Type"] == "AWS::KMS::Key" or name == "Boundary":
                continue  # a key's policy is about that key; the boundary grants nothing
            for statement in walk(resource):
                if statement.get("Effect") != "Allow" or "Action" not in statement:
                    continue
                found += 1
                actions = statement["Action"]
                assert not [a for a in actions if a.endswith("*")], f"{stack}: {name}: {actions}"
                if "Resource" in statement and "*" in statement["Resource"]:
                    assert set(actions) <= WITHOUT_RESOURCE, f"{stack}: {name}: {actions}"
    assert found > 10


def test_every_rule_of_the_firewall_says_what_it_is_for():
    rules = [part for part in walk(TEMPLATES["firewall"]["Resources"]) if "IpProtocol" in part]
    assert len(rules) > 10
    assert all(rule["Description"] for rule in rules)


def test_logs_do_not_stay_for_ever():
    for _, name, group in resources("Logs::LogGroup"):
        assert "RetentionInDays" in group, name


def test_what_is_imported_is_offered_by_an_earlier_stack():
    offered = set()
    for stack, template in TEMPLATES.items():
        wanted = {
            part["Fn::ImportValue"]["Fn::Sub"]
            for part in walk(template)
            if "Fn::ImportValue" in part
        }
        assert wanted <= offered, stack
        offered |= {
            output["Export"]["Name"]["Fn::Sub"]
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }


def test_every_size_reaches_a_stack():
    declared = {name for template in TEMPLATES.values() for name in template["Parameters"]}
    assert set(Sizes().parameters()) <= declared


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_sizes_are_what_the_templates_allow(environment):
    for name, value in sizes(environment).parameters().items():
        for template in TEMPLATES.values():
            parameter = template["Parameters"].get(name)
            if not parameter:
                continue
            if "AllowedValues" in parameter:
                assert value in map(str, parameter["AllowedValues"])
            if "MinValue" in parameter:
                assert float(value) >= parameter["MinValue"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_sizes_are_fargates(environment):
    size = sizes(environment)
    for cpu, memory in (
        (size.charging_point_cpu, size.charging_point_memory),
        (size.third_party_cpu, size.third_party_memory),
    ):
        least, most, step = FARGATE[cpu]
        assert least <= memory <= most
        assert memory % step == 0
    assert size.charging_point_min_tasks <= size.charging_point_max_tasks
    assert size.third_party_min_tasks <= size.third_party_max_tasks
    assert size.database_min_acu <= size.database_max_acu


def test_a_template_fits_into_a_call():
    """`aws cloudformation deploy` sends a template of up to 51,200 bytes without a bucket."""
    for stack in STACKS:
        with template_file(stack) as file:
            assert file.stat().st_size < 51_200, stack
