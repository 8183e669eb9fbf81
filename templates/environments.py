"""How large each environment is: the one place to look, and the one to change.

A name that is not listed is a new environment; it gets the sizes of `STAGING`. What stands here
reaches the stacks as parameters (those whose names a stack declares), so no template changes
for a new environment or another size.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

PRODUCTION_NAME = "production"


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
    database_connections_limit: int = 700
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
    architecture: str = "ARM64"
    """Or X86_64; images are built for the same."""
    charging_point_min_tasks: int = 2
    charging_point_max_tasks: int = 4
    connections_per_node: int = 15_000
    """Above this many the service grows."""
    third_party_cpu: int = 512
    third_party_memory: int = 1024
    third_party_min_tasks: int = 2
    third_party_max_tasks: int = 4
    load_balancer_capacity: int = 0
    """LCU kept ready on the charging points' load balancer, 0 for none; a storm needs them."""
    allow_exec: bool = True
    """Whether a person may open a shell in a task."""
    developers_deploy: bool = True
    """Whether developers may deploy and debug, or only look."""
    container_insights: bool = False
    """Metrics of each task, which cost extra."""

    # accelerator
    accelerate_charging_points: bool = True
    """Fixed addresses for charging points behind firewalls, besides the hub's."""

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
    database_max_acu=32,
    database_reader=True,
    database_connections_limit=4000,
    database_storage_limit_gb=1000,
    backup_days=35,
    protected=True,
    charging_point_min_tasks=3,
    charging_point_max_tasks=12,
    third_party_max_tasks=8,
    # 100,000 idle WebSockets are about 34 LCU; 100 more let them all come back in a minute.
    load_balancer_capacity=150,
    allow_exec=False,
    developers_deploy=False,
    container_insights=True,
)

ENVIRONMENTS = {
    "staging": STAGING,
    PRODUCTION_NAME: PRODUCTION,
}


def sizes(environment: str) -> Sizes:
    """Return the sizes of an environment; those of staging for one that is not listed."""
    return ENVIRONMENTS.get(environment, STAGING)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
