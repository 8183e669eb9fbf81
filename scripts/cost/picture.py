"""docs/cost.svg: how the bill grows."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

from scripts.cost.bill import Bill, Tables
from templates.environments import PRODUCTION_NAME

PICTURE = Path(__file__).resolve().parents[2] / "docs/cost.svg"
_FLEETS = range(1_000, 100_001, 1_000)
# The parts of a bill as a reader tells them apart, the steady ones first.
_GROUPS = {
    "Database": ("Database: capacity", "Database: storage and requests"),
    "Charging points' load balancer": ("Charging points' load balancer",),
    "Tasks": ("Charging points' tasks", "The hub's tasks"),
    "NAT, accelerators, addresses": ("NAT gateways", "Accelerators", "Public addresses"),
    "Data to charging points": ("Data to charging points",),
    "The rest": ("The hub's load balancer", "Logs, metrics, alarms", "Secrets, keys, images"),
}
# Told apart by those who see colours otherwise, too (Okabe and Ito).
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#999999")


def write(tables: Tables) -> None:
    """Draw the picture anew."""
    PICTURE.write_text(_draw(_figures(tables)))


def is_fresh(tables: Tables) -> bool:
    """Return whether the picture shows today's figures; it carries their digest."""
    return PICTURE.exists() and _digest(_figures(tables)) in PICTURE.read_text()


def _figures(tables: Tables) -> dict[str, list[float]]:
    """Return dollars a month for each group and each size of a fleet."""
    bills = [Bill.of(tables, PRODUCTION_NAME, n).parts() for n in _FLEETS]
    assert {part for parts in _GROUPS.values() for part in parts} == set(bills[0])
    return {
        group: [round(sum(bill[part] for part in parts), 2) for bill in bills]
        for group, parts in _GROUPS.items()
    }


def _digest(figures: dict[str, list[float]]) -> str:
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()


def _draw(figures: dict[str, list[float]]) -> str:
    # Imported late: it takes a second, and whoever only checks does not draw.
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "cost", "font.size": 10}
    from matplotlib import pyplot

    figure, (whole, each) = pyplot.subplots(
        1, 2, figsize=(12, 4.4), layout="constrained", width_ratios=(4, 3)
    )
    fleets = list(_FLEETS)
    whole.stackplot(fleets, figures.values(), labels=figures, colors=_COLOURS)
    whole.set_title("Dollars a month", loc="left")
    whole.set_xlim(fleets[0], fleets[-1])
    handles, labels = whole.get_legend_handles_labels()
    whole.legend(handles[::-1], labels[::-1], bbox_to_anchor=(1, 1), frameon=False)
    totals = [sum(parts) for parts in zip(*figures.values(), strict=True)]
    each.plot(fleets, [total / n for total, n in zip(totals, fleets, strict=True)], color="black")
    each.set_title("Dollars a month for each charging point", loc="left")
    each.set_xscale("log")
    each.set_yscale("log")
    each.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2], minor=False)
    each.yaxis.set_major_formatter("{x:g}")
    each.yaxis.set_minor_formatter("")
    each.grid(visible=True, which="major", color="#dddddd")
    for axes in (whole, each):
        axes.set_xlabel("charging points")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.spines[["top", "right"]].set_visible(False)
    whole.yaxis.set_major_formatter("{x:,.0f}")
    drawn = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Description": _digest(figures)}
    figure.savefig(drawn, format="svg", metadata=metadata)
    pyplot.close(figure)
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines()) + "\n"
