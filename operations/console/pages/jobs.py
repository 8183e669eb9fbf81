"""Jobs: one thing asked of many charging points, in two steps."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from charging.command import CommandKind
from charging.database.jobs import Pace
from operations import intent_members, jobs
from operations.console.access import asker, needs
from operations.console.pages.commands import typed
from operations.console.services import connection
from operations.errors import ConflictError, InvalidError, NotFoundError
from operations.jobs import DEFAULT_PACE
from operations.people import Role

blueprint = Blueprint("jobs", __name__)

_SHOWN = 100
_SOME = 10
WHERE = ("vendor", "model", "firmware", "site", "id")
# A secret is for one charging point, and a session is at one.
KINDS = ("reset", "set_availability", "trigger", "clear_cache", "read_settings", "write_settings",
         "clear_profiles", "set_profile", "update_firmware", "upload_log", "unlock")  # fmt: skip


@blueprint.get("/jobs")
def list_newest() -> ResponseReturnValue:
    """List the newest jobs."""
    return render_template(
        "jobs.html", jobs=jobs.list_newest(connection(), limit=_SHOWN), kinds=KINDS
    )


@blueprint.get("/job/<int:job_id>")
def show(job_id: int) -> ResponseReturnValue:
    """Show a job and its charging points. Raises NotFoundError."""
    return render_template("job.html", **_shown(job_id))


@blueprint.get("/job/<int:job_id>/state")
def state(job_id: int) -> ResponseReturnValue:
    """Show the same, for the page that is open. Raises NotFoundError."""
    return render_template("job_state.html", **_shown(job_id))


@blueprint.route("/jobs/new", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def new() -> ResponseReturnValue:
    """Ask what, of whom and how fast; show how many that are; then start. Raises NotFoundError."""
    kind = _kind()
    values = request.values
    error, targets = "", None
    if request.method == "POST":
        try:
            given = {member.name: typed(member) for member in intent_members.members(kind)}
            intent = intent_members.read(kind, given)
            where = {name: [values[name]] for name in WHERE if values.get(name)}
            targets = jobs.targets(connection(), where=where)
            pace = _pace()
            jobs.check(pace)
            # The second step names the count that the first one showed.
            if values.get("confirmed") == str(len(targets)):
                job = jobs.start(
                    connection(),
                    intent,
                    targets,
                    by=asker(),
                    pace=pace,
                    idempotency_key=f"console {values.get('key', '')}",
                )
                return redirect(url_for(".show", job_id=job))
            if values.get("confirmed"):
                error = "Meanwhile it would be another number of charging points; look again."
        except (InvalidError, ConflictError) as found:
            error, targets = str(found), None
    page = render_template(
        "job_form.html",
        kind=kind,
        members=intent_members.members(kind),
        description=intent_members.describe(kind),
        where=WHERE,
        typed=values,
        error=error,
        targets=targets,
        some=(targets or [])[:_SOME],
        defaults=DEFAULT_PACE,
    )
    return page, 422 if error else 200


@blueprint.post("/job/<int:job_id>/stop")
@needs(Role.OPERATOR)
def stop(job_id: int) -> ResponseReturnValue:
    """Ask nobody else. Raises NotFoundError, ConflictError."""
    jobs.stop(connection(), job_id, by=asker())
    return redirect(url_for(".show", job_id=job_id))


@blueprint.post("/job/<int:job_id>/resume")
@needs(Role.OPERATOR)
def resume(job_id: int) -> ResponseReturnValue:
    """Let it go on, those that failed too where that is wanted."""
    failed = bool(request.form.get("failed"))
    jobs.resume(connection(), job_id, by=asker(), failed=failed)
    return redirect(url_for(".show", job_id=job_id))


def _shown(job_id: int) -> dict[str, object]:
    failed = bool(request.args.get("failed"))
    return {
        "job": jobs.show(connection(), job_id),
        "items": jobs.items(connection(), job_id, limit=_SHOWN, failed=failed),
        "failed": failed,
    }


def _kind() -> CommandKind:
    kind = request.values.get("kind", "")
    if kind not in KINDS:
        raise NotFoundError("that cannot be asked of many charging points")
    return CommandKind(kind)


def _pace() -> Pace:
    return Pace(
        per_minute=_number("per_minute") or DEFAULT_PACE.per_minute,
        at_once=_number("at_once") or DEFAULT_PACE.at_once,
        max_failures=_number("max_failures"),
    )


def _number(name: str) -> int | None:
    text = request.form.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise InvalidError(f"{name.replace('_', ' ')}: {text!r} is not a whole number")
    return int(text)
