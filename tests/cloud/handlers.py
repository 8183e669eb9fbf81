"""The types of resources that ministack's CloudFormation lacks, or makes only in part.

- Emulated: the resource exists afterwards and its service's own API describes it.
- Recorded: its properties are kept as CloudFormation resolved them; `GET /_recorded` lists them.

To add a type, give `HANDLERS` its functions, or `recorded(…)`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2, ecs, iam, rds, s3, secretsmanager
from ministack.services.cloudformation import provisioners

_numbers = itertools.count(1)


# --- recorded -----------------------------------------------------------------------------

RECORDS: dict[str, dict[str, Any]] = {}
"""Physical id → what is known of a recorded resource."""


def recorded(
    kind: str, identify: Callable[[str, dict[str, Any]], tuple[str, dict[str, Any]]]
) -> dict[str, Any]:
    """Return handlers that keep a resource's properties.

    identify: (name, properties) → (physical id, attributes for GetAtt); the name is new.
    """

    def create(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        physical, attributes = identify(f"{logical.lower()}{next(_numbers):04}", properties)
        RECORDS[physical] = {
            "Type": kind,
            "Account": get_account_id(),
            "Stack": stack,
            "LogicalId": logical,
            "PhysicalId": physical,
            "Properties": properties,
            "Attributes": attributes,
            "Updates": 0,
        }
        return physical, attributes

    def update(
        physical: str, old: dict[str, Any], new: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        record = RECORDS[physical]
        record["Properties"] = new
        record["Updates"] += 1
        return physical, record["Attributes"]

    def delete(physical: str, properties: dict[str, Any]) -> None:
        RECORDS.pop(physical, None)

    return {"create": create, "update": update, "delete": delete}


def arn(service: str, rest: str) -> str:
    """Return an ARN of the account and region that ask."""
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{rest}"


def _accelerator(name: str, _: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    place = next(_numbers)
    addresses = [f"198.51.100.{place % 250 + 1}", f"203.0.113.{place % 250 + 1}"]
    accelerator = f"arn:aws:globalaccelerator::{get_account_id()}:accelerator/{name}"
    return accelerator, {
        "AcceleratorArn": accelerator,
        "DnsName": f"a{place:016x}.awsglobalaccelerator.com",
        "Ipv4Addresses": addresses,
    }


def _listener(name: str, properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    listener = f"{properties['AcceleratorArn']}/listener/{name}"
    return listener, {"ListenerArn": listener}


def _listener_certificate(_: str, properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    (certificate,) = properties["Certificates"]  # AWS takes one
    return f"{properties['ListenerArn']}|{certificate['CertificateArn']}", {}


def _trust_store(name: str, properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    bucket, key = (properties[f"CaCertificatesBundleS3{part}"] for part in ("Bucket", "Key"))
    if key not in s3._buckets[bucket]["objects"]:
        raise ValueError(f"The CA certificates bundle {key} does not exist in {bucket}")
    store = arn("elasticloadbalancing", f"truststore/{name}/0")
    return store, {"TrustStoreArn": store}


def _endpoint_group(name: str, properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    group = f"{properties['ListenerArn']}/endpoint-group/{name}"
    return group, {"EndpointGroupArn": group}


# --- emulated -----------------------------------------------------------------------------


def _create_address(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    before = set(ec2._addresses)
    ec2._allocate_address({"Domain": ["vpc"]})
    (allocation,) = set(ec2._addresses) - before
    provisioners._ec2_apply_tags(allocation, properties)
    address = ec2._addresses[allocation]["PublicIp"]
    return address, {"AllocationId": allocation, "PublicIp": address}


def _delete_address(physical: str, properties: dict[str, Any]) -> None:
    for allocation, address in list(ec2._addresses.items()):
        if address["PublicIp"] == physical:
            ec2._release_address({"AllocationId": [allocation]})


def _create_nat_gateway(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    if properties["SubnetId"] not in ec2._subnets:
        raise ValueError(f"The subnet ID '{properties['SubnetId']}' does not exist")
    address = ec2._addresses[properties["AllocationId"]]
    before = set(ec2._nat_gateways)
    words = {name: [properties[name]] for name in ("SubnetId", "AllocationId")}
    ec2._create_nat_gateway(words)
    (gateway,) = set(ec2._nat_gateways) - before
    address["AssociationId"] = f"eipassoc-{gateway.removeprefix('nat-')}"
    address["NetworkInterfaceId"] = f"eni-{gateway.removeprefix('nat-')}"
    provisioners._ec2_apply_tags(gateway, properties)
    return gateway, {"NatGatewayId": gateway}


def _delete_nat_gateway(physical: str, properties: dict[str, Any]) -> None:
    gateway = ec2._nat_gateways.pop(physical)
    address = ec2._addresses.get(gateway["AllocationId"])
    if address:
        address["AssociationId"] = address["NetworkInterfaceId"] = None


def _create_flow_log(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    before = set(ec2._flow_logs)
    names = ("ResourceType", "TrafficType", "LogGroupName")
    words = {name: [properties[name]] for name in names}
    ec2._create_flow_logs({"ResourceId.1": [properties["ResourceId"]], **words})
    (flow_log,) = set(ec2._flow_logs) - before
    provisioners._ec2_apply_tags(flow_log, properties)
    return flow_log, {"Id": flow_log}


def _delete_flow_log(physical: str, properties: dict[str, Any]) -> None:
    ec2._flow_logs.pop(physical, None)


def _create_egress(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    group = ec2._security_groups[properties["GroupId"]]
    (rule,) = provisioners._ec2_sg_permissions([properties])
    group["IpPermissionsEgress"].append(rule)
    return f"sgr-{next(_numbers):017x}", {}


def _delete_egress(physical: str, properties: dict[str, Any]) -> None:
    group = ec2._security_groups.get(properties["GroupId"])
    (rule,) = provisioners._ec2_sg_permissions([properties])
    if group and rule in group["IpPermissionsEgress"]:
        group["IpPermissionsEgress"].remove(rule)


def _create_ingress(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    group = ec2._security_groups[properties["GroupId"]]
    (rule,) = provisioners._ec2_sg_permissions([properties])
    group["IpPermissions"].append(rule)
    return f"sgr-{next(_numbers):017x}", {}


def _delete_ingress(physical: str, properties: dict[str, Any]) -> None:
    group = ec2._security_groups.get(properties["GroupId"])
    (rule,) = provisioners._ec2_sg_permissions([properties])
    if group and rule in group["IpPermissions"]:
        group["IpPermissions"].remove(rule)


def _create_group(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    name = properties.get("GroupName") or f"{stack}-{logical}"
    iam._create_group({"GroupName": [name], "Path": [properties.get("Path", "/")]})
    _fill_group(name, properties)
    return name, {"Arn": iam._groups[name]["Arn"]}


def _update_group(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    group = iam._groups[physical]
    group["AttachedPolicies"] = []
    iam._group_inline_policies.pop(physical, None)
    _fill_group(physical, new)
    return physical, {"Arn": group["Arn"]}


def _fill_group(name: str, properties: dict[str, Any]) -> None:
    for policy in properties.get("ManagedPolicyArns", []):
        iam._attach_group_policy({"GroupName": [name], "PolicyArn": [policy]})
    for policy in properties.get("Policies", []):
        document = json.dumps(policy["PolicyDocument"])
        iam._put_group_policy(
            {
                "GroupName": [name],
                "PolicyName": [policy["PolicyName"]],
                "PolicyDocument": [document],
            }
        )


def _delete_group(physical: str, properties: dict[str, Any]) -> None:
    iam._delete_group({"GroupName": [physical]})


def _create_membership(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    for user in properties["Users"]:
        answer = iam._add_user_to_group(
            {"GroupName": [properties["GroupName"]], "UserName": [user]}
        )
        if answer[0] >= 400:
            raise ValueError(f"The user with name {user} cannot be found")
    return f"{stack}-{logical}", {}


def _delete_membership(physical: str, properties: dict[str, Any]) -> None:
    for user in properties["Users"]:
        iam._remove_user_from_group({"GroupName": [properties["GroupName"]], "UserName": [user]})


# ministack's API makes the secret of the master user, its CloudFormation does not.

_clusters = provisioners._RESOURCE_HANDLERS["AWS::RDS::DBCluster"]


def _create_database(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    name, attributes = _clusters["create"](logical, properties, stack)
    secret = secretsmanager.create_secret_in_process(
        f"rds!cluster-{next(_numbers):08}",
        json.dumps({"username": properties["MasterUsername"], "password": "made-by-the-emulator"}),
    )
    rds._clusters[name]["MasterUserSecret"] = {"SecretArn": secret, "SecretStatus": "active"}
    return name, attributes | {"MasterUserSecret.SecretArn": secret}


def _update_database(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical: str
) -> tuple[str, dict[str, Any]]:
    secret = rds._clusters[physical]["MasterUserSecret"]["SecretArn"]
    name, attributes = _clusters["update"](physical, old, new, stack, logical)
    return name, attributes | {"MasterUserSecret.SecretArn": secret}


def _delete_database(physical: str, properties: dict[str, Any]) -> None:
    cluster = rds._clusters[physical]
    if cluster.get("DeletionProtection"):
        raise ValueError("Cannot delete protected Cluster, please disable deletion protection")
    secretsmanager.delete_secret_in_process(cluster["MasterUserSecret"]["SecretArn"])
    _clusters["delete"](physical, properties)


# ministack's CloudFormation hands a part of what it is told on to its ECS; ours hands on all.

_services = provisioners._RESOURCE_HANDLERS["AWS::ECS::Service"]
_definitions = provisioners._RESOURCE_HANDLERS["AWS::ECS::TaskDefinition"]


def _in_ecs_words(properties: Any) -> Any:
    if isinstance(properties, dict):
        return {
            name[:1].lower() + name[1:]: value if name == "Options" else _in_ecs_words(value)
            for name, value in properties.items()
        }
    if isinstance(properties, list):
        return [_in_ecs_words(value) for value in properties]
    return properties


def _asked_of_ecs(action: str, properties: dict[str, Any]) -> dict[str, Any]:
    answer = ecs._ACTION_MAP[action](_in_ecs_words(properties))
    if answer[0] >= 400:
        raise ValueError(json.loads(answer[2])["message"])
    return dict(json.loads(answer[2]))


def _create_definition(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    made = _asked_of_ecs("RegisterTaskDefinition", properties)["taskDefinition"]
    return made["taskDefinitionArn"], {"TaskDefinitionArn": made["taskDefinitionArn"]}


def _update_definition(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical: str
) -> tuple[str, dict[str, Any]]:
    if old | {"Tags": None} != new | {"Tags": None}:
        return _create_definition(logical, new, stack)
    return _definitions["update"](physical, old, new, stack, logical)


def _with_a_count(properties: dict[str, Any]) -> dict[str, Any]:
    """Return a service's properties with a number, which a parameter hands on as a text."""
    if "DesiredCount" not in properties:
        return properties
    return properties | {"DesiredCount": int(properties["DesiredCount"])}


def _update_service(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    updated: tuple[str, dict[str, Any]] = _services["update"](
        physical, _with_a_count(old), _with_a_count(new), stack
    )
    return updated


def _create_service(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    if ecs._resolve_cluster_name(properties["Cluster"]) not in ecs._clusters:
        raise ValueError("Cluster not found.")
    made = _asked_of_ecs("CreateService", _with_a_count(properties))["service"]
    return made["serviceArn"], {"ServiceArn": made["serviceArn"], "Name": made["serviceName"]}


# ministack's alarms know no metric math: such an alarm is one on its first metric there, and what
# it computes is recorded.

_alarms = provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"]
_MATH = "AWS::CloudWatch::Alarm"
_math = recorded(_MATH, lambda _, p: (f"math:{p['AlarmName']}", {}))


def _on_one_metric(properties: dict[str, Any]) -> dict[str, Any]:
    if "Metrics" not in properties:
        return properties
    first = next(q["MetricStat"] for q in properties["Metrics"] if "MetricStat" in q)
    plain = {name: value for name, value in properties.items() if name != "Metrics"}
    return plain | first["Metric"] | {"Statistic": first["Stat"], "Period": first["Period"]}


def _create_alarm(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    if "Metrics" in properties:
        _math["create"](logical, properties, stack)
    made: tuple[str, dict[str, Any]] = _alarms["create"](logical, _on_one_metric(properties), stack)
    return made


def _update_alarm(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical: str
) -> tuple[str, dict[str, Any]]:
    _math["delete"](f"math:{physical}", old)
    if "Metrics" in new:
        _math["create"](logical, new, stack)
    updated: tuple[str, dict[str, Any]] = _alarms["update"](
        physical, _on_one_metric(old), _on_one_metric(new), stack, logical
    )
    return updated


def _delete_alarm(physical: str, properties: dict[str, Any]) -> None:
    _math["delete"](f"math:{physical}", properties)
    _alarms["delete"](physical, _on_one_metric(properties))


# ministack's listeners know no mutual TLS; what they were given of it is recorded.

_LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
_listeners = provisioners._RESOURCE_HANDLERS[_LISTENER]
_mutual = recorded(_LISTENER, lambda _, p: (_mutual_name(p), {}))


def _mutual_name(properties: dict[str, Any]) -> str:
    return f"mutual:{properties['LoadBalancerArn']}:{properties['Port']}"


def _create_listener(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    if "MutualAuthentication" in properties:
        store = properties["MutualAuthentication"]["TrustStoreArn"]
        if store not in RECORDS:
            raise ValueError(f"Trust store '{store}' not found")
        _mutual["create"](logical, properties, stack)
    physical, attributes = _listeners["create"](logical, properties, stack)
    return str(physical), attributes


def _delete_listener(physical: str, properties: dict[str, Any]) -> None:
    RECORDS.pop(_mutual_name(properties), None)
    _listeners["delete"](physical, properties)


# Application Auto Scaling: kept like what is recorded, but it also moves the service's count
# into its bounds, as AWS does, and answers to the two calls that describe it.

_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_target = recorded(
    _TARGET,
    lambda name, p: (
        f"{p['ResourceId']}|{p['ScalableDimension']}|{p['ServiceNamespace']}",
        {"Id": f"{p['ResourceId']}|{p['ScalableDimension']}|{p['ServiceNamespace']}"},
    ),
)


def _into_bounds(properties: dict[str, Any]) -> None:
    _, cluster, service = properties["ResourceId"].split("/")
    answer = ecs._describe_services({"cluster": cluster, "services": [service]})
    (found,) = json.loads(answer[2])["services"]
    least, most = int(properties["MinCapacity"]), int(properties["MaxCapacity"])
    count = min(max(found["desiredCount"], least), most)
    if count != found["desiredCount"]:
        ecs._update_service({"cluster": cluster, "service": service, "desiredCount": count})


def _create_target(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    _into_bounds(properties)
    return _target["create"](logical, properties, stack)


def _update_target(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    _into_bounds(new)
    return _target["update"](physical, old, new, stack)


_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
_balancers = provisioners._RESOURCE_HANDLERS[_BALANCER]


def _create_balancer(
    logical: str, properties: dict[str, Any], stack: str
) -> tuple[str, dict[str, Any]]:
    """Create a load balancer; one of a network has an address of ours in each subnet."""
    mappings = properties.get("SubnetMappings", [])
    for mapping in mappings:
        if mapping["SubnetId"] not in ec2._subnets:
            raise ValueError(f"The subnet ID '{mapping['SubnetId']}' is not valid")
        address = ec2._addresses[mapping["AllocationId"]]
        if address.get("AssociationId"):
            raise ValueError(f"The allocation ID '{mapping['AllocationId']}' is in use")
        address["AssociationId"] = f"eipassoc-{next(_numbers):017x}"
    if mappings:
        properties = properties | {"Subnets": [mapping["SubnetId"] for mapping in mappings]}
    physical, attributes = _balancers["create"](logical, properties, stack)
    return str(physical), attributes


def describe_scaling(action: str) -> dict[str, Any]:
    """Answer Application Auto Scaling's DescribeScalableTargets or DescribeScalingPolicies."""
    kind, title = {
        "DescribeScalableTargets": (_TARGET, "ScalableTargets"),
        "DescribeScalingPolicies": (_POLICY, "ScalingPolicies"),
    }[action]
    found = []
    for record in RECORDS.values():
        if record["Type"] == kind:
            properties = record["Properties"]
            if kind == _TARGET:
                bounds = {name: int(properties[name]) for name in ("MinCapacity", "MaxCapacity")}
                properties = properties | bounds
            else:
                resource, dimension, namespace = properties["ScalingTargetId"].split("|")
                properties = properties | {
                    "ResourceId": resource,
                    "ScalableDimension": dimension,
                    "ServiceNamespace": namespace,
                }
            found.append(properties)
    return {title: found}


HANDLERS: dict[str, dict[str, Any]] = {
    "AWS::EC2::EIP": {"create": _create_address, "delete": _delete_address},
    "AWS::EC2::FlowLog": {"create": _create_flow_log, "delete": _delete_flow_log},
    "AWS::EC2::NatGateway": {"create": _create_nat_gateway, "delete": _delete_nat_gateway},
    "AWS::EC2::SecurityGroupEgress": {"create": _create_egress, "delete": _delete_egress},
    "AWS::EC2::SecurityGroupIngress": {"create": _create_ingress, "delete": _delete_ingress},
    "AWS::IAM::Group": {
        "create": _create_group,
        "update": _update_group,
        "delete": _delete_group,
    },
    "AWS::IAM::UserToGroupAddition": {
        "create": _create_membership,
        "delete": _delete_membership,
    },
    _LISTENER: _listeners | {"create": _create_listener, "delete": _delete_listener},
    _BALANCER: _balancers | {"create": _create_balancer},
    _MATH: _alarms | {"create": _create_alarm, "update": _update_alarm, "delete": _delete_alarm},
    "AWS::ECS::Service": _services | {"create": _create_service, "update": _update_service},
    "AWS::ECS::TaskDefinition": _definitions
    | {"create": _create_definition, "update": _update_definition},
    "AWS::RDS::DBCluster": _clusters
    | {"create": _create_database, "update": _update_database, "delete": _delete_database},
    _TARGET: _target | {"create": _create_target, "update": _update_target},
    _POLICY: recorded(_POLICY, lambda name, _: (arn("autoscaling", f"scalingPolicy:{name}"), {})),
    **{
        kind: recorded(kind, identify)
        for kind, identify in {
            "AWS::GlobalAccelerator::Accelerator": _accelerator,
            "AWS::ElasticLoadBalancingV2::ListenerCertificate": _listener_certificate,
            "AWS::ElasticLoadBalancingV2::TrustStore": _trust_store,
            "AWS::WAFv2::WebACLAssociation": lambda _, p: (p["ResourceArn"], {}),
            "AWS::Budgets::Budget": lambda _, p: (p["Budget"]["BudgetName"], {}),
            "AWS::Route53::RecordSet": lambda _, p: (p["Name"], {}),
            "AWS::GlobalAccelerator::Listener": _listener,
            "AWS::GlobalAccelerator::EndpointGroup": _endpoint_group,
            "AWS::CodePipeline::Pipeline": lambda _, p: (p["Name"], {"Version": "1"}),
            "AWS::CodePipeline::Webhook": lambda name, _: (name, {"Url": f"https://hooks/{name}"}),
            "AWS::Scheduler::Schedule": lambda _, p: (p["Name"], {}),
            "AWS::Logs::QueryDefinition": lambda name, _: (name, {"QueryDefinitionId": name}),
        }.items()
    },
}
"""Type of resource → what CloudFormation calls to create, update and delete one."""
