"""What a person can say wrongly is refused in one sentence, before anything is touched."""

import os
import re

import pytest

from scripts.cloud import client_authorities, hub_inputs, images
from scripts.cloud.certificates import Authority
from scripts.cloud.inputs import InputError, certificate_names, names, target, whitelist

GOOD = {"ENVIRONMENT": "staging", "WHITELIST_IP": "203.0.113.7"}
# Targets that are asked for with these three variables.
EVERYWHERE = {"AWS_PROFILE": "tests", "ACCOUNT_ID": "210000000000", "ENVIRONMENT": "staging"}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"AWS_PROFILE": ""}, "AWS_PROFILE is not set: give the profile of your AWS CLI"),
        ({"ACCOUNT_ID": ""}, "ACCOUNT_ID is not set: give the twelve digits"),
        ({"ENVIRONMENT": ""}, "ENVIRONMENT is not set: give the environment's name"),
        ({"WHITELIST_IP": ""}, "WHITELIST_IP is not set: give the roaming hub's addresses"),
        ({"WHITELIST_IP": "hub.example"}, "'hub.example', which is no IPv4 address or CIDR"),
        (
            {"ENVIRONMENT": "production"},
            "nobody would hear the alarms of production: give ALARM_EMAIL= or ALARM_URL=",
        ),
        ({"ALARM_URL": "http://pager"}, "'http://pager'; give an address that begins with https"),
        ({"BUDGET_USD": "1,000.50"}, "'1,000.50'; give whole dollars a month, 0 for none"),
        ({"OWNER": "a;b"}, "OWNER is 'a;b'; a tag has up to 128 letters, digits, spaces"),
        ({"IMAGE_TAG": "no such"}, "IMAGE_TAG is 'no such', but the registry of staging has no"),
        ({"CONTAINER": "lxc"}, "CONTAINER is 'lxc'; use docker or podman"),
        ({"AWS_PROFILE": "other"}, "AWS_PROFILE is 'other', which your AWS CLI does not know"),
        ({"ACCOUNT_ID": "999999999999"}, "but ACCOUNT_ID is 999999999999"),
        ({"AWS_DEFAULT_REGION": ""}, "AWS_PROFILE 'tests' names no region; set AWS_REGION=…"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"},
            "AWS_PROFILE 'tests' does not work: Could not",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_word_touches_nothing(account, wrong, sentence):
    run = account.make("deploy-backend-services", **{**GOOD, **wrong})
    assert run.returncode == 2
    said = [line for line in run.stderr.splitlines() if not line.startswith("make:")]
    assert len(said) == 1, run.stderr
    assert said[0].startswith("deploy: ")
    assert sentence in said[0]
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []


def test_without_an_engine_nothing_is_half_done(account):
    # Everything that make and the program need, and nothing else.
    tools = account.project.parent / "tools"
    tools.mkdir()
    for name in ("bash", "git", "make", "sh"):
        (tools / name).symlink_to(
            next(
                path
                for directory in os.environ["PATH"].split(":")
                if os.access(path := os.path.join(directory, name), os.X_OK)  # noqa: PTH118
            )
        )
    run = account.make("deploy-backend-services", **GOOD, PATH=str(tools))
    assert run.returncode == 2, run.stdout
    assert "deploy: neither docker nor podman works here, and an image is" in run.stderr
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []


@pytest.mark.parametrize(
    "name",
    [
        "create-certificates",
        "create-global-accelerator",
        "deploy-cp-backend",
        "deploy-third-party-backend",
        "delete-environment",
        "environment-status",
        "tail-logs",
        "operations",
        "reserve-capacity",
    ],
)
def test_every_target_checks_its_inputs(account, name):
    run = account.make(name, ENVIRONMENT="Staging!")
    assert run.returncode == 2
    assert "ENVIRONMENT is 'Staging!'; use 2 to 20 lower-case letters" in run.stderr


def test_an_update_of_what_is_not_there_says_what_makes_it(account):
    run = account.make("create-global-accelerator", ENVIRONMENT="staging")
    assert run.returncode == 2
    assert "make deploy-backend-services" in run.stderr
    run = account.make("environment-status", ENVIRONMENT="staging")
    assert run.returncode == 2
    assert re.search(r"^  network +not there$", run.stdout, re.MULTILINE)


def test_everybody_may_be_admitted_and_is_warned_of(account):
    run = account.make(
        "deploy-backend-services", ENVIRONMENT="staging", WHITELIST_IP="0.0.0.0/0", IMAGE_TAG="none"
    )
    assert "Warning: WHITELIST_IP admits everybody" in run.stderr


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("203.0.113.7", ["203.0.113.7/32"]),
        ("203.0.113.7/32,203.0.113.7", ["203.0.113.7/32"]),
        (" 203.0.113.7 198.51.100.0/24, ", ["198.51.100.0/24", "203.0.113.7/32"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
    ],
)
def test_addresses_of_the_hub(text, networks):
    assert whitelist({"WHITELIST_IP": text}) == networks


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("203.0.113.7/24", "within a network; did you mean 203.0.113.0/24?"),
        ("203.0.113", "'203.0.113', which is no IPv4 address"),
        ("2001:db8::1", "'2001:db8::1', which is no IPv4 address"),
        ("203.0.113.7;203.0.113.8", "'203.0.113.7;203.0.113.8'"),
        (",".join(f"203.0.113.{n}" for n in range(11)), "has 11 addresses, but 10 is the most"),
        (",,", "WHITELIST_IP has ''"),
        ("", "WHITELIST_IP is not set"),
    ],
)
def test_addresses_that_are_none(text, why):
    with pytest.raises(InputError, match=re.escape(why)):
        whitelist({"WHITELIST_IP": text})


@pytest.mark.parametrize("name", ["s", "1a", "a-b", "A1", "a_b", "a" * 21])
def test_names_that_no_environment_can_have(name):
    with pytest.raises(InputError, match="ENVIRONMENT is"):
        target({**EVERYWHERE, "ENVIRONMENT": name})


@pytest.mark.parametrize("account_id", ["1234", "1" * 13, "12345678901a"])
def test_numbers_that_no_account_has(account_id):
    with pytest.raises(InputError, match="an account has twelve digits"):
        target({**EVERYWHERE, "ACCOUNT_ID": account_id})


def test_names_for_the_certificate():
    words = {"CERTIFICATE_NAMES": "CP.example.com, *.example.org"}
    assert certificate_names(words) == ["*.example.org", "cp.example.com"]
    with pytest.raises(InputError, match="no name in DNS"):
        certificate_names({"CERTIFICATE_NAMES": "https://example.com"})


def test_a_hub_is_said_whole(tmp_path):
    one, other = (Authority.new("hub").issue(["vni.example"]) for _ in range(2))
    files = {}
    for name, pem in (("certificate", one[0]), ("key", one[1]), ("another", other[1])):
        (tmp_path / name).write_bytes(pem)
        files[name] = str(tmp_path / name)
    words = {
        "HUB_URL": "https://hub.example",
        "OPERATOR_ID": "DE*VNI",
        "OPERATOR_NAME": "VNI",
        "HUB_CERTIFICATE": files["certificate"],
        "HUB_KEY": files["key"],
    }
    said = hub_inputs.read(words, ["192.0.2.1/32"])
    assert said.parameters["HubUrl"] == "https://hub.example"
    assert set(said.secret) == {"certificate", "key"}
    assert hub_inputs.read({}, ["192.0.2.1/32"]).parameters == {"HubCidrs": "192.0.2.1/32"}
    for wrong, why in (
        ({"HUB_URL": "http://hub.example"}, "give https:// and the hub's name"),
        ({"HUB_URL": "https://hub.example/api/oicp"}, "give https:// and the hub's name"),
        ({"OPERATOR_ID": "VNI"}, "give one such as DE*VNI"),
        ({"OPERATOR_NAME": ""}, "give all three"),
        ({"OPERATOR_NAME": "x" * 101}, "more than 100 characters"),
        ({"HUB_KEY": ""}, "give both files"),
        ({"HUB_KEY": files["another"]}, "HUB_KEY is not the key of HUB_CERTIFICATE"),
        ({"HUB_KEY": files["certificate"]}, "HUB_KEY is no private key"),
        ({"HUB_CERTIFICATE": files["key"]}, "is no certificate in PEM"),
        ({"HUB_CA": str(tmp_path / "missing")}, "which cannot be read"),
    ):
        with pytest.raises(InputError, match=re.escape(why)):
            hub_inputs.read({**words, **wrong}, [])


def test_an_image_has_the_name_of_what_is_in_it():
    """A commit that touches nothing of an image keeps its tag."""
    for image in images.IMAGES.values():
        assert image.package in image.sources
        assert "charging" in image.sources
        assert not [source for source in image.sources if source.startswith(("docs", "tests"))]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        (
            {"HOSTED_ZONE": "Z0123ABC", "DOMAIN": "Charging.Example."},
            {"HostedZone": "Z0123ABC", "Domain": "charging.example"},
        ),
        ({"HOSTED_ZONE": "none"}, {"HostedZone": "", "Domain": ""}),
        ({"HOSTED_ZONE": "Z0123ABC"}, "HOSTED_ZONE and DOMAIN go together"),
        ({"DOMAIN": "charging.example"}, "HOSTED_ZONE and DOMAIN go together"),
        ({"HOSTED_ZONE": "charging.example", "DOMAIN": "a.example"}, "give the id of a hosted"),
        ({"HOSTED_ZONE": "Z0123ABC", "DOMAIN": "*.example.com"}, "which is no name in DNS"),
    ],
)
def test_names_in_dns(given, expected):
    if isinstance(expected, dict):
        assert names(given) == expected
        return
    with pytest.raises(InputError, match=expected):
        names(given)


def test_authorities_of_charging_points(tmp_path):
    authority = Authority.new("points")
    leaf, key = authority.issue(["CP1"])
    file = tmp_path / "authorities.pem"
    # What a person's file has besides, is not for the trust store.
    file.write_bytes(b"two authorities\n" + authority.pem + key + Authority.new("others").pem)
    taken = client_authorities.read({"CLIENT_CA": str(file)})
    assert taken.startswith(authority.pem)
    assert (taken.count(b"BEGIN CERTIFICATE"), taken.count(b"PRIVATE")) == (2, 0)
    assert client_authorities.parameters(taken)["MutualTls"] == "true"
    other = client_authorities.parameters(authority.pem)
    assert client_authorities.parameters(taken)["ClientAuthorities"] != other["ClientAuthorities"]
    assert client_authorities.parameters(client_authorities.read({})) == {}
    off = client_authorities.parameters(client_authorities.read({"CLIENT_CA": "none"}))
    assert off == {"ClientAuthorities": "", "MutualTls": "false"}
    for content, sentence in (
        (leaf, "which is no authority's"),
        (b"", "no certificates in PEM"),
        (None, "cannot be read"),
    ):
        wrong = tmp_path / "missing" if content is None else file
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(InputError, match=sentence):
            client_authorities.read({"CLIENT_CA": str(wrong)})
