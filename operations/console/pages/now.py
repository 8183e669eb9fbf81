"""How all is now, and the work that waits."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from operations import nodes, search
from operations.console.formats import midnight
from operations.console.services import connection, services
from operations.overview import Work

blueprint = Blueprint("now", __name__)


@blueprint.get("/")
def page() -> ResponseReturnValue:
    """Show figures and work."""
    return render_template("now.html", **_shown())


@blueprint.get("/now")
def fragment() -> ResponseReturnValue:
    """Show the same, for the page that is open."""
    return render_template("now_fragment.html", **_shown())


@blueprint.get("/nodes")
def list_nodes() -> ResponseReturnValue:
    """Show the processes that hold connections."""
    return render_template("nodes.html", nodes=nodes.list_all(connection()))


@blueprint.get("/search")
def find() -> ResponseReturnValue:
    """Lead to the one charging point that a text names, or to the list of those it may mean."""
    text = request.args.get("text", "").strip()
    if text and (found := search.charging_point_of(connection(), text)):
        return redirect(url_for("charging_points.show", id=found))
    return redirect(url_for("charging_points.list_found", text=text or None))


def _shown() -> dict[str, object]:
    return {
        "figures": services().figures(midnight()),
        "work": services().work(),
        "page_of": page_of,
    }


def page_of(work: Work) -> str:
    """Return the address of the page that something to do is done on."""
    match work.about:
        case "charging_point":
            return url_for("charging_points.show", id=work.key)
        case "session":
            return url_for("sessions.show", session_id=int(work.key))
        case "job":
            return url_for("jobs.show", job_id=int(work.key))
        case "unassigned":
            return url_for("sessions.list_unassigned")
        case _:
            return url_for("hub.page")
