"""People: accounts, roles, and one's own."""

from __future__ import annotations

from zoneinfo import available_timezones

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from operations import people
from operations.console import access
from operations.console.access import asker, needs
from operations.console.services import connection
from operations.errors import InvalidError
from operations.people import Role

blueprint = Blueprint("people", __name__)


@blueprint.get("/people")
@needs(Role.ADMINISTRATOR)
def page() -> ResponseReturnValue:
    """List all accounts."""
    return render_template("people.html", people=people.list_all(connection()), roles=list(Role))


@blueprint.post("/people")
@needs(Role.ADMINISTRATOR)
def add() -> ResponseReturnValue:
    """Make an account, and show its password, once. Raises InvalidError, ExistsError."""
    name = request.form.get("person", "")
    password = people.add(connection(), name, request.form.get("role", ""), by=asker())
    return render_template("person_password.html", person=name, password=password)


@blueprint.post("/people/change")
@needs(Role.ADMINISTRATOR)
def change() -> ResponseReturnValue:
    """Change an account: its role, its password, or whether it is disabled."""
    name, what = request.form.get("person", ""), request.form.get("what", "")
    if what == "role":
        people.set_role(connection(), name, request.form.get("role", ""), by=asker())
    elif what in ("disable", "enable"):
        people.set_disabled(connection(), name, what == "disable", by=asker())
    elif what == "password":
        password = people.set_password(connection(), name, by=asker())
        return render_template("person_password.html", person=name, password=password)
    else:
        raise InvalidError("nothing was chosen to change")
    return redirect(url_for(".page", notice="saved"))


@blueprint.get("/account")
def account() -> ResponseReturnValue:
    """Show one's own account."""
    return render_template("account.html", zones=sorted(available_timezones()))


@blueprint.post("/account")
def change_own() -> ResponseReturnValue:
    """Change one's own time zone, or password, which signs out everywhere."""
    me = access.person().person
    if "time_zone" in request.form:
        people.set_time_zone(connection(), me, request.form["time_zone"])
        return redirect(url_for(".account", notice="saved"))
    new = request.form.get("password", "")
    if new != request.form.get("again", ""):
        raise InvalidError("the two passwords differ")
    people.set_password(connection(), me, by=asker(), password=new)
    return redirect(url_for("signing_in.form", notice="saved"))
