"""What third-party-backend knows of the roaming hub: where it is, and who we are there.

Our client certificate and its key are in a secret. A task definition names the version of it, so
a new certificate means new tasks. Without an address of the hub the relay waits for one.
"""

from __future__ import annotations

from troposphere import Ref, Template, ecs, secretsmanager

from templates.exports import imported
from templates.naming import THIRD_PARTY, log_group_name, named, tags
from templates.parameters import given, switch, text
from templates.parts.containers import container, database_environment, database_secrets, secret_key

RELAY = "relay"
# What the secret holds: PEM texts.
CERTIFICATE, KEY, AUTHORITY = "certificate", "key", "ca"


def add_secret(template: Template) -> secretsmanager.Secret:
    """Give a template the secret; `make deploy-backend-services HUB_CERTIFICATE=…` fills it."""
    return template.add_resource(
        secretsmanager.Secret(
            "HubSecret",
            Name=named("hub"),
            Description="Our client certificate at the roaming hub, its key, the hub's authority",
            Tags=tags(),
        )
    )


def add_parameters(template: Template) -> None:
    """Give a template what people decide about the hub."""
    text(template, "HubCidrs", "Whence the hub calls: CIDRs with commas between them")
    text(
        template,
        "HubUrl",
        "Address of the hub; empty for none",
        Default="",
        AllowedPattern=r"|https://[^/\s]+",
        ConstraintDescription="https:// and a name",
    )
    text(template, "OperatorId", "Our operator id at the hub, such as DE*VNI", Default="")
    text(template, "OperatorName", "Our name, as drivers read it", Default="")
    text(template, "HubSecretVersion", "Version of the secret with our certificate", Default="")
    given(template, "HubSecretVersion")
    switch(template, "HubAuthority", False, "The secret says who may vouch for the hub")


def web_environment() -> dict[str, object]:
    """Return what the web server knows of the hub, for a template with `add_parameters`."""
    return {
        # The firewall admits only the hub; should it ever be opened too far, this is left.
        "THIRD_PARTY_ALLOWED_CIDRS": Ref("HubCidrs"),
        "THIRD_PARTY_FORWARDED_HOPS": "1",
        **_common(),
    }


def relay() -> ecs.ContainerDefinition:
    """Return the container that calls the hub, for a template with `add_parameters`.

    Any number may run; one of them works and the others stand by.
    """
    return container(
        THIRD_PARTY,
        name=RELAY,
        command=["python", "-m", "third_party_backend", "relay"],
        environment={
            "THIRD_PARTY_HUB_URL": Ref("HubUrl"),
            "THIRD_PARTY_OPERATOR_ID": Ref("OperatorId"),
            "THIRD_PARTY_OPERATOR_NAME": Ref("OperatorName"),
            **_common(),
        },
        secrets=database_secrets(),
        optional_secrets={
            "THIRD_PARTY_HUB_CERTIFICATE": ("HasHubSecretVersion", _secret(CERTIFICATE)),
            "THIRD_PARTY_HUB_KEY": ("HasHubSecretVersion", _secret(KEY)),
            "THIRD_PARTY_HUB_CA": ("IsHubAuthority", _secret(AUTHORITY)),
        },
        log_group=log_group_name(THIRD_PARTY),
    )


def _secret(key: str) -> object:
    return secret_key(imported("cluster", "HubSecret"), key, Ref("HubSecretVersion"))


def _common() -> dict[str, object]:
    return {
        "THIRD_PARTY_ENVIRONMENT": Ref("Environment"),
        **database_environment(),
    }
