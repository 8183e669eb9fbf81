"""The roaming hub: what waits for it, what it refused, its sessions."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from operations import hub
from operations.console.access import asker, needs
from operations.console.services import connection
from operations.errors import InvalidError
from operations.people import Role

blueprint = Blueprint("hub", __name__)


@blueprint.get("/hub")
def page() -> ResponseReturnValue:
    """Show queues, what is parked, and the newest sessions."""
    return render_template(
        "hub.html",
        queues=hub.list_queues(connection()),
        parked=hub.list_parked(connection()),
        sessions=hub.list_sessions(connection(), limit=100),
    )


@blueprint.post("/hub/requeue")
@needs(Role.OPERATOR)
def requeue() -> ResponseReturnValue:
    """Send something again that the hub refused. Raises ConflictError."""
    hub.requeue(connection(), [_delivery()], by=asker())
    return redirect(url_for(".page", notice="requeued"))


@blueprint.post("/hub/drop")
@needs(Role.OPERATOR)
def drop() -> ResponseReturnValue:
    """Give something up that the hub refused. Raises InvalidError, ConflictError."""
    reason = request.form.get("reason", "").strip()
    if not reason:
        raise InvalidError("say why it is given up: it stays in the books with the reason")
    hub.drop(connection(), _delivery(), reason, by=asker())
    return redirect(url_for(".page", notice="dropped"))


def _delivery() -> int:
    text = request.form.get("delivery", "")
    if not text.isascii() or not text.isdigit():
        raise InvalidError(f"{text!r} is no number of a delivery")
    return int(text)
