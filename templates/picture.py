"""The picture of the cloud and of the pipeline, read out of the templates: docs/cloud.md.

Nothing here knows an environment's resources; it knows types. A resource is shown when its type is
in `SHOWN`, and an arrow when one shown resource leads to another over resources of the types in
`JOINTS`. Where it stands follows from the subnets that it names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from troposphere import Template

from templates.naming import kebab

Key = tuple[str, str]
"""A resource: stack and title."""

ACCELERATOR = "AWS::GlobalAccelerator::Accelerator"
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
SERVICE = "AWS::ECS::Service"
TASK = "AWS::ECS::TaskDefinition"
DATABASE = "AWS::RDS::DBCluster"
NAT = "AWS::EC2::NatGateway"
REPOSITORY = "AWS::ECR::Repository"
SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a type
BUCKET = "AWS::S3::Bucket"
TOPIC = "AWS::SNS::Topic"
ALARM = "AWS::CloudWatch::Alarm"
_SUBNET = "AWS::EC2::Subnet"
_TARGETS = "AWS::ElasticLoadBalancingV2::TargetGroup"
_ENTRANCE = "AWS::ElasticLoadBalancingV2::Listener"
_ACCELERATED = "AWS::GlobalAccelerator::Listener"
_ENDPOINTS = "AWS::GlobalAccelerator::EndpointGroup"
_TABLE = "AWS::EC2::RouteTable"
_ASSOCIATION = "AWS::EC2::SubnetRouteTableAssociation"
_ROUTE = "AWS::EC2::Route"

SHOWN = {
    ACCELERATOR: "Global Accelerator",
    BALANCER: "load balancer",
    SERVICE: "Fargate service",
    TASK: "Fargate task, once",
    DATABASE: "Aurora PostgreSQL",
    NAT: "NAT gateway",
    REPOSITORY: "ECR",
    SECRET: "Secrets Manager",
    BUCKET: "S3",
    TOPIC: "SNS",
    ALARM: "CloudWatch alarm",
}
"""Type → what it is called."""
JOINTS = frozenset(
    {TASK, _SUBNET, _TARGETS, _ENTRANCE, _ACCELERATED, _ENDPOINTS, _TABLE, _ASSOCIATION, _ROUTE}
)
# A resource leads to what it names, but here what it names leads to it.
_REVERSED = frozenset(
    {
        (_ACCELERATED, ACCELERATOR),
        (_ENDPOINTS, _ACCELERATED),
        (_ENTRANCE, BALANCER),
        (SERVICE, _TARGETS),
        (_ASSOCIATION, _SUBNET),
        (_ROUTE, _TABLE),
    }
)
ARROWS = {
    (ACCELERATOR, BALANCER): "",
    (BALANCER, SERVICE): "",
    (SERVICE, DATABASE): "",
    (TASK, DATABASE): "",
    (SERVICE, NAT): "goes out by",
    (SERVICE, REPOSITORY): "image",
    (TASK, REPOSITORY): "image",
    (SERVICE, SECRET): "starts with",
    (TASK, SECRET): "starts with",
    (ALARM, TOPIC): "ring",
}
"""Which arrows are drawn, and what stands at them."""
# Of these, all of a stack are one in the picture.
_COUNTED = frozenset({ALARM, NAT})
_PLACES = {
    "Public": "Public subnets",
    "Private": "Private subnets",
    "": "Outside the network",
}


class Resources:
    """The resources of several stacks, and what each leads to."""

    def __init__(self, templates: Mapping[str, Template]) -> None:
        stacks = {name: template.to_dict() for name, template in templates.items()}
        self.described: dict[Key, dict[str, Any]] = {
            (stack, title): resource
            for stack, body in stacks.items()
            for title, resource in body["Resources"].items()
        }
        exports: dict[str, list[Key]] = {}
        for stack, body in stacks.items():
            for output in body.get("Outputs", {}).values():
                if "Export" in output:
                    exports[output["Export"]["Name"]["Fn::Sub"]] = [
                        (stack, title)
                        for title in _named(output["Value"])
                        if isinstance(title, str)
                    ]
        self.leads: dict[Key, set[Key]] = defaultdict(set)
        self.names: dict[Key, set[Key]] = defaultdict(set)
        for key, resource in self.described.items():
            for name in _named(resource.get("Properties", {})):
                found = exports.get(name[0], []) if isinstance(name, tuple) else [(key[0], name)]
                for other in found:
                    if other in self.described:
                        self._lead(key, other)

    def _lead(self, key: Key, other: Key) -> None:
        self.names[key].add(other)
        if (self.type_of(key), self.type_of(other)) in _REVERSED:
            key, other = other, key
        self.leads[key].add(other)

    def type_of(self, key: Key) -> str:
        """Return a resource's type."""
        return str(self.described[key]["Type"])

    def reached(self, key: Key) -> set[Key]:
        """Return what a resource leads to, directly or over joints."""
        found: set[Key] = set()
        waiting = list(self.leads[key])
        while waiting:
            other = waiting.pop()
            if other not in found:
                found.add(other)
                if self.type_of(other) in JOINTS:
                    waiting += self.leads[other]
        return found

    def place(self, key: Key) -> str:
        """Return where a resource stands: by the subnets that it, or a group it names, names."""
        for other in sorted(self.names[key]):
            if self.type_of(other) == _SUBNET:
                return _PLACES["Public" if other[1].startswith("Public") else "Private"]
            if self.type_of(other) == "AWS::RDS::DBSubnetGroup":
                return self.place(other)
        # A task that runs once is given its subnets when it is started: the private ones.
        return _PLACES["Private" if self.type_of(key) == TASK else ""]


def _named(value: object) -> Iterator[str | tuple[str]]:
    """Yield what a value names: titles, and names of exports as tuples of one."""
    if isinstance(value, list):
        for item in value:
            yield from _named(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif key == "Fn::ImportValue":
                yield (inner["Fn::Sub"] if isinstance(inner, dict) else inner,)
            else:
                yield from _named(inner)


def cloud(templates: Mapping[str, Template]) -> str:
    """Return the picture of an environment, in Mermaid."""
    resources = Resources(templates)
    in_services = {
        other
        for key in resources.described
        if resources.type_of(key) == SERVICE
        for other in resources.names[key]
    }
    shown = [
        key
        for key in resources.described
        if resources.type_of(key) in SHOWN and key not in in_services
    ]
    lines = ["flowchart LR", '  points(["charging points"])', '  hub(["roaming hub"])']
    lines += ['  operators(["operators"])', '  people(["people on call"])']
    for place in _PLACES.values():
        lines.append(f'  subgraph {place.split()[0].lower()}["{place}"]')
        drawn = set()
        for key in shown:
            if resources.place(key) == place and _id(resources, key) not in drawn:
                drawn.add(_id(resources, key))
                lines.append(f"    {_id(resources, key)}{_label(resources, key, shown)}")
        lines.append("  end")
    arrows = dict.fromkeys(_outer_arrows(resources, shown))
    for key in shown:
        for other in sorted(resources.reached(key) & set(shown)):
            text = ARROWS.get((resources.type_of(key), resources.type_of(other)))
            if text is not None:
                arrows[_arrow(_id(resources, key), _id(resources, other), text)] = None
    return "\n".join([*lines, *arrows]) + "\n"


def _outer_arrows(resources: Resources, shown: list[Key]) -> Iterator[str]:
    """Yield the arrows from and to those who are not in the cloud."""
    for key in shown:
        kind, mine = resources.type_of(key), _id(resources, key)
        public = resources.described[key].get("Properties", {}).get("Scheme") == "internet-facing"
        if kind == ACCELERATOR or (kind == BALANCER and public):
            yield _arrow(_whose(key[1]), mine, "")
        elif kind == NAT:
            yield _arrow(mine, "hub", "")
        elif kind == TOPIC:
            yield _arrow(mine, "people", "")


def _whose(entrance: str) -> str:
    """Return who comes in by a load balancer or an accelerator, by how its title begins."""
    if entrance.startswith("Console"):
        return "operators"
    return "points" if entrance.startswith("ChargingPoint") else "hub"


def _arrow(source: str, target: str, text: str) -> str:
    return f"  {source} -->{f'|{text}|' if text else ''} {target}"


def _id(resources: Resources, key: Key) -> str:
    kind = resources.type_of(key)
    return f"{key[0]}_{kind.split('::')[-1] if kind in _COUNTED else key[1]}".replace("-", "_")


def _label(resources: Resources, key: Key, shown: list[Key]) -> str:
    kind = resources.type_of(key)
    resource = resources.described[key]
    if kind in _COUNTED:
        count = sum(k[0] == key[0] and resources.type_of(k) == kind for k in shown)
        name = f"{count} of {key[0]}" if kind == ALARM else f"up to {count}"
    else:
        name = kebab(key[1]).replace("-", " ")
    what = SHOWN[kind]
    if kind == BALANCER:
        what = f"{resource['Properties'].get('Type', 'application')} {what}"
    if "Condition" in resource and kind not in _COUNTED:
        what += ", by choice"
    text = f'"{name}<br/><i>{what}</i>"'
    return f"[({text})]" if kind in (DATABASE, BUCKET) else f"[{text}]"


def pipeline(template: Template) -> str:
    """Return the picture of the first pipeline in a stack, in Mermaid."""
    body = template.to_dict()
    found = next(r for r in body["Resources"].values() if r["Type"].endswith("::Pipeline"))
    lines, before = ["flowchart LR"], ""
    for stage in found["Properties"]["Stages"]:
        lines.append(f'  subgraph {stage["Name"]}["{stage["Name"]}"]')
        arrows = []
        for action in sorted(_actions(stage), key=lambda a: a["RunOrder"]):
            mine = f"{stage['Name']}_{action['Name']}"
            lines.append(f'    {mine}["{action["Name"]}<br/><i>{_does(action)}</i>"]')
            if before:
                arrows.append(f"  {before} --> {mine}")
            before = mine
        lines += ["  end", *arrows]
    return "\n".join(lines) + "\n"


def _actions(stage: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a stage's actions; where a parameter decides between two, the second."""
    return [a["Fn::If"][2] if "Fn::If" in a else a for a in stage["Actions"]]


def _does(action: dict[str, Any]) -> str:
    provider = action["ActionTypeId"]["Provider"]
    project = action.get("Configuration", {}).get("ProjectName")
    name = project.get("Fn::Sub", "") if isinstance(project, dict) else project
    return f"{provider}: {name.replace('-${Environment}', '')}" if name else str(provider)


def page(templates: Mapping[str, Template]) -> str:
    """Return docs/cloud.md."""
    environment = {
        name: template
        for name, template in templates.items()
        if name not in ("test-services", "builds", "deployment-pipeline")
    }
    return f"""# The cloud in pictures

Made from the templates by `make generate-templates`; a test holds this page fresh. How an
environment comes to be is in [deploying](deploying.md), why it is like this in
[the decisions](decisions/).

## An environment

```mermaid
{cloud(environment)}```

The console is there where `make deploy-console` has made it. A third of the zones, and with it a
third NAT gateway, is production's. An application or a network load balancer for charging points is
a choice of the environment
([decision 53](decisions/0053-a-network-load-balancer-by-choice.md)).

## From a commit to production

```mermaid
{pipeline(templates["deployment-pipeline"])}```

Each service has a pipeline of its own like this one; [pipeline](pipeline.md) says what each step
does and who may let it go on.
"""
