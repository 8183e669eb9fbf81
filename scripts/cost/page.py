"""docs/cost.md: the bill in words and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from scripts.cost.bill import HOURS, Bill, Tables
from templates.environments import CELL_CHARGING_POINTS, PRODUCTION, PRODUCTION_NAME

PAGE = Path(__file__).resolve().parents[2] / "docs/cost.md"
FLEETS = (1_000, 10_000, 100_000, 1_000_000)
_RESERVED_UNITS = 150
# The largest of one environment, which alternatives are computed for.
_LARGEST_CELL = FLEETS.index(CELL_CHARGING_POINTS)
_STAGING_FLEET = 100


def write(tables: Tables) -> None:
    """Write the page anew."""
    PAGE.write_text(text(tables))


def is_fresh(tables: Tables) -> bool:
    """Return whether the page says what is computed today."""
    return PAGE.exists() and PAGE.read_text() == text(tables)


def text(tables: Tables) -> str:
    """Return the page."""
    bills = [Bill.of(tables, PRODUCTION_NAME, fleet) for fleet in FLEETS]
    staging = Bill.of(tables, "staging", _STAGING_FLEET)
    largest = bills[_LARGEST_CELL]
    units = largest.load.capacity_units(tables.lcu)
    kept = _RESERVED_UNITS
    reserved = _with_capacity(largest, kept).load_balancer()
    unreserved = largest.load_balancer()
    storm = kept * tables.lcu["connections_a_second"]
    return f"""# What it costs

<!-- Written by `make cost` from docs/cost.toml and templates/environments.py. -->

An environment of {PRODUCTION_NAME}'s sizes costs about **{_dollars(bills[0].total)} a month with {FLEETS[0]:,} charging points, {_dollars(bills[1].total)} with {FLEETS[1]:,} and {_dollars(bills[2].total)} with {FLEETS[2]:,}**: {_each(bills[0])}, {_each(bills[1])} and {_each(bills[2])} for each. {FLEETS[3]:,} are {bills[3].cells} such environments, [cells](cells.md) of {bills[3].charging_points:,} each: {_dollars(bills[3].total)}. `CHARGING_POINTS=` of a deployment sizes an environment. One of staging's sizes with {_STAGING_FLEET} costs {_dollars(staging.total)}.

![How the bill grows](cost.svg)

Computed, not paid: no account has been billed for this. The prices ({tables.prices["region"]}, noted on {tables.prices["noted"]}) come from AWS's own and third parties' pages, most of them undated: **whoever pays checks them again** in [cost.toml](cost.toml), where the measurements and the assumptions stand too, and then says `make cost`.

## The bill

Dollars a month ({HOURS} hours).

{_table(["", f"staging, {_STAGING_FLEET}", *(f"{fleet:,}" for fleet in FLEETS)], _rows([staging, *bills]))}

What lies behind it:

{_table(["", f"staging, {_STAGING_FLEET}", *(f"{fleet:,}" for fleet in FLEETS)], _reasons([staging, *bills]))}

A node grows to {PRODUCTION.connections_per_node:,} connections before another is started (`connections_per_node`), about what each held when [capacity](capacity.md) was measured, all of them on one machine of two cores. Readings are kept; the storage is that after {tables.assumed["months_of_readings"]:.0f} months, and it goes on growing by the same amount each month: at {largest.fleet:,} charging points the readings are what grows.

## What would change it

With {largest.fleet:,} charging points, against {_dollars(largest.total)}:

{_table(["", "Dollars a month", "What it means"], _alternatives(largest))}

The operators' console, where an environment has one (`make deploy-console`), is {_dollars(staging.console())} a month more with staging's sizes and {_dollars(largest.console())} with {PRODUCTION_NAME}'s; what Amazon Cognito asks for people who sign in is not in it.

### ALB against NLB

Each {tables.lcu["connections"]:,.0f} open WebSockets are a capacity unit of an ALB, however quiet they are: {largest.fleet:,} are {units:.0f} units, {_dollars(unreserved)} a month with the load balancer itself. None are kept ready; `make reserve-capacity UNITS={kept}` for an event that is foreseen makes that {_dollars(reserved)} a month, {_dollars((reserved - unreserved) / 30)} a day more, whatever the size of the fleet; it lets {storm:,.0f} charging points a second come back, all {largest.fleet:,} in {largest.fleet / storm:.0f} seconds. An NLB that hands TCP on counts {tables.nlcu["connections"]:,.0f} a unit: {_dollars(largest.network_load_balancer())}; one that ends TLS counts as few as an ALB and costs less a unit: {_dollars(largest.network_load_balancer(ends_tls=True))}. [Decision 15](decisions/0015-an-application-load-balancer.md) says why it is an ALB all the same.

{_table(["Charging points", f"ALB, {kept} LCU kept ready", "ALB", "NLB, it ends TLS", "NLB, nodes end TLS"], _load_balancers(bills, kept))}

The whole environment by either, `load_balancer` in templates/environments.py; with a network load balancer charging points need no accelerator, since it has a fixed address a zone:

{_table(["Charging points", "application", "network", "difference"], _environments(bills))}

## What is not in it

Taxes, support, discounts (a year's commitment takes about a fifth off tasks and database), the free tier, the pipeline (its minutes, and a load balancer for the service that it tests), buckets, data between zones, the accelerators' own addresses, restoring a backup, backups beyond the database's size.
"""


def _rows(bills: list[Bill]) -> Iterable[list[str]]:
    for part in bills[0].parts():
        yield [part, *(_amount(bill.parts()[part]) for bill in bills)]
    yield ["**Total**", *(f"**{_amount(bill.total)}**" for bill in bills)]
    yield [
        "for each charging point",
        *(_each(bill)[1:] for bill in bills),
    ]


def _reasons(bills: list[Bill]) -> Iterable[list[str]]:
    rows: dict[str, Callable[[Bill], str]] = {
        "tasks that hold connections": lambda bill: f"{bill.cells * bill.charging_point_tasks}",
        "LCU by use": lambda bill: f"{bill.cells * bill.load.capacity_units(bill.tables.lcu):.2f}",
        "GB a month from charging points": lambda bill: f"{bill.cells * bill.load.gb_in:,.1f}",
        "GB a month to charging points": lambda bill: f"{bill.cells * bill.load.gb_out:,.1f}",
        "messages a second that the database hears of, busiest hour": lambda bill: (
            f"{bill.cells * bill.load.facts_a_second:,.1f}"
        ),
        "environments": lambda bill: f"{bill.cells}",
        "ACU of an instance": lambda bill: f"{bill.acu:g}",
        "GB of readings a month": lambda bill: f"{bill.cells * bill.load.gb_of_readings:,.1f}",
    }
    for name, value in rows.items():
        yield [name, *(value(bill) for bill in bills)]


def _alternatives(bill: Bill) -> Iterable[list[str]]:
    tls_gb = bill.sizes.connections_per_node * bill.tables.measured["tls_bytes_a_connection"] / 1e9
    for name, other, meaning in (
        (
            "one NAT gateway",
            {"nat_per_zone": False},
            "its zone's end is the end of all calls to the hub",
        ),
        (
            "no accelerator for charging points",
            {"accelerate_charging_points": False},
            "they need a name in DNS; firewalls cannot name addresses",
        ),
        (
            "no second database instance",
            {"database_reader": False},
            "a failure takes ten minutes, not one",
        ),
        ("X86_64", {"architecture": "X86_64"}, "nothing; ARM64 is the default for its price"),
    ):
        difference = replace(bill, sizes=replace(bill.sizes, **other)).total - bill.total
        if abs(difference) >= 1:  # otherwise the environment has it so already
            yield [name, _difference(difference), meaning]
    yield [
        '`load_balancer = "network"`: an NLB with fixed addresses and no accelerator',
        _difference(by_network(bill).total - bill.total),
        "no 5xx alarm, no mutual TLS there; the charging points keep their addresses",
    ]
    yield [
        "an NLB that hands TCP on",
        _difference(bill.network_load_balancer() - bill.load_balancer()),
        f"nodes end TLS: {tls_gb:.1f} GB of memory each, their own certificates, no X-Forwarded-For",
    ]
    sparse = replace(
        bill.tables,
        measured=bill.tables.measured
        | {
            "readings_a_session": bill.tables.measured["readings_a_session"] / 5,
            "messages_a_session": bill.tables.measured["messages_a_session"] / 5,
            "bytes_in_a_session": bill.tables.measured["bytes_in_a_session"] / 5,
        },
    )
    yield [
        "a reading every five minutes, not every minute",
        _difference(replace(bill, tables=sparse).total - bill.total),
        "coarser curves; MeterValueSampleInterval of the charging points",
    ]


def by_network(bill: Bill) -> Bill:
    """Return the bill of the same fleet behind a network load balancer that ends TLS."""
    sizes = replace(bill.sizes, load_balancer="network", accelerate_charging_points=False)
    return replace(bill, sizes=sizes)


def _environments(bills: list[Bill]) -> Iterable[list[str]]:
    for bill in bills:
        network = by_network(bill)
        yield [
            f"{bill.fleet:,}",
            _amount(bill.total),
            _amount(network.total),
            _difference(network.total - bill.total),
        ]


def _load_balancers(bills: list[Bill], kept: int) -> Iterable[list[str]]:
    for bill in bills:
        yield [
            f"{bill.fleet:,}",
            *(
                _amount(bill.cells * cost)
                for cost in (
                    _with_capacity(bill, kept).load_balancer(),
                    bill.load_balancer(),
                    bill.network_load_balancer(ends_tls=True),
                    bill.network_load_balancer(),
                )
            ),
        ]


def _with_capacity(bill: Bill, units: int) -> Bill:
    """Return the bill with so much load balancer capacity kept ready."""
    return replace(bill, reserved_units=units)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---", *("---:" if _is_number(h) else "---" for h in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _is_number(head: str) -> bool:
    return head != "What it means"


def _dollars(amount: float) -> str:
    """Return an amount as far as it can be meant."""
    return f"${round(amount, -1 if amount >= 100 else 0):,.0f}"


def _each(bill: Bill) -> str:
    each = bill.total / bill.fleet
    return f"${each:.2f}" if each >= 0.1 else f"${each:.3f}"


def _amount(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 else f"{amount:.1f}"


def _difference(amount: float) -> str:
    return f"{'+' if amount > 0 else '−'}{abs(amount):,.0f}"
