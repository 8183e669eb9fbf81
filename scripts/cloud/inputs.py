"""The variables that the targets take, checked before anything is touched."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from troposphere import Sub

from templates.naming import ENVIRONMENT_PATTERN, spelled
from templates.stacks import console as console_stack
from templates.stacks.firewall import MAX_HUB_ADDRESSES
from templates.stacks.network import ZONES

_ENVIRONMENT = re.compile(ENVIRONMENT_PATTERN)
_ACCOUNT = re.compile(r"\d{12}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_HTTPS = re.compile(r"https://[^\s/]+\.[^\s]+")
_REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")
_CONNECTION = re.compile(r"arn:[^:]+:code(star-)?connections:[^:]+:\d{12}:connection/[\w-]+")
_BRANCH = re.compile(r"[\w][\w./-]{0,200}")
_HOSTED_ZONE = re.compile(r"Z[A-Z0-9]{1,31}")
_DNS_NAME = re.compile(r"(?=.{1,253}$)(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}")


class InputError(ValueError):
    """Something is missing or wrong; the message is one sentence and says what to do."""


@dataclass(frozen=True)
class Target:
    """Where to: an environment in an account, reached by a profile of the AWS CLI."""

    profile: str
    account: str
    environment: str
    charging_points: int | None = None
    """The fleet to size it for; None: as before."""
    confirmed: str | None = None
    """What confirms a change of production where there is no terminal: its name."""

    def spelled(self, name: Sub) -> str:
        """Return a name of `templates.naming` as it is in this environment."""
        return spelled(name, self.environment)


def target(variables: Mapping[str, str]) -> Target:
    """Read AWS_PROFILE, ACCOUNT_ID and ENVIRONMENT. Raises InputError."""
    profile = _given(variables, "AWS_PROFILE", "the profile of your AWS CLI that may deploy")
    account = _given(variables, "ACCOUNT_ID", "the twelve digits of the AWS account")
    name = environment(variables)
    if not _ACCOUNT.fullmatch(account):
        raise InputError(f"ACCOUNT_ID is {account!r}, but an account has twelve digits")
    return Target(profile, account, name, _fleet(variables), variables.get("CONFIRM"))


def environment(variables: Mapping[str, str]) -> str:
    """Read ENVIRONMENT. Raises InputError."""
    name = _given(variables, "ENVIRONMENT", "the environment's name, such as staging")
    if not _ENVIRONMENT.fullmatch(name):
        raise InputError(
            f"ENVIRONMENT is {name!r}; use 2 to 20 lower-case letters and digits, a letter first"
        )
    return name


def _fleet(variables: Mapping[str, str]) -> int | None:
    text = variables.get("CHARGING_POINTS", "").strip().replace(",", "").replace("_", "")
    if not text:
        return None
    if not text.isdecimal() or int(text) == 0:
        raise InputError(f"CHARGING_POINTS is {text!r}; give how many there will be, such as 5000")
    return int(text)


def network(variables: Mapping[str, str]) -> dict[str, str]:
    """Read VPC_CIDR and AVAILABILITY_ZONES; return the network stack's parameters.

    What is not given stays as it is. Raises InputError.
    """
    parameters = {}
    if text := variables.get("VPC_CIDR", "").strip():
        try:
            cidr = ipaddress.IPv4Network(text)
        except ValueError:
            raise InputError(f"VPC_CIDR is {text!r}, {_what_is_wrong(text)}") from None
        if not cidr.is_private or cidr.prefixlen not in (16, 17):
            raise InputError(f"VPC_CIDR is {text!r}; give a private network of /16 or /17")
        parameters["VpcCidr"] = text
    zones = [z for z in re.split(r"[,\s]+", variables.get("AVAILABILITY_ZONES", "").strip()) if z]
    for letter, zone in zip(ZONES, zones, strict=False):
        parameters[f"Zone{letter}"] = zone
    if zones and (len(zones) not in (2, 3) or len(set(zones)) < len(zones)):
        raise InputError(f"AVAILABILITY_ZONES has {', '.join(zones)}; give two or three, each once")
    return parameters


def whitelist(variables: Mapping[str, str]) -> list[str]:
    """Read WHITELIST_IP: the roaming hub's addresses, as CIDRs in order. Raises InputError."""
    text = _given(
        variables,
        "WHITELIST_IP",
        "the roaming hub's addresses or CIDRs, with commas between them",
    )
    return _cidrs("WHITELIST_IP", text, MAX_HUB_ADDRESSES)


def console(variables: Mapping[str, str]) -> dict[str, str]:
    """Read CONSOLE_ADDRESSES and CONSOLE_SIGN_IN; return the console stack's parameters.

    What is not given stays as it is. Raises InputError.
    """
    parameters = {}
    if text := variables.get("CONSOLE_ADDRESSES", "").strip():
        most = console_stack.MAX_ADDRESSES
        cidrs = _cidrs("CONSOLE_ADDRESSES", text, most)
        # Every place is set, so that an address can go too.
        for place, cidr in enumerate([*cidrs, *[""] * (most - len(cidrs))], 1):
            parameters[f"ConsoleAddress{place}"] = cidr
    if sign_in := variables.get("CONSOLE_SIGN_IN", "").strip():
        if sign_in not in console_stack.SIGN_IN:
            raise InputError(
                f"CONSOLE_SIGN_IN is {sign_in!r}; give {' or '.join(console_stack.SIGN_IN)}"
            )
        parameters["ConsoleSignIn"] = sign_in
    return parameters


def _cidrs(variable: str, text: str, most: int) -> list[str]:
    networks = []
    for word in re.split(r"[,\s]+", text.strip(" ,")):
        try:
            networks.append(ipaddress.IPv4Network(word))
        except ValueError:
            raise InputError(f"{variable} has {word!r}, {_what_is_wrong(word)}") from None
    unique = sorted(set(networks))
    if len(unique) > most:
        raise InputError(
            f"{variable} has {len(unique)} addresses, but {most} is the most; "
            "join neighbours into CIDRs"
        )
    return [str(network) for network in unique]


def admits_everybody(cidrs: list[str]) -> bool:
    """Return whether every address may call the hub's service."""
    return "0.0.0.0/0" in cidrs


def certificate_names(variables: Mapping[str, str]) -> list[str]:
    """Read CERTIFICATE_NAMES, more names for the certificate; may be empty. Raises InputError."""
    names = re.split(r"[,\s]+", variables.get("CERTIFICATE_NAMES", "").strip().lower())
    for name in filter(None, names):
        if not _DNS_NAME.fullmatch(name):
            raise InputError(f"CERTIFICATE_NAMES has {name!r}, which is no name in DNS")
    return sorted(set(filter(None, names)))


def names(variables: Mapping[str, str]) -> dict[str, str]:
    """Read HOSTED_ZONE and DOMAIN, where the services have names; return stacks' parameters.

    What is not given stays as it is; `none` takes the names away. Raises InputError.
    """
    zone = variables.get("HOSTED_ZONE", "").strip()
    domain = variables.get("DOMAIN", "").strip().lower().rstrip(".")
    if zone == "none":
        return {"HostedZone": "", "Domain": ""}
    if bool(zone) != bool(domain):
        raise InputError("HOSTED_ZONE and DOMAIN go together; give both")
    if not zone:
        return {}
    if not _HOSTED_ZONE.fullmatch(zone):
        raise InputError(f"HOSTED_ZONE is {zone!r}; give the id of a hosted zone, such as Z0123ABC")
    if domain.startswith("*") or not _DNS_NAME.fullmatch(domain):
        raise InputError(f"DOMAIN is {domain!r}, which is no name in DNS")
    return {"HostedZone": zone, "Domain": domain}


def alarm_parameters(variables: Mapping[str, str]) -> dict[str, str]:
    """Read who receives alarms, where the runbook is, and what may be spent.

    ALARM_EMAIL, ALARM_URL, GITHUB_REPOSITORY, BUDGET_USD.

    Return stacks' parameters; what is not given stays as it is. Raises InputError.
    """
    parameters = {}
    if email := variables.get("ALARM_EMAIL", "").strip():
        if not _EMAIL.fullmatch(email):
            raise InputError(f"ALARM_EMAIL is {email!r}, which is no e-mail address")
        parameters["AlarmEmail"] = email
    if url := variables.get("ALARM_URL", "").strip():
        if not _HTTPS.fullmatch(url):
            raise InputError(f"ALARM_URL is {url!r}; give an address that begins with https://")
        parameters["AlarmUrl"] = url
    if budget := variables.get("BUDGET_USD", "").strip():
        if not budget.isdecimal():
            raise InputError(f"BUDGET_USD is {budget!r}; give whole dollars a month, 0 for none")
        parameters["BudgetUsd"] = budget
    if variables.get("GITHUB_REPOSITORY", "").strip():
        parameters["RunbookUrl"] = (
            f"https://github.com/{repository(variables)}/blob/main/docs/runbook.md"
        )
    return parameters


def source(variables: Mapping[str, str]) -> dict[str, str]:
    """Read where commits come from: GITHUB_REPOSITORY, BRANCH, CONNECTION_ARN, PROMOTE_FROM.

    Return the pipeline stack's parameters. Raises InputError.
    """
    connection = variables.get("CONNECTION_ARN", "").strip()
    if connection and not _CONNECTION.fullmatch(connection):
        raise InputError(
            f"CONNECTION_ARN is {connection!r}, which is no ARN of a CodeConnections connection"
        )
    branch = variables.get("BRANCH", "").strip() or "main"
    if not _BRANCH.fullmatch(branch):
        raise InputError(f"BRANCH is {branch!r}, which is no name of a branch")
    promoted = variables.get("PROMOTE_FROM", "").strip()
    if promoted and not _ENVIRONMENT.fullmatch(promoted):
        raise InputError(f"PROMOTE_FROM is {promoted!r}, which is no name of an environment")
    return {
        "Repository": repository(variables),
        "Branch": branch,
        "ConnectionArn": connection,
        "TokenVersion": "",
        "PromoteFrom": promoted,
    }


def repository(variables: Mapping[str, str]) -> str:
    """Read GITHUB_REPOSITORY, `owner/name`. Raises InputError."""
    name = _given(variables, "GITHUB_REPOSITORY", "owner and name on GitHub, as owner/name")
    if not _REPOSITORY.fullmatch(name):
        raise InputError(f"GITHUB_REPOSITORY is {name!r}; give owner and name, as owner/name")
    return name


def _given(variables: Mapping[str, str], name: str, meaning: str) -> str:
    value = variables.get(name, "").strip()
    if not value:
        raise InputError(f"{name} is not set: give {meaning}, as {name}=… before make")
    return value


def _what_is_wrong(word: str) -> str:
    try:
        meant = ipaddress.IPv4Network(word, strict=False)
    except ValueError:
        return "which is no IPv4 address or CIDR"
    return f"which is an address within a network; did you mean {meant}?"
