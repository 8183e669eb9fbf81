"""How large each environment is: the one place to look, and the one to change.

A name that is not listed is a new environment; it gets the sizes of `STAGING`. Whatever holds
connections and their data follows the fleet, `CHARGING_POINTS=` of a deployment. What stands here
reaches the stacks as parameters (those whose names a stack declares), so no template changes
for a new environment or another size.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields, replace

PRODUCTION_NAME = "production"
DEFAULT_FLEET = 1_000
"""Charging points that an environment is made for where nothing else was asked for."""
CELL_CHARGING_POINTS = 100_000
"""The largest fleet of one environment: as many as were measured; then docs/cells.md."""

CONSOLE_CPU = 512
"""Thousandths of a processor for a task of the console, whatever the fleet."""
CONSOLE_MEMORY = 1024
"""MB; a password that is tried takes 32 of them."""

# Capacity units of the database's writer for so many charging points: at least, at most. What one
# unit takes was not measured on Aurora; 32 for 100,000 leaves room for a storm and a slow query.
_FLEET_OF_A_MINIMUM_ACU = 50_000
_FLEET_OF_A_MAXIMUM_ACU = 3_125
# Aurora PostgreSQL: memory / 9,531,392 bytes, 2 GiB a unit, and never more than these.
_CONNECTIONS_AN_ACU = 225
_MOST_CONNECTIONS = 5_000
_MOST_CONNECTIONS_OF_A_SMALL_MINIMUM = 2_000
_ALARMING_SHARE = 0.8
# A session a day, a reading a minute: 2 GB a month for 1,000 charging points; five months' worth.
_FLEET_OF_A_STORED_GB = 100


@dataclass(frozen=True)
class Sizes:
    """The sizes of an environment. Each field is the parameter of the same name in CamelCase."""

    # network
    zones: int = 2
    """Availability zones, 2 or 3."""
    nat_per_zone: bool = False
    """A NAT gateway in each zone; otherwise one for all, cheaper, and down with its zone."""
    log_days: int = 30

    # database
    database_min_acu: float = 0.5
    database_max_acu: float = 4
    """Aurora capacity units: 2 GB of memory each, and a share of processors."""
    database_reader: bool = False
    """A second instance, which takes over when the first fails."""
    database_connections_limit: int = 720
    """Connections that alarm: four fifths of what Aurora gives a database of this capacity."""
    database_storage_limit_gb: int = 100
    """GB that alarm, since somebody pays for them."""
    backup_days: int = 7
    protected: bool = False
    """Neither the database nor a stack can be deleted before this is taken back."""

    # services
    charging_point_cpu: int = 1024
    """Thousandths of a processor for a task; it runs one node a whole one."""
    charging_point_memory: int = 2048
    """MB. A node of 20,000 charging points measures about 100 MB; sockets' buffers are extra."""
    load_balancer: str = "application"
    """Or `network`, for charging points: TLS and an address a zone, without HTTP. Chosen when an
    environment is made; docs/decisions/0053 compares them."""
    architecture: str = "ARM64"
    """Or X86_64; images are built for the same."""
    charging_point_min_tasks: int = 2
    charging_point_max_tasks: int = 4
    charging_point_max_percent: int = 150
    """Tasks during a deployment, so that one is replaced after the other; see `for_fleet`."""
    connections_per_node: int = 15_000
    """Above this many the service grows."""
    third_party_cpu: int = 512
    third_party_memory: int = 1024
    third_party_min_tasks: int = 2
    third_party_max_tasks: int = 4
    console_tasks: int = 1
    """Of the operators' console, where the environment has one."""
    developers_deploy: bool = True
    """Whether developers may deploy and debug, or only look."""
    web_application_firewall: bool = False
    """AWS WAF before the hub's load balancer: $8 a month and more by requests."""
    container_insights: bool = False
    """Metrics of each task, which cost extra."""

    # accelerator
    accelerate_charging_points: bool = True
    """Fixed addresses for charging points behind firewalls, besides the hub's."""

    def for_fleet(self, charging_points: int) -> Sizes:
        """Return these sizes with those that follow the fleet; what stands here is the least.

        One task more than the connections need, so that one can be lost or replaced.
        """
        nodes = max(1, self.charging_point_cpu // 1024)
        holding = math.ceil(charging_points / (self.connections_per_node * nodes))
        tasks = max(self.charging_point_min_tasks, holding + 1)
        least = max(self.database_min_acu, _halves(charging_points / _FLEET_OF_A_MINIMUM_ACU))
        most = max(self.database_max_acu, _halves(charging_points / _FLEET_OF_A_MAXIMUM_ACU))
        connections = _MOST_CONNECTIONS if least >= 2 else _MOST_CONNECTIONS_OF_A_SMALL_MINIMUM
        return replace(
            self,
            charging_point_min_tasks=tasks,
            charging_point_max_tasks=max(self.charging_point_max_tasks, math.ceil(1.5 * tasks)),
            # ECS rounds down: with less than this it could start no task before one ends.
            charging_point_max_percent=100 + math.ceil(100 / tasks),
            # A network load balancer has fixed addresses itself.
            accelerate_charging_points=self.accelerate_charging_points
            and self.load_balancer == "application",
            database_min_acu=least,
            database_max_acu=most,
            database_connections_limit=int(
                _ALARMING_SHARE * min(connections, _CONNECTIONS_AN_ACU * most)
            ),
            database_storage_limit_gb=max(
                self.database_storage_limit_gb, charging_points // _FLEET_OF_A_STORED_GB
            ),
        )

    def parameters(self) -> dict[str, str]:
        """Return all sizes as CloudFormation parameters."""
        return {
            "".join(word.capitalize() for word in field.name.split("_")): _text(
                getattr(self, field.name)
            )
            for field in fields(self)
        }


STAGING = Sizes()

PRODUCTION = replace(
    STAGING,
    zones=3,
    nat_per_zone=True,
    log_days=365,
    database_min_acu=2,
    database_reader=True,
    backup_days=35,
    protected=True,
    charging_point_min_tasks=3,
    third_party_max_tasks=8,
    console_tasks=2,
    developers_deploy=False,
    container_insights=True,
)

ENVIRONMENTS = {
    "staging": STAGING,
    PRODUCTION_NAME: PRODUCTION,
}


def sizes(environment: str, charging_points: int = DEFAULT_FLEET) -> Sizes:
    """Return the sizes of an environment for a fleet.

    Those of staging for one that is not listed; those of production for its further cells
    (`production2`, …), too.
    """
    if re.fullmatch(rf"{PRODUCTION_NAME}\d+", environment):
        environment = PRODUCTION_NAME
    return ENVIRONMENTS.get(environment, STAGING).for_fleet(charging_points)


def _halves(units: float) -> float:
    """Return Aurora capacity units in the steps that there are."""
    return math.ceil(2 * units) / 2


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
