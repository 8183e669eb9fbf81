"""What an environment costs a month: a function of its sizes and of its charging points.

Nothing here asks AWS; prices, measurements and assumptions stand in docs/cost.toml.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cp_backend.settings import Settings
from templates.environments import CELL_CHARGING_POINTS, CONSOLE_CPU, CONSOLE_MEMORY, Sizes, sizes

TABLES = Path(__file__).resolve().parents[2] / "docs/cost.toml"

HOURS = 730
"""Of a month, as AWS counts."""
_DAYS = HOURS / 24
_GB = 1e9
_PROCESSOR = 1024
"""Thousandths, as Fargate counts them."""


@dataclass(frozen=True)
class Tables:
    """docs/cost.toml: prices, capacity units, what was measured, what is assumed."""

    prices: dict[str, Any]
    lcu: dict[str, float]
    nlcu: dict[str, float]
    nlcu_tls: dict[str, float]
    measured: dict[str, float]
    assumed: dict[str, float]

    @classmethod
    def read(cls, file: Path = TABLES) -> Tables:
        """Read the file."""
        return cls(**tomllib.loads(file.read_text()))


@dataclass(frozen=True)
class Load:
    """What so many charging points bring, on average."""

    tables: Tables
    charging_points: int

    @property
    def _messages_a_day(self) -> float:
        """Of one charging point, either way: calls, heartbeats, and pings between them."""
        settings = Settings()
        calls = self.tables.measured["messages_a_session"] * self.tables.assumed["sessions_a_day"]
        heartbeats = 86_400 / settings.heartbeat_interval
        # A ping is due only after a silence, and each call or heartbeat ends one.
        pings = max(0.0, 86_400 / settings.ping_interval - calls - heartbeats)
        return calls + heartbeats + pings

    def _gb(self, session_bytes: str, heartbeat_bytes: str) -> float:
        measured, assumed = self.tables.measured, self.tables.assumed
        a_day = (
            measured[session_bytes] * assumed["sessions_a_day"]
            + measured[heartbeat_bytes] * 86_400 / Settings().heartbeat_interval
            + assumed["overhead_bytes_a_message"] * self._messages_a_day
        )
        return self.charging_points * a_day * _DAYS / _GB

    @property
    def gb_in(self) -> float:
        """From charging points, a month."""
        return self._gb("bytes_in_a_session", "heartbeat_bytes_in")

    @property
    def gb_out(self) -> float:
        """To charging points, a month."""
        return self._gb("bytes_out_a_session", "heartbeat_bytes_out")

    @property
    def sessions(self) -> float:
        """Charging sessions a month."""
        return self.charging_points * self.tables.assumed["sessions_a_day"] * _DAYS

    @property
    def facts_a_second(self) -> float:
        """Messages that the database hears of, in the busiest hour."""
        messages = self.tables.measured["messages_a_session"]
        return self.sessions * messages / (HOURS * 3600) * self.tables.assumed["peak"]

    @property
    def gb_of_readings(self) -> float:
        """What a month's readings take in the database."""
        measured = self.tables.measured
        readings = self.sessions * measured["readings_a_session"]
        return readings * measured["database_bytes_a_reading"] / _GB

    def capacity_units(self, limits: dict[str, float]) -> float:
        """Return load balancer capacity units: the largest of what its limits say."""
        reconnects_a_second = (
            self.charging_points * self.tables.assumed["reconnects_a_day"] / 86_400
        ) * self.tables.assumed["peak"]
        return max(
            reconnects_a_second / limits["connections_a_second"],
            self.charging_points / limits["connections"],
            (self.gb_in + self.gb_out) / HOURS / limits["gb_an_hour"],
        )


@dataclass(frozen=True)
class Bill:
    """What an environment of these sizes costs with so many charging points."""

    tables: Tables
    sizes: Sizes
    charging_points: int
    reserved_units: int = 0
    """LCU kept ready at the charging points' load balancer."""
    cells: int = 1
    """Environments alike, each with so many charging points."""

    @classmethod
    def of(cls, tables: Tables, environment: str, fleet: int) -> Bill:
        """Return the bill of a fleet: of one environment, or of as many alike as it takes."""
        cells = math.ceil(fleet / CELL_CHARGING_POINTS)
        share = math.ceil(fleet / cells)
        return cls(tables, sizes(environment, share), share, cells=cells)

    @property
    def fleet(self) -> int:
        """Charging points of all cells."""
        return self.charging_points * self.cells

    @property
    def load(self) -> Load:
        """What its charging points bring."""
        return Load(self.tables, self.charging_points)

    @property
    def charging_point_tasks(self) -> int:
        """How many tasks hold the connections: the fewest allowed, or what autoscaling makes.

        Raises ValueError where the environment may not grow that far.
        """
        nodes = max(1, self.sizes.charging_point_cpu // _PROCESSOR)
        needed = math.ceil(self.charging_points / (self.sizes.connections_per_node * nodes))
        if needed > self.sizes.charging_point_max_tasks:
            raise ValueError(
                f"{self.charging_points} charging points need {needed} tasks, and "
                f"charging_point_max_tasks is {self.sizes.charging_point_max_tasks}"
            )
        return max(self.sizes.charging_point_min_tasks, needed)

    @property
    def acu(self) -> float:
        """Capacity units of each database instance in the busiest hour."""
        needed = self.load.facts_a_second / self.tables.assumed["facts_a_second_an_acu"]
        return max(self.sizes.database_min_acu, needed)

    def parts(self) -> dict[str, float]:
        """Return dollars a month by what they are spent on, in all cells."""
        return {part: self.cells * amount for part, amount in self._parts_of_a_cell().items()}

    def _parts_of_a_cell(self) -> dict[str, float]:
        return {
            "Charging points' tasks": self.charging_point_tasks
            * self._task(self.sizes.charging_point_cpu, self.sizes.charging_point_memory),
            "The hub's tasks": self.sizes.third_party_min_tasks
            * self._task(self.sizes.third_party_cpu, self.sizes.third_party_memory),
            "Charging points' load balancer": self.network_load_balancer(ends_tls=True)
            if self.sizes.load_balancer == "network"
            else self.load_balancer(),
            "The hub's load balancer": self._hours("application_load_balancer_hour"),
            "Database: capacity": self.database(),
            "Database: storage and requests": self._storage(),
            "NAT gateways": self.nat_gateways(),
            "Accelerators": self.accelerators(),
            "Public addresses": (self.sizes.zones + self._nat_gateways)
            * self._hours("public_address_hour"),
            "Data to charging points": self.load.gb_out * self._price("data_out_gb"),
            "Logs, metrics, alarms": self._observability(),
            "Secrets, keys, images": self.tables.assumed["secrets"] * self._price("secret_month")
            + self.tables.assumed["keys"] * self._price("key_month")
            + self.tables.assumed["images_kept"]
            * self.tables.assumed["image_gb"]
            * self._price("registry_gb_month"),
        }

    @property
    def total(self) -> float:
        """Dollars a month."""
        return sum(self.parts().values())

    def load_balancer(self) -> float:
        """Return what a cell's ALB for charging points costs, the capacity kept ready included."""
        units = max(self.load.capacity_units(self.tables.lcu), self.reserved_units)
        return self._hours("application_load_balancer_hour") + units * self._hours("lcu_hour")

    def network_load_balancer(self, *, ends_tls: bool = False) -> float:
        """Return what an NLB in its place would cost, for a cell; by default nodes end TLS."""
        units = self.load.capacity_units(self.tables.nlcu_tls if ends_tls else self.tables.nlcu)
        return self._hours("network_load_balancer_hour") + units * self._hours("nlcu_hour")

    def console(self) -> float:
        """Return what a cell's console costs: tasks, load balancer, an address of it in a zone."""
        return (
            self.sizes.console_tasks * self._task(CONSOLE_CPU, CONSOLE_MEMORY)
            + self._hours("application_load_balancer_hour")
            + self.sizes.zones * self._hours("public_address_hour")
        )

    def database(self) -> float:
        """Return what the database's capacity costs."""
        instances = 2 if self.sizes.database_reader else 1
        return instances * self.acu * self._hours("aurora_acu_hour")

    def nat_gateways(self) -> float:
        """Return what the way out costs: hub, logs, secrets."""
        gb = self.load.sessions * self.tables.assumed["hub_bytes_a_session"] / _GB + self._log_gb
        return self._nat_gateways * self._hours("nat_gateway_hour") + gb * self._price(
            "nat_gateway_gb"
        )

    def accelerators(self) -> float:
        """Return what fixed addresses cost: the hub's, and the charging points' where wanted."""
        cost = self._hours("accelerator_hour")
        if self.sizes.accelerate_charging_points:
            gb = max(self.load.gb_in, self.load.gb_out)
            cost += self._hours("accelerator_hour") + gb * self._price("accelerator_gb")
        return cost

    @property
    def _nat_gateways(self) -> int:
        return self.sizes.zones if self.sizes.nat_per_zone else 1

    @property
    def _log_gb(self) -> float:
        """A month's logs."""
        measured, assumed = self.tables.measured, self.tables.assumed
        connections = self.charging_points * assumed["reconnects_a_day"] * _DAYS
        nodes = self.charging_point_tasks * max(1, self.sizes.charging_point_cpu // _PROCESSOR)
        return (
            self.load.sessions * measured["log_bytes_a_session"]
            + connections * measured["log_bytes_a_connection"]
            + nodes * assumed["log_bytes_a_node_minute"] * HOURS * 60
        ) / _GB

    def _storage(self) -> float:
        assumed = self.tables.assumed
        facts = self.load.sessions * self.tables.measured["messages_a_session"]
        return self.load.gb_of_readings * assumed["months_of_readings"] * self._price(
            "aurora_storage_gb_month"
        ) + facts * assumed["requests_a_fact"] / 1e6 * self._price("aurora_million_requests")

    def _observability(self) -> float:
        assumed = self.tables.assumed
        metrics = assumed["metrics"]
        if self.sizes.container_insights:
            metrics += assumed["container_insights_metrics"]
        return (
            self._log_gb * self._price("log_gb")
            + self._log_gb * self.sizes.log_days / _DAYS * self._price("log_storage_gb_month")
            + metrics * self._price("metric_month")
            + assumed["alarms"] * self._price("alarm_month")
            + self._price("dashboard_month")
        )

    def _task(self, cpu: int, memory: int) -> float:
        kind = f"fargate_{self.sizes.architecture.lower()}"
        return cpu / _PROCESSOR * self._hours(f"{kind}_vcpu_hour") + memory / 1024 * self._hours(
            f"{kind}_gb_hour"
        )

    def _price(self, name: str) -> float:
        return float(self.tables.prices[name])

    def _hours(self, name: str) -> float:
        """Return what something that is always there costs a month."""
        return self._price(name) * HOURS
