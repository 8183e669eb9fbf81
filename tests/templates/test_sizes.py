"""Sizes follow the fleet, and what follows from sizes holds for every fleet."""

import math
from dataclasses import replace

import pytest

from templates.environments import (
    CELL_CHARGING_POINTS,
    PRODUCTION,
    PRODUCTION_NAME,
    STAGING,
    sizes,
)

FLEETS = (1, 1_000, 14_999, 15_001, 40_000, 99_999, CELL_CHARGING_POINTS)


@pytest.mark.parametrize("fleet", FLEETS)
@pytest.mark.parametrize("environment", ["staging", PRODUCTION_NAME])
def test_a_fleet_fits_with_one_task_lost(environment, fleet):
    size = sizes(environment, fleet)
    remaining = size.charging_point_min_tasks - 1
    assert remaining * size.connections_per_node >= fleet
    assert size.charging_point_max_tasks > size.charging_point_min_tasks


@pytest.mark.parametrize("fleet", FLEETS)
def test_a_deployment_replaces_a_few_tasks_at_a_time_and_never_none(fleet):
    """ECS rounds the most tasks down; without room for one more it would wait for ever."""
    size = sizes(PRODUCTION_NAME, fleet)
    for tasks in range(size.charging_point_min_tasks, size.charging_point_max_tasks + 1):
        more = math.floor(tasks * size.charging_point_max_percent / 100) - tasks
        assert 1 <= more <= math.ceil(tasks / 3)


def test_everything_that_follows_the_fleet_grows_with_it():
    found = [sizes(PRODUCTION_NAME, fleet) for fleet in FLEETS]
    for name in (
        "charging_point_min_tasks",
        "charging_point_max_tasks",
        "database_min_acu",
        "database_max_acu",
        "database_connections_limit",
        "database_storage_limit_gb",
    ):
        values = [getattr(size, name) for size in found]
        assert values == sorted(values), name
        assert values[-1] > values[0] or name == "database_min_acu", name
    largest = found[-1]
    assert (largest.database_min_acu, largest.database_max_acu) == (2, 32)
    assert largest.database_connections_limit == 4000


def test_one_acu_more_than_half_is_a_half():
    assert sizes("staging", 12_600).database_max_acu == 4.5
    assert sizes("staging", 1_000).database_max_acu == STAGING.database_max_acu


def test_further_cells_of_production_are_like_it():
    assert sizes("production2", 5_000) == sizes(PRODUCTION_NAME, 5_000)
    assert sizes("productionx", 5_000) == sizes("staging", 5_000)


def test_larger_tasks_are_fewer():
    large = replace(PRODUCTION, charging_point_cpu=2048, charging_point_memory=4096)
    assert large.for_fleet(100_000).charging_point_min_tasks == 5
