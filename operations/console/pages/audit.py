"""Who did what."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from charging.database import audit
from operations.console.services import connection

blueprint = Blueprint("audit", __name__)

_PAGE = 100


@blueprint.get("/audit")
def page() -> ResponseReturnValue:
    """List what was done, the newest first, of one subject or of all."""
    subject, before = request.args.get("subject") or None, request.args.get("before", "")
    entries = audit.read(
        connection(),
        subject=subject,
        before=int(before) if before.isascii() and before.isdigit() else None,
        limit=_PAGE + 1,
    )
    return render_template(
        "audit.html",
        entries=entries[:_PAGE],
        before=entries[_PAGE - 1].audit_id if len(entries) > _PAGE else None,
        subject=subject,
    )
