"""Charging points: the list, and everything about one of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from charging.registration import Registration
from operations import (
    charging_points,
    commands,
    deviations,
    evse_states,
    files,
    handshakes,
    overview,
    search,
    settings,
    timeline,
)
from operations.console.access import asker, needs
from operations.console.services import connection
from operations.errors import InvalidError
from operations.people import Role

blueprint = Blueprint("charging_points", __name__)

TIMELINE_MINUTES = 15.0
TIMELINE_ROWS = 200
HISTORY_DAYS = 90
HISTORY_ROWS = 200


@blueprint.get("/charging-points")
def list_found() -> ResponseReturnValue:
    """List those that a filter lets through, a page of them."""
    chosen = {name: request.args.get(name, "") for name in ("text", "presence", "state")}
    page = search.charging_points(
        connection(),
        text=chosen["text"],
        presence=chosen["presence"],
        state=chosen["state"],
        after=request.args.get("after", ""),
    )
    return render_template(
        "charging_points.html",
        page=page,
        chosen=chosen,
        presences=search.PRESENCES,
        states=search.STATES,
    )


@blueprint.get("/charging-point")
def show() -> ResponseReturnValue:
    """Show one of them. Raises NotFoundError."""
    name = request.args.get("id", "")
    return render_template(
        "charging_point.html",
        station=overview.station(connection(), name),
        evses=evse_states.show(connection(), name),
        commands=commands.list_newest(connection(), name, limit=10),
        sessions=search.sessions(connection(), charging_point=name, limit=10).rows,
        groups=COMMAND_GROUPS,
        registrations=list(Registration),
    )


@blueprint.get("/charging-point/state")
def state() -> ResponseReturnValue:
    """Show how it is, for the page that is open. Raises NotFoundError."""
    name = request.args.get("id", "")
    return render_template(
        "charging_point_state.html",
        station=overview.station(connection(), name),
        evses=evse_states.show(connection(), name),
    )


@blueprint.get("/charging-point/timeline")
def explain() -> ResponseReturnValue:
    """Show what happened around a time. Raises InvalidError, NotFoundError."""
    name = request.args.get("id", "")
    typed = request.args.get("minutes") or str(TIMELINE_MINUTES)
    try:
        minutes = float(typed)
    except ValueError:
        raise InvalidError(f"minutes: {typed!r} is no number") from None
    at = _time(request.args.get("at", "")) or datetime.now(UTC) - timedelta(
        minutes=TIMELINE_MINUTES
    )
    moments = timeline.explain(connection(), name, at=at, minutes=minutes)
    return render_template(
        "timeline.html",
        charging_point=name,
        moments=moments[-TIMELINE_ROWS:],
        left_out=max(0, len(moments) - TIMELINE_ROWS),
        at=at,
        minutes=minutes,
    )


@blueprint.get("/charging-point/states")
def list_states() -> ResponseReturnValue:
    """Show the states that its EVSEs took. Raises InvalidError, NotFoundError."""
    name = request.args.get("id", "")
    changes = evse_states.history(connection(), name, days=HISTORY_DAYS, limit=HISTORY_ROWS)
    return render_template(
        "states.html", charging_point=name, changes=changes, days=HISTORY_DAYS, rows=HISTORY_ROWS
    )


@blueprint.get("/charging-point/settings")
def list_settings() -> ResponseReturnValue:
    """Show what is known of its settings, against templates. Raises NotFoundError."""
    name = request.args.get("id", "")
    known = settings.of(connection(), name)
    differences = [
        (template.template, difference)
        for template in settings.templates(connection())
        for difference in settings.drift(connection(), template.template, [name]).differences
    ]
    return render_template(
        "settings.html", charging_point=name, settings=known, differences=differences
    )


@blueprint.get("/charging-point/deviations")
def list_deviations() -> ResponseReturnValue:
    """Show where it deviates from the standard, and what was made of it."""
    name = request.args.get("id", "")
    found = deviations.list_most(connection(), charging_point=name)
    return render_template("deviations.html", charging_point=name, deviations=found)


@blueprint.get("/charging-point/files")
def list_files() -> ResponseReturnValue:
    """Show the logs that it sent."""
    name = request.args.get("id", "")
    found = files.list_newest(connection(), charging_point=name, limit=HISTORY_ROWS)
    return render_template("files.html", charging_point=name, files=found)


@blueprint.get("/charging-points/refused")
def list_refused() -> ResponseReturnValue:
    """Show who was not let in, why, and what to do."""
    name = request.args.get("charging_point", "").strip()
    found = handshakes.list_refused(connection(), charging_point=name or None)
    return render_template("refused_handshakes.html", charging_point=name, refused=found)


@blueprint.post("/charging-points")
@needs(Role.ADMINISTRATOR)
def register() -> ResponseReturnValue:
    """Make one known, and show its password, once. Raises InvalidError, ExistsError."""
    credential = charging_points.register(
        connection(), request.form.get("charging_point", "").strip(), by=asker()
    )
    return render_template("password.html", credential=credential)


@blueprint.post("/charging-point/registration")
@needs(Role.ADMINISTRATOR)
def set_registration() -> ResponseReturnValue:
    """Decide how its next boot is answered. Raises InvalidError, NotFoundError."""
    name = request.form.get("id", "")
    charging_points.set_registration(
        connection(), name, request.form.get("registration", ""), by=asker()
    )
    return redirect(url_for(".show", id=name, notice="saved"))


@blueprint.post("/charging-point/handling")
@needs(Role.ADMINISTRATOR)
def set_handling() -> ResponseReturnValue:
    """Decide how it is taken, from its next connection on. Raises InvalidError, NotFoundError."""
    name = request.form.get("id", "")
    deviations.set_handling(
        connection(),
        name,
        by=asker(),
        strict=bool(request.form.get("strict")),
        free_charging=bool(request.form.get("free_charging")),
        time_zone=request.form.get("time_zone", "").strip() or None,
    )
    return redirect(url_for(".show", id=name, notice="saved"))


@blueprint.post("/charging-point/password")
@needs(Role.ADMINISTRATOR)
def renew_password() -> ResponseReturnValue:
    """Replace its password, and show the new one, once. Raises NotFoundError."""
    credential = charging_points.renew_password(
        connection(), request.form.get("id", ""), by=asker()
    )
    return render_template("password.html", credential=credential)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


# Kinds of commands by what an operator wants; each is a form.
COMMAND_GROUPS = (
    ("Sessions", ("remote_start", "remote_stop", "reserve", "cancel_reservation", "unlock")),
    ("State", ("reset", "set_availability", "trigger", "clear_cache")),
    ("Power", ("set_profile", "clear_profiles", "read_schedule")),
    ("Settings", ("read_settings", "write_settings", "send_local_list", "read_local_list_version")),
    ("Firmware and logs", ("update_firmware", "upload_log")),
    (
        "Security",
        (
            "set_password",
            "read_certificates",
            "install_certificate",
            "delete_certificate",
            "set_certificate",
        ),
    ),
    ("Anything else", ("send_data", "call")),
)
