"""A whole environment: build it, change it, take it away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from scripts.cloud import certificates, migration, stacks
from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.images import IMAGES, Image, ensure
from scripts.cloud.stacks import NO_CHANGES
from templates import database
from templates.__main__ import STACKS
from templates.firewall import MAX_HUB_ADDRESSES
from templates.names import CHARGING_POINT, camel


class Steps:
    """Tells what is being done, and how long it took."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._done = 0
        self._began = time.monotonic()
        self.changed = False

    def do(self, name: str, work: Callable[[], str]) -> None:
        """Do one thing; `work` says in a few words what happened."""
        self._done += 1
        print(f"{self._done:2}/{self._count} {name:<24} ", end="", flush=True)
        began = time.monotonic()
        try:
            said = work()
        except BaseException:
            print("stopped", flush=True)
            raise
        if said != NO_CHANGES and not said.endswith("is in the registry"):
            self.changed = True
        print(f"{said} ({time.monotonic() - began:.1f} s)", flush=True)

    def end(self, what: str) -> None:
        """Say how it went."""
        took = f"{time.monotonic() - self._began:.0f} s"
        print(f"{what} in {took}." if self.changed else f"Nothing changed; {took}.", flush=True)


def deploy(
    aws: Aws,
    hub: list[str],
    tags: Mapping[str, str],
    more_names: list[str],
    sight: Mapping[str, str],
) -> None:
    """Bring the whole environment up to date, from an empty account if need be.

    hub: CIDRs of the roaming hub. tags: service → image tag. sight: `inputs.sight`.
    """
    parameters = image_parameters(tags)
    steps = Steps(15)

    def stack(name: str, **more: str) -> None:
        steps.do(name, lambda: stacks.deploy(aws, name, more))

    stack("boundary")
    stack("network")
    stack("firewall", **hub_parameters(hub))
    stack("registry")
    stack("alerts", **sight)
    for service, image in IMAGES.items():
        steps.do(f"image {service}", lambda i=image, t=tags[service]: ensure(aws, i, t))  # type: ignore[misc]
    steps.do("certificate", lambda: certificates.create(aws, more_names))
    stack("database")
    stack("cluster", **parameters)
    steps.do("migration", lambda: migration.migrate(aws, tags[CHARGING_POINT]))
    arn = certificates.certificate_arn(aws)
    assert arn is not None
    stack("services", CertificateArn=arn, **parameters, **sight)
    stack("accelerator")
    stack("observability", CertificateArn=arn, **sight)
    # Only now are the names and addresses known that clients will ask for.
    steps.do("names in certificate", lambda: certificates.create(aws, public_names(aws)))
    steps.end(f"{aws.target.environment} is deployed")
    print_addresses(aws)
    print(f"Clients trust it by {certificates.authority_file(aws)}")


def deploy_service(aws: Aws, image: Image, tag: str) -> None:
    """Build, push, migrate where it matters, update one service, wait until it is stable."""
    migrates = image.service == CHARGING_POINT
    steps = Steps(5 if migrates else 3)
    steps.do(f"image {image.service}", lambda: ensure(aws, image, tag))
    parameters = image_parameters({image.service: tag})
    if migrates:
        steps.do("cluster", lambda: stacks.deploy(aws, "cluster", parameters))
        steps.do("migration", lambda: migration.migrate(aws, tag))
    steps.do("services", lambda: stacks.deploy(aws, "services", parameters))
    steps.do("stable", lambda: _wait_until_stable(aws, image.service))
    steps.end(f"{image.service} runs {tag}")


def create_accelerator(aws: Aws) -> None:
    """Create the Global Accelerator, put its addresses into the certificate, and print them."""
    steps = Steps(2)
    steps.do("accelerator", lambda: stacks.deploy(aws, "accelerator"))
    steps.do("names in certificate", lambda: certificates.create(aws, public_names(aws)))
    steps.end("The accelerator is there")
    print_addresses(aws)


def delete(aws: Aws) -> None:
    """Take everything away, newest first; production keeps a last snapshot of its database."""
    present = [name for name in reversed(STACKS) if stacks.exists(aws, name)]
    steps = Steps(len(present) + 2)
    if aws.target.is_production:
        for name in present:
            stacks.protect(aws, name, False)
        for name in ("database", "services"):
            if name in present:
                # Their own protection is a parameter.
                stacks.deploy(aws, name, {"Protected": "false"})
                stacks.protect(aws, name, False)
    for name in present:
        steps.do(name, lambda n=name: _delete(aws, n))  # type: ignore[misc]
    steps.do("certificates", lambda: _remove_certificates(aws))
    steps.do("what AWS left behind", lambda: _sweep(aws))
    steps.end(f"{aws.target.environment} is gone")


def image_parameters(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that name the images."""
    return {f"{camel(service)}ImageTag": tag for service, tag in tags.items()}


def hub_parameters(hub: list[str]) -> dict[str, str]:
    """Return the firewall's parameters: every place is set, so that an address can go too."""
    places = [*hub, *[""] * (MAX_HUB_ADDRESSES - len(hub))]
    return {f"HubAddress{place}": cidr for place, cidr in enumerate(places, 1)}


def public_names(aws: Aws) -> list[str]:
    """Return the names and addresses that clients reach the services by."""
    services = stacks.outputs(aws, "services")
    names = [value for key, value in services.items() if key.endswith("Host")]
    for key, value in stacks.outputs(aws, "accelerator").items():
        if key.endswith(("Addresses", "AcceleratorHost")):
            names += value.split(",")
    return [name.lower() for name in names]


def print_addresses(aws: Aws) -> None:
    """Print by which addresses the environment is reached, and by which it goes out."""
    services = stacks.outputs(aws, "services") if stacks.exists(aws, "services") else {}
    accelerator = stacks.outputs(aws, "accelerator") if stacks.exists(aws, "accelerator") else {}
    rows = (
        ("charging points connect to", services.get("ChargingPointHost")),
        ("  or, through firewalls, to", accelerator.get("ChargingPointAddresses")),
        ("the hub calls", accelerator.get("ThirdPartyAddresses")),
        ("the hub is called from", stacks.outputs(aws, "network").get("NatAddresses")),
    )
    for what, where in rows:
        if where:
            print(f"  {what:<28} {where.replace(',', ', ')}")


def _wait_until_stable(aws: Aws, service: str) -> str:
    aws(
        *("ecs", "wait", "services-stable"),
        *("--cluster", stacks.outputs(aws, "cluster")["Name"]),
        *("--services", stacks.outputs(aws, "services")[f"{camel(service)}ServiceName"]),
    )
    return NO_CHANGES


def _delete(aws: Aws, stack: str) -> str:
    stacks.delete(aws, stack)
    return "deleted"


def _remove_certificates(aws: Aws) -> str:
    certificates.remove(aws)
    migration.forget(aws)
    return "deleted"


def _sweep(aws: Aws) -> str:
    """Remove what AWS makes for itself and no stack owns."""
    cluster = f"vni-cpo-{aws.target.environment}"
    for group in (
        f"/aws/rds/cluster/{cluster}/postgresql",
        f"/aws/ecs/containerinsights/{cluster}/performance",
    ):
        try:
            aws("logs", "delete-log-group", "--log-group-name", group)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
    if aws.target.is_production:
        return f"the last snapshot of {cluster} is kept"
    snapshots = aws(
        *("rds", "describe-db-cluster-snapshots", "--snapshot-type", "manual"),
        *("--db-cluster-identifier", cluster),
    )["DBClusterSnapshots"]
    for snapshot in snapshots:
        aws(
            *("rds", "delete-db-cluster-snapshot"),
            *("--db-cluster-snapshot-identifier", snapshot["DBClusterSnapshotIdentifier"]),
        )
    return f"{len(snapshots)} snapshots of {database.NAME} deleted" if snapshots else "deleted"
