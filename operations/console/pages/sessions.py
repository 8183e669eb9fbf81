"""Charging sessions: the list, one with its energy and power, facts that belong to none."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from operations import hub, search, session_ends, sessions
from operations.console import fields, plots
from operations.console.access import asker, needs
from operations.console.services import connection
from operations.errors import InvalidError
from operations.people import Role
from operations.session_ends import Outcome

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
    return _show(session_id)


@blueprint.post("/session/<int:session_id>/end")
@needs(Role.OPERATOR)
def end(session_id: int) -> ResponseReturnValue:
    """End it here. Raises NotFoundError, ConflictError, InvalidError."""
    outcome = session_ends.end(
        connection(),
        session_id,
        fields.text("reason"),
        by=asker(),
        at=fields.time("at"),
        register_wh=fields.number("register_wh"),
    )
    return _changed(outcome)


@blueprint.post("/session/<int:session_id>/correct")
@needs(Role.OPERATOR)
def correct(session_id: int) -> ResponseReturnValue:
    """Change what it was. Raises NotFoundError, ConflictError, InvalidError."""
    outcome = session_ends.correct(
        connection(),
        session_id,
        fields.text("reason"),
        by=asker(),
        started_at=fields.time("started_at"),
        meter_start_wh=fields.number("meter_start_wh"),
        ended_at=fields.time("ended_at"),
        meter_stop_wh=fields.number("meter_stop_wh"),
    )
    return _changed(outcome)


@blueprint.get("/sessions/unassigned")
def list_unassigned() -> ResponseReturnValue:
    """List the facts whose session nobody knows."""
    return render_template("unassigned.html", facts=sessions.list_unassigned(connection()))


@blueprint.post("/sessions/unassigned/<int:fact>/assign")
@needs(Role.OPERATOR)
def assign(fact: int) -> ResponseReturnValue:
    """End a session by a fact. Raises NotFoundError, ConflictError, InvalidError."""
    session_id = fields.number("session")
    if session_id is None:
        raise InvalidError("session: say the number of the session that it ends")
    outcome = session_ends.assign(
        connection(),
        fact,
        session_id,
        fields.text("reason"),
        by=asker(),
        at=fields.time("at"),
        register_wh=fields.number("register_wh"),
    )
    return _changed(outcome)


@blueprint.post("/sessions/unassigned/<int:fact>/settle")
@needs(Role.OPERATOR)
def settle(fact: int) -> ResponseReturnValue:
    """Put a fact aside that ends no session. Raises NotFoundError, ConflictError, InvalidError."""
    session_ends.settle(connection(), fact, fields.text("reason"), by=asker())
    return redirect(url_for(".list_unassigned", notice="settled"))


def _changed(outcome: Outcome) -> ResponseReturnValue:
    """Show a session that was changed; with what has to be done at the hub, where something has."""
    if outcome.at_hub:
        return _show(outcome.session, at_hub=outcome.at_hub)
    return redirect(url_for(".show", session_id=outcome.session, notice="saved"))


def _show(session_id: int, *, at_hub: str = "") -> str:
    session, readings = sessions.get(connection(), session_id)
    points = [(r.sampled_at, r.energy_wh) for r in readings if r.energy_wh is not None]
    return render_template(
        "session.html",
        session=session,
        readings=readings[-_READINGS_SHOWN:],
        left_out=max(0, len(readings) - _READINGS_SHOWN),
        energy_plot=plots.energy(points, session.meter_start_wh),
        power_plot=plots.power(points),
        hub_sessions=hub.list_sessions(connection(), session=session_id),
        at_hub=at_hub,
    )
