"""A whole environment: build it, change it, take it away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from scripts.cloud import (
    buckets,
    client_authorities,
    console,
    fleet,
    migration,
    payers,
    pipelines,
    plan,
    preflight,
    promotion,
    simulator,
    stacks,
    tasks,
)
from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.certificates import Certificates
from scripts.cloud.hub_inputs import Hub, keep, secret_parameters
from scripts.cloud.images import IMAGES, missing, provide, running, that_stay
from scripts.cloud.images import keep as keep_image
from scripts.cloud.inputs import InputError
from scripts.cloud.steps import NO_CHANGES, Work, run
from templates.__main__ import OPTIONAL, STACKS
from templates.environments import Sizes, sizes
from templates.naming import CHARGING_POINT, CONSOLE, SERVICES, camel, named, service_name
from templates.parts.archive import BUCKET as ARCHIVE_BUCKET
from templates.stacks import access, alerts, boundary, builds, network, storage, web_firewall
from templates.stacks.firewall import MAX_HUB_ADDRESSES


@dataclass(frozen=True)
class Wanted:
    """What an environment is deployed with.

    tags: service → image tag, for those that no pipeline delivers. more_names: service → names
    of its certificates. alarm_parameters, network_parameters, name_parameters: of
    `inputs`. payers: of `payers`. client_authorities: of `client_authorities`.
    """

    hub: Hub
    tags: Mapping[str, str]
    more_names: Mapping[str, list[str]]
    alarm_parameters: Mapping[str, str]
    network_parameters: Mapping[str, str]
    name_parameters: Mapping[str, str] = field(default_factory=dict)
    payers: Mapping[str, str] = field(default_factory=dict)
    client_authorities: bytes | None = None

    def parameters(self, aws: Aws, tags: Mapping[str, str]) -> plan.Parameters:
        """Return each stack's parameters; some are known only when those before it are there."""
        images = image_parameters(tags)
        certificates = Certificates(aws)
        mutual_tls = client_authorities.parameters(self.client_authorities)

        def services() -> dict[str, str]:
            return {
                **images,
                **self.alarm_parameters,
                **self.hub.parameters,
                **secret_parameters(aws, self.hub),
                **certificates.parameters(),
                **mutual_tls,
            }

        def observability() -> dict[str, str]:
            return {
                **self.alarm_parameters,
                **self.hub.parameters,
                **certificates.parameters(),
            }

        return {
            "boundary": dict,
            "network": lambda: self.network_parameters,
            "firewall": lambda: {**hub_parameters(self.hub.cidrs), **mutual_tls},
            "registry": dict,
            "alerts": lambda: self.alarm_parameters,
            "storage": dict,
            "database": dict,
            "cluster": lambda: images,
            "services": services,
            **({web_firewall.STACK: dict} if _has_web_firewall(aws) else {}),
            "accelerator": lambda: {**mutual_tls, **self.name_parameters},
            "observability": observability,
        }


def show_plan(aws: Aws, wanted: Wanted) -> bool:
    """Print what would change; return whether that is anything. Nothing is changed.

    What other targets make, such as pipelines, is shown where it is there: a new checkout may have
    changed it too.
    """
    tags = {**wanted.tags, **that_stay(aws)}
    others: plan.Parameters = {stack: dict for stack in OPTIONAL if stack in stacks.look(aws)}
    return plan.show(aws, {**wanted.parameters(aws, tags), **others}, tags)


def deploy(aws: Aws, wanted: Wanted) -> None:
    """Bring the whole environment up to date, from an empty account if need be.

    Where it is protected and there, its changes are shown and have to be confirmed. Raises
    InputError before anything is touched where that is not done, the account lacks something, or
    an image would have to be built and cannot.
    """
    size = fleet.sizes_of(aws)
    _check(aws, wanted, size)
    tags = {**wanted.tags, **that_stay(aws)}
    lacking = missing(aws, tags)
    certificates = Certificates(aws)
    parameters = wanted.parameters(aws, tags)
    planned, its_tag, operators = console.along(
        aws, {**wanted.alarm_parameters, **wanted.name_parameters}
    )
    if "services" in stacks.look(aws):
        plan.ask(aws, {**parameters, **planned}, {**tags, **its_tag})

    def stack(name: str) -> dict[str, Work]:
        return {name: lambda: stacks.deploy(aws, name, parameters[name]())}

    protection = {"protection": lambda: _protect(aws)}
    test_point = {"test charging point": lambda: simulator.register(aws)}
    run(
        {
            "fleet": lambda: fleet.keep(aws, fleet.charging_points(aws)),
            "who pays": lambda: payers.keep(aws, wanted.payers),
            "roles of AWS's services": lambda: preflight.make_service_linked_roles(aws),
            **stack("boundary"),
            **stack("network"),
            **stack("firewall"),
            **stack("registry"),
            **stack("alerts"),
            **{f"image {s}": _image(aws, s, tags[s], s in lacking) for s in IMAGES},
            "certificates": lambda: certificates.create(wanted.more_names),
            **stack("storage"),
            "client authorities": lambda: client_authorities.store(aws, wanted.client_authorities),
            **stack("database"),
            **stack("cluster"),
            "certificate at the hub": lambda: keep(aws, wanted.hub),
            "migration": lambda: migration.migrate(aws, tags[CHARGING_POINT]),
            **stack("services"),
            **(stack(web_firewall.STACK) if _has_web_firewall(aws) else {}),
            **stack("accelerator"),
            **stack("observability"),
            # Only now are the names and addresses known that clients will ask for.
            "names in certificates": lambda: certificates.create(public_names(aws)),
            **operators,
            **(protection if size.protected else test_point),
        },
        f"{aws.target.environment} is deployed",
    )
    print_addresses(aws)
    print(f"Clients trust it by {certificates.authority_file()}")


def _check(aws: Aws, wanted: Wanted, size: Sizes) -> None:
    """Raise InputError where what is wanted does not go together or the account lacks something."""
    if wanted.client_authorities and size.load_balancer == "network":
        raise InputError(
            "CLIENT_CA is for an application load balancer; a network load balancer has no mutual "
            "TLS"
        )
    _demand_receiver(aws, wanted.alarm_parameters)
    chosen = [v for name, v in sorted(wanted.network_parameters.items()) if name != "VpcCidr"]
    preflight.check(aws, size, chosen)


def _has_web_firewall(aws: Aws) -> bool:
    """Return whether there shall be one, or is one that may have to go."""
    return fleet.sizes_of(aws).web_application_firewall or web_firewall.STACK in stacks.look(aws)


def _demand_receiver(aws: Aws, given: Mapping[str, str]) -> None:
    """Raise InputError where production would have alarms that nobody hears."""
    known = stacks.look(aws).get(alerts.STACK, {}).get("Parameters", [])
    before = {each["ParameterKey"]: each["ParameterValue"] for each in known}
    heard = any({**before, **given}.get(name) for name in alerts.RECEIVERS)
    if sizes(aws.target.environment).protected and not heard:
        raise InputError(
            "nobody would hear the alarms of production: give ALARM_EMAIL= or ALARM_URL="
        )


def deploy_service(aws: Aws, service: str, tag: str) -> None:
    """Build, push, migrate if need be, update one service, wait until it is stable.

    Migrations run from the charging points' image. A protected environment's changes are shown
    and have to be confirmed. Raises InputError where they are not, or where the other service
    needs what only they bring, and StackError, like `create_accelerator`, where no services are
    yet.
    """
    stacks.outputs(aws, "services")
    if service != CHARGING_POINT and migration.is_needed(aws, tag):
        raise InputError(
            f"{service} {tag} needs a schema that the database has not yet; "
            "`make deploy-cp-backend` brings it there first"
        )
    lacking = missing(aws, {service: tag})
    image = {f"image {service}": _image(aws, service, tag, bool(lacking))}
    _release(aws, {service: tag}, image)


def promote(aws: Aws, source: Aws) -> None:
    """Let an environment run, byte for byte, what another one of the account runs.

    Both services, the migration before them; a protected environment's changes are shown and have
    to be confirmed. Raises InputError and StackError.
    """
    stacks.outputs(aws, "services")
    found = {service: promotion.running(source, service) for service in IMAGES}

    def copy(service: str) -> Work:
        def work() -> str:
            done = promotion.copy(source, aws, service, found[service])
            keep_image(aws, aws.target.spelled(service_name(service)), found[service].tag)
            return done

        return work

    tags = {service: image.tag for service, image in found.items()}
    also = {}
    if console.is_there(aws) and console.is_there(source):
        image = promotion.running(source, CONSOLE)
        found[CONSOLE] = image
        also = {f"image {CONSOLE}": copy(CONSOLE), **console.update(aws, image.tag)}
    _release(aws, tags, {f"image {service}": copy(service) for service in IMAGES}, also)


def _release(
    aws: Aws,
    tags: Mapping[str, str],
    images: Mapping[str, Work],
    also: Mapping[str, Work] = MappingProxyType({}),
) -> None:
    """Update services to these images and wait until they are stable.

    tags: service → tag. also: steps that come after them.
    """
    # The other service keeps what it runs, whatever CloudFormation was given last.
    others = {other: running(aws, other) for other in IMAGES if other not in tags}
    kept = {other: its for other, its in others.items() if its}
    parameters = image_parameters({**kept, **tags})
    wanted: dict[str, Work] = {}
    if CHARGING_POINT in tags and migration.is_needed(aws, tags[CHARGING_POINT]):
        wanted["cluster"] = lambda: stacks.deploy(aws, "cluster", parameters)
        wanted["migration"] = lambda: migration.migrate(aws, tags[CHARGING_POINT])
    wanted["services"] = lambda: stacks.deploy(aws, "services", parameters)
    planned: plan.Parameters = {s: lambda: parameters for s in wanted if s in STACKS}
    plan.ask(aws, planned, tags)
    stable = {
        (f"{service} is stable" if len(tags) > 1 else "stable"): _until_stable(aws, service)
        for service in tags
    }
    what = ", ".join(f"{service} runs {tag}" for service, tag in tags.items())
    run({**images, **wanted, **stable, **also}, what)


def create_accelerator(aws: Aws) -> None:
    """Create the Global Accelerator, put its addresses into the certificate, and print them."""
    stacks.outputs(aws, "services")
    run(
        {
            "accelerator": lambda: stacks.deploy(aws, "accelerator"),
            "names in certificates": lambda: Certificates(aws).create(public_names(aws)),
        },
        "The accelerator is there",
    )
    print_addresses(aws)


def deploy_access(aws: Aws, name_parameters: Mapping[str, str]) -> None:
    """Bring the groups of users, and what they may do, up to date.

    name_parameters: of `inputs.names`, for whoever may give the services their names.
    """
    run(
        {
            boundary.STACK: lambda: stacks.deploy(aws, boundary.STACK),
            access.STACK: lambda: stacks.deploy(aws, access.STACK, name_parameters),
        },
        "Groups and users are there",
    )
    for name, value in stacks.outputs(aws, "access").items():
        print(f"  {name:<28} {value}")


def delete(aws: Aws) -> None:
    """Take everything away, newest first; production keeps a last snapshot of its database."""
    present = list(reversed(stacks.look(aws)))
    steps: dict[str, Work] = {}
    if sizes(aws.target.environment).protected:
        steps["protection"] = lambda: _take_back_protection(aws, present)
    for name in present:
        steps[name] = lambda n=name: _delete(aws, n)  # type: ignore[misc]
    steps["certificates"] = lambda: _remove_certificates(aws)
    steps["what AWS left behind"] = lambda: _sweep(aws)
    run(steps, f"{aws.target.environment} is gone")


def image_parameters(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that name the images."""
    return {f"{camel(service)}ImageTag": tag for service, tag in tags.items()}


def hub_parameters(hub: list[str]) -> dict[str, str]:
    """Return the firewall's parameters: every place is set, so that an address can go too."""
    places = [*hub, *[""] * (MAX_HUB_ADDRESSES - len(hub))]
    return {f"HubAddress{place}": cidr for place, cidr in enumerate(places, 1)}


def public_names(aws: Aws) -> dict[str, list[str]]:
    """Return the names and addresses that clients reach each service by."""
    found = {
        **stacks.outputs(aws, "network"),
        **stacks.outputs(aws, "services"),
        **stacks.outputs(aws, "accelerator"),
    }
    # A network load balancer's addresses and an accelerator's have one name.
    found["ChargingPointNetworkAddresses"] = stacks.outputs(aws, "network").get(
        "ChargingPointAddresses", ""
    )
    return {
        service: [
            name.lower()
            for key in ("Name", "Host", "AcceleratorHost", "Addresses", "NetworkAddresses")
            for name in found.get(f"{camel(service)}{key}", "").split(",")
            if name
        ]
        for service in SERVICES
    }


def print_addresses(aws: Aws) -> None:
    """Print by which addresses the environment is reached, and by which it goes out."""
    found = {name: stacks.outputs(aws, name) for name in stacks.look(aws)}
    services, accelerator = found.get("services", {}), found.get("accelerator", {})
    fixed = found.get("network", {}).get("ChargingPointAddresses")
    rows = (
        (
            "charging points connect to",
            accelerator.get("ChargingPointName") or services.get("ChargingPointHost"),
        ),
        ("  or, through firewalls, to", fixed or accelerator.get("ChargingPointAddresses")),
        ("  with certificates, at port", services.get("ChargingPointMutualTlsPort")),
        ("the hub calls", accelerator.get("ThirdPartyAddresses")),
        ("  or, by its name", accelerator.get("ThirdPartyName")),
        ("the hub is called from", found.get("network", {}).get("NatAddresses")),
    )
    for what, where in rows:
        if where:
            print(f"  {what:<28} {where.replace(',', ', ')}")


def _until_stable(aws: Aws, service: str) -> Work:
    def work() -> str:
        name = stacks.outputs(aws, "services")[f"{camel(service)}ServiceName"]
        tasks.wait_until_stable(aws, stacks.outputs(aws, "cluster")["Name"], name)
        return NO_CHANGES

    return work


def _image(aws: Aws, service: str, tag: str, lacking: bool) -> Work:
    """Return the step that builds and pushes an image, if the registry lacks it."""
    return lambda: provide(aws, IMAGES[service], tag, lacking)


def _protect(aws: Aws) -> str:
    """Let the stacks refuse their deletion."""
    changed = [stack for stack in stacks.look(aws) if stacks.protect(aws, stack, True)]
    return f"{len(changed)} stacks protected" if changed else NO_CHANGES


def _take_back_protection(aws: Aws, present: list[str]) -> str:
    """Let the stacks be deleted, and what in them refuses by itself."""
    for stack in present:
        if "Protected" in STACKS[stack].build().parameters:
            stacks.deploy(aws, stack, {"Protected": "false"})
        stacks.protect(aws, stack, False)
    return "taken back"


def _delete(aws: Aws, stack: str) -> str:
    if stack == builds.STACK:
        pipelines.make_room(aws)
    if stack == storage.STACK:
        found = stacks.outputs(aws, stack)
        for bucket in ("Operations", "Authorities", "Files"):
            # One that was made before this version lacks some.
            if bucket in found:
                buckets.empty(aws, found[bucket])
    if stack == network.STACK:
        _free_vpc(aws)
    stacks.delete(aws, stack)
    return "deleted"


def _free_vpc(aws: Aws) -> None:
    """Remove the security group that Global Accelerator makes for itself and leaves behind."""
    found = aws(
        *("ec2", "describe-security-groups", "--filters"),
        f"Name=vpc-id,Values={stacks.outputs(aws, network.STACK)['VpcId']}",
        "Name=group-name,Values=GlobalAccelerator",
    )
    for group in found["SecurityGroups"]:
        aws("ec2", "delete-security-group", "--group-id", group["GroupId"])


def _remove_certificates(aws: Aws) -> str:
    Certificates(aws).remove()
    migration.forget(aws)
    simulator.forget(aws)
    fleet.forget(aws)
    payers.forget(aws)
    pipelines.forget(aws)
    return "deleted"


def _sweep(aws: Aws) -> str:
    """Remove what AWS makes for itself and no stack owns."""
    cluster = aws.target.spelled(named())
    for group in (
        f"/aws/rds/cluster/{cluster}/postgresql",
        f"/aws/ecs/containerinsights/{cluster}/performance",
    ):
        try:
            aws("logs", "delete-log-group", "--log-group-name", group)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
    definitions = _deregister(aws)
    snapshots = aws(
        *("rds", "describe-db-cluster-snapshots", "--snapshot-type", "manual"),
        *("--db-cluster-identifier", cluster),
    )["DBClusterSnapshots"]
    names = [snapshot["DBClusterSnapshotIdentifier"] for snapshot in snapshots]
    archive = aws.target.spelled(ARCHIVE_BUCKET).replace("${AWS::AccountId}", aws.target.account)
    if sizes(aws.target.environment).protected:
        return f"kept the database's {', '.join(names)}, and the archive in {archive}"
    buckets.delete(aws, archive)
    for name in names:
        aws("rds", "delete-db-cluster-snapshot", "--db-cluster-snapshot-identifier", name)
    return f"deleted, {len(names)} snapshots and {definitions} task definitions too"


def _deregister(aws: Aws) -> int:
    """Take away the task definitions that were replaced; return how many."""
    spelled = aws.target.spelled
    # All names of services begin alike, and end with the environment's.
    beginning, end = (part for part in spelled(service_name("*")).split("*"))
    families = aws(
        *("ecs", "list-task-definition-families", "--status", "ACTIVE"),
        *("--family-prefix", beginning),
    )["families"]
    found = [
        definition
        for family in families
        if family.endswith(end)
        for definition in aws(
            *("ecs", "list-task-definitions", "--status", "ACTIVE", "--family-prefix", family)
        )["taskDefinitionArns"]
    ]
    for definition in found:
        aws("ecs", "deregister-task-definition", "--task-definition", definition)
    return len(found)
