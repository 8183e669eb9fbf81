"""Charging sessions: the list, one with its energy over time, facts that belong to none."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from operations import search, sessions
from operations.console import plots
from operations.console.services import connection

blueprint = Blueprint("sessions", __name__)

_READINGS_SHOWN = 200


@blueprint.get("/sessions")
def list_found() -> ResponseReturnValue:
    """List those that a filter lets through, a page of them."""
    chosen = {name: request.args.get(name, "") for name in ("text", "state")}
    presumed = bool(request.args.get("presumed"))
    page = search.sessions(
        connection(),
        text=chosen["text"],
        state=chosen["state"],
        only_presumed=presumed,
        after=request.args.get("after", ""),
    )
    return render_template(
        "sessions.html", page=page, chosen=chosen, presumed=presumed, states=search.SESSION_STATES
    )


@blueprint.get("/session/<int:session_id>")
def show(session_id: int) -> ResponseReturnValue:
    """Show one with its readings. Raises NotFoundError."""
    session, readings = sessions.get(connection(), session_id)
    points = [(r.sampled_at, r.energy_wh) for r in readings if r.energy_wh is not None]
    return render_template(
        "session.html",
        session=session,
        readings=readings[-_READINGS_SHOWN:],
        left_out=max(0, len(readings) - _READINGS_SHOWN),
        plot=plots.energy(points, session.meter_start_wh),
    )


@blueprint.get("/sessions/unassigned")
def list_unassigned() -> ResponseReturnValue:
    """List the facts whose session nobody knows."""
    return render_template("unassigned.html", facts=sessions.list_unassigned(connection()))
