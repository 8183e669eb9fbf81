"""What the cost page says is what is computed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from scripts.cost import page, picture
from scripts.cost.bill import Bill, Tables
from templates.environments import PRODUCTION, STAGING

TABLES = Tables.read()


def test_the_page_and_its_picture_are_fresh():
    assert page.is_fresh(TABLES), "`make cost` writes docs/cost.md anew"
    assert picture.is_fresh(TABLES), "`make cost` draws docs/cost.svg anew"


def test_a_new_price_makes_both_stale():
    dearer = replace(TABLES, prices=TABLES.prices | {"aurora_acu_hour": 0.2})
    assert not page.is_fresh(dearer)
    assert not picture.is_fresh(dearer)


def test_connections_are_what_an_application_load_balancer_bills():
    bill = Bill.of(TABLES, "production", 100_000)
    assert bill.load.capacity_units(TABLES.lcu) == pytest.approx(100_000 / 3000)
    assert bill.load_balancer() == pytest.approx(730 * (0.0225 + 100_000 / 3000 * 0.008))
    assert bill.network_load_balancer() < bill.load_balancer() / 5
    assert bill.network_load_balancer(ends_tls=True) < bill.load_balancer()


@pytest.mark.parametrize("fleet", page.FLEETS)
def test_both_kinds_of_load_balancers_have_their_bill(fleet):
    bill = Bill.of(TABLES, "production", fleet)
    network = page.by_network(bill)
    parts, others = bill.parts(), network.parts()
    assert {part for part in parts if parts[part] != others[part]} == {
        "Charging points' load balancer",
        "Accelerators",
    }
    balancer = bill.cells * bill.network_load_balancer(ends_tls=True)
    assert others["Charging points' load balancer"] == pytest.approx(balancer)
    assert network.total < bill.total


def test_no_capacity_is_kept_ready_unless_somebody_asks():
    bill = Bill.of(TABLES, "production", 1_000)
    assert bill.reserved_units == 0
    kept = replace(bill, reserved_units=150)
    assert kept.total - bill.total == pytest.approx(730 * 0.008 * (150 - 1_000 / 3000))


@pytest.mark.parametrize(
    ("fleet", "cpu", "tasks"),
    [(1, 1024, 3), (45_000, 1024, 3), (45_001, 1024, 4), (100_000, 1024, 7), (100_000, 2048, 4)],
)
def test_tasks_follow_from_what_a_node_holds(fleet, cpu, tasks):
    sizes = replace(
        PRODUCTION, connections_per_node=15_000, charging_point_cpu=cpu, charging_point_max_tasks=7
    )
    assert Bill(TABLES, sizes, fleet).charging_point_tasks == tasks


def test_a_fleet_that_no_environment_holds_is_several():
    bill = Bill.of(TABLES, "production", 1_000_000)
    assert bill.cells == 10
    assert bill.fleet == 1_000_000
    cell = Bill.of(TABLES, "production", 100_000)
    assert bill.total == pytest.approx(10 * cell.total)


def test_sizes_that_are_too_small_for_a_fleet_have_no_price():
    with pytest.raises(ValueError, match="charging_point_max_tasks is 4"):
        Bill(TABLES, STAGING, 100_000).parts()


def test_a_larger_fleet_costs_more_and_less_for_each():
    totals = [Bill.of(TABLES, "production", fleet).total for fleet in page.FLEETS]
    assert totals == sorted(totals)
    each = [total / fleet for total, fleet in zip(totals, page.FLEETS, strict=True)]
    assert each[:3] == sorted(each[:3], reverse=True)
    # What is larger than one environment holds is more of the same.
    assert each[3] == pytest.approx(each[2])
    assert all(math.isfinite(total) for total in totals)
