"""How things are called: the one home of every name that AWS or a person knows something by.

Each function returns a `Sub` in which ``${Environment}`` stands for the environment; programs that
call AWS by such a name get it from `spelled`.
"""

from __future__ import annotations

import re

from troposphere import Ref, Sub, Tags

# No hyphen: else `vni-cpo-staging-…` would also be what an environment `staging-2` has, for
# policies and for people.
ENVIRONMENT_PATTERN = "[a-z][a-z0-9]{1,19}"

# What the health checks, security groups and services must agree on.
CHARGING_POINT_PORT = 9000
THIRD_PARTY_PORT = 9100
CONSOLE_PORT = 9300
DATABASE_PORT = 5432

CHARGING_POINT = "charging-point"
THIRD_PARTY = "third-party"
SERVICES = (CHARGING_POINT, THIRD_PARTY)
# By choice, in a stack of its own.
CONSOLE = "console"
# What runs once a day and keeps the books.
BOOKS = "books"


def camel(words: str) -> str:
    """Return `charging-point` as `ChargingPoint`, for names of resources and parameters."""
    return "".join(word.capitalize() for word in words.split("-"))


def kebab(title: str) -> str:
    """Return `ChargingPoint` as `charging-point`, for names that people read."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", title).lower()


def spelled(name: Sub, environment: str) -> str:
    """Return a name of this module as it is in an environment."""
    return str(name.data["Fn::Sub"]).replace("${Environment}", environment)


def named(suffix: str = "") -> Sub:
    """Return a name of this environment, such as `vni-cpo-staging-<suffix>`."""
    return Sub("vni-cpo-${Environment}" + (f"-{suffix}" if suffix else ""))


def stack_name(stack: str) -> Sub:
    """Return the name of a stack."""
    return Sub(f"vni-cpo-{stack}-${{Environment}}")


def service_name(service: str) -> Sub:
    """Return the name of a service, its repository and its task definition."""
    return Sub(f"vni-backend-{service}-${{Environment}}")


def name_of_test_service(service: str) -> Sub:
    """Return the name of a service's test: `vni-backend-<service>-<environment>-test`."""
    return Sub(f"vni-backend-{service}-${{Environment}}-test")


def host_name(service: str) -> Sub:
    """Return the name that a service's certificate has in every environment; no DNS knows it."""
    return Sub(f"{service}.${{Environment}}.vni.internal")


def log_group_name(part: str) -> Sub:
    """Return the name of a log group of this environment."""
    return Sub(f"/vni/${{Environment}}/{part}")


def parameter_name(part: str) -> Sub:
    """Return the name of a parameter in Systems Manager's store, where scripts keep notes."""
    return Sub(f"/vni/${{Environment}}/{part}")


def tags(suffix: str = "") -> Tags:
    """Return the tags of a resource: its name, and the environment that pays for it."""
    return Tags(Name=named(suffix), Environment=Ref("Environment"))
