"""How large each environment is: the one place to look, and the one to change.

A name that is not listed is a new environment; it gets the sizes of `STAGING`. What stands here
reaches the stacks as parameters, so no template changes for a new environment or another size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

PRODUCTION_NAME = "production"


@dataclass(frozen=True)
class Sizes:
    """The sizes of an environment.

    zones: availability zones, 2 or 3. nat_per_zone: a NAT gateway in each zone; otherwise one
    for all, cheaper and down with its zone. log_days: how long logs are kept.
    """

    zones: int
    nat_per_zone: bool
    log_days: int


STAGING = Sizes(
    zones=2,
    nat_per_zone=False,
    log_days=30,
)

PRODUCTION = replace(
    STAGING,
    zones=3,
    nat_per_zone=True,
    log_days=365,
)

ENVIRONMENTS = {
    "staging": STAGING,
    PRODUCTION_NAME: PRODUCTION,
}


def sizes(environment: str) -> Sizes:
    """Return the sizes of an environment; those of staging for one that is not listed."""
    return ENVIRONMENTS.get(environment, STAGING)
